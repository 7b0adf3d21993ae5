// The page over the files of a root, without a coordinator: to work on what is in src/.
//   npm run dev -- ROOT [PORT] [--scale]
// It reads what real runs have left there; what only the ledger knows is made up from the counts of status.json: the
// first parts are done, the next are at work. --scale adds a run of 10,000 scenes and a million parts, for looking at
// how fast it is drawn. Nothing of this is a part of the program.
import { execFile } from "node:child_process";
import { readFile, readdir } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { progress } from "../src/words.js";

const run = promisify(execFile);
const [root, port = "7879"] = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const isLarge = process.argv.includes("--scale");
const here = path.dirname(new URL(import.meta.url).pathname);
const KINDS = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const file = (...parts) => readFile(path.join(root, ...parts));
const json = async (...parts) => JSON.parse(await file(...parts));
const maybe = async (read) => {
  try {
    return await read;
  } catch {
    return null;
  }
};

async function items(stage) {
  const found = [];
  for (const byte of (await maybe(readdir(path.join(root, "items")))) ?? []) {
    for (const id of (await maybe(readdir(path.join(root, "items", byte, stage)))) ?? []) found.push(await json("items", byte, stage, id));
  }
  return found;
}

async function surveyed() {
  const headers = new Map();
  for (const { scenes } of await items("survey")) {
    for (const { readable, unreadable } of scenes) {
      if (readable) headers.set(readable.id, readable);
      else headers.set(unreadable.id, { id: unreadable.id, message: unreadable.message });
    }
  }
  return headers;
}

const LARGE = { run: "large", n: 10000, parts: 100 };

async function layout(name) {
  if (name === LARGE.run) {
    const scenes = Array.from({ length: LARGE.n }, (_, at) => ({ scene: `tile-${at}`, set: "predict", state: at < 6000 ? "done" : "waiting", size: { width: 10240, height: 10240 }, cols: 10, rows: 10, first: at * 100, n: 100, done: at < 6000 ? 100 : 0, held: 0, failed: 0, has_labels: false, is_predicted: at < 6000, message: null }));
    const cells = new Uint8Array(LARGE.n * LARGE.parts).fill(0).map((_, at) => (at < 600000 ? (at % 7919 === 0 ? 3 : 2) : at < 600400 ? 1 : 0));
    return { scenes, cells };
  }
  const [record, status, headers] = [await json("runs", name, "run.json"), (await maybe(json("runs", name, "status.json"))) ?? { stages: {}, held: 0 }, await surveyed()];
  const item = record.predict.item_px ?? 2048;
  const scenes = [];
  const cells = [];
  const add = (files, set) => {
    const header = headers.get(files.id);
    const size = header?.size ?? null;
    const isPredict = set === "predict" && size;
    const [cols, rows] = isPredict ? [Math.ceil(size.width / item), Math.ceil(size.height / item)] : [size && set !== "predict" ? 1 : 0, 1];
    const n = cols * rows;
    const first = cells.length;
    const stage = status.stages[isPredict ? "predict" : "chip"] ?? { done: 0 };
    const before = scenes.filter((scene) => (scene.set === "predict") === (set === "predict")).reduce((sum, scene) => sum + scene.n, 0);
    for (let i = 0; i < n; i++) cells.push(before + i < stage.done ? 2 : before + i < stage.done + status.held ? 1 : 0);
    const done = cells.slice(first).filter((cell) => cell === 2).length;
    const message = header?.message ?? null;
    scenes.push({ scene: files.id, set, state: message ? "unreadable" : n && done === n ? "done" : done ? "working" : "waiting", size, cols, rows, first, n, done, held: 0, failed: 0, has_labels: Boolean(files.labels), is_predicted: Boolean(isPredict && done === n), message });
  };
  for (const { files, set } of record.learn?.scenes ?? []) add(files, set);
  for (const files of record.scenes) add(files, "predict");
  return { scenes: [...scenes.filter((scene) => scene.set === "predict"), ...scenes.filter((scene) => scene.set !== "predict")], cells: Uint8Array.from(cells) };
}

