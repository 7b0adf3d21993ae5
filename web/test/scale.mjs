// How long a large run takes from the address to all that is drawn, in Chromium: `make bench-page` starts it.
//   node test/scale.mjs URL RUN LOADS
// It prints one JSON object: seconds, as medians of several loads, each in a browser that has nothing of the page yet.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [url, run, loads = "7"] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** Measured in the page: from its beginning, in milliseconds. */
const look = () => {
  const asked = performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"));
  const drawn = performance.getEntriesByName("drawn")[0].startTime;
  // What the coordinator has worked on, in the time until all was drawn: answers overlap, and count once.
  const server = asked.flatMap(({ responseStart, serverTiming }) => (serverTiming ?? []).map(({ duration }) => [responseStart - duration, responseStart]));
  const spans = server.filter(([, end]) => end <= drawn).sort(([one], [other]) => one - other);
  let [covered, upTo] = [0, 0];
  for (const [from, to] of spans) {
    covered += Math.max(0, to - Math.max(from, upTo));
    upTo = Math.max(upTo, to);
  }
  const pictures = asked.filter(({ name }) => name.includes("/thumbnail")).map(({ responseEnd }) => responseEnd);
  return {
    drawn,
    server: covered,
    script: performance.getEntriesByType("resource").find(({ name }) => name.endsWith("/app.js"))?.responseEnd ?? 0,
    pictures: Math.max(drawn, ...pictures),
    bytes: asked.reduce((sum, { transferSize }) => sum + (transferSize ?? 0), 0),
    nodes: document.querySelectorAll("*").length,
  };
};
const inSight = () => [...document.images].filter((image) => {
  const { top, bottom } = image.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}).every((image) => image.complete);

async function open(tab) {
  const context = await browser.newContext({ viewport: { width: 1366, height: 860 }, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.setDefaultTimeout(60000);
  await page.goto(`${url}#/runs/${run}/${tab}`);
  await page.waitForFunction(() => performance.getEntriesByName("drawn").length > 0);
  await page.waitForFunction(inSight);
  const seen = await page.evaluate(look);
  await context.close();
  return seen;
}

/** Wherever one is in the list, only what is in sight is there. */
async function toTheEnd() {
  const page = await (await browser.newContext({ viewport: { width: 1366, height: 860 } })).newPage();
  await page.goto(`${url}#/runs/${run}/scenes`);
  await page.waitForSelector("a.scene");
  const { total, scenes } = await page.evaluate(async (path) => (await fetch(path)).json(), `/api/runs/${run}/scenes?n=1`);
  const last = (await page.evaluate(async (path) => (await fetch(path)).json(), `/api/runs/${run}/scenes?from=${total - 1}`)).scenes[0].scene;
  await page.waitForFunction((first) => document.querySelector("a.scene strong").textContent === first, scenes[0].scene);
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  await page.waitForFunction((last) => [...document.querySelectorAll("a.scene strong")].at(-1)?.textContent === last, last);
  assert.ok((await page.locator(".scenes > *").count()) < 200, "all scenes are on the page");
}

const median = (numbers) => numbers.sort((one, other) => one - other)[Math.floor(numbers.length / 2)];

for (const tab of ["overview", "scenes"]) {
  const first = await open(tab);
  const all = [];
  for (let n = 0; n < Number(loads); n++) all.push(await open(tab));
  const seconds = (of) => Number((median(all.map(of)) / 1000).toFixed(3));
  console.log(JSON.stringify({
    name: `page/${tab}`, value: seconds(({ drawn }) => drawn), unit: "s", first_s: Number((first.drawn / 1000).toFixed(3)), server_s: seconds(({ server }) => server),
    script_s: seconds(({ script }) => script), pictures_s: seconds(({ pictures }) => pictures), kib: Math.round(median(all.map(({ bytes }) => bytes)) / 1024),
    nodes: median(all.map(({ nodes }) => nodes)), loads: all.length, load: Number(readFileSync("/proc/loadavg", "utf8").split(" ")[0]),
  }));
}
await toTheEnd();
await browser.close();
