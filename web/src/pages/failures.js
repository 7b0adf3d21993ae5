// What was set aside: why, with the end of its log, and another chance.

import { ask, get } from "../api.js";
import { fill, h, icon, keyed, say } from "../dom.js";
import { dialog } from "../keys.js";
import { ago, clock, count, plural } from "../words.js";

const CLASSES = {
  transient: "a server or network was away",
  preempted: "its worker had to go",
  capacity: "memory or disk ran short",
  fault: "this worker could not do it",
  data: "the input is bad",
  config: "the set-up is wrong",
  dropped: "dropped by command",
};
/** Of bad inputs: a replay reads them by the tags that they had. */
const OF_DATA = "Mend the files and give the same command again: it begins a new run, which takes over what is done. A replay alone fails again, since inputs are held against the tags that they had.";
const PAGE = 200;

export function failuresTab(into, run) {
  const summary = h("p.dim", {}, "Looking…");
  const all = h("button", { hidden: true, onclick: () => replayAll() }, icon("replay"), "Replay all");
  const list = h("ul.failures", {});
  const scenes = h("ul.unreadable", {});
  const more = h("button.more", { hidden: true, onclick: () => load(shown.length) }, "More");
  const empty = h("div.empty", { hidden: true }, h("h2", {}, "Nothing failed"), h("p.dim", {}, "Items that can't be done are set aside here, with their cause and the end of their log."));
  const ofData = h("p.notice.warn", { hidden: true }, "Bad inputs: ", OF_DATA);
  fill(into, h("div.head", {}, summary, all), ofData, scenes, list, more, empty);

  const again = () => load().catch((problem) => say(summary, problem.message));
  let shown = [];
  let seen = null;
  const load = async (from = 0) => {
    const told = await get(`${run.path("failures")}?from=${from}&n=${PAGE}`);
    shown = from ? [...shown, ...told.failures] : told.failures;
    keyed(list, kinds(shown), ([first, ...more]) => (more.length ? kindOf(first) : first.place), (alike) => (alike.length > 1 ? makeKind(run, again) : make(run, alike[0], again)), (el, alike) => el.update?.(alike));
    more.hidden = shown.length >= told.total;
    all.hidden = !shown.some((failure) => !failure.is_dropped);
    const unreadable = run.status?.unreadable_scenes ?? [];
    keyed(scenes, unreadable, (words) => words, (words) => h("li.notice.bad", {}, "Scene ", words));
    empty.hidden = shown.length + unreadable.length > 0;
    ofData.hidden = !unreadable.length && !shown.some((failure) => failure.class === "data");
    const dropped = shown.filter((failure) => failure.is_dropped).length;
    say(summary, told.total ? `${plural(told.total, "item")} set aside${dropped ? `, ${count(dropped)} of them dropped for good` : ""}` : "");
  };
  const replayAll = async () => {
    const isOfData = shown.some((failure) => failure.class === "data") || (run.status?.unreadable_scenes.length ?? 0) > 0;
    const words = [h("p", {}, "All that was set aside, but what was dropped, is new again. Where the cause is still there, it fails again."), isOfData && h("p", {}, "Where inputs are bad (class data): ", OF_DATA)];
    if (await dialog("Replay all?", words, "Replay all")) ask(run.path("replay"), { all: true }, "Asked to replay all.");
  };
  again();
  const status = () => {
    const now = JSON.stringify([run.status?.n_failures, run.status?.n_dropped, run.status?.unreadable_scenes]);
    if (seen !== null && now !== seen) again();
    seen = now;
  };
  return { status, reload: again };
}

/** What failures of one scene have in common that have one cause: all but the digits of offsets and rectangles. */
const kindOf = ({ scene, class: of, message }) => JSON.stringify([scene, of, message.replace(/\d+/g, "")]);

/** A scene that is broken fails in all of its items. */
function kinds(failures) {
  const all = new Map();
  for (const failure of failures) {
    const kind = kindOf(failure);
    if (all.has(kind)) all.get(kind).push(failure);
    else all.set(kind, [failure]);
  }
  return [...all.values()];
}

