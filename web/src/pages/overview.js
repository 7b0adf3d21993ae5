// Stage by stage, what was frozen, and a first look at the scenes.

import { get } from "../api.js";
import { chart } from "../chart.js";
import { fill, h, keyed, say } from "../dom.js";
import { count, duration, isOver, plural, stagesOf, STAGE_WORDS, took } from "../words.js";
import { card, watchCards } from "./scenes.js";

/** Seconds of speed that are remembered while one looks. */
const MEMORY = 600;
const FEW = 6;

export function overviewTab(into, run) {
  const stages = h("ol.stages", {});
  const speeds = { times: [], values: [], unit: "" };
  const speedBox = h("div.chart.quiet", {});
  const speedTitle = h("h2", {}, "Speed");
  const speedCard = h("section.card", { hidden: true }, speedTitle, speedBox, h("p.dim.small", {}, "since this page was opened"));
  const few = h("div.scenes.few", {});
  const scenesCard = h("section.card", { hidden: true }, h("div.head", {}, h("h2", {}, "Scenes"), h("a", { href: `#/runs/${encodeURIComponent(run.name)}/scenes` }, "All scenes")), few);
  const made = h("dl.facts", {});
  const under = h("p.dim.small", {}, "Keys under the root.");
  const madeCard = h("section.card", { hidden: true }, h("h2", {}, "What it has made"), made, under);
  fill(into,
    h("div.columns", {},
      h("div", {}, h("section.card", {}, h("h2", {}, "Stages"), stages), speedCard),
      h("div", {}, h("section.card", {}, h("h2", {}, "What it is"), facts(run.about.record)), madeCard)),
    scenesCard);

  const draw = chart(speedBox, { height: 140, series: [{ label: "speed", color: "--accent", fill: true }], range: (_, __, most) => [0, 1.1 * (most || 1)], value: (v) => `${v} ${speeds.unit}` });
  const unwatch = watchCards(run, few);
  const load = async () => {
    const { scenes } = await get(`${run.path("scenes")}?n=${FEW}`);
    scenesCard.hidden = !scenes.length;
    keyed(few, scenes, (scene) => `${scene.set} ${scene.scene}`, (scene) => card(run, scene), (el, scene) => el.update(scene));
  };
  load().catch(() => {});
  const root = async () => {
    const { root } = await get("/api/about");
    fill(under, "Keys under the root, ", h("code", {}, root), run.about.made.some(({ key }) => key.includes("/SCENE.")) ? "; SCENE stands for each scene's name." : ".");
  };

  let told = "";
  const status = () => {
    const of = run.status;
    const all = run.about.made;
    madeCard.hidden = !all.length;
    if (told !== (told = JSON.stringify(all)) && all.length) {
      fill(made, keysOf(all));
      root().catch(() => {});
    }
    if (!of) {
      if (!stages.children.length) stages.append(h("li.empty", {}, "No coordinator has taken it up yet. Start one: ", h("code", {}, "swath coordinator")));
      return;
    }
    stages.querySelector(".empty")?.remove();
    keyed(stages, stagesOf(of), (stage) => stage.name, makeStage, updateStage);
    if (isOver(of.state)) return;
    const isTraining = of.at_work === "train" && of.training;
    const [value, unit] = isTraining ? [of.training.images_per_second, "images/s"] : of.at_work === "predict" ? [of.pixels_per_second / 1e6, "Mpx/s"] : [of.items_per_second, "items/s"];
    if (unit !== speeds.unit) Object.assign(speeds, { times: [], values: [], unit });
    say(speedTitle, `Speed, ${unit}`);
    speeds.times.push(Date.now() / 1000);
    speeds.values.push(Number(value.toPrecision(3)));
    if (speeds.times.length > MEMORY) (speeds.times.shift(), speeds.values.shift());
    speedCard.hidden = speeds.times.length < 3;
    if (!speedCard.hidden) draw.data([speeds.times, speeds.values]);
  };
  return { status, reload: () => load().catch(() => {}), leave: () => (unwatch(), draw.end()) };
}

function makeStage({ name }) {
  return h("li", {},
    h("div.name", {}, h("strong", {}, name), h("span.dim", {}, STAGE_WORDS[name] ?? "")),
    h("div.bar", {}, h("i", {}), h("b", {})),
    h("div.numbers", {}, h("span.n", {}), h("span.t.dim", {})));
}

function updateStage(el, stage) {
  const isDone = stage.items > 0 && stage.done + stage.buried >= stage.items;
  el.className = stage.isAtWork ? "at-work" : isDone ? "done" : stage.done ? "begun" : "waits";
  const [done, failed] = el.querySelectorAll(".bar > *");
  done.style.width = `${stage.items ? (100 * (stage.done + stage.part)) / stage.items : 0}%`;
  failed.style.width = `${stage.items ? (100 * stage.buried) / stage.items : 0}%`;
  const n = stage.epoch ? stage.epoch : stage.items ? `${count(stage.done)} of ${count(stage.items)}` : stage.isOver ? "nothing to do" : "not known yet";
  const failures = stage.buried ? `${count(stage.buried)} failed` : "";
  say(el.querySelector(".n"), !failures ? n : stage.items ? `${n}, ${failures}` : failures);
  const each = stage.waits ? "waiting for chips" : stage.made ? (stage.isOver ? took : duration)(stage.seconds) : stage.done ? "was there already" : "";
  say(el.querySelector(".t"), each);
}

/** Where it lies, by what it is. */
export function keysOf(made) {
  const kinds = [...new Set(made.map(({ what }) => what))];
  return kinds.map((kind) => [h("dt", {}, kind[0].toUpperCase() + kind.slice(1)), h("dd", {}, made.filter(({ what }) => what === kind).map(({ key }) => h("code.key", {}, key)))]);
}

function facts(record) {
  const rows = [
    ["Stages", [...record.stages, ...record.steps].join(", ")],
    ["Scenes", [record.scenes ? `${count(record.scenes)} to predict` : "", record.learnt ? `${count(record.learnt)} to learn from` : ""].filter(Boolean).join(", ")],
    ["Network", record.networks.map(({ architecture, precision }) => `${architecture} (${precision})`).join(" + ")],
    ["Trained by", record.trains ? "libtorch" : ""],
    ["Predicted by", !record.predicts ? "" : [record.engine, record.device === "cpu" ? "on processors" : `on ${record.device}`, record.threads ? plural(record.threads, "thread") : ""].filter(Boolean).join(", ")],
    ["Windows", `${record.core_px} px kept of ${record.core_px + 2 * record.margin_px} px`],
    ["Parts", record.item_px ? `${count(record.item_px)} px` : "sized when workers are measured"],
    ["Program", record.program],
  ];
  const classes = record.classes.map(({ name, color }, at) => h("span.class", {}, h("i", { style: { background: color } }), name, at === record.null_class ? h("span.dim", {}, " (null class)") : null));
  return h("dl.facts", {}, rows.filter(([, words]) => words).map(([name, words]) => [h("dt", {}, name), h("dd", {}, words)]), h("dt", {}, "Classes"), h("dd", {}, classes));
}
