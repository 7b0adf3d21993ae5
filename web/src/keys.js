// Keys: those that hold everywhere and those of a page, and the list of all of them.

import { h } from "./dom.js";

export const keys = { all: new Map(), page: new Map() };

/** `name` is one key, or two after each other: "g r". */
export function bind(name, words, act, of = keys.all) {
  of.set(name, { words, act });
}

export const bindHere = (name, words, act) => bind(name, words, act, keys.page);

let before = "";

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = event.target;
  if (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName)) {
    if (event.key === "Escape") at.blur();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  const find = (name) => keys.page.get(name) ?? keys.all.get(name);
  const found = find(`${before} ${event.key}`) ?? find(event.key);
  before = event.key;
  setTimeout(() => (before = ""), 800);
  if (found) {
    event.preventDefault();
    found.act();
  }
});

export function help() {
  const row = ([name, { words }]) => [h("dt", {}, name.split(" ").map((key) => h("kbd", {}, key))), h("dd", {}, words)];
  const group = (title, of) => (of.size ? [h("h3", {}, title), h("dl.keys", {}, [...of].map(row))] : null);
  dialog("Keys", [group("On this page", keys.page), group("Everywhere", keys.all)]);
}

/** Says something, or asks; answers true if it was agreed to. */
export function dialog(title, body, agree = null, kind = "primary") {
  return new Promise((answer) => {
    const el = h(
      "dialog",
      { "aria-labelledby": "dialog-title", onclose: () => (el.remove(), answer(el.returnValue === "yes")) },
      h("form", { method: "dialog" },
        h("h2", { id: "dialog-title" }, title),
        h("div.body", {}, body),
        h("div.actions", {},
          h("button", { value: "no" }, agree ? "No" : "Close"),
          agree ? h(`button.${kind}`, { value: "yes" }, agree) : null)),
    );
    document.body.append(el);
    el.showModal();
  });
}
