// Who is at work.

import { get } from "../api.js";
import { fill, h, keyed, say } from "../dom.js";
import { ago, count, duration, plural, percent } from "../words.js";
import { fleetCard } from "./fleet.js";

const AGAIN = 3000;
/** It is written down every ten seconds, or when something changes. */
const FLEET_AGAIN = 6000;
/** Workers say every five seconds that they are there: these have missed a beat. */
const SILENT = 12;

export function workersPage(into) {
  document.title = "Workers · Swath";
  const summary = h("p.dim", {}, "Looking…");
  const body = h("tbody", {});
  const heads = ["Worker", "State", "In hand", "Done", "Failed", "Busy", "Lanes", "Machine", "Since"];
  const table = h("table.stack", { hidden: true }, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), body);
  const fleet = fleetCard();
  const byHand = h("div", {},
    h("p", {}, "Nothing is worked on until one is. Start as many as you like, wherever the pixels are:"),
    h("pre", {}, "swath worker"),
    h("p.dim", {}, "with the same root, queue and ledger as this coordinator. ", h("code", {}, "swath run"), " starts its own, and so does ", h("code", {}, "swath coordinator --fleet local"), "."));
  const byFleet = h("p", { hidden: true }, "The fleet starts them as there is work.");
  const empty = h("div.empty", { hidden: true }, h("h2", {}, "No worker is there"), byFleet, byHand);
  fill(into, h("div.head", {}, h("h1", {}, "Workers"), summary), fleet.el, h("div.card.scroll", {}, table, empty));

  const show = ({ workers }) => {
    const hand = workers.reduce((sum, { card }) => sum + (card?.in_hand ?? 0), 0);
    const leaving = workers.filter(({ card }) => card?.state === "leaving").length;
    const words = [plural(workers.length, "worker"), `${plural(hand, "item")} in hand`, leaving ? `${leaving} leaving` : ""];
    say(summary, workers.length ? words.filter(Boolean).join(" · ") : "");
    table.hidden = !workers.length;
    empty.hidden = workers.length > 0;
    keyed(body, workers, (worker) => worker.worker, () => h("tr", {}, heads.map((head) => h("td", { "data-head": head }))), update);
  };
  const load = () => get("/api/workers").then(show).catch((problem) => say(summary, problem.message));
  const loadFleet = () => get("/api/fleet").then((told) => {
    fleet.update(told);
    const starts = told.fleet !== null && told.served && !told.fleet.wish.stopped;
    byFleet.hidden = !starts;
    byHand.hidden = starts;
  }).catch((problem) => fleet.fail(problem.message));
  load();
  loadFleet();
  // What nobody sees is not asked for.
  const seen = (ask) => () => document.hidden || ask();
  const all = seen(() => (load(), loadFleet()));
  document.addEventListener("visibilitychange", all);
  const timers = [setInterval(seen(load), AGAIN), setInterval(seen(loadFleet), FLEET_AGAIN)];
  return () => (timers.forEach(clearInterval), document.removeEventListener("visibilitychange", all));
}

function update(row, { worker, card, silent_s: silent }) {
  const isSilent = (silent ?? 0) > SILENT;
  const alive = card ? (Date.now() - Date.parse(card.started)) / 1000 : 0;
  const place = card?.instance ? `${card.instance.kind} in ${card.instance.zone}${card.instance.is_spot ? ", spot" : ""}` : card?.host;
  const cells = [
    worker,
    !card ? "of another version" : isSilent ? `no word for ${duration(silent)}` : card.state === "leaving" ? "leaving" : card.in_hand ? "at work" : "waits for work",
    card ? `${count(card.in_hand)} of ${count(card.slots * card.lanes.length)}` : "–",
    count(card?.done),
    count(card?.failed),
    card && alive > 0 ? `${percent(Math.min(1, card.busy_s / alive))} of ${duration(alive)}` : "–",
    card?.lanes.join(", ") ?? "–",
    [place, card?.job].filter(Boolean).join(" · ") || "–",
    card ? ago(card.started) : "–",
  ];
  cells.forEach((words, at) => say(row.children[at], words));
  row.classList.toggle("silent", isSilent);
  row.children[1].className = !card || isSilent || card.state === "leaving" ? "calm" : card.in_hand ? "live" : "";
}
