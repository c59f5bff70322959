// Who may sign in: an administrator invites somebody, who chooses a password by the link,
// once; everybody else is refused. Every page and dialog of it in both themes and at two
// widths.
import { person, seen, settled, signIn } from "./browser.mjs";

const chosen = "a sentence of ida's own";
const another = "another sentence of ida's";
const third = "the third sentence by ida";

export async function invitations({ browser, order, begin, must, toast }) {
  const { endpoint, password } = order;
  // The link names where people open the console; the test's server is elsewhere.
  const here = (link) => endpoint + link.slice(link.indexOf("/invitation#"));
  const nobody = async (address) => {
    const page = await person(browser, endpoint);
    page.expected.push("401 (Unauthorized)");
    await page.goto(address);
    return page;
  };

  begin("people are for administrators alone, and the server says so");
  for (const name of ["victor", "olga", "alice"]) {
    const page = await person(browser, endpoint);
    await signIn(page, endpoint, name, password);
    await settled(page);
    must((await page.getByRole("link", { name: "People", exact: true }).count()) === 0, `${name} is offered the page of people`);
    page.expected = ["403 (Forbidden)"];
    const refused = await page.evaluate(async () => {
      const ask = async (method, path, body) => (await fetch(path, { method, headers: { "Content-Type": "application/json" }, body: body && JSON.stringify(body) })).status;
      return [
        await ask("GET", "/v1/people"),
        await ask("POST", "/v1/people", { name: "mallory", role: "administrator", accounts: ["*"] }),
        await ask("POST", "/v1/people/ada/invitation", {}),
        await ask("PATCH", "/v1/people/ada", { role: "viewer" }),
        await ask("DELETE", "/v1/people/ada"),
      ];
    });
    must(refused.every((s) => s === 403), `${name} is answered ${refused}`);
    await page.goto(`${endpoint}/people`);
    await toast(page, "You may not see this");
    await page.context().close();
  }

  begin("an administrator invites somebody, and is told what is wrong first");
  const ada = await person(browser, endpoint);
  await signIn(ada, endpoint, "ada", password);
  await ada.getByRole("link", { name: "People", exact: true }).click();
  await ada.getByRole("heading", { level: 1, name: "People" }).waitFor();
  await ada.getByRole("button", { name: "Invite somebody" }).click();
  const dialog = () => ada.getByRole("dialog").last();
  await dialog().getByRole("button", { name: "Invite", exact: true }).click();
  await toast(ada, "Give a name.");
  await dialog().getByLabel("Name", { exact: true }).fill("olga");
  await toast(ada, "There is a person olga already.");
  await dialog().getByLabel("Name", { exact: true }).fill("ida");
  await dialog().getByRole("radio", { name: "Responder" }).click();
  await dialog().getByRole("radio", { name: "Only these" }).click();
  await dialog().getByRole("button", { name: "Invite", exact: true }).click();
  await toast(ada, "Name at least one account");
  await dialog().getByRole("button", { name: /Choose accounts/ }).click();
  await ada.getByRole("option", { name: /^prod / }).click();
  await ada.keyboard.press("Escape");
  await dialog().getByRole("button", { name: "Invite", exact: true }).click();
  await dialog().getByText("ida is invited").first().waitFor();
  const handed = async () => (await dialog().innerText()).match(/https?:\/\/\S+\/invitation#\S+/)[0];
  const first = await handed();
  must(/\/invitation#ida\.[A-Za-z0-9_-]{43}$/.test(first), `the link is ${first}`);
  await dialog().getByRole("button", { name: "Done" }).click();
  const row = (name) => ada.getByRole("row", { name: new RegExp(`^${name} `) });
  await row("ida").getByText("Invited").waitFor();

  begin("who has the link chooses a password, once, and is signed in");
  const ida = await nobody(here(first));
  await ida.getByRole("heading", { level: 1, name: "Choose your password" }).waitFor();
  await ida.getByText("ada invited you to Parry as responder").waitFor();
  ida.expected = [];
  const set = ida.getByRole("button", { name: "Set the password and sign in" });
  await set.click();
  await toast(ida, "Choose a password.");
  await ida.getByLabel("New password").fill("too short");
  await toast(ida, "At least 12 characters; these are 9.");
  await ida.getByLabel("New password").fill(chosen);
  await ida.getByLabel("Once more").fill(another);
  await toast(ida, "The two passwords differ.");
  await ida.getByLabel("Once more").fill(chosen);
  await set.click();
  await ida.getByRole("button", { name: "ida, signed in" }).waitFor();
  must(!ida.url().includes("invitation"), `after joining the page is ${ida.url()}`);

  begin("a used link is refused, and says so");
  const late = await nobody(here(first));
  late.expected.push("403 (Forbidden)");
  await toast(late, "This invitation is not valid");
  const again = await late.evaluate(async (code) => {
    const answer = await fetch("/v1/invitation", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ code, password: "a stranger's long sentence" }) });
    return [answer.status, answer.headers.get("set-cookie")];
  }, first.split("#")[1]);
  must(again[0] === 403 && !again[1], `the used code is answered ${again}`);
  await late.getByRole("button", { name: "Sign in" }).click();
  await late.getByRole("heading", { name: "Sign in to Parry" }).waitFor();
  await late.context().close();

  begin("another role, which signs out");
  await ada.reload();
  await row("ida").getByText("May sign in").waitFor();
  const act = async (name, item) => {
    await row(name).getByRole("button", { name: `Actions for ${name}` }).click();
    await ada.getByRole("menuitem", { name: item }).click();
  };
  await act("ida", "Change role and accounts…");
  await dialog().getByRole("radio", { name: "Viewer" }).click();
  await dialog().getByRole("radio", { name: "All accounts" }).click();
  await dialog().getByRole("button", { name: "Change", exact: true }).click();
  await toast(ada, "ida is viewer now and is signed out.");
  await row("ida").getByText("Viewer").waitFor();
  ida.expected.push("401 (Unauthorized)");
  await ida.reload();
  await ida.getByRole("heading", { name: "Sign in to Parry" }).waitFor();

  begin("a reset ends the password, and its link is for one more");
  await act("ida", "Reset password…");
  await dialog().getByRole("button", { name: "Reset the password" }).click();
  await dialog().getByText("A new link for ida").first().waitFor();
  const second = await handed();
  await dialog().getByRole("button", { name: "Done" }).click();
  await ida.getByLabel("Name").fill("ida");
  await ida.getByLabel("Password").fill(chosen);
  await ida.getByRole("button", { name: "Sign in" }).click();
  await toast(ida, "Name or password is wrong");
  await ida.goto(here(second));
  await ida.getByLabel("New password").fill(another);
  await ida.getByRole("checkbox", { name: "Show the password" }).click();
  await ida.getByRole("button", { name: "Set the password and sign in" }).click();
  await ida.getByRole("button", { name: "ida, signed in" }).waitFor();

  begin("whoever is signed in changes their own password, and is signed out elsewhere");
  const elsewhere = await person(browser, endpoint);
  await signIn(elsewhere, endpoint, "ida", another);
  await ida.getByRole("button", { name: "ida, signed in" }).click();
  await ida.getByRole("menuitem", { name: "Change your password" }).click();
  const own = ida.getByRole("dialog").last();
  const change = own.getByRole("button", { name: "Change the password" });
  await change.click();
  await toast(ida, "Give the password that you have.");
  await own.getByLabel("Old password").fill(chosen);
  await own.getByLabel("New password", { exact: true }).fill(third);
  await own.getByLabel("New password once more").fill(third + "!");
  await change.click();
  await toast(ida, "The two passwords differ.");
  await own.getByLabel("New password once more").fill(third);
  ida.expected.push("403 (Forbidden)");
  await change.click();
  await toast(ida, "the old password is wrong");
  await own.getByLabel("Old password").fill(another);
  await own.getByLabel("New password once more").press("Enter");
  await toast(ida, "Your password is changed. Your other sessions have ended.");
  await ida.reload();
  await ida.getByRole("button", { name: "ida, signed in" }).waitFor();
  elsewhere.expected.push("401 (Unauthorized)");
  await elsewhere.reload();
  await elsewhere.getByRole("heading", { name: "Sign in to Parry" }).waitFor();
  await signIn(elsewhere, endpoint, "ida", third);
  await elsewhere.context().close();
  await ida.context().close();

  begin("disabled, enabled, removed; nobody does it to themselves");
  await ada.reload();
  await act("ida", "Disable…");
  await dialog().getByRole("button", { name: "Disable" }).click();
  await toast(ada, "ida is disabled and signed out.");
  await row("ida").getByText("Disabled").waitFor();
  await act("ida", "Enable");
  await toast(ada, "ida is enabled.");
  await act("ida", "Remove…");
  await dialog().getByRole("button", { name: "Remove" }).click();
  await toast(ada, "ida is removed and signed out.");
  await row("ida").waitFor({ state: "detached" });
  await row("ada").getByRole("button", { name: "Actions for ada" }).click();
  must((await ada.getByRole("menuitem", { name: "Disable…" }).getAttribute("aria-disabled")) === "true", "ada may disable herself");
  await ada.keyboard.press("Escape");

  begin("an invitation by mail shows no link to who invites");
  await ada.getByRole("button", { name: "Invite somebody" }).click();
  await dialog().getByLabel("Name", { exact: true }).fill("ivy");
  await dialog().getByLabel("Send it to – optional").fill("ivy@example.com");
  await dialog().getByRole("button", { name: "Invite", exact: true }).click();
  await toast(ada, "The invitation is on its way");
  must(!(await dialog().innerText()).includes("invitation#"), "the link is shown although it was mailed");
  await dialog().getByRole("button", { name: "Done" }).click();
  await ada.context().close();

  await looks({ browser, order, begin, nobody, here });

  begin("guesses at a link are limited as tries to sign in are");
  const guesser = await nobody(`${endpoint}/sign-in`);
  guesser.expected.push("403 (Forbidden)", "429 (Too Many Requests)");
  const answers = await guesser.evaluate(async () => {
    const out = [];
    for (let i = 0; i < 11; i++) out.push((await fetch("/v1/invitation/look", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ code: `victor.${"A".repeat(43)}` }) })).status);
    return out;
  });
  must(answers.slice(0, 10).every((s) => s === 403) && answers[10] === 429, `guesses are answered ${answers}`);
  await guesser.goto(`${endpoint}/invitation#victor.${"A".repeat(43)}`);
  await toast(guesser, "there were too many tries");
  await guesser.context().close();
}

