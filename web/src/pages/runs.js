// All runs under the root, the newest first, page after page.

import { get, listen } from "../api.js";
import { fill, h, keyed, say } from "../dom.js";
import { bindHere } from "../keys.js";
import { ago, clock, count, duration, isOver, nth, plural, standing, tone } from "../words.js";

const PAGE = 50;
const KINDS = [["", "All runs"], ["under_way", "Under way"], ["failed", "With failures"]];

export function runsPage(into) {
  document.title = "Runs · Swath";
  const summary = h("p.dim", {}, "Looking…");
  const name = h("input", { type: "search", placeholder: "Name", "aria-label": "Only runs whose name holds", oninput: () => later() });
  const only = h("select", { "aria-label": "Which runs", onchange: () => load() }, KINDS.map(([value, words]) => h("option", { value }, words)));
  const filters = h("div.filters", { hidden: true }, name, only);
  const list = h("ul.runs", {});
  const none = h("p.empty", { hidden: true }, "No run is like that.");
  const more = h("button.more", { hidden: true, onclick: () => add() }, "More runs");
  const empty = h("div.empty", { hidden: true },
    h("h2", {}, "No run yet"),
    h("p", {}, "A pipeline file becomes a run when it is submitted. To try one out:"),
    h("pre", {}, "swath synth data --size 3072 --count 4\nswath submit pipeline.toml"),
    h("p.dim", {}, "It shows up here within seconds."));
  fill(into, h("div.head", {}, h("div", {}, h("h1", {}, "Runs"), summary), filters), list, none, more, empty);

  /** By name. They stand by their cursors, the last of which is that of the newest. */
  let runs = new Map();
  let next = null;
  let turn = 0;
  /** What was told while a page was on its way: it may be newer than the page. */
  let meanwhile = null;

  const isWanted = (run) => run.run.includes(name.value)
    && (!only.value || (only.value === "failed" ? run.state === "failed" || run.failures + run.unreadable_scenes > 0 : !isOver(run.state)));
  const paint = ({ total, under_way: open }) => {
    const shown = [...runs.values()].sort((one, other) => (one.cursor < other.cursor ? 1 : -1));
    keyed(list, shown, (run) => run.run, make, update);
    say(summary, total ? `${plural(total, "run")}, ${count(open)} under way` : "");
    filters.hidden = total < 2 && !name.value && !only.value;
    empty.hidden = total > 0;
    none.hidden = !total || shown.length > 0;
    more.hidden = next === null;
  };
  const take = ({ changed, gone }) => {
    gone.forEach((run) => runs.delete(run));
    for (const run of changed) {
      // What stands behind the last that is shown comes with its page.
      if (isWanted(run) && (next === null || run.cursor >= next)) runs.set(run.run, run);
      else runs.delete(run.run);
    }
  };
  const read = async (after, n) => {
    const mine = ++turn;
    meanwhile = [];
    const asked = new URLSearchParams({ n });
    if (after) asked.set("after", after);
    if (name.value) asked.set("name", name.value);
    if (only.value) asked.set("only", only.value);
    const told = await get(`/api/runs?${asked}`).catch((problem) => {
      if (mine === turn) meanwhile = null;
      throw problem;
    });
    if (mine !== turn) return;
    if (!after) runs = new Map();
    next = told.next;
    told.runs.forEach((run) => runs.set(run.run, run));
    meanwhile.forEach(take);
    meanwhile = null;
    paint(told);
  };
  const failed = (problem) => say(summary, problem.message);
  /** Again from the first on, as far as one has read. */
  const load = () => read(null, Math.min(1000, Math.max(PAGE, runs.size))).catch(failed);
  const add = () => read(next, PAGE).catch(failed);
  let timer = 0;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(load, 200);
  };
  load();
  const stop = listen("/api/events", {
    runs: (told) => {
      if (meanwhile) meanwhile.push(told);
      else {
        take(told);
        paint(told);
      }
    },
    reload: load,
  });
  const seen = new IntersectionObserver(([entry]) => entry.isIntersecting && !more.hidden && meanwhile === null && add(), { rootMargin: "400px" });
  seen.observe(more);

  let at = -1;
  const step = (by) => {
    const links = [...list.querySelectorAll("a.run")];
    at = Math.max(0, Math.min(links.length - 1, at + by));
    links[at]?.focus();
  };
  bindHere("j", "next run", () => step(1));
  bindHere("k", "run before", () => step(-1));
  bindHere("/", "find a run", () => name.focus());
  return () => (stop(), seen.disconnect(), clearTimeout(timer));
}

function make(run) {
  return h("li", {},
    h("a.run.card", { href: `#/runs/${encodeURIComponent(run.run)}` },
      h("div.name", {}, h("strong", {}, run.run), h("span.pill", {})),
      h("div.bar", {}, h("i", {})),
      h("div.facts", {}, h("span.progress", {}), h("span.what", {}), h("span.failed.bad", {}), h("span.when.dim", {})),
      h("p.message", { hidden: true })));
}

function update(el, run) {
  const [pill, bar, progress, what, failures, when, message] = [".pill", ".bar i", ".progress", ".what", ".failed", ".when", ".message"].map((name) => el.querySelector(name));
  say(pill, standing(run.state, run.served));
  pill.className = `pill ${tone(run.state, run.served)}`;
  const { part, stage } = run.progress;
  bar.style.width = `${100 * part}%`;
  el.querySelector(".bar").className = `bar ${tone(run.state, run.served)}`;
  // Of later stages no item is known yet: those that are known are not all.
  say(progress, stage && run.items ? nth(stage) : run.items ? `${count(run.done)} of ${plural(run.items, "item")}` : "nothing begun");
  const failed = run.failures + run.unreadable_scenes;
  say(what, !isOver(run.state) && run.at_work ? `${run.at_work}${run.eta_seconds && run.state !== "paused" ? `, ${duration(run.eta_seconds)} left of it` : ""}` : "");
  say(failures, failed ? `${count(failed)} failed` : "");
  say(when, run.started ? `began ${ago(run.started)}` : "");
  when.title = clock(run.started);
  message.hidden = !run.message;
  say(message, run.message ?? "");
}
