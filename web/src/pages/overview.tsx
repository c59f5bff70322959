import Box from "@cloudscape-design/components/box";
import ColumnLayout from "@cloudscape-design/components/column-layout";
import Container from "@cloudscape-design/components/container";
import ContentLayout from "@cloudscape-design/components/content-layout";
import Header from "@cloudscape-design/components/header";
import LineChart from "@cloudscape-design/components/line-chart";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { queryOptions, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { api, ask } from "../api/client";
import { approvalsQuery, exceptionsQuery, groupsQuery, remediationsQuery, stopQuery } from "../api/queries";
import { Account, Empty, Failure, Severity, To, Waiting } from "../parts/basics";
import { encodeAll, openTokens, severities, type Token } from "../lib/filter";
import { duration } from "../lib/time";
import { count, plain, plural, resourceName, sentence } from "../lib/words";
import { writeSearch } from "../router";
import { useMay, useSession } from "../session";
import { useTitle } from "./title";

const resourcesQuery = queryOptions({ queryKey: ["overview", "resources"], queryFn: ({ signal }) => ask(api.GET("/v1/resources", { params: { query: { limit: 8 } }, signal })) });
const trendQuery = (days: number) => queryOptions({ queryKey: ["overview", "trend", days], queryFn: ({ signal }) => ask(api.GET("/v1/findings/trends", { params: { query: { days, group: "severity" } }, signal })) });

const href = (tokens: Token[]) => "/findings" + writeSearch({ f: encodeAll(tokens), sort: "priority" });
const withSeverity = (s: string): Token[] => [{ property: "severity", operator: "=", values: [s] }, ...openTokens];
const overdue: Token[] = [...openTokens, { property: "overdue", operator: "=", values: ["passed"] }];
const week = 7 * 86400_000;

export function OverviewPage() {
  useTitle("Overview");
  const may = useMay();
  const reads = may("remediation.read").ok;
  const open = useQuery(groupsQuery(openTokens, "severity"));
  const late = useQuery(groupsQuery(overdue, "severity"));
  const approvals = useQuery({ ...approvalsQuery("pending"), enabled: may("approval.read").ok });
  const failed = useQuery({ ...remediationsQuery({ state: "failed" }, 200), enabled: reads });
  const verified = useQuery({ ...remediationsQuery({ state: "verified" }, 200), enabled: reads });
  const trend = useQuery(trendQuery(30));

  if (open.isPending) return <Waiting what="overview" />;
  if (open.isError) return <Failure error={open.error} what="overview" retry={() => void open.refetch()} />;
  const of = (s: string) => open.data.groups.find((g) => g.value === s)?.count ?? 0;
  const total = open.data.groups.reduce((sum, g) => sum + g.count, 0);
  const recent = <T extends { updated_at: string }>(items: T[] | undefined) => (items ?? []).filter((r) => Date.now() - Date.parse(r.updated_at) < week);
  const fixes = recent(verified.data?.items).filter((r) => r.kind === "fix");
  const times = fixes.map((r) => (Date.parse(r.updated_at) - Date.parse(r.created_at)) / 1000).sort((a, b) => a - b);
  const resolved = trend.data?.series.flatMap((s) => s.points.slice(-7)).reduce((sum, p) => sum + p.resolved, 0);
  const sum = (d: typeof late.data) => d?.groups.reduce((n, g) => n + g.count, 0);
  const waiting = approvals.data && `${approvals.data.items.length}${approvals.data.next ? "+" : ""}`;

  return (
    <ContentLayout header={<Header variant="h1" description="What is open, what is done about it, and what waits for people.">Overview</Header>}>
      <SpaceBetween size="l">
        <Container>
          <div className="parry-tiles">
            <Tile label="Open, critical" href={href(withSeverity("CRITICAL"))} value={count(of("CRITICAL"))} />
            <Tile label="Open, high" href={href(withSeverity("HIGH"))} value={count(of("HIGH"))} />
            <Tile label="Past deadline" href={href(overdue)} value={late.data && count(sum(late.data) ?? 0)} />
            {may("approval.read").ok && <Tile label="Awaiting approval" href="/approvals" value={waiting} />}
            {reads && <Tile label="Failed in 7 days" href="/remediations?state=failed" value={failed.data && `${recent(failed.data.items).length}${failed.data.next ? "+" : ""}`} />}
            <Tile label="Resolved in 7 days" href={"/findings" + writeSearch({ f: ["workflow=RESOLVED", "updated=7"], sort: "updated" })} value={resolved === undefined ? undefined : count(resolved)} />
            {reads && <Tile label="Median fix, 7 days" href="/remediations?state=verified" value={verified.data && (times.length > 0 ? duration(times[Math.floor(times.length / 2)]!) : "–")} />}
          </div>
        </Container>
        <ColumnLayout columns={2}>
          <Needs />
          <Container fitHeight header={<Header variant="h2" description={`${plural(total, "finding")} open`}>Backlog by severity</Header>}>
            {total === 0 ? <Empty why="Nothing is open." next="Findings that are new or notified are counted here." /> : <Bars rows={severities.map((s) => ({ key: s, name: <Severity label={s} />, href: href(withSeverity(s)), n: of(s), label: `${sentence(s)}: ${plural(of(s), "open finding")}` }))} />}
          </Container>
        </ColumnLayout>
        <Trend query={trend} />
        <ColumnLayout columns={3}>
          <Top title="Controls" by="control" property="control" />
          <Top title="Accounts" by="account" property="account" />
          <TopResources />
        </ColumnLayout>
      </SpaceBetween>
    </ContentLayout>
  );
}

/** Tile is one number; it opens the list that it counts. */
function Tile({ label, href, value }: { label: string; href: string; value: string | undefined }) {
  return (
    <div className="parry-tile">
      <Box variant="awsui-key-label">{label}</Box>
      {value === undefined ? (
        <Box fontSize="heading-xl" color="text-body-secondary">
          …
        </Box>
      ) : (
        <To href={href} size="heading-xl" label={`${label}: ${value}`}>
          {value}
        </To>
      )}
    </div>
  );
}

/** Bars are numbers with their size; each opens the list that it counts. */
function Bars({ rows }: { rows: { key: string; name: ReactNode; href: string; n: number; label: string }[] }) {
  const most = Math.max(1, ...rows.map((r) => r.n));
  return (
    <ul className="parry-bars">
      {rows.map((r) => (
        <li key={r.key}>
          <span className="parry-bar-name">{r.name}</span>
          <svg className="parry-bar-line" aria-hidden="true" focusable="false" height="10" width="100%">
            <rect className={`parry-fill parry-fill-${r.key.toLowerCase()}`} x="0" y="0" rx="3" height="10" width={`${(100 * r.n) / most}%`} />
          </svg>
          <To href={r.href} label={r.label}>
            {count(r.n)}
          </To>
        </li>
      ))}
    </ul>
  );
}

function Top({ title, by, property }: { title: string; by: "control" | "account"; property: string }) {
  const found = useQuery(groupsQuery(openTokens, by, 8));
  const link = (value: string) => href([{ property, operator: "=", values: [value] }, ...openTokens]);
  return (
    <Container fitHeight header={<Header variant="h2" description="With the most open findings">{title}</Header>}>
      {found.isPending ? (
        <Waiting what="counts" />
      ) : found.isError ? (
        <Failure error={found.error} what="counts" retry={() => void found.refetch()} />
      ) : found.data.groups.length === 0 ? (
        <Empty why="Nothing is open." />
      ) : (
        <Bars
          rows={found.data.groups
            .filter((g) => g.value !== "")
            .map((g) => ({ key: g.value, name: by === "account" ? <Account id={g.value} /> : plain(g.value), href: link(g.value), n: g.count, label: `${plain(g.value)}: ${plural(g.count, "open finding")}` }))}
        />
      )}
    </Container>
  );
}

function TopResources() {
  const found = useQuery(resourcesQuery);
  return (
    <Container fitHeight header={<Header variant="h2" description="The most urgent first">Resources</Header>}>
      {found.isPending ? (
        <Waiting what="resources" />
      ) : found.isError ? (
        <Failure error={found.error} what="resources" retry={() => void found.refetch()} />
      ) : found.data.items.length === 0 ? (
        <Empty why="No resource needs attention." />
      ) : (
        <ul className="parry-rows">
          {found.data.items.map((r) => (
            <li key={`${r.account}/${r.id}`}>
              <span className="parry-wrap">
                <To href={href([{ property: "resource", operator: "=", values: [r.id] }, ...openTokens])}>{plain(resourceName(r.id))}</To>
                <div className="parry-dim parry-small">
                  <Account id={r.account} />
                </div>
              </span>
              <span className="parry-nowrap parry-small">priority {r.priority}, {r.open} open</span>
            </li>
          ))}
        </ul>
      )}
    </Container>
  );
}

/** Needs lists what waits for the person who looks. */
function Needs() {
  const may = useMay();
  const session = useSession();
  const approvals = useQuery({ ...approvalsQuery("pending"), enabled: may("approval.read").ok });
  const exceptions = useQuery({ ...exceptionsQuery("pending"), enabled: may("exception.read").ok });
  const failed = useQuery({ ...remediationsQuery({ state: "failed" }, 50), enabled: may("remediation.read").ok });
  const unverified = useQuery({ ...remediationsQuery({ state: "unverified" }, 50), enabled: may("remediation.read").ok });
  const urgent = useQuery(groupsQuery([{ property: "severity", operator: "=", values: ["CRITICAL"] }, ...overdue], "severity"));
  const stop = useQuery(stopQuery);
  const asked = (exceptions.data?.items ?? []).filter((e) => e.requested_by !== session?.name);
  const late = urgent.data?.groups.reduce((n, g) => n + g.count, 0) ?? 0;
  const recent = (failed.data?.items ?? []).filter((r) => Date.now() - Date.parse(r.updated_at) < week);
  const needs: { key: string; type: "error" | "warning" | "pending"; text: string; href: string }[] = [];
  if (stop.data?.on) needs.push({ key: "stop", type: "error", text: "All changes are stopped", href: "/remediations?state=queued" });
  const plans = approvals.data?.items.length ?? 0;
  if (plans > 0) needs.push({ key: "plans", type: "pending", text: `${plural(plans, "plan")} ${plans === 1 ? "waits" : "wait"} for approval`, href: "/approvals" });
  if (asked.length > 0) needs.push({ key: "exceptions", type: "pending", text: `${plural(asked.length, "exception")} ${asked.length === 1 ? "waits" : "wait"} for approval`, href: "/approvals?tab=exceptions" });
  if (late > 0) needs.push({ key: "late", type: "error", text: `${plural(late, "critical finding")} past the deadline`, href: href([{ property: "severity", operator: "=", values: ["CRITICAL"] }, ...overdue]) });
  if (recent.length > 0) needs.push({ key: "failed", type: "error", text: `${plural(recent.length, "remediation")} failed in 7 days`, href: "/remediations?state=failed" });
  const doubt = unverified.data?.items.length ?? 0;
  if (doubt > 0) needs.push({ key: "unverified", type: "warning", text: `${plural(doubt, "remediation")} could not be verified`, href: "/remediations?state=unverified" });
  return (
    <Container fitHeight header={<Header variant="h2" description="What waits for a person">Needs you</Header>}>
      {needs.length === 0 ? (
        <Empty why="Nothing waits for you." next="Plans, exceptions, failures and missed deadlines come here." />
      ) : (
        <ul className="parry-rows">
          {needs.map((n) => (
            <li key={n.key}>
              <StatusIndicator type={n.type} wrapText>
                <To href={n.href}>{n.text}</To>
              </StatusIndicator>
            </li>
          ))}
        </ul>
      )}
    </Container>
  );
}

const colours: Record<string, string> = { CRITICAL: "#870303", HIGH: "#ce3311", MEDIUM: "#f89256", LOW: "#f2cd54", INFORMATIONAL: "#8c8c94" };
const darkColours: Record<string, string> = { CRITICAL: "#ff5b5b", HIGH: "#fe6e73", MEDIUM: "#f89256", LOW: "#f2cd54", INFORMATIONAL: "#a4a4ad" };

function Trend({ query }: { query: ReturnType<typeof useQuery<Awaited<ReturnType<NonNullable<ReturnType<typeof trendQuery>["queryFn"]>>>>> }) {
  const dark = document.body.classList.contains("awsui-dark-mode");
  const series = severities.flatMap((s) => {
    const found = query.data?.series.find((x) => x.group === s);
    if (!found) return [];
    return [{ type: "line" as const, title: sentence(s), color: (dark ? darkColours : colours)[s], data: found.points.map((p) => ({ x: new Date(`${p.day}T00:00:00Z`), y: p.active })), valueFormatter: (n: number) => count(n) }];
  });
  const days = query.data?.series[0]?.points.length ?? 0;
  const day = (d: Date) => d.toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
  return (
    <Container header={<Header variant="h2" description="Open findings at the end of each of the last 30 days">Trend</Header>}>
      {query.isPending ? (
        <Waiting what="trend" />
      ) : query.isError ? (
        <Failure error={query.error} what="trend" retry={() => void query.refetch()} />
      ) : series.length === 0 || days < 2 ? (
        <Empty why="There is no trend yet." next="It needs two days. Counting began when the first finding came." />
      ) : (
        <LineChart
          series={series}
          xScaleType="time"
          height={220}
          hideFilter
          ariaLabel="Open findings by severity, day by day"
          xTitle="Day (UTC)"
          yTitle="Open findings"
          i18nStrings={{ xTickFormatter: day, yTickFormatter: (n) => (Number.isInteger(n) ? count(n) : "") }}
          empty={<Empty why="There is no trend yet." />}
        />
      )}
    </Container>
  );
}
