// The states of a run's parts: all of them in one array of bytes, painted onto canvases.

import { getBytes, runPath } from "./api.js";

export const WAITING = 0;
export const HELD = 1;
export const DONE = 2;
export const FAILED = 3;

export const STATE_WORDS = ["waiting", "at work", "done", "failed"];

export class Parts {
  constructor(run) {
    this.run = run;
    this.cells = new Uint8Array(0);
    this.layout = null;
    this.painters = new Set();
  }

  async load() {
    const { bytes, n, layout } = await getBytes(runPath(this.run, "parts"));
    const cells = new Uint8Array(bytes.length * 4);
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i];
      cells[4 * i] = byte & 3;
      cells[4 * i + 1] = (byte >> 2) & 3;
      cells[4 * i + 2] = (byte >> 4) & 3;
      cells[4 * i + 3] = byte >> 6;
    }
    this.cells = cells.subarray(0, n);
    const isOther = this.layout !== null && this.layout !== layout;
    this.layout = layout;
    this.paint();
    return isOther;
  }

  /** True where scenes have to be read again, too. */
  async told({ layout, changes }) {
    if (changes === null || layout !== this.layout) return this.load();
    for (const [at, state] of changes) this.cells[at] = state;
    if (changes.length) this.paint();
    return false;
  }

  /** Calls again whenever states change; at most once a frame. */
  onPaint(painter) {
    this.painters.add(painter);
    painter();
    return () => this.painters.delete(painter);
  }

  paint() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.painters.forEach((painter) => painter());
    });
  }
}

let colors = null;
const forget = () => (colors = null);
addEventListener("theme", forget);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forget);

/** The states' colours in the theme that is on, as numbers that pixels are made of. */
export const palette = () => (colors ??= look());

function look() {
  const style = getComputedStyle(document.documentElement);
  const probe = document.createElement("canvas").getContext("2d");
  return ["waiting", "held", "done", "failed"].map((name) => {
    probe.fillStyle = style.getPropertyValue(`--part-${name}`).trim() || "#888";
    const hex = probe.fillStyle;
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return { css: hex, rgb: [r, g, b] };
  });
}

/** One scene's parts as a picture of its grid: a pixel a part, and the canvas is stretched over the thumbnail. */
export function paintScene(canvas, cells, scene, alpha = 190) {
  const { cols, rows, first } = scene;
  if (!cols || !rows) return;
  if (canvas.width !== cols || canvas.height !== rows) {
    canvas.width = cols;
    canvas.height = rows;
  }
  const context = canvas.getContext("2d");
  const image = context.createImageData(cols, rows);
  const colors = palette();
  for (let i = 0; i < cols * rows; i++) {
    const state = cells[first + i] ?? WAITING;
    const [r, g, b] = colors[state].rgb;
    image.data.set([r, g, b, state === DONE ? 0 : state === WAITING ? alpha * 0.6 : alpha], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

/** All parts of a run, one after another, each as large as fits. */
export function paintAll(canvas, cells, n, width) {
  const most = 160;
  let edge = 12;
  while (edge > 1 && Math.ceil(n / Math.floor(width / edge)) * edge > most) edge--;
  const across = Math.max(1, Math.floor(width / edge));
  const down = Math.max(1, Math.ceil(n / across));
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
  }
  canvas.style.width = `${across * edge}px`;
  canvas.style.height = `${Math.min(down * edge, Math.max(most, down * edge > 4 * most ? 2 * most : most))}px`;
  const context = canvas.getContext("2d");
  const image = context.createImageData(across, down);
  const pixels = new Uint32Array(image.data.buffer);
  const colors = palette().map(({ rgb: [r, g, b] }) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
  for (let i = 0; i < n; i++) pixels[i] = colors[cells[i]];
  // One that failed among very many is to be seen.
  if (edge < 3) {
    for (let i = 0; i < n; i++) if (cells[i] === FAILED) for (const by of [1, across, across + 1]) if (i + by < n) pixels[i + by] = colors[FAILED];
  }
  context.putImageData(image, 0, 0);
  return { edge, across };
}