async function picture(name, scene, layer, [col, row, width, height], px) {
  const header = (await surveyed()).get(scene);
  const source = { imagery: header.source.files[0].uri, prediction: path.join(root, "predict", name, `${scene}.tif`), confidence: path.join(root, "predict", name, `${scene}.confidence.tif`) }[layer];
  if (!source) return null;
  const [w, h] = [Math.min(width, header.size.width - col), Math.min(height, header.size.height - row)];
  if (w <= 0 || h <= 0) return null;
  const out = path.join(tmpdir(), `swath-dev-${process.pid}-${Math.random()}.png`);
  const clear = layer === "prediction" ? ["-a_nodata", "0"] : [];
  const small = [Math.ceil((w * px) / width), Math.ceil((h * px) / height)];
  await run("gdal_translate", ["-q", "-of", "PNG", ...clear, "-srcwin", col, row, w, h, "-outsize", ...small, "-r", layer === "imagery" ? "average" : "nearest", source, out].map(String));
  return readFile(out);
}

async function about(name) {
  const record = await json("runs", name, "run.json");
  const hex = ([r, g, b]) => `#${[r, g, b].map((n) => n.toString(16).padStart(2, "0")).join("")}`;
  const model = record.predict.model;
  return {
    created: record.created, program: record.program, stages: record.stages, steps: (record.steps ?? []).map((step) => step.name), scenes: record.scenes.length, learnt: record.learn?.scenes.length ?? 0,
    classes: record.classes.map((one) => ({ name: one.name, color: hex(one.rgb) })), null_class: record.null_class,
    networks: [{ architecture: model.architecture, precision: typeof model.precision === "string" ? model.precision : model.precision ? "int8" : "fp32" }], engine: model.engine ?? "libtorch", device: model.device ?? "cpu",
    core_px: record.predict.window.core_px, margin_px: record.predict.window.margin_px, item_px: record.predict.item_px, threads: record.predict.class?.threads ?? null,
    predicts: record.stages.includes("predict"), trains: record.stages.includes("train"), has_confidence: Boolean(record.predict.confidence),
  };
}

/** What lies there under the run's name, in words of its own. */
async function made(name, scene) {
  if (name === LARGE.run) return [];
  const folders = scene ? { map: ["predict", name], polygons: ["vectors", name] } : { report: ["runs", name], eval: ["eval", name], map: ["predict", name], polygons: ["vectors", name], merged: ["merged", name], bundle: ["bundle", name], catalogue: ["stac", name] };
  const found = await Promise.all(Object.entries(folders).map(async ([what, folder]) => ((await maybe(readdir(path.join(root, ...folder)))) ?? []).map((key) => ({ what, key: [...folder, key].join("/") }))));
  return found.flat().filter(({ key }) => path.extname(key) && (!scene || path.basename(key).startsWith(`${scene}.`)));
}

const scaled = (of) => ({ ...of, run: LARGE.run, state: "running", at_work: "predict", held: 400, eta_seconds: 15000, pixels_per_second: 41e6, stages: { ...of.stages, predict: { items: 1e6, done: 600000, buried: 75, seconds: 22000, made: 600000 } } });
const status = async (name) => (name === LARGE.run ? scaled(await json("runs", (await names())[0], "status.json")) : maybe(json("runs", name, "status.json")));
const names = async () => (await readdir(path.join(root, "runs"))).filter((name) => !name.startsWith("."));

