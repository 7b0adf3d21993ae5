// Every page and action in Chromium, on a laptop and a phone, light and dark: `make test-page` starts it on real runs.
//   node test/browser.mjs URL LEARNT FAILED LIVE FOLDER
// LEARNT is over and was trained, FAILED is over and has failures, LIVE is paused. Pictures go to FOLDER.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { chromium } from "playwright-core";

const [url, learnt, failed, live, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PATIENCE = 60000;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

const wrong = [];
const api = async (page, of) => page.evaluate(async (of) => (await fetch(of)).json(), of);

async function open(theme, { width, height }) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: "reduce" });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  // A picture that is not there yet is no mistake; what a policy refuses is.
  page.on("console", (message) => message.type() === "error" && !/Failed to load resource.*(404|409|501)/.test(message.text()) && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(error.stack));
  return page;
}

/** Looks at a page as a person and as axe would. */
async function look(page, name, hash, wait) {
  await page.goto(url + hash);
  await page.waitForSelector(wait);
  await page.waitForLoadState("networkidle").catch(() => {});
  const size = page.viewportSize().width > 600 ? "laptop" : "phone";
  const theme = await page.evaluate(() => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  await page.screenshot({ path: path.join(folder, `${name}-${size}-${theme}.png`), fullPage: true });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) wrong.push(`${name} on a ${size} is ${wide} px too wide`);
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await window.axe.run()).violations);
  for (const { id, impact, nodes } of found) {
    if (impact === "serious" || impact === "critical") wrong.push(`${name}, ${size}, ${theme}: axe ${id}: ${nodes.map((node) => node.html).join("\n").slice(0, 400)}`);
  }
}

const run = (name, tab = "") => `#/runs/${name}${tab ? `/${tab}` : ""}`;

async function everyPage(page) {
  await look(page, "runs", "#/", "a.run");
  await look(page, "overview", run(learnt), ".stages li");
  await look(page, "scenes", run(learnt, "scenes"), "a.scene");
  await look(page, "scores", run(learnt, "scores"), ".matrix td.cell");
  await look(page, "training", run(learnt, "training"), ".uplot");
  await look(page, "failures", run(failed, "failures"), ".failures li");
  await look(page, "no-failures", run(learnt, "failures"), ".empty h2");
  await look(page, "live", run(live), ".stages li");
  await look(page, "scene", run(learnt, "scenes/unseen"), ".leaflet-tile-loaded");
  await look(page, "workers", "#/workers", "table tbody tr, .empty h2");
  await look(page, "nobody", run("nobody-1"), ".empty h2");
  await look(page, "login", "login", "main");
}

