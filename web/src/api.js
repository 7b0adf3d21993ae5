// The coordinator's API, and what it tells by itself.

import { h } from "./dom.js";
import { drawing } from "./drawn.js";

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function answered(response) {
  if (response.ok) return response;
  if (response.status === 401) {
    location.href = "/login";
  }
  let detail = `the coordinator answered ${response.status}`;
  try {
    detail = (await response.json()).detail ?? detail;
  } catch {
    // Whatever stands between said it in another way.
  }
  throw new Problem(response.status, detail);
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Problem(0, "the coordinator can't be reached: is it still running?");
  }
}

const read = async (path) => answered(await reach(path));
export const get = (path) => drawing(read(path).then((response) => response.json()));
const bytesOf = async (path) => {
  const response = await read(path);
  const { headers } = response;
  return { bytes: new Uint8Array(await response.arrayBuffer()), n: Number(headers.get("swath-parts")), layout: headers.get("swath-layout") };
};
export const getBytes = (path) => drawing(bytesOf(path));

export async function post(path, body) {
  const options = { method: "POST" };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
  }
  return (await answered(await reach(path, options))).json();
}

export const runPath = (run, ...rest) => ["/api/runs", run, ...rest].map((part, i) => (i ? encodeURIComponent(part) : part)).join("/");

/** Before whoever was refused is asked again. */
const AGAIN = 5000;

/**
 * What is told of a topic until `stop` is called. Whatever was missed while the line was down is read again by
 * `reload`, which is called each time it is up. A page that nobody sees listens to nothing: browsers open only a few
 * lines to one host, for all of its pages together.
 */
export function listen(path, on) {
  let source = null;
  let timer = 0;
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const open = () => {
    close();
    source = new EventSource(path);
    for (const [name, react] of Object.entries(on)) source.addEventListener(name, (event) => react(JSON.parse(event.data)));
    source.onopen = () => {
      line(true);
      on.reload?.();
    };
    source.onerror = async ({ target }) => {
      // A line that breaks is opened again by the browser, one that is refused is not.
      if (target.readyState !== EventSource.CLOSED) return line(false);
      timer = setTimeout(open, AGAIN);
      // What nobody knows of tells nothing, and no line is lost by that.
      const answer = await fetch(path, { method: "HEAD" }).catch(() => null);
      if (target !== source) return;
      if (answer?.status !== 404) line(false);
      on.reload?.();
    };
  };
  const onSight = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", onSight);
  if (!document.hidden) open();
  return () => {
    document.removeEventListener("visibilitychange", onSight);
    close();
  };
}

let isUp = true;
const lines = new Set();
/** Whether what is shown is still told of. */
export function onLine(react) {
  lines.add(react);
  react(isUp);
}
function line(up) {
  isUp = up;
  lines.forEach((react) => react(up));
}

/** A few words that go by themselves. */
export function toast(words, kind = "") {
  const el = h(`div.toast${kind ? `.${kind}` : ""}`, {}, words);
  document.getElementById("toasts").append(el);
  setTimeout(() => el.remove(), kind === "bad" ? 9000 : 4000);
}

/** Asks for something and says how it went. */
export async function ask(path, body, words) {
  try {
    const { served } = await post(path, body);
    toast(served ? words : `${words} No coordinator serves this run now: it is taken as soon as one does.`);
    return true;
  } catch (problem) {
    toast(problem.message, "bad");
    return false;
  }
}