async function api(parts, query, method) {
  const [what, name, of, ...rest] = parts;
  if (what === "about") return { version: "dev", root, queue: "local:", ledger: "local:", imagery: true, signs_in: false };
  if (what === "workers") return { workers: [] };
  if (what === "fleet") return { fleet: await maybe(json("fleet.json")), served: true, silent_s: 3 };
  if (what !== "runs") return null;
  if (!name) {
    const all = [];
    for (const one of [...(await names()), ...(isLarge ? [LARGE.run] : [])]) {
      const of = await status(one);
      const sum = (count) => Object.values(of?.stages ?? {}).reduce((sum, stage) => sum + stage[count], 0);
      const { part, stage } = of ? progress(of) : { part: 0, stage: null };
      all.push({ run: one, progress: { part, stage }, state: of?.state ?? null, served: true, started: of?.started ?? null, written: of?.written ?? null, at_work: of?.at_work ?? null, items: sum("items"), done: sum("done"), failures: of?.n_failures ?? 0, unreadable_scenes: of?.unreadable_scenes.length ?? 0, eta_seconds: of?.eta_seconds ?? null, priority: 0, message: of?.message ?? null });
    }
    for (const one of all) one.cursor = `${one.started ?? "~"} ${one.run}`;
    all.sort((a, b) => (a.cursor < b.cursor ? 1 : -1));
    const found = all.filter((one) => one.run.includes(query.get("name") ?? ""));
    const rest = found.filter((one) => !query.get("after") || one.cursor < query.get("after"));
    const shown = rest.slice(0, Number(query.get("n") ?? 200));
    return { total: all.length, under_way: 0, found: found.length, next: shown.length < rest.length ? shown.at(-1).cursor : null, runs: shown };
  }
  if (method === "POST") return { run: name, served: true };
  const real = name === LARGE.run ? (await names())[0] : name;
  if (!of) return { run: name, served: true, status: await status(name), record: await about(real), bill: null, has_scores: true, has_report: false, made: await made(name) };
  if (of === "parts") {
    const { cells } = await layout(name);
    const packed = new Uint8Array(Math.ceil(cells.length / 4));
    cells.forEach((cell, at) => (packed[at >> 2] |= cell << (2 * (at & 3))));
    return Object.assign(Buffer.from(packed), { parts: cells.length });
  }
  if (of === "scores") {
    const eval_ = await maybe(json("eval", real, "eval.json"));
    if (!eval_) return null;
    const baseline = await maybe(json("eval", real, "baseline.json"));
    const { null_class: nothing } = await json("runs", real, "run.json");
    const mean = (scores) => {
      const there = scores.filter((one) => one.class_id !== undefined && one.class_id !== nothing && one.gt_count + (one.pred_count ?? 0) > 0);
      return Object.fromEntries(["precision", "recall", "f1", "iou"].map((name) => [name, there.length ? there.reduce((sum, one) => sum + (one.metrics[name] ?? 0), 0) / there.length : null]));
    };
    const scenes = Object.entries(eval_.per_scene).map(([scene, scores]) => ({ scene, metrics: scores.at(-1).metrics, mean: mean(scores) }));
    return { overall: eval_.overall, mean: mean(eval_.overall), baseline: baseline?.overall ?? null, scenes, total: scenes.length };
  }
  if (of === "training") {
    const log = (await status(real))?.training_log;
    if (rest[0] === "pictures") return file(path.dirname(log), "debug", `${rest[1]}.png`);
    const text = log ? String((await maybe(file(log))) ?? "") : "";
    const [head, ...rows] = text.trim().split("\n").map((line) => line.split(","));
    const pictures = log ? ((await maybe(readdir(path.join(root, path.dirname(log), "debug")))) ?? []) : [];
    return { progress: (await status(real))?.training ?? null, columns: head, epochs: rows.map((row) => row.map((cell) => (cell === "" ? null : Number(cell)))), pictures: pictures.filter((one) => one.endsWith(".png")).map((one) => one.slice(0, -4)).sort() };
  }
  if (of === "failures") {
    const all = (await maybe(readdir(path.join(root, "buried", name)))) ?? [];
    const tell = async (key) => {
      const { place, attempts, failure, written, log } = await json("buried", name, key);
      return { place, attempts, ...failure, scene: failure.scene ?? null, rect: failure.rect ?? null, written, is_dropped: failure.class === "dropped", log: log ?? [] };
    };
    return rest[0] ? tell(`${rest[0]}.json`) : { total: all.length, from: 0, failures: await Promise.all(all.map(tell)) };
  }
  if (of === "scenes") {
    const { scenes, cells } = await layout(name);
    const [scene, kind, layer, level, x, y] = rest;
    if (!scene) {
      const [from, n] = [Number(query.get("from") ?? 0), Number(query.get("n") ?? 200)];
      const wanted = scenes.filter((one) => one.scene.includes(query.get("name") ?? ""));
      return { total: wanted.length, from, layout: "dev", parts: cells.length, scenes: wanted.slice(from, from + n) };
    }
    const one = scenes.find((of) => of.scene === scene);
    if (kind === "thumbnail") {
      if (name === LARGE.run) return null;
      const edge = Math.max(one.size.width, one.size.height);
      return picture(name, scene, query.get("layer") ?? "imagery", [0, 0, edge, edge], 256);
    }
    if (kind === "tiles") {
      const edge = 256 * 2 ** Number(level);
      return picture(name, scene, layer, [Number(x) * edge, Number(y) * edge, edge, edge], 256);
    }
    const levels = one.size ? 1 + Math.ceil(Math.log2(Math.max(1, Math.max(one.size.width, one.size.height) / 256))) : null;
    const record = await json("runs", name, "run.json");
    const layers = ["imagery", ...(one.has_labels ? ["labels"] : []), ...(one.is_predicted ? ["prediction", ...(record.predict.confidence ? ["confidence"] : []), ...(one.has_labels ? ["errors"] : [])] : [])];
    const at = scenes.indexOf(one);
    return { scene: one, before: scenes[at - 1]?.scene ?? null, after: scenes[at + 1]?.scene ?? null, levels, item_px: record.predict.item_px, layers, files: [], made: await made(name, scene), failed: [], layout: "dev" };
  }
  return null;
}

