import AppLayoutToolbar from "@cloudscape-design/components/app-layout-toolbar";
import Badge from "@cloudscape-design/components/badge";
import SideNavigation, { type SideNavigationProps } from "@cloudscape-design/components/side-navigation";
import TopNavigation, { type TopNavigationProps } from "@cloudscape-design/components/top-navigation";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Outlet, useLocation } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { approvalsQuery, exceptionsQuery, stopQuery } from "../api/queries";
import { startLive } from "../live";
import { Failure, TroubleText, Waiting } from "../parts/basics";
import { one, parseSearch, writeSearch } from "../router";
import { sessionQuery, signOut, useMay, useSession } from "../session";
import { setCompact, setTheme, useCompact, useNarrow, useTheme, type Theme } from "../theme";
import { encodeAll, openTokens } from "../lib/filter";
import type { Session } from "../api/client";
import icon from "../styles/icon.svg";
import { Flashes, useFlash } from "./flash";
import { useFollow, useGo } from "./navigate";
import { PasswordModal } from "./password";
import { StopModal } from "./stop";

/** backTo gives where to go after signing in: within the console, whatever an address says. */
export function backTo(to: string | undefined): string {
  return to && /^\/(?![/\\])/.test(to) && !to.startsWith("/sign-in") ? to : "/";
}

const Invitation = lazy(() => import("../pages/invitation").then((m) => ({ default: m.InvitationPage })));
const SignIn = lazy(() => import("../pages/sign-in").then((m) => ({ default: m.SignInPage })));

export function Shell() {
  const session = useQuery(sessionQuery);
  const { pathname, searchStr } = useLocation();
  const go = useGo();
  const out = pathname === "/sign-in";
  const invited = pathname === "/invitation";
  const known = session.data;

  useEffect(() => {
    if (known === null && !out && !invited) go("/sign-in" + writeSearch({ to: pathname === "/" && !searchStr ? undefined : pathname + searchStr }), { replace: true });
    if (known && out) go(backTo(one(parseSearch(searchStr).to)), { replace: true });
  }, [known, out, invited, pathname, searchStr, go]);

  if (invited) {
    return (
      <Suspense fallback={<Waiting what="page" />}>
        <Invitation />
      </Suspense>
    );
  }
  if (session.isPending) return <Waiting what="session" />;
  if (session.isError) {
    return (
      <main className="parry-sign-in">
        <Failure error={session.error} retry={() => void session.refetch()} what="session" />
      </main>
    );
  }
  // Not by the outlet: that shows the page before until the next one is loaded.
  if (out && !known) {
    return (
      <Suspense fallback={<Waiting what="page" />}>
        <SignIn />
      </Suspense>
    );
  }
  if (!known || out) return <Waiting what="session" />;
  return <Frame session={known} />;
}

const findingsHref = "/findings" + writeSearch({ f: encodeAll(openTokens), sort: "priority" });

function Frame({ session }: { session: Session }) {
  const client = useQueryClient();
  const narrow = useNarrow();
  const { pathname } = useLocation();
  const [open, setOpen] = useState(!narrow);
  const [stopping, setStopping] = useState(false);
  const [changing, setChanging] = useState(false);
  const stop = useQuery(stopQuery);
  const page = useRef<HTMLDivElement>(null);
  const first = useRef(true);

  useEffect(() => startLive(client), [client, session.name]);
  // Who goes to another page by keyboard or hears it read begins at its top.
  useEffect(() => {
    if (first.current) first.current = false;
    else page.current?.focus({ preventScroll: true });
    if (narrow) setOpen(false);
  }, [pathname, narrow]);

  return (
    <>
      <a className="parry-skip" href="#page" onClick={(e) => (e.preventDefault(), page.current?.focus())}>
        Skip to the page
      </a>
      <div id="parry-bar" className="parry-bar">
        <Bar session={session} stopped={stop.data?.on ?? false} onStop={() => setStopping(true)} onPassword={() => setChanging(true)} />
      </div>
      <AppLayoutToolbar
        headerSelector="#parry-bar"
        navigation={<Navigation />}
        navigationOpen={open}
        onNavigationChange={(e) => setOpen(e.detail.open)}
        navigationWidth={240}
        toolsHide
        notifications={<Flashes stop={stop.data} onStop={() => setStopping(true)} />}
        ariaLabels={{ navigation: "Pages", navigationClose: "Close the list of pages", navigationToggle: "Open the list of pages", notifications: "Messages" }}
        content={
          <div id="page" ref={page} tabIndex={-1} className="parry-page">
            <Outlet />
          </div>
        }
      />
      {stopping && <StopModal now={stop.data} onClose={() => setStopping(false)} />}
      {changing && <PasswordModal name={session.name} onClose={() => setChanging(false)} />}
    </>
  );
}

