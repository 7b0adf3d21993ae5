// All runs under the root.

import { get, listen } from "../api.js";
import { fill, h, keyed, say } from "../dom.js";
import { bindHere } from "../keys.js";
import { ago, clock, count, duration, isOver, plural, standing, tone } from "../words.js";

export function runsPage(into) {
  document.title = "Runs · Swath";
  const summary = h("p.dim", {}, "Looking…");
  const list = h("ul.runs", {});
  const empty = h("div.empty", { hidden: true },
    h("h2", {}, "No run yet"),
    h("p", {}, "A pipeline file becomes a run when it is submitted. To try one out:"),
    h("pre", {}, "swath synth data --size 3072 --count 4\nswath submit pipeline.toml"),
    h("p.dim", {}, "It shows up here within seconds."));
  fill(into, h("div.head", {}, h("h1", {}, "Runs"), summary), list, empty);

  const show = (runs) => {
    const open = runs.filter((run) => !isOver(run.state)).length;
    say(summary, runs.length ? `${plural(runs.length, "run")}, ${open} under way` : "");
    empty.hidden = runs.length > 0;
    keyed(list, runs, (run) => run.run, make, update);
  };
  const load = () => get("/api/runs").then(show).catch((problem) => say(summary, problem.message));
  load();
  const stop = listen("/api/events", { runs: show, reload: load });

  let at = -1;
  const step = (by) => {
    const links = [...list.querySelectorAll("a.run")];
    at = Math.max(0, Math.min(links.length - 1, at + by));
    links[at]?.focus();
  };
  bindHere("j", "next run", () => step(1));
  bindHere("k", "run before", () => step(-1));
  return stop;
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
  const part = run.items ? run.done / run.items : 0;
  bar.style.width = `${100 * part}%`;
  el.querySelector(".bar").className = `bar ${tone(run.state, run.served)}`;
  say(progress, run.items ? `${count(run.done)} of ${plural(run.items, "item")}` : "nothing begun");
  const failed = run.failures + run.unreadable_scenes;
  say(what, !isOver(run.state) && run.at_work ? `${run.at_work}${run.eta_seconds && run.state !== "paused" ? `, ${duration(run.eta_seconds)} left of it` : ""}` : "");
  say(failures, failed ? `${count(failed)} failed` : "");
  say(when, run.started ? `began ${ago(run.started)}` : "");
  when.title = clock(run.started);
  message.hidden = !run.message;
  say(message, run.message ?? "");
}