const sceneLink = (run, scene) => (scene ? h("a", { href: `#/runs/${encodeURIComponent(run.name)}/scenes/${encodeURIComponent(scene)}` }, scene) : null);

/** One card of many items that failed alike, which opens. */
function makeKind(run, again) {
  let all = [];
  const title = h("strong", {});
  const pill = h("span.pill", {});
  const cause = h("p.cause", {});
  const items = h("ul.failures.alike", {});
  const summary = h("summary", {});
  const details = h("details", { ontoggle: () => show() }, summary, items);
  const drop = h("button", { onclick: () => dropAll() }, "Drop all");
  const show = () => keyed(items, details.open ? all : [], (failure) => failure.place, (failure) => make(run, failure, again));
  const asked = (is) => is && setTimeout(again, 3000);
  const places = () => all.map(({ place }) => place);
  const replay = async () => asked(await ask(run.path("replay"), { items: places() }, `Asked to replay ${plural(all.length, "item")}.`));
  const dropAll = async () => {
    const words = h("p", {}, "The run does without them for good: no replay of all brings them back.");
    if (await dialog(`Drop ${plural(all.length, "item")}?`, words, "Drop them", "danger")) asked(await ask(run.path("drop"), { items: places() }, `Asked to drop ${plural(all.length, "item")}.`));
  };
  const el = h("li.card", {},
    h("div.head", {}, h("div", {}, title, " ", pill), h("div.buttons", {}, h("button", { onclick: replay }, icon("replay"), "Replay"), drop)),
    cause, details);
  el.update = (alike) => {
    const [first] = (all = alike);
    if (title.dataset.n !== String(all.length)) {
      title.dataset.n = all.length;
      fill(title, sceneLink(run, first.scene) ?? "No scene", `: ${plural(all.length, "item")}`);
    }
    say(pill, first.class);
    pill.className = `pill ${first.is_dropped ? "calm" : "bad"}`;
    pill.title = CLASSES[first.class] ?? "";
    say(cause, first.message);
    drop.hidden = first.is_dropped;
    say(summary, `The ${plural(all.length, "item")}, each with its log`);
    show();
  };
  return el;
}

function make(run, failure, again) {
  const scene = sceneLink(run, failure.scene);
  const rect = failure.rect ? `${failure.rect.width}×${failure.rect.height} px at ${failure.rect.col}, ${failure.rect.row}` : "";
  const log = h("pre.log", { tabindex: 0 }, "Looking…");
  const details = h("details", { ontoggle: () => details.open && show() }, h("summary", {}, "Log"), log);
  const show = async () => {
    try {
      const { log: lines } = await get(run.path("failures", failure.place));
      say(log, lines.length ? lines.join("\n") : "Its last attempt has logged nothing.");
    } catch (problem) {
      say(log, problem.message);
    }
  };
  const replay = async () => {
    if (await ask(run.path("replay"), { items: [failure.place] }, `Asked to replay ${failure.place}.`)) setTimeout(again, 3000);
  };
  const drop = async () => {
    const words = h("p", {}, "The run does without it for good: no replay of all brings it back.");
    if (await dialog(`Drop ${failure.place}?`, words, "Drop it", "danger")) {
      if (await ask(run.path("drop"), { items: [failure.place] }, `Asked to drop ${failure.place}.`)) setTimeout(again, 3000);
    }
  };
  return h("li.card", {},
    h("div.head", {},
      h("div", {}, h("strong", {}, failure.place), " ", h(`span.pill.${failure.is_dropped ? "calm" : "bad"}`, { title: CLASSES[failure.class] ?? "" }, failure.class)),
      h("div.buttons", {}, h("button", { onclick: replay }, icon("replay"), "Replay"), failure.is_dropped ? null : h("button", { onclick: drop }, "Drop"))),
    h("p.cause", {}, failure.message),
    h("p.dim.small", { title: clock(failure.written) },
      scene ? ["Scene ", scene, rect ? ` (${rect})` : "", " · "] : null,
      `${plural(failure.attempts, "attempt")} · ${failure.worker}`, failure.written ? ` · ${ago(failure.written)}` : ""),
    details);
}
