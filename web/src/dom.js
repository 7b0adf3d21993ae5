// Elements from plain calls. Text is always text: nothing that comes from a run is read as HTML.

/** h("p.dim", { onclick }, "words", child, null) */
export function h(tag, props, ...children) {
  const [name, ...classes] = tag.split(".");
  const svg = name === "svg" || name === "path" || name === "g";
  const el = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name || "div");
  if (classes.length) el.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(el.style, value);
    else if (key in el && !svg && key !== "list" && key !== "form") el[key] = value;
    else el.setAttribute(key, value === true ? "" : value);
  }
  append(el, children);
  return el;
}

function append(el, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    el.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Says something else, only if it is something else: what is selected stays so. */
export function say(el, words) {
  const text = words ?? "";
  if (el.textContent !== text) el.textContent = text;
}

export function fill(el, ...children) {
  el.replaceChildren();
  append(el, children);
}

/** Keeps the children of a list that are still wanted, so that focus and scrolling stay where they are. */
export function keyed(parent, items, keyOf, make, update) {
  const before = new Map([...parent.children].map((el) => [el.dataset.key, el]));
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let el = before.get(key);
    if (el) before.delete(key);
    else {
      el = make(item);
      el.dataset.key = key;
    }
    update?.(el, item);
    if (el !== at) parent.insertBefore(el, at);
    else at = at.nextElementSibling;
  }
  for (const el of before.values()) el.remove();
}

const ICONS = {
  pause: "M7 5v14M17 5v14",
  play: "M7 4l13 8-13 8z",
  stop: "M6 6h12v12H6z",
  replay: "M4 4v6h6M4.5 10a8 8 0 1 1-.5 4",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4",
  moon: "M20 14A8 8 0 1 1 10 4a6.5 6.5 0 0 0 10 10z",
  keys: "M3 7h18v10H3zM7 11h.01M11 11h.01M15 11h.01M8 14h8",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  flag: "M5 21V4h12l-2 4 2 4H5",
};

export function icon(name) {
  return h("svg.icon", { viewBox: "0 0 24 24", "aria-hidden": "true" }, h("path", { d: ICONS[name] }));
}
