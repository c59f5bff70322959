// What this world has no case of: findings in accounts that are closed, a value of hundreds
// of lines, and another plan with the same changes. The server's answers get them on the
// way; what the server does is tested where it is.
import { person, seen, settled, signIn } from "./browser.mjs";

const statements = (n) => Array.from({ length: n }, (_, i) => ({ Sid: `Statement${i}`, Effect: "Allow", Principal: { AWS: `arn:aws:iam::1111222233${String(i).padStart(2, "0")}:role/reader` }, Action: "s3:GetObject", Resource: "arn:aws:s3:::bucket/*" }));

const change = async (route, edit) => {
  const answer = await route.fetch();
  if (!answer.ok()) return route.fulfill({ response: answer });
  const body = await answer.json();
  edit(body);
  return route.fulfill({ response: answer, json: body });
};

export async function whole({ browser, order, begin, must, toast }) {
  const { endpoint, password } = order;
  for (const width of [1280, 390]) {
    begin(`hidden findings, long values and plans that are alike, ${width}`);
    const page = await person(browser, endpoint, { viewport: { width, height: 900 }, reducedMotion: "reduce" });
    const see = async (name) => {
      await page.waitForTimeout(400);
      await seen(page, `${name}-${width}`, order.shots);
    };
    await signIn(page, endpoint, "alice", password);
    const asked = [];
    await page.route(/\/v1\/findings\/(search|groups)\?/, (route) => {
      asked.push(route.request().url());
      return change(route, (body) => (body.hidden = route.request().url().includes("all_accounts=true") ? undefined : 3));
    });
    await page.goto(`${endpoint}/findings?f=workflow=NEW&sort=priority`);
    await settled(page);
    await toast(page, "3 findings are not listed, because their accounts are suspended, closed or gone.");
    await see("findings-hidden");
    asked.length = 0;
    await page.getByRole("button", { name: "List them too" }).click();
    await toast(page, "Findings of accounts that are suspended, closed or gone are listed too.");
    await settled(page);
    must(new URL(page.url()).searchParams.get("accounts") === "all", `the address is ${page.url()}`);
    must(asked.some((u) => u.includes("/search?") && u.includes("all_accounts=true")), `asked ${asked}`);
    must(asked.some((u) => u.includes("/groups?") && u.includes("all_accounts=true")), `counted by ${asked}`);
    await page.getByRole("button", { name: "Leave them out" }).click();
    await toast(page, "3 findings are not listed");
    await page.goto(`${endpoint}/findings?f=workflow=NEW&group=control`);
    await toast(page, "3 findings are not listed");

    const fix = await page.evaluate(async () => (await (await fetch("/v1/remediations?limit=50")).json()).items.find((r) => r.kind === "fix" && r.plan_hash).id);
    await page.route(/\/v1\/plans\//, (route) =>
      change(route, (body) => {
        const all = statements(40);
        body.plan.calls.find((c) => c.class === "change").diff = [
          { path: "Policy", before: JSON.stringify(JSON.stringify({ Version: "2012-10-17", Statement: all })), after: JSON.stringify(JSON.stringify({ Version: "2012-10-17", Statement: all.filter((_, i) => i !== 30) })) },
          { path: "BlockPublicAcls", before: "false", after: "true" },
        ];
        const n = body.plan.calls.filter((c) => c.class !== "read").length;
        body.alike = [{ remediation: "rem-other", control: "S3.3", shared: n, changes: n }];
      }),
    );
    await page.goto(`${endpoint}/remediations/${fix}?tab=plan`);
    await toast(page, "Another plan makes the same changes");
    await see("plan-alike");
    const value = page.getByRole("group", { name: "Change of Policy" });
    must((await value.innerText()).includes("Statement30"), "what is taken away is not seen at first");
    must(!(await value.innerText()).includes("Statement39"), "a long value is not shortened at first");
    const more = page.getByRole("button", { name: /^Show all \d+ lines$/ });
    await more.scrollIntoViewIfNeeded();
    await see("plan-long");
    await more.click();
    must((await value.innerText()).includes("Statement0\"") && (await value.innerText()).includes("Statement39"), "the whole value is not shown");
    await see("plan-whole");
    await page.unrouteAll({ behavior: "wait" });
    await page.context().close();
  }
}
