// When all that a page asks for at first stands on it: a mark for whoever measures how long that takes.

let open = 0;
let isDrawn = false;

/** Counts what is on its way. `drawn` is marked once, when nothing is and what came is painted. */
export async function drawing(work) {
  open++;
  try {
    return await work;
  } finally {
    if (--open === 0 && !isDrawn) requestAnimationFrame(() => setTimeout(mark));
  }
}

function mark() {
  // One answer may have asked for the next.
  if (open || isDrawn) return;
  isDrawn = true;
  performance.mark("drawn");
}
