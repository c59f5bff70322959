// The pages of coverage and of the event bus. The dead letters are real: their rule sends
// to a queue that is not there.
import { person, seen, settled, signIn } from "./browser.mjs";

/** dead reads the dead letters as the page does: what each is, and when it was given up. */
const dead = (page) => page.evaluate(async () => Object.fromEntries((await (await fetch("/v1/bus/dead-letters?limit=50")).json()).items.map((l) => [l.event["detail-type"], l.given_up_at])));

/** until asks until it is so. */
async function until(ask, what) {
  for (const end = Date.now() + 45_000; Date.now() < end; await new Promise((done) => setTimeout(done, 200))) if (await ask()) return;
  throw new Error(what);
}

export async function bus({ browser, order, begin, must, toast }) {
  const { endpoint, password } = order;
  const hostile = `<img src=x onerror="document.title='owned'">`;
  for (const width of [1280, 390]) {
    const page = await person(browser, endpoint, { viewport: { width, height: 900 }, reducedMotion: "reduce" });
    await signIn(page, endpoint, "ada", password);
    await until(async () => Object.keys(await dead(page)).length === 2, "there are no two dead letters");
    const see = async (name, address, words) => {
      begin(`${name} ${width}`);
      if (address) await page.goto(endpoint + address);
      await page.getByText(words).first().waitFor();
      await settled(page);
      await seen(page, `${name}-${width}`, order.shots);
      const [tables, cut] = await page.evaluate(() => {
        const all = [...document.querySelectorAll("table")].map((e) => e.parentElement);
        return [all.length, all.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => `${e.scrollWidth} > ${e.clientWidth}`).join(", ")];
      });
      must(tables > 0 && cut === "", `of ${tables} tables columns are cut off: ${cut}`);
    };
    await see("coverage", "/coverage", "eu-south-1");
    await see("coverage-none", "/coverage?state=lost&account=123412341234", "No Region of an account is like this.");
    await see("events", "/events", "dev-buckets");
    await page.getByRole("button", { name: "The whole pattern of orders" }).click();
    await page.getByRole("region", { name: "Pattern of orders" }).scrollIntoViewIfNeeded();
    await see("events-pattern", "", '"anything-but"');
    await see("events-archives", "/events?tab=archives", "Completed");
    await see("events-dead-none", "/events?tab=dead&rule=default/nothing", "No dead letter is like this.");
    await see("events-dead", "/events?tab=dead", "Order placed");
    must(await page.getByText(hostile).first().isVisible(), "what an event is called is not shown as it is");
    await page.getByRole("link", { name: "Order placed: show the whole" }).click();
    await see("events-dead-one", "", "Accepted");
    must(!(await page.title()).startsWith("owned") && (await page.locator("img[src=x]").count()) === 0, "an event became markup");

    begin("a dead letter is sent again, and is back as nothing was mended");
    const again = async (words, kinds, ask) => {
      const before = await dead(page);
      await page.goto(`${endpoint}/events?tab=dead`);
      await page.getByText("Order placed").first().waitFor();
      await ask();
      await page.getByRole("dialog").last().getByRole("button", { name: "Send again" }).click();
      await toast(page, words);
      await until(async () => {
        const now = await dead(page);
        return Object.keys(before).every((k) => now[k] && (now[k] !== before[k]) === kinds.includes(k));
      }, `not given up again, and nothing else: ${kinds}`);
    };
    await again("1 delivery is tried again.", ["Order placed"], async () => {
      await page.getByRole("checkbox", { name: /Order placed of default\/orders/ }).click();
      await page.getByRole("button", { name: "Send again" }).first().click();
    });
    await again("1 delivery is tried again.", [hostile], async () => {
      await page.getByRole("link", { name: /^<img.*show the whole$/ }).click();
      await page.getByRole("dialog").last().getByRole("button", { name: "Send again" }).click();
      await page.getByText("Send 1 again").waitFor();
    });
    await again("2 deliveries are tried again.", ["Order placed", hostile], () => page.getByRole("button", { name: "Send all again" }).click());
    await page.context().close();
  }

  begin("a viewer sees the bus and sends nothing again");
  const victor = await person(browser, endpoint);
  await signIn(victor, endpoint, "victor", password);
  await victor.goto(`${endpoint}/events?tab=dead`);
  await victor.getByText("Order placed").first().waitFor();
  await victor.getByRole("checkbox", { name: /Order placed of default\/orders/ }).click();
  for (const name of ["Send again", "Send all again"]) {
    const button = victor.getByRole("button", { name, exact: true });
    must((await button.getAttribute("aria-disabled")) === "true" || (await button.isDisabled()), `a viewer is offered: ${name}`);
  }
  await victor.getByRole("link", { name: "Order placed: show the whole" }).click();
  await victor.getByText("Accepted").waitFor();
  must((await victor.getByRole("dialog").last().getByRole("button", { name: "Send again" }).count()) === 0, "a viewer is offered to send one again");
  victor.expected = ["403 (Forbidden)"];
  const status = await victor.evaluate(async () => (await fetch("/v1/bus/dead-letters/redrive", { method: "POST", headers: { "Content-Type": "application/json" }, body: '{"all":true}' })).status);
  must(status === 403, `a viewer's redrive is answered ${status}`);
  await victor.context().close();
}
