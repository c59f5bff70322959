// The story of one finding, by two people, in the real console; then every page in both
// themes. What the test's world is comes as JSON in PARRY_CONSOLE_ORDER.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { dialogs } from "./dialogs.mjs";
import { invitations } from "./people.mjs";
import { bus } from "./bus.mjs";
import { whole } from "./whole.mjs";
import { launch, person, problems, seen, settled, signIn, theme } from "./browser.mjs";

const order = JSON.parse(process.env.PARRY_CONSOLE_ORDER);
const { endpoint, password, bucket } = order;
if (order.shots) mkdirSync(order.shots, { recursive: true });

let step = "start";
const begin = (name) => {
  step = name;
  console.log(`- ${name}`);
};
const must = (ok, what) => {
  if (!ok) throw new Error(what);
};
const toast = (page, text) => page.getByText(text).first().waitFor();

const browser = await launch(order.browser);
try {
  const part = process.env.PARRY_CONSOLE_PART; // people, story, dialogs, whole, bus or pages alone, while working on one
  const wanted = (name) => !part || part === name;
  const hands = { browser, order, begin, must, toast };
  if (wanted("people")) await invitations(hands);
  if (wanted("story")) await story();
  if (wanted("dialogs")) await dialogs(hands);
  if (wanted("whole")) await whole(hands);
  if (wanted("bus")) await bus(hands);
  if (wanted("pages")) await pages();
} catch (e) {
  problems.push(`${step}: ${e.message}`);
  for (const [i, page] of browser.contexts().flatMap((c) => c.pages()).entries()) {
    console.log(`  page ${i}: ${page.url()}\n${(await page.locator("body").innerText().catch(() => "")).slice(0, 1500)}`);
    if (order.shots) await page.screenshot({ path: join(order.shots, `failed-${i}.png`) }).catch(() => {});
  }
} finally {
  await browser.close();
}
for (const p of problems) console.log(`PROBLEM ${p}`);
if (problems.length > 0) process.exit(1);
console.log("all is well");

