// Every dialog in both themes and at two widths, what is done to several findings at once,
// and views that are saved.
import { accessible, person, seen, settled, signIn } from "./browser.mjs";

const open = "f=workflow=NEW&f=record=ACTIVE&sort=priority";

/** dialogs opens what asks before it does. The last round does it. */
export async function dialogs({ browser, order, begin, must, toast }) {
  const { endpoint, password, bucket } = order;
  for (const width of [1280, 390]) {
    begin(`every dialog, ${width}`);
    const at = { viewport: { width, height: 900 }, reducedMotion: "reduce" };
    const olga = await person(browser, endpoint, at);
    const look = async (page, name) => {
      const dialog = page.getByRole("dialog").last();
      await dialog.waitFor();
      await page.waitForTimeout(300);
      await seen(page, `dialog-${name}-${width}`, order.shots);
      return dialog;
    };
    const shut = async (page) => {
      await page.getByRole("dialog").last().getByRole("button", { name: "Cancel" }).click();
      await page.getByRole("dialog").last().waitFor({ state: "hidden" });
    };
    const choose = async (page, menu, item) => {
      await page.getByRole("button", { name: menu, exact: true }).click();
      await page.getByRole("menuitem", { name: item }).click();
    };
    await signIn(olga, endpoint, "olga", password, `/findings?${open}`);
    await settled(olga);
    const rows = olga.getByRole("checkbox", { name: /^Select (?!all )/ });
    await rows.nth(0).check({ force: true });
    await rows.nth(1).check({ force: true });
    for (const [item, name] of [["Remediate", "remediate-several"], ["Suppress", "suppress-several"]]) {
      await choose(olga, "Actions", item);
      await look(olga, name);
      await shut(olga);
    }
    await choose(olga, "Views", "Save as a view…");
    await look(olga, "save-view");
    await olga.getByRole("dialog").last().getByLabel("Name").fill(`Mine, ${width}`);
    await olga.getByRole("dialog").last().getByRole("button", { name: "Save" }).click();
    await toast(olga, "The view is saved.");

    await olga.locator("table").getByRole("link").first().click();
    await olga.getByRole("heading", { level: 1 }).waitFor();
    await settled(olga);
    for (const [item, name] of [["Suppress", "suppress"], ["Request an exception", "exception"]]) {
      await choose(olga, "Actions", item);
      await look(olga, name);
      await shut(olga);
    }
    await olga.context().close();
  }

  begin("a saved view is opened, and deleted");
  const olga = await person(browser, endpoint);
  await signIn(olga, endpoint, "olga", password, "/findings");
  await settled(olga);
  await olga.getByRole("button", { name: "Views", exact: true }).click();
  await olga.getByRole("menuitem", { name: "Mine, 390" }).click();
  await settled(olga);
  const asked = new URL(olga.url()).searchParams;
  must(asked.getAll("f").includes("workflow=NEW") && asked.get("sort") !== "updated", `the view asks ${olga.url()}`);
  await olga.getByRole("button", { name: "Views", exact: true }).click();
  await olga.getByRole("menuitem", { name: "Delete a view…" }).click();
  const which = olga.getByRole("dialog").last();
  await accessible(olga, "delete-view");
  for (const box of await which.getByRole("checkbox").all()) await box.check({ force: true });
  await which.getByRole("button", { name: "Delete" }).click();
  await which.waitFor({ state: "hidden" });
  await olga.getByRole("button", { name: "Views", exact: true }).click();
  must((await olga.getByRole("menuitem", { name: "Mine, 390" }).count()) === 0, "a view that was deleted is offered");
  await olga.keyboard.press("Escape");

  begin("two findings at once get a status with a note");
  await olga.goto(`${endpoint}/findings?f=control=RDS.3&${open}`);
  await settled(olga);
  const several = olga.getByRole("checkbox", { name: /^Select (?!all )/ });

  for (const i of [0, 1]) await several.nth(i).check({ force: true });
  await olga.getByRole("button", { name: "Actions", exact: true }).click();
  await olga.getByRole("menuitem", { name: "Mark as notified" }).click();
  await olga.getByRole("dialog").last().getByRole("textbox").fill("the owners know");
  await olga.getByRole("dialog").last().getByRole("button", { name: "Mark as notified" }).click();
  await toast(olga, "2 findings are notified.");

  begin("a plan for what is selected, which another person rejects");
  await olga.goto(`${endpoint}/findings?f=control=S3.2&f=resource=arn:aws:s3:::${bucket}&${open}`);
  await settled(olga);
  await olga.getByRole("checkbox", { name: /^Select (?!all )/ }).first().check({ force: true });
  await olga.getByRole("button", { name: "Actions", exact: true }).click();
  await olga.getByRole("menuitem", { name: "Remediate" }).click();
  await olga.getByRole("dialog").last().getByRole("button", { name: "Make 1 plan" }).click();
  await toast(olga, "1 plan asked for.");
  const alice = await person(browser, endpoint, { reducedMotion: "reduce" });
  await signIn(alice, endpoint, "alice", password, "/approvals");
  await alice.getByRole("button", { name: "Reject" }).first().waitFor();
  for (const [button, name] of [["Approve", "approve"], ["Reject", "reject"]]) {
    await alice.reload();
    await alice.getByRole("button", { name: button }).first().click();
    await alice.getByRole("dialog").last().waitFor();
    await alice.waitForTimeout(500);
    await seen(alice, `dialog-${name}-1280`, order.shots);
  }
  await alice.getByRole("dialog").last().getByRole("textbox").fill("not before the release");
  await alice.getByRole("dialog").last().getByRole("button", { name: "Reject" }).click();
  await toast(alice, "The plan is rejected");
  await alice.getByRole("button", { name: "Stop all changes" }).click();
  await alice.getByRole("dialog").last().waitFor();
  await alice.waitForTimeout(500); // until it has faded in
  await accessible(alice, "stop");
  for (const p of [olga, alice]) await p.context().close();
}
