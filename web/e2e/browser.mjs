// A browser that watches what a person would not see: errors, refused sources, requests
// to other hosts.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** problems is everything that must not be. */
export const problems = [];

export async function launch(executablePath) {
  return chromium.launch({
    executablePath,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** person is a browser profile of somebody of their own; expected names answers that a page means to get. */
export async function person(browser, endpoint, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(45_000);
  const page = await context.newPage();
  const host = new URL(endpoint).host;
  page.expected = [];
  page.on("console", (m) => {
    if (m.type() !== "error" && m.type() !== "warning") return;
    const text = `${m.text()} (${m.location().url})`;
    if (page.expected.some((e) => text.includes(e))) return;
    problems.push(`console: ${text}`);
  });
  page.on("pageerror", (e) => problems.push(`error: ${e.message}`));
  page.on("request", (r) => {
    const url = new URL(r.url());
    if (url.host !== host && url.protocol !== "blob:") problems.push(`a request to another host: ${r.url()}`);
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
  });
  return page;
}

export async function signIn(page, endpoint, name, password, to = "/") {
  // Who asks who they are before they signed in is told 401, and the browser notes that.
  page.expected.push("401 (Unauthorized)");
  await page.goto(endpoint + to);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: `${name}, signed in` }).or(page.getByRole("button", { name: "More" })).first().waitFor();
  page.expected = page.expected.filter((e) => !e.startsWith("401"));
}

export async function theme(page, name) {
  await page.evaluate((t) => localStorage.setItem("parry.theme", t), name);
}

/** settled waits until a page has read what it shows. */
export async function settled(page) {
  await page.waitForFunction(() => !document.body.innerText.match(/Reading the|Reading findings|Counting findings/) && document.querySelector("h1"));
  await page.waitForTimeout(400);
}

const wcag = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** accessible holds a page against WCAG 2.2 AA. Axe is run beside the page, not by it: the policy stays. */
export async function accessible(page, what) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  const found = await page.evaluate(async (wcag) => {
    const r = await window.axe.run(document, { runOnly: wcag, resultTypes: ["violations"] });
    return r.violations.map((v) => `${v.id}: ${v.help}; ${v.nodes.slice(0, 3).map((n) => `${n.html.slice(0, 160)} [${(n.any[0] ?? n.all[0] ?? n.none[0])?.message ?? ""}]`).join(" | ")}`);
  }, wcag);
  for (const f of found) problems.push(`axe, ${what}: ${f}`);
}

/** fits reports a page that is wider than its window. */
export async function fits(page, what) {
  const over = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return "";
    const wide = [...document.querySelectorAll("main *, #page *")].filter((e) => e.getBoundingClientRect().right > width + 1).slice(0, 3);
    return `${document.documentElement.scrollWidth} > ${width}: ${wide.map((e) => `${e.tagName} ${(e.textContent ?? "").slice(0, 40)}`).join(" | ")}`;
  });
  if (over) problems.push(`${what} is wider than its window: ${over}`);
}

/**
 * seen holds what a page shows, as it is, against WCAG and its window in both themes; the
 * page follows the system's. A picture of each goes to shots, when that is a folder.
 */
export async function seen(page, name, shots) {
  for (const t of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: t });
    await page.waitForFunction((t) => document.documentElement.style.colorScheme === t, t);
    await accessible(page, `${name} ${t}`);
    await fits(page, `${name} ${t}`);
    if (shots) await page.screenshot({ path: join(shots, `${name}-${t}.png`) });
  }
  await page.emulateMedia({ colorScheme: "light" });
}
