import { launch } from "/work/wt/web/web/e2e/browser.mjs";
import { readFileSync } from "node:fs";
const [out, w, ...files] = process.argv.slice(2);
const b = await launch("/usr/bin/chromium");
const p = await b.newPage({ viewport: { width: Number(w) * Math.min(files.length, Number(w) > 500 ? 2 : 4), height: 400 } });
await p.setContent(`<body style="margin:0;display:flex;flex-wrap:wrap">${files.map((f) => `<img style="width:${w}px" src="data:image/png;base64,${readFileSync(f).toString("base64")}">`).join("")}</body>`);
await p.screenshot({ path: out, fullPage: true });
await b.close();