async function story() {
  const olga = await person(browser, endpoint);
  const alice = await person(browser, endpoint);

  begin("nobody gets in with a wrong password");
  olga.expected.push("401 (Unauthorized)");
  await olga.goto(`${endpoint}/approvals`);
  await olga.getByLabel("Name").fill("olga");
  await olga.getByLabel("Password").fill("not the password");
  await olga.getByRole("button", { name: "Sign in" }).click();
  await toast(olga, "Name or password is wrong");
  await olga.getByLabel("Password").fill(password);
  await olga.getByRole("button", { name: "Sign in" }).click();
  await olga.getByRole("heading", { name: "Approvals", level: 1 }).waitFor();
  must(new URL(olga.url()).pathname === "/approvals", `after signing in the page is ${olga.url()}`);
  olga.expected = [];
  await signIn(alice, endpoint, "alice", password);

  begin("the critical finding of the public bucket is found by the filter");
  await olga.goto(`${endpoint}/findings?f=severity=CRITICAL&f=control=S3.2&f=resource=arn:aws:s3:::${bucket}&sort=priority`);
  await settled(olga);
  await olga.getByRole("link", { name: /S3\.2 S3 general purpose buckets/ }).first().click();
  await olga.getByRole("heading", { level: 1, name: /S3\.2 S3 general purpose buckets/ }).waitFor();
  await toast(olga, "No rule of the bus sent it to its playbook S3.2, and nobody asked.");
  const finding = olga.url();

  begin("Actions, Remediate");
  // What was just asked for is not there until its plan is made.
  olga.expected = [`404 (Not Found) (${endpoint}/v1/remediations/rem-`];
  await olga.getByRole("button", { name: "Actions" }).click();
  await olga.getByRole("menuitem", { name: "Remediate" }).click();
  await toast(olga, "Nothing is changed before the plan is approved");
  await olga.getByRole("button", { name: "Make the plan" }).click();

  begin("the plan: every call, before and after, and the way back");
  await olga.getByText("You asked for it").first().waitFor();
  for (const call of ["s3:PutPublicAccessBlock", "s3:PutBucketAcl", "s3:PutBucketPolicy"]) await olga.getByText(call).first().waitFor();
  must((await olga.locator(".parry-diff-new").count()) > 0, "the plan shows no value after");
  must((await olga.locator(".parry-diff-old").count()) > 0, "the plan shows no value before");
  await olga.getByText("Undone by").first().waitFor();
  const approve = olga.getByRole("button", { name: "Approve" });
  must((await approve.getAttribute("aria-disabled")) === "true" || (await approve.isDisabled()), "who asked may approve");
  const remediation = olga.url();

  begin("another person approves exactly that plan");
  await alice.goto(`${endpoint}/approvals`);
  await alice.getByRole("button", { name: "Approve" }).first().waitFor();
  await alice.getByText("olga").first().waitFor();
  await alice.getByRole("button", { name: "Approve" }).first().click();
  const word = alice.getByRole("dialog");
  await word.getByText("s3:PutPublicAccessBlock").first().waitFor();
  must(/[0-9a-f]{64}/.test(await word.innerText()), "the approval does not show the hash of the plan");
  await word.getByRole("textbox").fill("reviewed in the browser");
  await word.getByRole("button", { name: "Approve" }).click();
  await toast(alice, "The plan is approved");

  begin("who asked watches the steps until it is verified");
  await olga.getByText("It is fixed: AWS was read again").waitFor({ timeout: 120_000 });
  await olga.getByRole("tab", { name: "Steps and changes" }).click();
  await olga.getByText("ReplaceBucketPolicy").first().waitFor();
  must((await olga.getByText("Done", { exact: true }).count()) >= 3, "the changes are not shown as done");
  await olga.getByRole("tab", { name: "Calls" }).click();
  await olga.getByText("s3:PutBucketAcl").first().waitFor();
  await olga.goto(finding);
  await toast(olga, "It was remediated, and AWS was read again to verify that.");

  begin("undo, which the other person approves");
  await olga.goto(remediation);
  await olga.getByRole("button", { name: "Undo" }).click();
  await olga.getByRole("button", { name: "Make the plan of the undo" }).click();
  await olga.getByText("You asked for it").first().waitFor();
  await alice.goto(`${endpoint}/approvals`);
  await alice.getByRole("button", { name: "Reject" }).first().waitFor();
  await alice.getByRole("button", { name: "Approve" }).first().click();
  await alice.getByRole("dialog").getByText("s3:DeletePublicAccessBlock").first().waitFor();
  await alice.getByRole("dialog").getByRole("button", { name: "Approve" }).click();
  await toast(alice, "The plan is approved");
  await olga.getByText("It is taken back: AWS was read again").waitFor({ timeout: 120_000 });

  begin("a status with a note, and an exception that waits for another person");
  await olga.goto(`${endpoint}/findings?f=control=KMS.4&f=workflow=NEW&sort=priority`);
  await settled(olga);
  await olga.getByRole("link", { name: /KMS\.4/ }).first().click();
  await olga.getByRole("button", { name: "Actions" }).click();
  await olga.getByRole("menuitem", { name: "Mark as notified" }).click();
  await olga.getByRole("dialog").getByRole("textbox").fill("the key's owner knows");
  await olga.getByRole("dialog").getByRole("button", { name: "Mark as notified" }).click();
  await toast(olga, "The finding is notified.");
  await toast(olga, "the key's owner knows");
  await olga.getByRole("button", { name: "Actions" }).click();
  await olga.getByRole("menuitem", { name: "Request an exception" }).click();
  const ask = olga.getByRole("dialog");
  await ask.getByLabel("Owner").fill("platform team");
  await ask.getByLabel("Reason").fill("the key is replaced in spring");
  await ask.getByRole("button", { name: "Request" }).click();
  await toast(olga, "The exception is requested.");
  await alice.goto(`${endpoint}/approvals?tab=exceptions`);
  await alice.getByText("platform team").first().waitFor();

  begin("everything is stopped, and every page says so; who may not let it go on is told why");
  await alice.getByRole("button", { name: "Stop all changes" }).click();
  await alice.getByRole("dialog").getByRole("button", { name: "Stop all changes" }).click();
  await toast(alice, "Say why.");
  await alice.getByRole("dialog").getByRole("textbox").fill("change freeze");
  await alice.getByRole("dialog").getByRole("button", { name: "Stop all changes" }).click();
  await toast(alice, "All changes are stopped");
  const ada = await person(browser, endpoint);
  await signIn(ada, endpoint, "ada", password, "/remediations");
  await ada.getByText("change freeze").first().waitFor();
  await ada.getByRole("button", { name: "Let changes go on…" }).click();
  await ada.getByRole("dialog").getByRole("textbox").fill("the freeze is over");
  await ada.getByRole("dialog").getByRole("button", { name: "Let changes go on" }).click();
  await toast(ada, "Changes go on.");

  begin("a viewer sees everything and may do nothing");
  const victor = await person(browser, endpoint);
  await signIn(victor, endpoint, "victor", password, new URL(finding).pathname);
  await victor.getByRole("button", { name: "Actions" }).click();
  const item = victor.getByRole("menuitem", { name: /Remediate/ });
  must((await item.getAttribute("aria-disabled")) === "true", "a viewer is offered to remediate");
  await victor.keyboard.press("Escape");

  begin("signing out");
  await victor.getByRole("button", { name: "victor, signed in" }).click();
  victor.expected.push("401 (Unauthorized)");
  await victor.getByRole("menuitem", { name: "Sign out" }).click();
  await victor.getByRole("heading", { name: "Sign in to Parry" }).waitFor();
  for (const p of [olga, alice, ada, victor]) await p.context().close();
}

