// What each epoch came to, and what the network is shown.

import { get } from "../api.js";
import { chart } from "../chart.js";
import { fill, h, say } from "../dom.js";
import { count, duration, isOver, knownSteps, metric, plural, stagesOf, waiting } from "../words.js";

export function trainingTab(into, run) {
  const progress = h("p", {}, " ");
  const bar = h("div.bar", { role: "progressbar", "aria-label": "Steps of this epoch", "aria-valuemin": 0, "aria-valuemax": 100 }, h("i", {}));
  const [lossBox, scoreBox] = [h("div.chart", {}), h("div.chart", {})];
  const noScores = h("p.dim", { hidden: true }, "No scene of the group “validation” judges this training, so that there is no score for its epochs.");
  const [noLoss, notYet] = [h("p.dim", { hidden: true }), h("p.dim", { hidden: true })];
  const pictures = h("div.sheets", {});
  const noPictures = h("p.dim", {}, "Its first batch is drawn when it begins.");
  fill(into,
    h("section.card", {}, h("h2", {}, "Progress"), progress, bar),
    h("div.columns.even", {}, h("section.card", {}, h("h2", {}, "Loss"), lossBox, noLoss), h("section.card", {}, h("h2", {}, "On validation chips"), scoreBox, notYet, noScores)),
    h("section.card", {}, h("h2", {}, "Chips, as the network is given them"), noPictures, pictures));

  const series = [{ label: "training", color: "--line1" }, { label: "validation", color: "--line2" }];
  const loss = chart(lossBox, { x: "epoch", series, value: metric });
  const scores = chart(scoreBox, { x: "epoch", range: [0, 1], series: [{ label: "F1", color: "--line1" }, { label: "IoU", color: "--line2" }, { label: "precision", color: "--line3", dash: [4, 4] }, { label: "recall", color: "--line4", dash: [4, 4] }], value: metric });

  let epoch = null;
  let epochs = 0;
  const load = async () => {
    const told = await get(run.path("training"));
    const column = (name) => {
      const at = told.columns.indexOf(name);
      return told.epochs.map((row) => (at < 0 ? null : row[at]));
    };
    epochs = told.epochs.length;
    status();
    for (const el of [noLoss, notYet]) {
      el.hidden = told.epochs.length > 0;
      say(el, isOver(run.status?.state) ? "No epoch has ended." : "Each epoch is a point here when it has ended.");
    }
    lossBox.hidden = scoreBox.hidden = !told.epochs.length;
    if (told.epochs.length) {
      const validation = column("validation_loss");
      // A line without a point would only stand in the legend.
      loss.data([column("epoch"), column("train_loss"), ...(validation.some((value) => value !== null) ? [validation] : [])]);
      const judged = column("f1").some((value) => value !== null);
      noScores.hidden = judged;
      scoreBox.hidden = !judged;
      if (judged) scores.data([column("epoch"), column("f1"), column("iou"), column("precision"), column("recall")]);
    }
    noPictures.hidden = told.pictures.length > 0;
    const all = [...told.pictures].reverse();
    fill(pictures, all.slice(0, 12).map((name) => h("figure", {}, h("img", { // Drawn anew each epoch.
      src: `${run.path("training", "pictures", name)}?epoch=${told.epochs.length}`, alt: `chips: ${name}`, loading: "lazy" }), h("figcaption", {}, words(name)))));
  };
  load().catch((problem) => say(progress, problem.message));

  const status = () => {
    const of = run.status?.training;
    const { state } = run.status ?? {};
    if (!of) {
      say(progress, isOver(state) ? "The weights were there already: nothing was trained." : "It begins when there are chips.");
      return;
    }
    // It may go on beside the stage at work.
    const isOn = run.status.at_work === "train" || stagesOf(run.status).some((stage) => stage.epoch && !stage.buried);
    const steps = knownSteps(of);
    const step = `${of.validates ? "validates, " : ""}step ${count(of.step)}${steps ? ` of ${count(steps)}` : ""}`;
    const rest = [of.loss ? `loss ${metric(of.loss)}` : "", waiting(of), of.eta_seconds ? `${duration(of.eta_seconds)} left` : ""].filter(Boolean);
    const on = of.images ? `, on ${plural(of.images, "chip")}` : "";
    say(progress, isOn ? [`Epoch ${of.epoch} of ${of.epochs}, ${step}`, ...rest].join(" · ") : `It came to epoch ${Math.max(of.epoch, epochs)} of ${of.epochs}${on}.`);
    bar.hidden = isOn && !steps;
    bar.firstChild.style.width = `${isOn && steps ? (100 * of.step) / steps : 100}%`;
    if (epoch !== null && epoch !== of.epoch) load().catch(() => {});
    epoch = of.epoch;
  };
  return { status, reload: () => load().catch(() => {}), leave: () => (loss.end(), scores.end()) };
}

function words(name) {
  if (name === "first-batch") return "the first batch: imagery and labels; what is white does not count";
  return name === "validation" ? "validation, after the last epoch: imagery, labels (what is white does not count), and what the network makes of it" : name.replaceAll("-", " ");
}
