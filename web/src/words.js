// Numbers and times as people say them.

const N = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

export const count = (n) => (n === null || n === undefined ? "–" : N.format(n));
export const short = (n) => (n === null || n === undefined ? "–" : SHORT.format(n));
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const percent = (part) =>
  part === null || part === undefined || Number.isNaN(part) ? "–" : `${(100 * part).toFixed(1)}\u00a0%`;
export const metric = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));

/** "about 3 minutes": rounded so that it does not flicker. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const s = Math.max(0, seconds);
  if (s < 1) return "under a second";
  if (s < 90) return plural(s < 20 ? Math.round(s) : Math.round(s / 5) * 5, "second");
  if (s < 90 * 60) return plural(Math.round(s / 60), "minute");
  if (s < 36 * 3600) {
    const hours = Math.floor(s / 3600);
    const minutes = Math.round((s - hours * 3600) / 600) * 10;
    return minutes === 60 ? plural(hours + 1, "hour") : minutes && hours < 10 ? `${hours} h ${minutes} min` : plural(hours, "hour");
  }
  return plural(Math.round(s / 86400), "day");
}

/** What something took, to the second where those count: it does not change any more. The report has it in these words, too. */
export const took = (seconds) => (seconds >= 1 && seconds < 90 ? plural(Math.round(seconds), "second") : duration(seconds));

/** "3 minutes ago" */
export function ago(time) {
  const at = Date.parse(time ?? "");
  if (Number.isNaN(at)) return "–";
  const s = (Date.now() - at) / 1000;
  return s < 5 ? "just now" : `${duration(s)} ago`;
}

export const clock = (time) => (time ? new Date(time).toLocaleString() : "");

const STATES = {
  preparing: "preparing",
  running: "running",
  paused: "paused",
  done: "done",
  done_with_failures: "done, with failures",
  failed: "failed",
  cancelled: "cancelled",
};

/** What is written down holds only while somebody serves the run. */
export function standing(state, served) {
  if (!state) return "submitted";
  if (isOver(state)) return STATES[state] ?? state;
  if (!served) return state === "paused" ? "paused, no coordinator" : "waits for a coordinator";
  return STATES[state] ?? state;
}

export const tone = (state, served) => {
  if (state === "done") return "good";
  if (state === "failed") return "bad";
  if (state === "done_with_failures") return "warn";
  if (state === "cancelled" || state === "paused" || !state || (!isOver(state) && !served)) return "calm";
  return "live";
};

export const isOver = (state) => ["done", "done_with_failures", "failed", "cancelled"].includes(state);

export const STAGES = ["probe", "survey", "analyze", "chip", "train", "predict", "assemble", "eval", "vectorize", "merge", "bundle", "step", "noop"];

export const STAGE_WORDS = {
  probe: "find out how fast workers are",
  survey: "read the headers of scenes",
  analyze: "measure pixels",
  chip: "cut training samples",
  train: "fit the network",
  predict: "run the network over scenes",
  assemble: "join the parts of maps",
  eval: "hold maps against labels",
  vectorize: "trace polygons",
  merge: "trace all scenes together",
  bundle: "pack the model",
  step: "commands of the pipeline's own",
  noop: "nothing, to measure the way",
};

/** Steps of this phase of an epoch, where it is known how many it has: its chips may still be cut. */
export const knownSteps = (training) => (training.waits_for ? null : training.steps || null);

/** As the terminal's line has it. */
export const waiting = (training) => (training.waits_for ? `waiting for chips: at most ${plural(training.waits_for, "item")} to come` : "");

/** With the part of this one that is done: none as long as its steps are not known, so that it never falls back. */
const epochsDone = (training) => training.epoch - 1 + (training.validates ? 1 : knownSteps(training) ? training.step / training.steps : 0);

/** The run's stages in the order of work; a training has come as far as its steps. */
export function stagesOf(status) {
  const training = status?.training;
  return STAGES.filter((name) => status?.stages[name]).map((name) => {
    const stage = { name, ...status.stages[name], isOver: isOver(status.state), isAtWork: status.at_work === name && !isOver(status.state) };
    const isTraining = name === "train" && stage.items > 0 && !stage.done && training && !stage.isOver;
    const part = isTraining && training.epochs ? epochsDone(training) / training.epochs : 0;
    return { ...stage, part, epoch: isTraining ? `epoch ${training.epoch} of ${training.epochs}` : "", waits: Boolean(isTraining && training.waits_for) };
  });
}

export const nth = ({ n, of }) => `stage ${n} of ${of}`;

/** How far all of it has come, and in which words: in items once those of all stages are known. */
export function progress(status) {
  const stages = stagesOf(status);
  const sum = (of) => stages.reduce((all, stage) => all + of(stage), 0);
  const [items, done] = [sum((stage) => stage.items), sum((stage) => stage.done)];
  const at = Math.max(0, stages.findIndex((stage) => stage.isAtWork || (!status.at_work && stage.done + stage.buried < stage.items)));
  const now = stages[at];
  if (!now) return { part: 0, stage: null, words: "–", note: "nothing is known yet", stages, at };
  const known = `${count(done)} of ${plural(items, "item")}`;
  if (isOver(status.state) || stages.slice(at).every((stage) => stage.items)) {
    const part = items ? (done + sum((stage) => stage.part)) / items : 0;
    return { part, stage: null, words: percent(items ? part : null), note: now.epoch || known, stages, at };
  }
  const part = now.items ? (now.done + now.part) / now.items : 0;
  const stage = { n: at + 1, of: stages.length };
  return { part: (at + part) / stages.length, stage, words: nth(stage), note: now.epoch || (items ? known : "nothing is known yet"), stages, at };
}
