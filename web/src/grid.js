// A long list of cards of one size, of which only those that are in sight are there.

import { keyed } from "./dom.js";

/** So many are read at a time. */
const CHUNK = 120;
/** Pixels above and below what is in sight. */
const MARGIN = 400;
/** Before it is known how high a card is. */
const FIRST = 24;
/** They may all be there: searched by the browser, and printed. */
const FEW = 60;

const within = (low, value, high) => Math.max(low, Math.min(high, value));

/**
 * `read(from, n)` answers { total, items }, `told` hears of it. Cards have `item`, and `update` for another of the same
 * key; `blank` stands for one that is still on its way.
 */
export function longGrid(box, { read, told, failed, keyOf, make, blank }) {
  let total = 0;
  let items = new Map();
  let chunks = new Set();
  let size = null;
  let turn = 0;

  const measure = () => {
    const first = box.firstElementChild;
    if (!first?.offsetHeight) return size;
    const style = getComputedStyle(box);
    return { columns: style.gridTemplateColumns.split(" ").length, height: first.offsetHeight + parseFloat(style.rowGap) };
  };
  const inSight = () => {
    size = measure();
    if (total <= FEW) {
      box.style.paddingTop = box.style.paddingBottom = "";
      return [0, total];
    }
    if (!size) return [0, Math.min(total, FIRST)];
    const { columns, height } = size;
    const rows = Math.ceil(total / columns);
    const { top } = box.getBoundingClientRect();
    const above = within(0, Math.floor((-top - MARGIN) / height), Math.max(0, rows - 1));
    const below = within(above, Math.ceil((innerHeight - top + MARGIN) / height), rows);
    box.style.paddingTop = `${above * height}px`;
    box.style.paddingBottom = `${(rows - below) * height}px`;
    return [above * columns, Math.min(total, below * columns)];
  };
  const draw = () => {
    const [from, to] = inSight();
    const shown = Array.from({ length: Math.max(0, to - from) }, (_, i) => ({ at: from + i, item: items.get(from + i) }));
    keyed(box, shown, ({ at, item }) => (item ? keyOf(item) : `blank ${at}`), ({ item }) => (item ? make(item) : blank()), (el, { item }) => item && el.item !== item && el.update(item));
    // The first cards say how high they are.
    if (!size && measure()) return draw();
    for (let at = Math.floor(from / CHUNK); at * CHUNK < to; at++) if (!chunks.has(at)) load(at);
  };
  const load = async (chunk) => {
    const mine = turn;
    chunks.add(chunk);
    try {
      const answer = await read(chunk * CHUNK, CHUNK);
      if (mine !== turn) return;
      ({ total } = answer);
      answer.items.forEach((item, i) => items.set(chunk * CHUNK + i, item));
      told(answer);
      draw();
    } catch (problem) {
      if (mine !== turn) return;
      // Whoever scrolls asks again.
      chunks.delete(chunk);
      failed(problem);
    }
  };
  let frame = 0;
  const later = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      draw();
    });
  };
  addEventListener("scroll", later, { passive: true });
  addEventListener("resize", later);
  /** Reads again what is in sight; `isOther`: what stood there is not wanted any more. */
  const reload = (isOther = false) => {
    turn++;
    chunks = new Set();
    if (isOther) {
      items = new Map();
      load(0);
    } else {
      const [from, to] = inSight();
      for (let at = Math.floor(from / CHUNK); at === Math.floor(from / CHUNK) || at * CHUNK < to; at++) load(at);
    }
  };
  reload(true);
  return {
    reload,
    end: () => {
      turn++;
      cancelAnimationFrame(frame);
      removeEventListener("scroll", later);
      removeEventListener("resize", later);
    },
  };
}
