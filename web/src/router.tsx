import { createRootRoute, createRoute, createRouter, lazyRouteComponent, type RouteComponent } from "@tanstack/react-router";
import { FindingsPage } from "./pages/findings";
import { Failed, Missing } from "./pages/failed";
import { Shell } from "./shell/shell";

/** Search is the address behind the question mark; what stands in it more than once is a list. */
export type Search = Record<string, string | string[] | undefined>;

export function parseSearch(text: string): Search {
  const out: Search = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const had = out[name];
    out[name] = had === undefined ? value : Array.isArray(had) ? [...had, value] : [had, value];
  }
  return out;
}

export function writeSearch(search: Search): string {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    for (const v of Array.isArray(value) ? value : value === undefined || value === "" ? [] : [value]) out.append(name, v);
  }
  // Addresses are read by people: what need not be escaped is not.
  const text = out.toString().replace(/%2C/g, ",").replace(/%3A/g, ":").replace(/%3D/g, "=").replace(/%2F/g, "/");
  return text === "" ? "" : `?${text}`;
}

export const list = (v: string | string[] | undefined): string[] => (v === undefined ? [] : Array.isArray(v) ? v : [v]);
export const one = (v: string | string[] | undefined): string | undefined => list(v)[0];

const root = createRootRoute({ component: Shell, notFoundComponent: Missing, errorComponent: Failed });
const any = (s: Record<string, unknown>) => s as Search;
const at = <P extends string>(path: P, component: RouteComponent) => createRoute({ getParentRoute: () => root, path, component, validateSearch: any });

const routes = [
  at("/", lazyRouteComponent(() => import("./pages/overview"), "OverviewPage")),
  at("/sign-in", () => null), // the shell shows it
  at("/invitation", () => null), // the shell shows it, whoever is signed in
  at("/findings", FindingsPage),
  at("/findings/$key", lazyRouteComponent(() => import("./pages/finding"), "FindingPage")),
  at("/remediations", lazyRouteComponent(() => import("./pages/remediations"), "RemediationsPage")),
  at("/remediations/$id", lazyRouteComponent(() => import("./pages/remediation"), "RemediationPage")),
  at("/people", lazyRouteComponent(() => import("./pages/people"), "PeoplePage")),
  at("/coverage", lazyRouteComponent(() => import("./pages/coverage"), "CoveragePage")),
  at("/events", lazyRouteComponent(() => import("./pages/events"), "EventsPage")),
  at("/approvals", lazyRouteComponent(() => import("./pages/approvals"), "ApprovalsPage")),
] as const;

export const router = createRouter({
  routeTree: root.addChildren([...routes]),
  parseSearch,
  stringifySearch: (s) => writeSearch(s as Search),
  defaultPreload: "intent",
  scrollRestoration: true,
  defaultErrorComponent: Failed,
});
