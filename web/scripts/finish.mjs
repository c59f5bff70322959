// Compresses what was built, and fails when it is larger than the budget, or when a page
// would ask another host or need what the server's policy forbids.
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { out } from "./out.mjs";

/** budget is in bytes of gzip: what a browser loads before the first page is seen. */
const budget = { js: 420_000, css: 110_000 };

const manifest = JSON.parse(readFileSync(join(out, ".vite", "manifest.json"), "utf8"));
const entry = Object.values(manifest).find((c) => c.isEntry);
const loaded = new Set();
const styles = new Set();
const follow = (chunk) => {
  if (!chunk || loaded.has(chunk.file)) return;
  loaded.add(chunk.file);
  for (const css of chunk.css ?? []) styles.add(css);
  for (const name of chunk.imports ?? []) follow(manifest[name]);
};
follow(entry);

const problems = [];
const size = (files) => [...files].reduce((sum, f) => sum + gzipSync(readFileSync(join(out, f)), { level: 9 }).length, 0);
const js = size(loaded);
const css = size(styles);
if (js > budget.js) problems.push(`the scripts of the first page are ${js} bytes compressed, more than ${budget.js}`);
if (css > budget.css) problems.push(`the styles of the first page are ${css} bytes compressed, more than ${budget.css}`);

const html = readFileSync(join(out, "index.html"), "utf8");
if (/<script(?![^>]*\ssrc=)[^>]*>\s*\S/.test(html) || /<style|\sstyle=|\son\w+=/.test(html)) problems.push("index.html has inline scripts or styles");
if (/(?:src|href)="(?:https?:)?\/\//.test(html)) problems.push("index.html asks another host");

let fonts = 0;
let packed = 0;
const walk = (dir) => {
  for (const name of readdirSync(dir)) {
    const file = join(dir, name);
    if (statSync(file).isDirectory()) {
      if (!name.startsWith(".")) walk(file);
      continue;
    }
    const kind = extname(name);
    if (kind === ".woff2") fonts++;
    if (kind === ".map") problems.push(`${name} is a source map`);
    if (![".js", ".css", ".html", ".svg"].includes(kind)) continue;
    const raw = readFileSync(file);
    if (kind === ".css" && /url\(\s*["']?(?:data:|https?:|\/\/)/.test(raw.toString())) problems.push(`${name} has a data: or foreign source`);
    if (raw.length < 1000) continue;
    writeFileSync(`${file}.gz`, gzipSync(raw, { level: 9 }));
    writeFileSync(`${file}.br`, brotliCompressSync(raw, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: raw.length } }));
    packed++;
  }
};
walk(out);
if (fonts === 0) problems.push("there are no fonts");

const kb = (n) => `${(n / 1000).toFixed(0)} kB`;
console.log(`console: first page ${kb(js)} of scripts (at most ${kb(budget.js)}), ${kb(css)} of styles (at most ${kb(budget.css)}), compressed; ${fonts} fonts; ${packed} files packed`);
if (problems.length > 0) {
  for (const p of problems) console.error(`console: ${p}`);
  process.exit(1);
}
if (!existsSync(join(out, "index.html"))) process.exit(1);
