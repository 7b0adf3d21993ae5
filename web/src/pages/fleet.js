// The workers that a coordinator starts by itself: what `swath fleet status` says.

import { fill, h, say } from "../dom.js";
import { count, duration } from "../words.js";

const HEADS = ["Kind", "Target", "Working", "Idle", "Launching", "Leaving", "Others", "Allowed", "Backlog", "Launch"];
/** It is written down every ten seconds. */
const SILENT = 60;

export function fleetCard() {
  const who = h("span.dim", {});
  const rows = h("tbody", {});
  const words = h("div.fleet-words", {});
  const table = h("table.stack", {}, h("thead", {}, h("tr", {}, HEADS.map((head) => h("th", { scope: "col" }, head)))), rows);
  const el = h("section.card.fleet.scroll", { hidden: true }, h("div.head", {}, h("h2", {}, "Fleet"), who), table, words);
  const update = (told) => {
    el.hidden = !told.fleet;
    if (!told.fleet) return;
    const { fleet } = told;
    const kinds = Object.entries(fleet.crews).filter(([, crew]) => crew.max > 0 || crew.working + crew.idle + crew.leaving + crew.others > 0);
    table.hidden = !kinds.length;
    say(who, standing(told));
    fill(rows, kinds.map(([kind, crew]) => h("tr", {}, cells(kind, crew).map((cell, at) => h("td", { "data-head": HEADS[at] }, cell)))));
    fill(words,
      kinds.map(([kind, { why }]) => h("p.small", {}, `${kind}: ${why}`)),
      h("p.small", {}, money(fleet)),
      [...Object.entries(fleet.crews).filter(([, crew]) => crew.trouble).map(([kind, { trouble }]) => `${kind}: ${trouble}`), ...fleet.messages].map((said) => h("p.notice.warn", {}, said)));
  };
  const fail = (message) => {
    el.hidden = false;
    table.hidden = true;
    say(who, "");
    fill(words, h("p.notice.bad", {}, message));
  };
  return { el, update, fail };
}

/** Who has it. What is written down holds only while somebody does. */
function standing({ fleet, served, silent_s: silent }) {
  if (!served) return `${fleet.provider}: no coordinator has it now; as it was ${duration(silent)} ago`;
  return silent > SILENT ? `${fleet.provider}: no word from ${fleet.coordinator} for ${duration(silent)}` : `${fleet.provider}, by ${fleet.coordinator}`;
}

function cells(kind, crew) {
  const launching = crew.queued ? `${count(crew.launching)} (${count(crew.queued)} without a machine)` : count(crew.launching);
  return [kind, count(crew.target), count(crew.working), count(crew.idle), launching, count(crew.leaving), count(crew.others), `${crew.min}–${crew.max}`, duration(crew.backlog_s), duration(crew.launch_s)];
}

/** What was spent, and may be. */
function money({ spent, budget }) {
  const of = (limit) => (limit === null ? "" : ` of ${limit}`);
  const hours = `spent: ${spent.hours.toFixed(2)}${of(budget.hours)} hours of workers`;
  return spent.money > 0 || budget.money !== null ? `${hours}, ${spent.money.toFixed(2)}${of(budget.money)} in money` : hours;
}
