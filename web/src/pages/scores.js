// The confusion matrix and the scores of each class and scene.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { count, isOver, metric, percent, short } from "../words.js";

export function scoresTab(into, run) {
  const load = async () => {
    try {
      show(into, run, await get(run.path("scores")));
    } catch (problem) {
      const wait = isOver(run.status?.state) ? "No scene of this run has labels, or none was evaluated." : "Scores come when the first scenes are evaluated: it takes labels, and the stage eval.";
      fill(into, h("div.empty", {}, h("h2", {}, "No scores yet"), h("p", {}, problem.status === 404 ? wait : problem.message)));
    }
  };
  load();
  return { reload: load };
}

function show(into, run, { overall, mean, baseline, scenes, total }) {
  const classes = overall.filter((entry) => entry.class_id !== undefined);
  const average = overall[overall.length - 1];
  const of = (entry, name) => entry?.metrics?.[name];
  const names = ["iou", "f1", "precision", "recall"];
  const before = (at, name) => of(baseline?.[at], name);
  const cell = (value, than) => h("td.n", {}, metric(value),
    than === undefined || than === null ? null : h("span.dim.small", { title: "by colour alone" }, ` (${metric(than)})`));
  const row = (label, entry, at) => h("tr", {}, h("th", { scope: "row" }, label), names.map((name) => cell(of(entry, name), before(at, name))), h("td.n.dim", {}, entry.gt_count === undefined ? "" : `${short(entry.gt_count)} px`));
  const nothing = run.about.record.classes[run.about.record.null_class]?.name ?? "the null class";
  const colors = run.about.record.classes;
  const swatch = (at) => h("i.swatch", { style: { background: colors[at]?.color ?? "transparent" } });
  fill(into,
    h("div.columns", {},
      h("section.card", {}, h("h2", {}, "Scores"),
        h("div.scroll", { tabindex: 0 }, h("table", {},
          h("thead", {}, h("tr", {}, ["Class", "IoU", "F1", "Precision", "Recall", "Truth"].map((head, at) => h(at ? "th.n" : "th", { scope: "col" }, head)))),
          h("tbody", {}, classes.map((entry, at) => row([swatch(at), entry.class_name], entry, at)), row("average, by pixels", average, overall.length - 1), row(`mean of classes, without ${nothing}`, { metrics: mean }, -1)))),
        baseline ? h("p.dim.small", {}, "In brackets: what colour alone scores.") : null),
      h("section.card", {}, h("h2", {}, "Confusion"), matrix(classes, average.conf_mat))),
    h("section.card", {}, h("h2", {}, "Scenes, the worst first"), worst(run, scenes, total)));
}

/** Rows are the truth; each is shaded by its own sum. */
function matrix(classes, counts) {
  const names = classes.map((entry) => entry.class_name);
  const cell = (row, at, col) => {
    const sum = row.reduce((all, n) => all + n, 0);
    const part = sum ? row[col] / sum : 0;
    const el = h(`td.cell${at === col ? ".right" : ""}`, { title: `${count(row[col])} px of ${names[at]} taken for ${names[col]}` }, h("i", {}), h("span", {}, percent(sum ? part : null)));
    el.firstChild.style.opacity = part;
    return el;
  };
  return [
    h("div.scroll", { tabindex: 0 }, h("table.matrix", {},
      h("thead", {}, h("tr", {}, h("td", {}), names.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, counts.map((row, at) => h("tr", {}, h("th", { scope: "row" }, names[at]), row.map((_, col) => cell(row, at, col))))))),
    h("p.dim.small", {}, "Down: what it is. Across: what it was taken for."),
  ];
}

function worst(run, scenes, total) {
  const row = ({ scene, metrics, mean }) => {
    const f1 = mean?.f1 ?? metrics?.f1;
    const bar = h("div.bar", {}, h("i", {}));
    bar.firstChild.style.width = `${100 * (f1 ?? 0)}%`;
    return h("tr", {}, h("th", { scope: "row" }, h("a", { href: `#/runs/${encodeURIComponent(run.name)}/scenes/${encodeURIComponent(scene)}` }, scene)), h("td.wide", {}, bar), h("td.n", {}, metric(mean?.f1)), ["iou", "f1", "precision", "recall"].map((name) => h("td.n", {}, metric(metrics?.[name]))));
  };
  return [
    h("div.scroll", { tabindex: 0 }, h("table", {},
      h("thead", {}, h("tr", {}, ["Scene", "", "F1, mean of classes", "IoU, by pixels", "F1", "Precision", "Recall"].map((head, at) => (head ? h(at > 1 ? "th.n" : "th", { scope: "col" }, head) : h("td.wide", {}))))),
      h("tbody", {}, scenes.map(row)))),
    scenes.length < total ? h("p.dim.small", {}, `The first ${count(scenes.length)} of ${count(total)}.`) : null,
  ];
}