function Bar({ session, stopped, onStop, onPassword }: { session: Session; stopped: boolean; onStop: () => void; onPassword: () => void }) {
  const client = useQueryClient();
  const flash = useFlash();
  const theme = useTheme();
  const compact = useCompact();
  const follow = useFollow();
  const leave = async () => {
    try {
      await signOut(client);
    } catch (e) {
      flash({ type: "error", header: "You are still signed in", content: <TroubleText error={e} /> });
    }
  };
  const scope = session.accounts.includes("*") ? "all accounts" : session.accounts.length === 1 ? `account ${session.accounts[0]}` : `${session.accounts.length} accounts`;
  const mark = (on: boolean) => (on ? ("check" as const) : undefined);
  const utilities: TopNavigationProps.Utility[] = [
    {
      type: "button",
      text: stopped ? "Changes are stopped" : "Stop all changes",
      iconName: stopped ? "status-negative" : "status-stopped",
      ariaLabel: stopped ? "Changes are stopped: see why, or let them go on" : "Stop all changes",
      onClick: onStop,
      disableUtilityCollapse: stopped,
    },
    {
      type: "menu-dropdown",
      iconName: "settings",
      text: "Look",
      ariaLabel: "Look: theme and density",
      items: [
        {
          id: "theme",
          text: "Theme",
          items: (["system", "light", "dark"] as Theme[]).map((t) => ({ id: t, text: { system: "As the system has it", light: "Light", dark: "Dark" }[t], itemType: "checkbox" as const, checked: theme === t })),
        },
        { id: "density", text: "Density", items: [{ id: "compact", text: "Compact", itemType: "checkbox", checked: compact, iconName: mark(false) }] },
      ],
      onItemClick: (e) => (e.detail.id === "compact" ? setCompact(!compact) : setTheme(e.detail.id as Theme)),
    },
    {
      type: "menu-dropdown",
      iconName: "user-profile",
      text: session.name,
      description: `${session.role}, ${scope}`,
      ariaLabel: `${session.name}, signed in`,
      items: [
        { id: "password", text: "Change your password" },
        { id: "out", text: "Sign out" },
      ],
      onItemClick: (e) => (e.detail.id === "out" ? void leave() : onPassword()),
    },
  ];
  return <TopNavigation identity={{ href: "/", title: "Parry", logo: { src: icon, alt: "" }, onFollow: follow as never }} utilities={utilities} />;
}

function Navigation() {
  const { pathname } = useLocation();
  const follow = useFollow();
  const may = useMay();
  const approvals = useQuery({ ...approvalsQuery("pending"), enabled: may("approval.read").ok });
  const exceptions = useQuery({ ...exceptionsQuery("pending"), enabled: may("exception.read").ok });
  const waiting = (approvals.data?.items.length ?? 0) + (exceptions.data?.items.length ?? 0);
  const items: SideNavigationProps.Item[] = [
    { type: "link", text: "Overview", href: "/" },
    { type: "link", text: "Findings", href: findingsHref },
    { type: "link", text: "Remediations", href: "/remediations" },
    { type: "link", text: "Approvals", href: "/approvals", info: waiting > 0 ? <Badge color="blue">{waiting}</Badge> : undefined },
  ];
  const whole = useSession()?.accounts.includes("*") ?? false; // the bus is the installation's
  const second: SideNavigationProps.Item[] = [];
  if (may("organization.read").ok) second.push({ type: "link", text: "Coverage", href: "/coverage" });
  if (may("event_rule.read").ok && whole) second.push({ type: "link", text: "Events", href: "/events" });
  if (may("person.read").ok) second.push({ type: "link", text: "People", href: "/people" });
  if (second.length > 0) items.push({ type: "divider" }, ...second);
  const active = items.findLast((i) => i.type === "link" && (i.href === "/" ? pathname === "/" : pathname.startsWith(i.href.split("?")[0] ?? "")));
  return <SideNavigation header={{ text: "Respond", href: "/" }} items={items} activeHref={active?.type === "link" ? active.href : undefined} onFollow={follow as never} />;
}
