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
import { api, ask, type Schemas } from "../api/client";
import { exceptionsQuery } from "../api/queries";
import { Account, Empty, FailedPage, Failure, Severity, Time, To, Waiting } from "../parts/basics";
import { Coverage } from "../parts/coverage";
import { encodeAll, fromSelection, openTokens, severities } from "../lib/filter";
import { duration } from "../lib/time";
import { count, plain, plural, resourceName, sentence } from "../lib/words";
import { writeSearch } from "../router";
import { useMay, useSession } from "../session";
import { useTitle } from "./title";

type Count = Schemas["OverviewNumber"];

const overviewQuery = queryOptions({ queryKey: ["overview"], queryFn: ({ signal }) => ask(api.GET("/v1/overview", { signal })) });
const trendQuery = (days: number) => queryOptions({ queryKey: ["overview", "trend", days], queryFn: ({ signal }) => ask(api.GET("/v1/findings/trends", { params: { query: { days, group: "severity" } }, signal })) });

/** listHref opens what a number counts. */
function listHref(n: Count): string {
  const { page, filter } = n.list;
  if (page === "findings") return "/findings" + writeSearch({ f: encodeAll(fromSelection(filter)), sort: "priority" });
  return `/${page}` + writeSearch(page === "remediations" ? { state: filter.state?.[0] } : {});
}

const numberText = (n: Count) => count(n.count) + (n.more ? "+" : "");

export function OverviewPage() {
  useTitle("Overview");
  const found = useQuery(overviewQuery);
  const trend = useQuery(trendQuery(30));
  if (found.isPending) return <Waiting what="overview" />;
  if (found.isError) return <FailedPage title="Overview" error={found.error} what="overview" retry={() => void found.refetch()} />;
  const o = found.data;
  const total = o.open.reduce((sum, n) => sum + n.count, 0);
  const tile = (label: string, n: Count | undefined, value?: string) => n && <Tile label={label} href={listHref(n)} value={value ?? numberText(n)} />;
  const fixes = o.fixes_30d && { ...o.fixes_30d, label: "" };
  return (
    <ContentLayout header={<Header variant="h1" description="What is open, what is done about it, and what waits for people.">Overview</Header>}>
      <SpaceBetween size="l">
        <Container>
          <div className="parry-tiles">
            {tile("Open, critical", o.open.find((n) => n.label === "CRITICAL"))}
            {tile("Open, high", o.open.find((n) => n.label === "HIGH"))}
            {tile("Past deadline", o.overdue)}
            {tile("Awaiting approval", o.waiting_approvals)}
            {tile("Failed, 7 days", o.failed_remediations_7d)}
            {tile("Resolved, 7 days", o.resolved_7d)}
            {tile("Median fix, 30 days", fixes, fixes && fixes.count > 0 ? duration(fixes.median_seconds) : "–")}
            {tile("Automatic, 30 days", fixes, fixes && fixes.count > 0 ? `${Math.round(100 * fixes.auto_share)} %` : "–")}
          </div>
        </Container>
        <ColumnLayout columns={2}>
          <Needs overview={o} />
          <Container fitHeight header={<Header variant="h2" description={`${plural(total, "finding")} open`}>Backlog by severity</Header>}>
            {total === 0 ? (
              <Empty why="Nothing is open." next="Findings that are new or notified are counted here." />
            ) : (
              <Bars rows={o.open.map((n) => ({ key: n.label, name: <Severity label={n.label} />, href: listHref(n), n: n.count, label: `${sentence(n.label)}: ${plural(n.count, "open finding")}` }))} />
            )}
          </Container>
        </ColumnLayout>
        <Trend query={trend} />
        <ColumnLayout columns={3}>
          <Top title="Controls" rows={o.top_controls} />
          <Top title="Accounts" rows={o.top_accounts} account />
          <TopResources items={o.top_resources} />
        </ColumnLayout>
        <Coverage />
      </SpaceBetween>
    </ContentLayout>
  );
}

/** Tile is one number; it opens the list that it counts. */
function Tile({ label, href, value }: { label: string; href: string; value: string }) {
  return (
    <div className="parry-tile">
      <Box variant="awsui-key-label">{label}</Box>
      <To href={href} size="heading-xl" label={`${label}: ${value}`}>
        {value}
      </To>
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

function Top({ title, rows, account }: { title: string; rows: Count[]; account?: boolean }) {
  return (
    <Container fitHeight header={<Header variant="h2" description="With the most open findings">{title}</Header>}>
      {rows.length === 0 ? (
        <Empty why="Nothing is open." />
      ) : (
        <Bars rows={rows.map((n) => ({ key: n.label, name: account ? <Account id={n.label} /> : plain(n.label), href: listHref(n), n: n.count, label: `${plain(n.label)}: ${plural(n.count, "open finding")}` }))} />
      )}
    </Container>
  );
}

function TopResources({ items }: { items: Schemas["Resource"][] }) {
  return (
    <Container fitHeight header={<Header variant="h2" description="The most urgent first">Resources</Header>}>
      {items.length === 0 ? (
        <Empty why="No resource needs attention." />
      ) : (
        <ul className="parry-rows">
          {items.map((r) => (
            <li key={`${r.account}/${r.id}`}>
              <div className="parry-wrap">
                <To href={"/findings" + writeSearch({ f: encodeAll([{ property: "resource", operator: "=", values: [r.id] }, ...openTokens]), sort: "priority" })}>{plain(resourceName(r.id))}</To>
                <div className="parry-dim parry-small">
                  <Account id={r.account} />
                </div>
              </div>
              <span className="parry-nowrap parry-small">
                priority {r.priority}, {r.open} open
              </span>
            </li>
          ))}
        </ul>
      )}
    </Container>
  );
}

/** Needs lists what waits for the person who looks. */
function Needs({ overview: o }: { overview: Schemas["Overview"] }) {
  const may = useMay();
  const session = useSession();
  const exceptions = useQuery({ ...exceptionsQuery("pending"), enabled: may("exception.decide").ok });
  const asked = (exceptions.data?.items ?? []).filter((e) => e.requested_by !== session?.name);
  const needs: { key: string; type: "error" | "warning" | "pending"; text: ReactNode; href: string; more?: ReactNode }[] = [];
  if (o.stop?.on) needs.push({ key: "stop", type: "error", text: "All changes are stopped", href: "/remediations?state=queued", more: plain(o.stop.reason) });
  for (const t of o.needs_you) {
    needs.push({ key: t.id, type: "pending", text: `${plain(t.title)}${t.resource ? ` on ${plain(resourceName(t.resource))}` : ""}`, href: `/remediations/${encodeURIComponent(t.remediation)}`, more: <>Waits for your approval; expires <Time at={t.expires_at} /></> });
  }
  if (asked.length > 0) needs.push({ key: "exceptions", type: "pending", text: `${plural(asked.length, "exception")} ${asked.length === 1 ? "waits" : "wait"} for approval`, href: "/approvals?tab=exceptions" });
  if (o.failed_remediations_7d && o.failed_remediations_7d.count > 0) needs.push({ key: "failed", type: "error", text: `${numberText(o.failed_remediations_7d)} ${o.failed_remediations_7d.count === 1 ? "remediation" : "remediations"} failed in 7 days`, href: listHref(o.failed_remediations_7d) });
  if (o.overdue.count > 0) needs.push({ key: "late", type: "warning", text: `${plural(o.overdue.count, "open finding")} past the deadline`, href: listHref(o.overdue) });
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
                {n.more && <div className="parry-dim parry-small parry-wrap">{n.more}</div>}
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