/** pages looks at every page, in both themes and at two widths. */
async function pages() {
  begin("every page in both themes, at 1280 and 390");
  for (const width of [1280, 390]) {
    const page = await person(browser, endpoint, { viewport: { width, height: 900 }, reducedMotion: "reduce" });
    page.expected = ["401 (Unauthorized)"];
    await look(page, `${endpoint}/sign-in`, `sign-in-${width}`);
    await theme(page, "dark");
    await page.reload();
    await settled(page);
    must((await page.evaluate(() => document.documentElement.style.colorScheme)) === "dark", "the theme that was chosen is not that of the page");
    await theme(page, "system");
    page.expected = [];
    await signIn(page, endpoint, "alice", password);
    const found = await page.evaluate(async () => {
      const findings = (await (await fetch("/v1/findings?sort=priority&limit=200")).json()).items;
      const remediations = (await (await fetch("/v1/remediations?limit=50")).json()).items;
      return { hostile: findings.find((f) => f.title.startsWith("<img")).key, prod: findings.find((f) => f.control === "S3.2" && f.severity === "CRITICAL").key, fix: remediations.find((r) => r.kind === "fix" && r.state === "verified").id };
    });
    const all = {
      overview: "/",
      findings: "/findings?f=workflow=NEW,NOTIFIED&f=record=ACTIVE&sort=priority",
      grouped: "/findings?f=workflow=NEW&group=control",
      "findings-empty": "/findings?f=title=nothing%20has%20it",
      finding: `/findings/${found.prod}`,
      timeline: `/findings/${found.prod}?tab=timeline`,
      "finding-plan": `/findings/${found.prod}?tab=plan`,
      hostile: `/findings/${found.hostile}`,
      "hostile-raw": `/findings/${found.hostile}?tab=raw`,
      remediations: "/remediations",
      "remediations-empty": "/remediations?state=regressed",
      remediation: `/remediations/${found.fix}`,
      calls: `/remediations/${found.fix}?tab=calls`,
      approvals: "/approvals",
      exceptions: "/approvals?tab=exceptions",
      decided: "/approvals?tab=decided",
      missing: "/nowhere",
      "finding-missing": "/findings/bm90aGluZw",
    };
    for (const [name, path] of Object.entries(all)) {
      step = `${name} ${width}`;
      page.expected = name === "finding-missing" ? ["404 (Not Found)"] : [];
      await look(page, endpoint + path, `${name}-${width}`);
      if (name === "overview") await page.getByText("Off: the Region is turned off in the account").waitFor();
      if (name.startsWith("hostile")) {
        must(!(await page.title()).startsWith("owned"), "a title ran as a script");
        must((await page.locator('img[src*="evil"], a[href^="javascript:"]').count()) === 0, "untrusted text became markup or a link");
      }
    }
    await page.context().close();
  }
}

async function look(page, address, name) {
  await page.goto(address);
  await settled(page);
  await seen(page, name, order.shots);
}
