import { launch, person, signIn, theme, settled, accessible, fits, problems } from "/work/wt/web/web/e2e/browser.mjs";
import { mkdirSync } from "node:fs";
const endpoint = process.argv[2], out = process.argv[3], only = process.argv[4];
mkdirSync(out, { recursive: true });
const b = await launch("/usr/bin/chromium");
for (const width of [1280, 390]) {
  const page = await person(b, endpoint, { viewport: { width, height: 900 }, reducedMotion: "reduce" });
  if (width === 1280) { await page.goto(endpoint + "/sign-in"); await page.waitForTimeout(1500); await page.screenshot({ path: `${out}/signin-${width}.png` }); }
  await signIn(page, endpoint, "alice", "correct horse battery staple");
  const keys = await page.evaluate(async () => {
    const f = await (await fetch("/v1/findings?sort=priority&limit=200")).json();
    const r = await (await fetch("/v1/remediations?limit=50")).json();
    return { hostile: f.items.find((x) => x.title.startsWith("<img"))?.key, prod: f.items.find((x) => x.control === "S3.8" && x.severity === "CRITICAL")?.key, dev: f.items.find((x) => x.control === "S3.8" && x.workflow==="RESOLVED")?.key, rem: r.items.find((x) => x.state === "verified")?.id, wait: r.items.find((x) => x.state === "awaiting_approval")?.id };
  });
  const pages = { overview: "/", findings: "/findings?f=workflow=NEW,NOTIFIED&f=record=ACTIVE&sort=priority", grouped: "/findings?f=workflow=NEW&group=control", empty: "/findings?f=title=nothing", finding: `/findings/${keys.prod}`, hostile: `/findings/${keys.hostile}`, raw: `/findings/${keys.hostile}?tab=raw`, timeline: `/findings/${keys.dev}?tab=timeline`, remediations: "/remediations", remediation: `/remediations/${keys.rem}`, waiting: keys.wait && `/remediations/${keys.wait}`, calls: `/remediations/${keys.rem}?tab=calls`, plan: `/remediations/${keys.rem}?tab=plan`, approvals: "/approvals", exceptions: "/approvals?tab=exceptions", decided: "/approvals?tab=decided", missing: "/nowhere" };
  for (const t of ["light", "dark"]) {
    await theme(page, t);
    for (const [name, path] of Object.entries(pages)) {
      if (!path || (only && !only.split(",").includes(name))) continue;
      try {
      await page.goto(endpoint + path);
      await settled(page);
      const what = `${name} ${t} ${width}`;
      await accessible(page, what); await fits(page, what);
      await page.screenshot({ path: `${out}/${name}-${t}-${width}.png` });
      } catch (e) { problems.push(`${name}: ${e.message.slice(0,300)}`); await page.screenshot({ path: `${out}/FAIL-${name}-${t}-${width}.png` }); }
    }
  }
}
console.log(problems.join("\n"));
await b.close();
