// One run: how it stands, and the tabs below.

import { ask, get, listen, runPath } from "../api.js";
import { fill, h, icon, say } from "../dom.js";
import { bindHere, dialog } from "../keys.js";
import { Parts } from "../parts.js";
import { ago, clock, count, duration, isOver, percent, plural, progress, short, standing, took, tone } from "../words.js";
import { failuresTab } from "./failures.js";
import { overviewTab } from "./overview.js";
import { scenesTab } from "./scenes.js";
import { scoresTab } from "./scores.js";
import { trainingTab } from "./training.js";

const TABS = { overview: overviewTab, scenes: scenesTab, scores: scoresTab, training: trainingTab, failures: failuresTab };

/** Until a worker that was started with the run is there. */
const A_START = 15000;

export function runPage(into, name, first) {
  document.title = `${name} · Swath`;
  const run = { name, about: null, status: null, served: false, parts: new Parts(name), path: (...rest) => runPath(name, ...rest) };
  let tab = null;
  let tabName = first;

  const head = header(run);
  const links = h("nav.tabs", { "aria-label": "Of this run" });
  const body = h("div.tab", {});
  const problem = h("div.empty", { hidden: true });
  fill(into, head.el, links, problem, body);
  for (const of of Object.keys(TABS)) {
    links.append(h("a", { href: `#/runs/${encodeURIComponent(name)}/${of}`, "data-tab": of }, of[0].toUpperCase() + of.slice(1), h("span.badge", { hidden: true })));
  }

  const go = (to) => {
    tabName = to;
    for (const link of links.children) {
      if (link.dataset.tab === to) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (!run.about) return;
    tab?.leave?.();
    const el = h("div", {});
    tab = TABS[to](el, run);
    body.replaceChildren(el);
    tab?.status?.();
  };

  const update = () => {
    // What is told may come before it is known what the run is.
    if (!run.about) return;
    head.update();
    const badge = links.querySelector("[data-tab=failures] .badge");
    const failed = (run.status?.n_failures ?? 0) + (run.status?.unreadable_scenes.length ?? 0);
    badge.hidden = !failed;
    say(badge, short(failed));
    tab?.status?.();
  };
  /** A newcomer's run that stands still for want of a worker says so. */
  const lookForWorkers = async () => {
    const goesOn = run.served && run.status && ["preparing", "running"].includes(run.status.state);
    const isNew = Date.now() - Date.parse(run.status?.started) < A_START;
    if (!goesOn || isNew) head.wantsWorkers(false);
    else head.wantsWorkers(!(await get("/api/workers")).workers.length);
  };
  const read = async () => {
    try {
      const isFirst = !run.about;
      const [about] = await Promise.all([get(run.path()), isFirst ? run.parts.load() : null]);
      head.el.hidden = links.hidden = false;
      problem.hidden = true;
      Object.assign(run, { about, status: about.status, served: about.served });
      links.querySelector("[data-tab=training]").hidden = !about.record.trains;
      if (isFirst) go(tabName);
      update();
      await lookForWorkers();
    } catch (error) {
      if (run.about) return;
      // There is nothing to say of it: no empty numbers and tabs.
      head.el.hidden = links.hidden = true;
      problem.hidden = false;
      fill(problem, h("h2", {}, "This run can't be shown"), h("p", {}, error.message), h("p", {}, h("a", { href: "#/" }, "All runs")));
    }
  };
  let reading = null;
  const load = () => (reading ??= read().finally(() => (reading = null)));
  load();
  // Whether a coordinator serves it is no part of its status. When the page is seen again, its line opens and all is read.
  const again = setInterval(() => document.hidden || load(), 10000);
  const told = async (message) => {
    if (await run.parts.told(message)) tab?.reload?.();
  };
  const stop = listen(run.path("events"), {
    status: (status) => {
      const wasOver = isOver(run.status?.state);
      run.status = status;
      update();
      if (!wasOver && isOver(status.state)) load().then(() => tab?.reload?.());
    },
    parts: (message) => told(message).catch(() => {}),
    reload: async () => {
      await load();
      if (run.about && (await run.parts.load().catch(() => false))) tab?.reload?.();
    },
  });

  bindHere("p", "pause, or go on", () => head.pause());
  Object.keys(TABS).forEach((of, at) => bindHere(String(at + 1), of, () => (location.hash = `#/runs/${encodeURIComponent(name)}/${of}`)));
  go(first);
  return {
    go,
    leave: () => {
      stop();
      clearInterval(again);
      tab?.leave?.();
    },
  };
}

/** Name, state, what can be asked, and the four numbers that people look at first. */
function header(run) {
  const pill = h("span.pill", {}, "…");
  const sub = h("p.dim.sub", {}, " ");
  const message = h("p.notice", { hidden: true });
  const pauseButton = h("button", { hidden: true, onclick: () => pause() });
  const cancelButton = h("button", { hidden: true, onclick: () => cancel() }, icon("stop"), "Cancel");
  const rankButton = h("button", { hidden: true, onclick: () => rank() }, icon("flag"), "Priority");
  const report = h("a.button", { hidden: true, href: run.path("report"), target: "_blank", rel: "noopener" }, "Report");
  const noWorkers = h("p.notice.warn", { role: "status", hidden: true }, "No worker is there, and nothing is worked on until one is: start one with ", h("code", {}, "swath worker"), ". ", h("a", { href: "#/workers" }, "Workers"));
  const bar = h("div.bar.large", { role: "progressbar", "aria-label": "Items done", "aria-valuemin": 0, "aria-valuemax": 100 }, h("i", {}));
  const tiles = ["Done", "Time left", "Speed", "Failed", "Time at work"].map((title) => ({
    name: h("dt", {}, title),
    value: h("span.value", {}, "–"),
    note: h("span.note.dim", {}, " "),
  }));
  const heldBack = h("p.dim.sub", { hidden: true });
  const el = h("div.run-head", {},
    h("p.crumbs", {}, h("a", { href: "#/" }, "Runs")),
    h("div.head", {}, h("h1", {}, run.name, " ", pill), h("div.buttons", {}, pauseButton, rankButton, cancelButton, report)),
    sub, message, noWorkers, bar,
    h("dl.tiles", {}, tiles.map(({ name, value, note }) => h("div", {}, name, h("dd", {}, value, note)))), heldBack);

  const goesOn = () => run.status && !isOver(run.status.state);
  const pause = () => {
    const state = run.status?.state;
    if (goesOn() && state !== "paused") ask(run.path("pause"), undefined, "Asked to pause. What is at work is finished; a training stops at a checkpoint.");
    else if (state && state !== "done") ask(run.path("resume"), undefined, "Asked to go on.");
  };
  const cancel = async () => {
    const words = h("p", {}, "What is done stays. What waits is not worked on. It can be resumed later.");
    if (await dialog(`Cancel ${run.name}?`, words, "Cancel the run", "danger")) ask(run.path("cancel"), undefined, "Asked to cancel.");
  };
  const rank = async () => {
    const { priority, share } = run.status.rank;
    const field = (id, label, value, min, max, words) => [h("label", { for: id }, label), h("input", { id, type: "number", value, min, max, step: 1 }), h("p.dim", {}, words)];
    const body = h("div", {},
      field("priority", "Priority", priority, -1000, 1000, "A run of a higher priority goes first."),
      field("share", "Share", share, 1, 1000, "What it gets of the workers beside runs of its own priority."));
    if (!(await dialog(`Priority of ${run.name}`, body, "Set"))) return;
    const [one, other] = body.querySelectorAll("input");
    ask(run.path("priority"), { priority: Number(one.value), share: Number(other.value) }, "Asked. It counts for what is not published yet.");
  };

  const update = () => {
    const { status, about, served } = run;
    const state = status?.state;
    say(pill, standing(state, served));
    pill.className = `pill ${tone(state, served)}`;
    const { record } = about;
    const network = record.networks.map(({ architecture }) => architecture).join(" + ");
    const scenes = [record.scenes && `${plural(record.scenes, "scene")} to predict`, record.learnt && `${record.scenes ? count(record.learnt) : plural(record.learnt, "scene")} to learn from`];
    const engines = [record.trains && "trained by libtorch", record.predicts && `predicted by ${record.engine}`].filter(Boolean);
    const parts = [`began ${ago(status?.started ?? record.created)}`, scenes.filter(Boolean).join(", "), engines.length ? `${network}, ${engines.join(", ")}` : ""];
    say(sub, parts.filter(Boolean).join(" · "));
    sub.title = clock(status?.started ?? record.created);
    const words = status?.message ?? "";
    message.hidden = !words;
    message.className = `notice ${state === "failed" ? "bad" : "warn"}`;
    say(message, words);

    pauseButton.hidden = !state || state === "done" || state === "done_with_failures";
    const isPause = goesOn() && state !== "paused";
    const label = isPause ? "Pause" : "Resume";
    if (pauseButton.textContent !== label) fill(pauseButton, icon(isPause ? "pause" : "play"), label);
    cancelButton.hidden = rankButton.hidden = !goesOn();
    report.hidden = !about.has_report;

    const { part, words: far, note: farther, stages, at } = progress(status);
    bar.firstElementChild.style.width = `${100 * part}%`;
    bar.className = `bar large ${tone(state, served)}`;
    bar.setAttribute("aria-valuenow", Math.round(100 * part));
    const failed = (status?.n_failures ?? 0) + (status?.unreadable_scenes.length ?? 0);
    const training = status?.training;
    const isTraining = status?.at_work === "train" && training;
    const goes = goesOn() && state !== "paused";
    const after = stages.length - 1 - at;
    const then = after > 0 ? `then ${plural(after, "more stage")}` : "of the run, too";
    const speed = isTraining ? `${short(training.images_per_second)} images/s`
      : status?.at_work === "predict" && status.pixels_per_second ? `${short(status.pixels_per_second / 1e6)} Mpx/s`
      : status?.items_per_second ? `${short(status.items_per_second)} items/s` : "–";
    const seconds = stages.reduce((all, stage) => all + stage.seconds, 0);
    const whole = (Date.parse(status?.written) - Date.parse(status?.started)) / 1000;
    const standsStill = state === "paused" ? "paused" : " ";
    [
      [far, farther],
      isOver(state) ? [took(whole), "from beginning to end"] : [goes ? duration(status?.eta_seconds) : "–", goes && status?.at_work ? then : standsStill],
      isOver(state) ? [status.pixels_done ? `${short(status.pixels_done / 1e6)} Mpx` : count(record.scenes), status.pixels_done ? `of ${plural(record.scenes, "scene")}` : " "] : [goes ? speed : "–", goesOn() ? `${plural(status.held, "item")} at work` : " "],
      [count(failed), failed ? "see Failures" : status?.n_dropped ? `${count(status.n_dropped)} dropped` : "nothing failed"],
      about.bill ? [about.bill.money, `${about.bill.hours.toFixed(1)} machine hours${about.bill.unknown.length ? ", some without a price" : ""}`] : [(isOver(state) ? took : duration)(seconds), "of all stages"],
    ].forEach(([value, note], at) => {
      say(tiles[at].value, value);
      say(tiles[at].note, note);
    });
    say(tiles[2].name, !isOver(state) ? "Speed" : status.pixels_done ? "Predicted" : "Scenes to predict");
    say(tiles[1].name, isOver(state) ? "Took" : goes && status?.at_work ? `Time left of ${status.at_work}` : "Time left");
    say(tiles[4].name, about.bill ? "Cost" : "Time at work");
    tiles[4].note.title = about.bill ? [about.bill.origin, ...about.bill.unknown.map((kind) => `no price: ${kind}`)].join("\n") : "";
    const { phases, bottleneck } = status ?? {};
    heldBack.hidden = !bottleneck;
    if (bottleneck) {
      const all = Object.values(phases).reduce((sum, seconds) => sum + seconds, 0);
      say(heldBack, `Predicting is held back by ${bottleneck.phase}, ${percent(bottleneck.share)} of what workers are busy with there: ${bottleneck.advice}.`);
      heldBack.title = Object.entries(phases).map(([phase, seconds]) => `${phase} ${percent(seconds / all)}`).join(", ");
    }
    tiles[3].value.classList.toggle("bad", failed > 0);
  };
  return { el, update, pause, wantsWorkers: (are) => (noWorkers.hidden = !are) };
}
