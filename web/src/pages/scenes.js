// The scenes of a run as pictures, with their parts coloured by state as they change.

import { get } from "../api.js";
import { fill, h, keyed, say } from "../dom.js";
import { bindHere } from "../keys.js";
import { paintAll, paintScene, STATE_WORDS } from "../parts.js";
import { count, plural } from "../words.js";

const PAGE = 120;
/** That the coordinator tells at once. */
const MOST = 1000;
const NAMES = { unseen: "not looked at yet", unreadable: "can't be read", waiting: "waiting", working: "at work", done: "done", failed: "failed" };

export function scenesTab(into, run) {
  const all = h("canvas.all", { role: "img", "aria-label": "The states of all parts, scene after scene" });
  const allBox = h("div.card", {}, h("div.head", {}, h("h2", {}, "All parts"), legend()), all);
  const name = h("input", { type: "search", placeholder: "Name", "aria-label": "Only scenes whose name holds", oninput: () => later() });
  const only = h("select", { "aria-label": "Which scenes", onchange: () => load() },
    [["", "All scenes"], ["unfinished", "Unfinished"], ["done", "Done"], ["failed", "Failed"], ["predict", "To predict"], ["learn", "To learn from"]].map(([value, words]) => h("option", { value }, words)));
  const summary = h("span.dim", {});
  const grid = h("div.scenes", {});
  const empty = h("p.empty", { hidden: true });
  const more = h("button.more", { hidden: true, onclick: () => add() }, "More scenes");
  fill(into, allBox, h("div.filters", {}, name, only, summary), grid, empty, more);

  let cards = [];
  let total = 0;
  let turn = 0;
  const query = (from, n) => {
    const asked = new URLSearchParams({ from, n });
    if (name.value) asked.set("name", name.value);
    if (only.value) asked.set("only", only.value);
    return `${run.path("scenes")}?${asked}`;
  };
  /** `anew`: so many from the first on; who is there already stays in its place. */
  const add = async (anew = 0) => {
    const mine = ++turn;
    const told = await get(query(anew ? 0 : cards.length, anew || PAGE));
    if (mine !== turn) return;
    const nameOf = (scene) => `${scene.set} ${scene.scene}`;
    if (anew) keyed(grid, told.scenes, nameOf, (scene) => card(run, scene), (el, scene) => el.update(scene));
    else {
      for (const scene of told.scenes) {
        const el = card(run, scene);
        el.dataset.key = nameOf(scene);
        grid.append(el);
      }
    }
    cards = [...grid.children];
    total = told.total;
    say(summary, cards.length < total ? `${count(cards.length)} of ${plural(total, "scene")}` : plural(total, "scene"));
    more.hidden = cards.length >= total;
    empty.hidden = total > 0;
    say(empty, name.value || only.value ? "No scene is like that." : "This run has no scenes.");
    allBox.hidden = !told.parts;
    paint();
  };
  const load = (n = PAGE) => add(n).catch((problem) => say(summary, problem.message));
  let timer = 0;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(() => load(), 200);
  };
  const seen = new IntersectionObserver(([entry]) => entry.isIntersecting && !more.hidden && add().catch(() => {}), { rootMargin: "600px" });
  seen.observe(more);
  const paint = () => {
    const n = Math.max(...cards.map((el) => el.scene.first + el.scene.n), 0);
    const parts = Math.max(n, run.parts.cells.length);
    if (parts && allBox.clientWidth) paintAll(all, run.parts.cells, parts, allBox.clientWidth - 34);
  };
  const unpaint = run.parts.onPaint(paint);
  const unwatch = watchCards(run, grid);
  window.addEventListener("theme", paint);
  bindHere("/", "find a scene", () => name.focus());
  load();
  return { reload: () => load(Math.max(PAGE, Math.min(MOST, cards.length))), leave: () => (unpaint(), unwatch(), seen.disconnect(), clearTimeout(timer), window.removeEventListener("theme", paint)) };
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
    el.scene = next;
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
    const { first, n, set } = el.scene;
    let [done, failed, held] = [0, 0, 0];
    for (let i = first; i < first + n; i++) {
      const cell = run.parts.cells[i];
      if (cell === 2) done++;
      else if (cell === 3) failed++;
      else if (cell === 1) held++;
    }
    const of = failed ? "failed" : n && done === n ? "done" : held + done ? "working" : el.scene.state;
    const kind = set === "predict" ? "" : set === "train" ? "to train on · " : "to validate on · ";
    const words = of === "working" || of === "failed" ? `${count(done)} of ${count(n)}${failed ? `, ${count(failed)} failed` : ""}` : NAMES[of];
    say(state, `${kind}${words}`);
    state.className = `state ${of}`;
    if (set === "predict") paintScene(canvas, run.parts.cells, el.scene);
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
      if (bottom > -200 && top < innerHeight + 200) el.paint();
    }
  };
  const stop = run.parts.onPaint(sight);
  addEventListener("scroll", sight, { passive: true });
  addEventListener("theme", sight);
  return () => (stop(), removeEventListener("scroll", sight), removeEventListener("theme", sight));
}
