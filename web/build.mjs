// Builds the bundle into a folder: `node build.mjs dist`. The same sources give the same bytes.
import { cp, mkdir } from "node:fs/promises";
import { build } from "esbuild";

const out = process.argv[2] ?? "dist";
await mkdir(out, { recursive: true });
await build({
  entryPoints: { app: "src/main.js", theme: "src/theme.js" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome109", "firefox115", "safari16"],
  charset: "utf8",
  legalComments: "eof",
  // Leaflet's few pictures become a part of the sheet: nothing is fetched beside it.
  loader: { ".png": "dataurl" },
  logLevel: "warning",
});
for (const file of ["index.html", "login.html", "icon.svg"]) {
  await cp(`src/${file}`, `${out}/${file}`);
}