createServer(async (request, response) => {
  const url = new URL(request.url, "http://dev");
  const headers = { "Content-Security-Policy": POLICY, "Cache-Control": "no-store" };
  try {
    if (url.pathname.endsWith("/events")) {
      response.writeHead(200, { ...headers, "Content-Type": "text/event-stream" });
      const [, , , name] = url.pathname.split("/");
      const tell = async () => {
        const now = name !== "events" && url.pathname.startsWith("/api/runs/") ? await status(decodeURIComponent(name)) : null;
        if (now) response.write(`event: status\ndata: ${JSON.stringify(now)}\n\n`);
      };
      const timer = setInterval(() => tell().catch(() => {}), 1000);
      request.on("close", () => clearInterval(timer));
      response.write("retry: 3000\n\n");
      return;
    }
    if (url.pathname.startsWith("/api/")) {
      const told = await api(url.pathname.slice(5).split("/").map(decodeURIComponent), url.searchParams, request.method);
      if (told === null) response.writeHead(404, headers).end(JSON.stringify({ title: "Not Found", status: 404, detail: "there is nothing here" }));
      else if (Buffer.isBuffer(told)) response.writeHead(200, { ...headers, "swath-layout": "dev", "swath-parts": told.parts ?? 0, "Content-Type": told[0] === 0x89 ? "image/png" : "application/octet-stream" }).end(told);
      else response.writeHead(200, { ...headers, "Content-Type": "application/json" }).end(JSON.stringify(told));
      return;
    }
    const name = url.pathname === "/" ? "index.html" : url.pathname === "/login" ? "login.html" : path.basename(url.pathname);
    response.writeHead(200, { ...headers, "Content-Type": KINDS[path.extname(name)] ?? "text/plain" }).end(await readFile(path.join(here, "../dist", name)));
  } catch (error) {
    response.writeHead(500, headers).end(JSON.stringify({ title: "Error", status: 500, detail: String(error) }));
  }
}).listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/`));