/** The map: all layers are drawn, parts are outlined, two maps move together. */
async function theScene(page) {
  await page.goto(url + run(learnt, "scenes/unseen"));
  for (const layer of ["prediction", "errors", "labels"]) {
    const drawn = page.waitForResponse((response) => response.url().includes(`/tiles/${layer}/`) && response.ok());
    await page.click(`.choice [data-layer=${layer}]`);
    await drawn;
    assert.equal(await page.getAttribute(`.choice [data-layer=${layer}]`, "aria-pressed"), "true");
  }
  await page.locator(".opacity input").fill("20");
  await page.waitForFunction(() => [...document.querySelectorAll(".leaflet-layer")].some((layer) => layer.style.opacity === "0.2"));
  await page.click("text=Beside labels");
  await page.waitForFunction(() => document.querySelectorAll(".map .leaflet-tile-loaded").length > 2);
  assert.equal(await page.locator(".map:visible").count(), 2);
  const finer = page.waitForResponse((response) => /tiles\/imagery\/[01]\//.test(response.url()) && response.ok());
  await page.locator(".map").first().hover();
  await page.mouse.wheel(0, -1500);
  await finer;
  await page.click("button:text-is('Parts')");
  await page.waitForSelector(".map canvas");
  const pixels = await page.evaluate(() => [...document.querySelectorAll(".map img.leaflet-tile-loaded")].every((tile) => tile.naturalWidth > 0));
  assert.ok(pixels, "a tile is empty");
  await page.click(".below summary");
  await page.waitForSelector(`.below code.key:text-is("predict/${learnt}/unseen.tif")`);
  await page.goto(url + run(learnt));
  await page.waitForSelector(`code.key:text-is("bundle/${learnt}/bundle.zip")`);
}

/** Long lists: only what is wanted, and from one scene to the next. */
async function theLists(page) {
  await page.goto(url);
  await page.waitForSelector("a.run");
  const only = (name) => page.waitForFunction((name) => [...document.querySelectorAll("a.run strong")].map((el) => el.textContent).join() === name, name);
  await page.fill(".filters input", learnt);
  await only(learnt);
  await page.fill(".filters input", failed);
  await page.selectOption(".filters select", "failed");
  await only(failed);
  await page.selectOption(".filters select", "under_way");
  await page.waitForSelector("text=No run is like that.");
  await page.goto(url + run(learnt, "scenes"));
  await page.waitForSelector("a.scene");
  await page.fill(".filters input", "unseen");
  await page.waitForFunction(() => [...document.querySelectorAll("a.scene strong")].every((el) => el.textContent === "unseen"));
  await page.goto(url + run(learnt, "scenes/unseen"));
  await page.locator(".head .buttons a.button:visible").first().click();
  await page.waitForFunction(() => document.querySelector("h1")?.textContent === "seen");
}

async function theKeys(page) {
  await page.goto(url);
  await page.waitForSelector("a.run");
  await page.keyboard.press("?");
  await page.waitForSelector("dialog[open] kbd");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  const before = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.keyboard.press("t");
  const after = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.notEqual(before, after, "the theme stays");
  await page.keyboard.press("t");
  await page.keyboard.press("j");
  assert.ok(await page.evaluate(() => document.activeElement.matches("a.run")));
  await page.keyboard.press("g");
  await page.keyboard.press("w");
  await page.waitForFunction(() => location.hash === "#/workers");
  await page.goto(url + run(learnt));
  await page.waitForSelector(".stages li");
  await page.keyboard.press("3");
  await page.waitForSelector(".matrix");
}

/** Whoever was refused asks again, and reads what was told meanwhile; whoever is not seen listens to nothing. */
async function theLine(page) {
  page.removeAllListeners("console");
  let asked = 0;
  await page.route("**/events", (route) => (asked++ ? route.continue() : route.fulfill({ status: 503, body: "{}" })));
  await page.goto(url + run(live));
  await page.waitForSelector(".line.down");
  const reads = page.waitForResponse((response) => response.url().endsWith("/parts"));
  await page.waitForSelector(".line.up");
  await reads;
  const see = (hidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await see(true);
  const again = page.waitForRequest((request) => request.url().endsWith("/events"));
  await see(false);
  await again;
  await page.unroute("**/events");
  // Nobody is there any more: said once that is sure.
  await page.route("**/api/**", (route) => route.abort());
  await see(true);
  await see(false);
  await page.waitForSelector(".gone:visible");
  await page.unroute("**/api/**");
  await page.waitForSelector(".line.up");
  await page.waitForSelector(".gone", { state: "hidden" });
  // A run that nobody knows is no lost line.
  const asks = page.waitForResponse((response) => response.request().method() === "HEAD" && response.status() === 404);
  await page.goto(url + run("nobody-1"));
  await asks;
  assert.equal(await page.locator(".line.down").count(), 0);
}

/** What is asked is done, and is seen without loading the page again. */
async function theActions(page) {
  const pill = (words) => page.waitForFunction((words) => document.querySelector(".pill")?.textContent === words, words);
  await page.goto(url + run(live));
  await pill("paused");
  assert.equal(await page.locator(".run-head .tiles .value").nth(2).innerText(), "–", "what is paused has no speed");
  await page.click("text=Resume");
  await page.waitForFunction(() => ["running", "preparing"].includes(document.querySelector(".pill")?.textContent));
  await page.waitForSelector("button:text-is('Pause')");
  await page.keyboard.press("p");
  await pill("paused");
  await page.click("text=Priority");
  await page.fill("#priority", "9");
  await page.click("dialog >> text=Set");
  while ((await api(page, `/api/runs/${live}`)).status.rank.priority !== 9) await page.waitForTimeout(200);
  await page.click("button:text-is('Cancel')");
  await page.click("dialog button:text-is('No')");
  await page.waitForSelector("dialog", { state: "detached" });

  await page.goto(url + run(failed, "failures"));
  await page.waitForSelector(".failures li");
  // What is torn fails in many places: one card of them all.
  const alike = page.locator(".failures > li:has(.alike)").first();
  if (await alike.count()) await alike.locator("> details > summary").click();
  const first = page.locator(".failures li:has(> details > .log)").first();
  await first.locator("summary").click();
  await page.waitForFunction(() => {
    const log = [...document.querySelectorAll(".failures details[open] > .log")][0];
    return log && log.textContent && log.textContent !== "Looking…";
  });
  const place = await first.locator("strong").innerText();
  await first.locator("text=Replay").click();
  // Nobody serves it: that is said.
  const said = await page.locator(".toast", { hasText: place }).innerText();
  assert.match(said, /No coordinator/);
  await first.locator("text=Drop").click();
  await page.click("dialog >> text=Drop it");
  await page.waitForSelector(".toast >> text=Asked to drop");
  await page.click("text=Replay all");
  await page.click("dialog button.primary");
  await page.waitForSelector(".toast >> text=Asked to replay all");

  // At the very end: it ends the program that serves this page.
  await page.goto(url + run(live));
  await pill("paused");
  await page.click("button:text-is('Cancel')");
  await page.click("dialog >> text=Cancel the run");
  await page.waitForSelector(".toast >> text=Asked to cancel");
}

for (const size of [{ width: 1366, height: 860 }, { width: 390, height: 844 }]) {
  for (const theme of ["light", "dark"]) {
    const page = await open(theme, size);
    await everyPage(page);
    await page.context().close();
  }
}
const page = await open("light", { width: 1366, height: 860 });
await theScene(page);
await theLists(page);
await theKeys(page);
await theLine(await open("light", { width: 1366, height: 860 }));
await theActions(page);
await browser.close();
assert.deepEqual(wrong, []);
console.log("every page and action: well");
