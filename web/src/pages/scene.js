// One scene: the map over the imagery, beside the labels, wrong pixels marked.

import { get, listen, runPath } from "../api.js";
import { fill, h, icon, say } from "../dom.js";
import { bindHere } from "../keys.js";
import { gridOf, sceneMap, together } from "../map.js";
import { palette, Parts } from "../parts.js";
import { count, metric, plural } from "../words.js";
import { keysOf } from "./overview.js";
import { legend } from "./scenes.js";

const LAYERS = { prediction: "Prediction", errors: "Wrong pixels", labels: "Labels", confidence: "Confidence" };
const ERRORS = [["missed", "#ff5000"], ["false", "#0082ff"], ["another class", "#ffdc00"]];
/** Rectangles that a map draws without effort. */
const MOST_PARTS = 4000;

export function scenePage(into, run, name) {
  document.title = `${name} · ${run} · Swath`;
  const path = (...rest) => runPath(run, "scenes", name, ...rest);
  const parts = new Parts(run);
  const ends = [];
  const title = h("h1", {}, name);
  const sub = h("p.dim.sub", {}, " ");
  const scores = h("p.sub", { hidden: true });
  const [before, after] = [h("a.button", { hidden: true, "aria-label": "Scene before" }, icon("left")), h("a.button", { hidden: true, "aria-label": "Next scene" }, icon("right"))];
  const tools = h("div.tools.card", { hidden: true });
  const maps = h("div.maps", {});
  const below = h("div.below", {});
  const problem = h("div.empty", { hidden: true });
  fill(into,
    h("p.crumbs", {}, h("a", { href: "#/" }, "Runs"), " / ", h("a", { href: `#/runs/${encodeURIComponent(run)}` }, run), " / ", h("a", { href: `#/runs/${encodeURIComponent(run)}/scenes` }, "Scenes")),
    h("div.head", {}, title, h("div.buttons", {}, before, after)), sub, scores, problem, tools, maps, below);

  const fail = (error) => {
    problem.hidden = false;
    fill(problem, h("h2", {}, "This scene can't be shown"), h("p", {}, error.message));
  };
  const begin = async () => {
    const [told, about, whole] = await Promise.all([get(path()), get("/api/about"), get(runPath(run))]);
    neighbours(told);
    await parts.load();
    const { scene, levels, layers, item_px: item, files, made, failed } = told;
    const size = scene.size;
    const isUnreadable = scene.state === "unreadable";
    const set = { predict: "to predict", train: "to train on", validation: "to validate on" }[scene.set];
    say(sub, [size ? `${count(size.width)} × ${count(size.height)} px` : isUnreadable ? "its header can't be read" : "its header is not read yet", set, plural(scene.n, "part")].join(" · "));
    fill(below,
      failed.length ? h("p.notice.bad", {}, `${plural(failed.length, "part")} failed: `, failed.slice(0, 12).join(", "), failed.length > 12 ? " …" : "", " · ", h("a", { href: `#/runs/${encodeURIComponent(run)}/failures` }, "Failures")) : null,
      files.length || made.length ? h("details", {}, h("summary", {}, "Files"), h("ul.files", {}, files.map((file) => h("li", {}, h("code", {}, file)))),
        made.length ? [h("p.dim.small", {}, "What was made of it, in keys under the root ", h("code", {}, about.root), ":"), h("dl.facts.files", {}, keysOf(made))] : null) : null);
    if (isUnreadable) fail(new Error(scene.message ?? "Its header can't be read."));
    if (!size) return;
    if (!about.imagery) {
      fail(new Error("This coordinator was built without GDAL and draws no imagery. A whole swath shows the scene: swath coordinator --http, or swath picture."));
      return;
    }
    draw(size, levels, layers, scene, item, whole.record);
    showScores(layers);
  };

  const showScores = async (layers) => {
    if (!layers.includes("errors")) return;
    try {
      const { scenes } = await get(runPath(run, "scores"));
      const of = scenes.find((of) => of.scene === name);
      const found = of?.metrics;
      if (!found) return;
      scores.hidden = false;
      say(scores, `F1 ${metric(of.mean?.f1)} as the mean of classes, ${metric(found.f1)} by pixels · precision ${metric(found.precision)} · recall ${metric(found.recall)} · IoU ${metric(found.iou)}`);
    } catch {
      // They come with the first evaluation.
    }
  };

  const draw = (size, levels, layers, scene, item, record) => {
    const [left, right] = [h("div.map", {}), h("div.map", { hidden: true })];
    fill(maps, h("figure", {}, left), h("figure", {}, right));
    const one = sceneMap(left, size, levels);
    const caption = h("span.caption", { hidden: true });
    left.append(caption);
    const url = (layer) => path("tiles", layer);
    one.layer(url("imagery"), {});
    const overlays = Object.keys(LAYERS).filter((layer) => layers.includes(layer));
    let opacity = 0.6;
    let shown = null;
    let chosen = overlays.includes("prediction") ? "prediction" : (overlays[0] ?? "");

    const choose = (layer) => {
      chosen = layer;
      shown?.remove();
      shown = layer ? one.layer(url(layer), { opacity, className: "crisp" }) : null;
      for (const button of choice.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.layer === layer));
      slider.disabled = !layer;
      fill(key, keyOf(layer, record));
      say(caption, LAYERS[layer] ?? "Imagery");
    };
    const choice = h("div.choice", { role: "group", "aria-label": "Over the imagery" },
      [["", "Imagery"], ...overlays.map((layer) => [layer, LAYERS[layer] ?? layer])].map(([layer, words]) => h("button", { "data-layer": layer, onclick: () => choose(layer) }, words)));
    const slider = h("input", { type: "range", min: 0, max: 100, value: 60, "aria-label": "Opacity", oninput: () => shown?.setOpacity((opacity = slider.value / 100)) });
    const key = h("span.legend", {});

    // Beside each other: what was found, and what is true.
    let two = null;
    const beside = () => {
      const isOn = right.hidden;
      right.hidden = !isOn;
      caption.hidden = !isOn;
      maps.classList.toggle("two", isOn);
      besideButton.setAttribute("aria-pressed", String(isOn));
      if (isOn && !two) {
        two = sceneMap(right, size, levels);
        two.layer(url("imagery"), {});
        two.layer(url("labels"), { opacity: 0.6, className: "crisp" });
        together(one.map, two.map);
        right.append(h("span.caption", {}, "Labels"));
      }
      one.map.invalidateSize();
      two?.map.invalidateSize();
      two?.map.setView(one.map.getCenter(), one.map.getZoom(), { animate: false });
    };
    const besideButton = h("button", { "aria-pressed": "false", hidden: !layers.includes("labels"), onclick: beside }, "Beside labels");

    let grid = null;
    const canGrid = item && scene.n > 0 && scene.n <= MOST_PARTS && scene.set === "predict";
    const toggleGrid = () => {
      if (!canGrid) return;
      grid ??= gridOf(one.map, scene, item, size, parts.cells, palette());
      const isOn = !one.map.hasLayer(grid.group);
      isOn ? grid.group.addTo(one.map) : grid.group.remove();
      gridButton.setAttribute("aria-pressed", String(isOn));
      states.hidden = !isOn;
    };
    const gridButton = h("button", { "aria-pressed": "false", hidden: !canGrid, onclick: toggleGrid }, "Parts");
    const states = legend();
    states.hidden = true;
    ends.push(parts.onPaint(() => grid?.paint(parts.cells, palette())));

    tools.hidden = false;
    fill(tools, choice, h("label.opacity", {}, h("span.dim", {}, "Opacity"), slider), besideButton, gridButton, h("button", { onclick: one.fit }, "Whole scene"), h("span.grow", {}), key, states);
    choose(chosen);
    if (canGrid && !layers.includes("prediction")) toggleGrid();

    const numbered = ["", ...overlays];
    numbered.forEach((layer, at) => bindHere(String(at), layer ? (LAYERS[layer] ?? layer).toLowerCase() : "imagery alone", () => choose(layer)));
    const fade = (by) => {
      slider.value = Number(slider.value) + by;
      slider.dispatchEvent(new Event("input"));
    };
    bindHere("b", "beside the labels", () => layers.includes("labels") && beside());
    bindHere("p", "parts by state", toggleGrid);
    bindHere("f", "whole scene", one.fit);
    bindHere("[", "fainter", () => fade(-10));
    bindHere("]", "stronger", () => fade(10));
    const resize = new ResizeObserver(() => (one.map.invalidateSize(), two?.map.invalidateSize()));
    resize.observe(maps);
    ends.push(() => (resize.disconnect(), one.map.remove(), two?.map.remove()));
  };

  const neighbours = (told) => {
    const link = (el, of) => {
      el.hidden = !of;
      if (of) (el.href = `#/runs/${encodeURIComponent(run)}/scenes/${encodeURIComponent(of)}`), (el.title = of);
    };
    link(before, told.before);
    link(after, told.after);
    bindHere("k", "scene before", () => !before.hidden && before.click());
    bindHere("j", "next scene", () => !after.hidden && after.click());
  };

  begin().catch(fail);
  bindHere("u", "back to the scenes", () => (location.hash = `#/runs/${encodeURIComponent(run)}/scenes`));
  ends.push(listen(runPath(run, "events"), { parts: (message) => parts.told(message).catch(() => {}), reload: () => parts.load().catch(() => {}) }));
  return () => ends.forEach((end) => end());
}

function keyOf(layer, record) {
  const entry = ([words, color]) => h("span", {}, h("i", { style: { background: color } }), words);
  if (layer === "errors") return (record.classes.length > 2 ? ERRORS : ERRORS.slice(0, 2)).map(entry);
  if (layer === "confidence") return [h("span", {}, "unsure ", h("i.heat", {}), " sure")];
  if (!layer) return [];
  return record.classes.filter((_, at) => at !== record.null_class).map(({ name, color }) => entry([name, color]));
}
