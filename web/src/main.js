// The frame around all pages: where one is, the theme, the keys.

import "./style.css";
import { onLine } from "./api.js";
import { fill, h, icon, say } from "./dom.js";
import { runPage } from "./pages/run.js";
import { runsPage } from "./pages/runs.js";
import { scenePage } from "./pages/scene.js";
import { workersPage } from "./pages/workers.js";
import { get } from "./api.js";
import { bind, help, keys } from "./keys.js";

const main = document.getElementById("main");
let leave = () => {};
let current = "";

const TABS = ["overview", "scenes", "scores", "training", "failures"];

/** A part of the address; one that somebody typed wrongly is taken as it stands. */
function named(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Name, what draws it, and which tab of it. */
function route() {
  const [, page = "", run, tab = "overview", scene] = location.hash.split("/").map(named);
  if (page === "workers") return { name: "workers", draw: workersPage };
  if (page === "runs" && run) {
    if (tab === "scenes" && scene) return { name: `scene ${run} ${scene}`, draw: (into) => scenePage(into, run, scene) };
    const at = TABS.includes(tab) ? tab : TABS[0];
    return { name: `run ${run}`, draw: (into) => runPage(into, run, at), tab: at };
  }
  return { name: "runs", draw: runsPage };
}

let go = null;

function show() {
  const { name, draw, tab } = route();
  if (name === current) {
    go?.(tab);
    return;
  }
  current = name;
  leave();
  keys.page.clear();
  const into = h("div.page", {});
  const page = draw(into) ?? (() => {});
  leave = page.leave ?? page;
  go = page.go ?? null;
  main.replaceChildren(into);
  window.scrollTo(0, 0);
  for (const link of document.querySelectorAll("#top nav a")) {
    const isHere = link.dataset.page === (name === "workers" ? "workers" : "runs");
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function theme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme ?? (dark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // It is asked again the next time.
  }
  window.dispatchEvent(new Event("theme"));
}

/** A line that is lost for so long has nobody at its other end. */
const LOST = 8000;

/** Says so where whoever served the page is gone: what is shown stands as it was. */
function watchEnd() {
  const words = h("p.notice.warn.gone", { hidden: true, role: "status" },
    "The program that served this page has ended, or can't be reached. What is shown is what it told last. ",
    h("code", {}, `swath coordinator --http ${location.host}`), " with the same root, queue and ledger shows it here again.");
  main.before(words);
  let timer = 0;
  const look = async () => {
    const isGone = await get("/api/about").then(() => false, (problem) => problem.status === 0);
    if (!timer) return;
    words.hidden = !isGone;
    timer = setTimeout(look, LOST);
  };
  onLine((up) => {
    if (!up) {
      timer ||= setTimeout(look, LOST);
      return;
    }
    clearTimeout(timer);
    timer = 0;
    words.hidden = true;
  });
}

function top() {
  const state = h("span.line", { title: "" });
  const root = h("span.root.dim", {});
  onLine((up) => {
    state.className = up ? "line up" : "line down";
    state.title = up ? "told of what happens as it happens" : "the line to the coordinator is broken; trying again";
    say(state, up ? "" : "offline");
  });
  get("/api/about")
    .then((about) => {
      // The end of a long path says more than its beginning: what does not fit is left out there.
      say(root, `\u200e${about.root}`);
      root.title = `root ${about.root}\nqueue ${about.queue}\nledger ${about.ledger}\nswath ${about.version}`;
      if (about.signs_in) signOut.hidden = false;
    })
    .catch(() => {});
  const signOut = h("form", { method: "post", action: "/logout", hidden: true }, h("button.plain", {}, "Sign out"));
  fill(
    document.getElementById("top"),
    h("a.brand", { href: "#/" }, h("img", { src: "/assets/icon.svg", alt: "", width: 24, height: 24 }), "Swath"),
    h("nav", { "aria-label": "Pages" }, h("a", { href: "#/", "data-page": "runs" }, "Runs"), h("a", { href: "#/workers", "data-page": "workers" }, "Workers")),
    h("span.grow", {}),
    state,
    root,
    h("button.plain", { onclick: theme, "aria-label": "Dark or light", title: "Dark or light (t)" }, icon("moon")),
    h("button.plain.keys", { onclick: help, "aria-label": "Keys", title: "Keys (?)" }, icon("keys")),
    signOut,
  );
}

bind("g r", "all runs", () => (location.hash = "#/"));
bind("g w", "workers", () => (location.hash = "#/workers"));
bind("t", "dark or light", theme);
bind("?", "these keys", help);

top();
watchEnd();
addEventListener("hashchange", show);
show();