/** looks opens every page and dialog of people, in both themes and at two widths. */
async function looks({ browser, order, begin, nobody, here }) {
  const { endpoint, password } = order;
  for (const width of [1280, 390]) {
    begin(`people, ${width}`);
    const at = { viewport: { width, height: 900 }, reducedMotion: "reduce" };
    const see = async (page, name) => {
      await page.waitForTimeout(400);
      await seen(page, `${name}-${width}`, order.shots);
    };
    const ada = await person(browser, endpoint, at);
    await signIn(ada, endpoint, "ada", password, "/people");
    await ada.getByRole("button", { name: "Actions for ada" }).waitFor();
    await see(ada, "people");
    await ada.getByRole("button", { name: "ada, signed in" }).click();
    await ada.getByRole("menuitem", { name: "Change your password" }).click();
    await see(ada, "own-password");
    await ada.getByRole("dialog").last().getByRole("button", { name: "Change the password" }).click();
    await see(ada, "own-password-wrong");
    await ada.getByRole("dialog").last().getByRole("button", { name: "Cancel" }).click();
    await ada.getByRole("button", { name: "Actions for olga" }).click();
    await see(ada, "people-menu");
    await ada.getByRole("menuitem", { name: "Change role and accounts…" }).click();
    const dialog = () => ada.getByRole("dialog").last();
    await dialog().getByRole("radio", { name: "Only these" }).click();
    await see(ada, "people-access");
    await dialog().getByRole("button", { name: "Cancel" }).click();
    for (const [item, name] of [["Disable…", "people-disable"], ["Remove…", "people-remove"], ["Reset password…", "people-reset"]]) {
      await ada.getByRole("button", { name: "Actions for olga" }).click();
      await ada.getByRole("menuitem", { name: item }).click();
      await dialog().waitFor();
      await see(ada, name);
      await dialog().getByRole("button", { name: "Cancel" }).click();
    }
    await ada.getByRole("button", { name: "Invite somebody" }).click();
    await dialog().waitFor();
    await see(ada, "people-invite");
    await dialog().getByRole("button", { name: "Invite", exact: true }).click();
    await see(ada, "people-invite-wrong");
    const name = `guest-${width}`;
    await dialog().getByLabel("Name", { exact: true }).fill(name);
    await dialog().getByRole("button", { name: "Invite", exact: true }).click();
    await dialog().getByText(`${name} is invited`).first().waitFor();
    await see(ada, "people-handover");
    const link = (await dialog().innerText()).match(/https?:\/\/\S+\/invitation#\S+/)[0];
    await ada.context().close();

    const guest = await person(browser, endpoint, at);
    guest.expected.push("401 (Unauthorized)", "403 (Forbidden)");
    await guest.goto(here(link));
    await guest.getByLabel("New password").waitFor();
    await see(guest, "invitation");
    await guest.getByRole("button", { name: "Set the password and sign in" }).click();
    await see(guest, "invitation-wrong");
    await guest.goto(`${endpoint}/sign-in`);
    await guest.goto(`${endpoint}/invitation#nobody.none`);
    await guest.getByText("This invitation is not valid").waitFor();
    await see(guest, "invitation-not-valid");
    await guest.context().close();
  }
}
