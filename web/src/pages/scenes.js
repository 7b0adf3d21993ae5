// The scenes of a run as pictures, with their parts coloured by state as they change.

import { get } from "../api.js";
import { fill, h, say } from "../dom.js";
import { longGrid } from "../grid.js";
import { bindHere } from "../keys.js";
import { paintAll, paintScene, STATE_WORDS } from "../parts.js";
import { count, plural } from "../words.js";

const NAMES = { unseen: "not looked at yet", unreadable: "can't be read", waiting: "waiting", working: "at work", done: "done", failed: "failed" };

export function scenesTab(into, run) {
  const all = h("canvas.all", { role: "img", "aria-label": "The states of all parts, scene after scene" });
  const allBox = h("div.card", {}, h("div.head", {}, h("h2", {}, "All parts"), legend()), all);
  const name = h("input", { type: "search", placeholder: "Name", "aria-label": "Only scenes whose name holds", oninput: () => later() });
  const only = h("select", { "aria-label": "Which scenes", onchange: () => load() },
    [["", "All scenes"], ["unfinished", "Unfinished"], ["done", "Done"], ["failed", "Failed"], ["predict", "To predict"], ["learn", "To learn from"]].map(([value, words]) => h("option", { value }, words)));
  const summary = h("span.dim", {});
  const cards = h("div.scenes", {});
  const empty = h("p.empty", { hidden: true });
  fill(into, allBox, h("div.filters", {}, name, only, summary), cards, empty);

  let parts = 0;
  const read = async (from, n) => {
    const asked = new URLSearchParams({ from, n });
    if (name.value) asked.set("name", name.value);
    if (only.value) asked.set("only", only.value);
    const told = await get(`${run.path("scenes")}?${asked}`);
    return { ...told, items: told.scenes };
  };
  const told = ({ total, parts: all }) => {
    say(summary, plural(total, "scene"));
    empty.hidden = total > 0;
    say(empty, name.value || only.value ? "No scene is like that." : "This run has no scenes.");
    parts = all;
    allBox.hidden = !parts;
    paint();
  };
  const grid = longGrid(cards, {
    read,
    told,
    failed: (problem) => say(summary, problem.message),
    keyOf: (scene) => `${scene.set} ${scene.scene}`,
    make: (scene) => card(run, scene),
    blank: () => h("div.scene", {}, h("div.picture", {}), h("div.caption", {}, h("strong", {}, "…"), h("span.state", {}, "\u00a0"))),
  });
  const load = () => grid.reload(true);
  let timer = 0;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(load, 200);
  };
  const paint = () => {
    if (parts && allBox.clientWidth) paintAll(all, run.parts.cells, parts, allBox.clientWidth - 34);
  };
  const unpaint = run.parts.onPaint(paint);
  const unwatch = watchCards(run, cards);
  window.addEventListener("theme", paint);
  bindHere("/", "find a scene", () => name.focus());
  return { reload: () => grid.reload(), leave: () => (unpaint(), unwatch(), grid.end(), clearTimeout(timer), window.removeEventListener("theme", paint)) };
}

export function legend() {
  return h("span.legend", {}, STATE_WORDS.map((words, at) => h("span", {}, h(`i.part${at}`, {}), words)));
}

/** A scene with its picture. Parts are painted while it is in sight. */
export function card(run, scene) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const image = h("img", { alt: "", loading: "lazy", decoding: "async", onload: () => image.classList.add("there"), onerror: () => image.remove() });
  const over = h("img.over", { alt: "", hidden: true, loading: "lazy", decoding: "async", onload: () => over.classList.add("there"), onerror: () => (over.hidden = true) });
  const state = h("span.state", {});
  const el = h("a.scene", { href: `#/runs/${encodeURIComponent(run.name)}/scenes/${encodeURIComponent(scene.scene)}` },
    h("div.picture", {}, image, over, canvas),
    h("div.caption", {}, h("strong", {}, scene.scene), state));
  el.update = (next) => {
    el.item = next;
    const size = next.size ? `${count(next.size.width)} × ${count(next.size.height)} px` : "";
    el.title = [next.scene, size, next.message ?? ""].filter(Boolean).join("\n");
    if (next.size && !image.src) image.src = `${run.path("scenes", next.scene, "thumbnail")}?px=320`;
    if (next.is_predicted && !over.src) {
      over.hidden = false;
      over.src = `${run.path("scenes", next.scene, "thumbnail")}?px=320&layer=prediction`;
    }
    el.paint();
  };
  el.paint = () => {
    const { first, n, set } = el.item;
    let [done, failed, held] = [0, 0, 0];
    for (let i = first; i < first + n; i++) {
      const cell = run.parts.cells[i];
      if (cell === 2) done++;
      else if (cell === 3) failed++;
      else if (cell === 1) held++;
    }
    const of = failed ? "failed" : n && done === n ? "done" : held + done ? "working" : el.item.state;
    const kind = set === "predict" ? "" : set === "train" ? "to train on · " : "to validate on · ";
    const words = of === "working" || of === "failed" ? `${count(done)} of ${count(n)}${failed ? `, ${count(failed)} failed` : ""}` : NAMES[of];
    say(state, `${kind}${words}`);
    state.className = `state ${of}`;
    if (set === "predict") paintScene(canvas, run.parts.cells, el.item);
    else canvas.hidden = true;
  };
  el.update(scene);
  return el;
}

/** Paints the cards that are in sight when parts change. */
export function watchCards(run, grid) {
  const sight = () => {
    for (const el of grid.children) {
      const { top, bottom } = el.getBoundingClientRect();
      if (bottom > -200 && top < innerHeight + 200) el.paint?.();
    }
  };
  const stop = run.parts.onPaint(sight);
  addEventListener("scroll", sight, { passive: true });
  addEventListener("theme", sight);
  return () => (stop(), removeEventListener("scroll", sight), removeEventListener("theme", sight));
}
