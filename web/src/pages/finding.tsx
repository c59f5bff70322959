import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import BreadcrumbGroup from "@cloudscape-design/components/breadcrumb-group";
import Button from "@cloudscape-design/components/button";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import Container from "@cloudscape-design/components/container";
import ContentLayout from "@cloudscape-design/components/content-layout";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SegmentedControl from "@cloudscape-design/components/segmented-control";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tabs from "@cloudscape-design/components/tabs";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Fragment, useState } from "react";
import { Trouble, type FindingDetail, type HistoryEntry, type Remediation } from "../api/client";
import { findingQuery, historyQuery, planQuery, remediationsQuery } from "../api/queries";
import { Account, Code, Copyable, Empty, FailedPage, Failure, Out, Severity, State, Time, To, Waiting } from "../parts/basics";
import { ExceptionRequest } from "../parts/exception-request";
import { RemediateOne, SetStatus, statusAction } from "../parts/finding-actions";
import { PlanView } from "../parts/plan";
import { encodeAll } from "../lib/filter";
import { kindWords, plain, resourceName, sentence, stateWords, undoable } from "../lib/words";
import { one, writeSearch } from "../router";
import { useMay } from "../session";
import { useFollow, useGo, useSearch } from "../shell/navigate";
import { useTitle } from "./title";

/** asff is what the page reads of the document: everything in it is untrusted. */
interface Asff {
  Description?: string;
  Note?: { Text?: string; UpdatedBy?: string; UpdatedAt?: string };
  Remediation?: { Recommendation?: { Text?: string; Url?: string } };
  SourceUrl?: string;
  ProductName?: string;
  CompanyName?: string;
  Types?: string[];
  FirstObservedAt?: string;
  LastObservedAt?: string;
  Compliance?: { RelatedRequirements?: string[]; AssociatedStandards?: { StandardsId?: string }[] };
}

const text = (v: unknown): string => (typeof v === "string" ? v : "");

export const remediationHref = (id: string) => `/remediations/${encodeURIComponent(id)}`;

export function FindingPage() {
  const { key } = useParams({ strict: false }) as { key: string };
  const found = useQuery(findingQuery(key));
  useTitle(found.data ? plain(found.data.title) : "Finding");
  if (found.isPending) return <Waiting what="finding" />;
  if (found.isError) return <FailedPage title="Finding" error={found.error} what="finding" retry={() => void found.refetch()} />;
  return <Shown finding={found.data} />;
}

function Shown({ finding }: { finding: FindingDetail }) {
  const [search, setSearch] = useSearch();
  const may = useMay();
  const follow = useFollow();
  const [action, setAction] = useState("");
  const tab = one(search.tab) ?? "overview";
  const request = may("remediation.request");
  const update = may("finding.update");
  const except = may("exception.request");
  const cannot = !request.ok
    ? request.why
    : !finding.remedy.playbook
      ? "Parry has no fix for this control: no playbook is written for it. Fix it by hand, or write one (docs/writing-a-runbook.md)."
      : finding.exception
        ? "An exception suppresses the finding. End the exception first."
        : finding.remedy.state && ["awaiting_approval", "queued", "running", "verifying", "planned"].includes(finding.remedy.state)
          ? "A remediation of this finding is under way."
          : "";
  const statusWhy = finding.exception ? "An exception decides over the status. End the exception first." : update.why;
  return (
    <ContentLayout
      breadcrumbs={<BreadcrumbGroup ariaLabel="Where you are" onFollow={follow as never} items={[{ text: "Findings", href: "/findings?f=workflow=NEW,NOTIFIED&f=record=ACTIVE&sort=priority" }, { text: plain(resourceName(finding.resource_id)) || "Finding", href: "#" }]} />}
      header={
        <Header
          variant="h1"
          description={
            <SpaceBetween direction="horizontal" size="xs" alignItems="center">
              <Severity label={finding.severity} />
              <span>priority {finding.priority} of 100</span>
              <span aria-hidden>·</span>
              <span>{finding.exception ? "Suppressed by an exception" : sentence(finding.workflow)}</span>
              {finding.record_state === "ARCHIVED" && <span>· Archived</span>}
            </SpaceBetween>
          }
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <ButtonDropdown
                items={[
                  { id: "remediate", text: "Remediate", disabled: !!cannot, disabledReason: cannot },
                  { id: "exception", text: "Request an exception", disabled: !except.ok || !!finding.exception, disabledReason: finding.exception ? "An exception is in force." : except.why },
                  {
                    text: "Workflow status",
                    items: ["NOTIFIED", "SUPPRESSED", "RESOLVED", "NEW"]
                      .filter((s) => s !== finding.workflow)
                      .map((s) => ({ id: s, text: statusAction(s), disabled: !update.ok || !!finding.exception, disabledReason: statusWhy })),
                  },
                ]}
                onItemClick={(e) => setAction(e.detail.id)}
                variant="primary"
              >
                Actions
              </ButtonDropdown>
            </SpaceBetween>
          }
        >
          <span className="parry-wrap">{plain(finding.title) || "A finding without a title"}</span>
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Why finding={finding} onRemediate={cannot ? undefined : () => setAction("remediate")} />
        <Tabs
          activeTabId={tab}
          onChange={(e) => setSearch({ tab: e.detail.activeTabId }, { replace: true })}
          ariaLabel="Parts of the finding"
          tabs={[
            { id: "overview", label: "Overview", content: <Overview finding={finding} /> },
            { id: "timeline", label: "Timeline", content: <Timeline finding={finding} /> },
            { id: "plan", label: "Plan", content: <LatestPlan finding={finding} /> },
            { id: "raw", label: "Raw", content: <Raw finding={finding} /> },
          ]}
        />
      </SpaceBetween>
      {action === "remediate" && <RemediateOne finding={finding} onClose={() => setAction("")} />}
      {action === "exception" && <ExceptionRequest finding={finding} onClose={() => setAction("")} />}
      {["NEW", "NOTIFIED", "SUPPRESSED", "RESOLVED"].includes(action) && <SetStatus findings={[finding]} status={action as "NEW"} onClose={() => setAction("")} />}
    </ContentLayout>
  );
}

/** Why says in one sentence why the finding is not remediated, or that it is. */
function Why({ finding, onRemediate }: { finding: FindingDetail; onRemediate?: () => void }) {
  const go = useGo();
  const m = finding.remedy;
  const good = m.state === "verified" && finding.workflow === "RESOLVED" && m.kind === "fix";
  const bad = m.state && ["failed", "unverified", "regressed", "superseded"].includes(m.state) && finding.workflow !== "SUPPRESSED";
  let action = null;
  if (m.state === "awaiting_approval") action = <Button onClick={() => go("/approvals")}>Open approvals</Button>;
  else if (m.remediation && !(m.next === "Remediate it again." && onRemediate)) action = <Button onClick={() => go(remediationHref(m.remediation!))}>Open the remediation</Button>;
  else if (onRemediate && finding.workflow !== "RESOLVED" && finding.workflow !== "SUPPRESSED") action = <Button onClick={onRemediate}>Remediate</Button>;
  return (
    <Alert type={good ? "success" : bad ? "warning" : "info"} header={good ? "Remediated" : m.kind === "undo" && m.state === "verified" ? "Taken back" : m.state && !bad ? `Remediation: ${stateWords(m.state).toLowerCase()}` : "Why it is not remediated"} action={action}>
      <span className="parry-wrap">
        {plain(m.why)} {plain(m.next)}
      </span>
    </Alert>
  );
}

function Overview({ finding }: { finding: FindingDetail }) {
  const doc = (finding.document ?? {}) as Asff;
  const recommendation = doc.Remediation?.Recommendation;
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">What it says</Header>}>
        <SpaceBetween size="m">
          {text(doc.Description) && <div className="parry-wrap">{plain(text(doc.Description))}</div>}
          <KeyValuePairs
            columns={3}
            items={[
              { label: "Resource", value: <span className="parry-wrap">{finding.resource_id ? <Copyable text={plain(finding.resource_id)} what="the resource" /> : "–"}</span> },
              { label: "Resource type", value: plain(finding.resource_type) || "–" },
              { label: "Account", value: <Account id={finding.account} /> },
              { label: "Region", value: finding.region || "–" },
              { label: "Control", value: finding.control ? <To href={"/findings" + writeSearch({ f: encodeAll([{ property: "control", operator: "=", values: [finding.control] }]), sort: "priority" })}>{plain(finding.control)}</To> : "–" },
              { label: "Compliance", value: finding.compliance ? sentence(finding.compliance) : "–" },
              { label: "Created", value: <Time at={finding.created_at} /> },
              { label: "Updated", value: <Time at={finding.updated_at} /> },
              { label: "Deadline", value: finding.due_at ? <><Time at={finding.due_at} />{finding.overdue ? " (passed)" : ""}</> : "–" },
              { label: "Product", value: plain([text(doc.CompanyName), text(doc.ProductName)].filter(Boolean).join(" ")) || "–" },
              { label: "Source", value: `${plain(finding.source) || "–"}${finding.trusted ? " (may start remediation)" : ""}` },
              { label: "Workflow status", value: sentence(finding.workflow) },
            ]}
          />
          {text(doc.Note?.Text) && (
            <div>
              <Box variant="awsui-key-label">Note</Box>
              <div className="parry-wrap">{plain(text(doc.Note?.Text))}</div>
              <div className="parry-dim parry-small">
                {plain(text(doc.Note?.UpdatedBy))}, <Time at={text(doc.Note?.UpdatedAt)} none="time not known" />
              </div>
            </div>
          )}
          {(text(recommendation?.Text) || text(recommendation?.Url)) && (
            <div>
              <Box variant="awsui-key-label">What its provider recommends</Box>
              <div className="parry-wrap">{plain(text(recommendation?.Text))}</div>
              <Out href={recommendation?.Url} />
            </div>
          )}
        </SpaceBetween>
      </Container>
      <Container header={<Header variant="h2" description="The points add up; nothing in it is guessed.">Why its priority is {finding.priority}</Header>}>
        {finding.reasons.length === 0 ? (
          <Box color="text-body-secondary">It needs no work: it is archived, suppressed or resolved, or its check passes.</Box>
        ) : (
          <dl className="parry-points">
            {finding.reasons.map((r, i) => (
              <Fragment key={i}>
                <dt>{r.points > 0 ? `+${r.points}` : r.points}</dt>
                <dd>{plain(r.text)}</dd>
              </Fragment>
            ))}
          </dl>
        )}
      </Container>
      {finding.excepted_by && (
        <Container header={<Header variant="h2">The exception that suppresses it</Header>}>
          <KeyValuePairs
            columns={3}
            items={[
              { label: "Title", value: <To href="/approvals?tab=exceptions">{plain(finding.excepted_by.title)}</To> },
              { label: "Owner", value: plain(finding.excepted_by.owner) },
              { label: "Ends", value: <Time at={finding.excepted_by.expires_at} /> },
            ]}
          />
        </Container>
      )}
      {(finding.linked.length > 0 || finding.links.length > 0 || text(doc.SourceUrl)) && (
        <Container header={<Header variant="h2">Related</Header>}>
          <ul className="parry-list">
            {finding.linked.map((l) => (
              <li key={l.key} className="parry-wrap">
                <To href={`/findings/${encodeURIComponent(l.key)}`}>{plain(l.id)}</To> {l.main ? "(stands for all of them)" : "(same control and resource)"}
              </li>
            ))}
            {finding.links.map((l) => (
              <li key={l.url} className="parry-wrap">
                <Out href={l.url}>{plain(l.title)}</Out>
              </li>
            ))}
            {text(doc.SourceUrl) && (
              <li className="parry-wrap">
                <Out href={doc.SourceUrl}>The finding where it comes from</Out>
              </li>
            )}
          </ul>
        </Container>
      )}
    </SpaceBetween>
  );
}

type Moment = { at: string; entry: HistoryEntry } | { at: string; remediation: Remediation };

const sources: Record<string, string> = { BATCH_IMPORT_FINDINGS: "Its provider sent it", BATCH_UPDATE_FINDINGS: "Updated", ASFF: "Its provider sent it" };

function Timeline({ finding }: { finding: FindingDetail }) {
  const may = useMay();
  const history = useInfiniteQuery(historyQuery(finding.key));
  const remediations = useQuery({ ...remediationsQuery({ finding: finding.key }, 50), enabled: may("remediation.read").ok });
  if (history.isPending) return <Waiting what="history" />;
  if (history.isError) return <Failure error={history.error} what="history" retry={() => void history.refetch()} />;
  const moments: Moment[] = [
    ...history.data.pages.flatMap((p) => p.items.map((entry) => ({ at: entry.at, entry }))),
    ...(remediations.data?.items ?? []).map((remediation) => ({ at: remediation.created_at, remediation })),
  ].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  return (
    <Container header={<Header variant="h2" description="The latest first">What happened to it</Header>}>
      {moments.length === 0 && <Empty why="Nothing is recorded." next="History older than its retention is not kept." />}
      <ol className="parry-timeline">
        {moments.map((m, i) => (
          <li key={i} className="parry-wrap">
            {"remediation" in m ? (
              <>
                <div>
                  <strong>
                    {kindWords(m.remediation.kind)} planned for {plain(m.remediation.requested_by)}
                  </strong>{" "}
                  <State state={m.remediation.state} />
                </div>
                <div>
                  <To href={remediationHref(m.remediation.id)}>{m.remediation.id}</To>
                  {m.remediation.reason ? `: ${plain(m.remediation.reason)}` : ""}
                </div>
              </>
            ) : (
              <>
                <div>
                  <strong>{m.entry.created ? "Arrived" : (sources[m.entry.source] ?? sentence(m.entry.source))}</strong> by {plain(m.entry.identity)}
                </div>
                {m.entry.reason && <div>{plain(m.entry.reason)}</div>}
                {m.entry.updates && m.entry.updates.length > 0 && (
                  <ul className="parry-list">
                    {m.entry.updates.slice(0, 12).map((u, n) => (
                      <li key={n}>
                        <Code>{plain(u.UpdatedField)}</Code>: {u.OldValue ? `${valueWords(u.OldValue)} → ` : ""}
                        {valueWords(u.NewValue) || "removed"}
                      </li>
                    ))}
                    {m.entry.updates.length > 12 && <li>and {m.entry.updates.length - 12} more</li>}
                  </ul>
                )}
              </>
            )}
            <div className="parry-dim parry-small">
              <Time at={m.at} />
            </div>
          </li>
        ))}
      </ol>
      {history.hasNextPage && (
        <Button onClick={() => void history.fetchNextPage()} loading={history.isFetchingNextPage}>
          Show what was before
        </Button>
      )}
    </Container>
  );
}

/** valueWords shows a value of the history: of a note, which is an object, what it says. */
function valueWords(v: string | undefined): string {
  if (v?.startsWith("{")) {
    try {
      const note = JSON.parse(v) as { Text?: unknown };
      if (typeof note.Text === "string") return short(note.Text);
    } catch {
      // it is shown as it is
    }
  }
  return short(v);
}

const short = (v: string | undefined) => plain((v ?? "").length > 200 ? `${v!.slice(0, 200)}…` : v);

/** LatestPlan is the plan of the latest remediation. */
function LatestPlan({ finding }: { finding: FindingDetail }) {
  const id = finding.remedy.remediation;
  const plan = useQuery({ ...planQuery(id ?? ""), enabled: !!id });
  if (!id) {
    return (
      <Container header={<Header variant="h2">Plan</Header>}>
        <Empty why="No plan was made yet." next={finding.remedy.playbook ? "Actions, Remediate makes one; nothing is changed before it is approved." : plain(finding.remedy.why)} />
      </Container>
    );
  }
  if (plan.isPending) return <Waiting what="plan" />;
  if (plan.isError) {
    if (plan.error instanceof Trouble && plan.error.status === 404) {
      return (
        <Container header={<Header variant="h2">Plan</Header>}>
          <Empty why="The latest remediation has no plan." next={plain(plan.error.message)} action={<To href={remediationHref(id)}>Open the remediation</To>} />
        </Container>
      );
    }
    return <Failure error={plan.error} what="plan" retry={() => void plan.refetch()} />;
  }
  const state = finding.remedy.state ?? "planned";
  return (
    <Container
      header={
        <Header variant="h2" info={<State state={state} />} actions={<To href={remediationHref(id)}>{undoable(state, finding.remedy.kind ?? "") ? "Open the remediation, or undo it" : "Open the remediation"}</To>}>
          {finding.remedy.kind === "undo" ? "Plan of the undo" : "Plan"}
        </Header>
      }
    >
      <PlanView doc={plan.data} />
    </Container>
  );
}

/** Raw shows the finding as it is stored: as text, whatever it holds. */
function Raw({ finding }: { finding: FindingDetail }) {
  const [form, setForm] = useState("asff");
  const raw = plain(JSON.stringify(form === "asff" ? finding.document : finding.ocsf, null, 2));
  return (
    <Container
      header={
        <Header variant="h2" description="Everything in it is what its provider says." actions={<Button iconName="copy" onClick={() => void navigator.clipboard?.writeText(raw)}>Copy</Button>}>
          Raw
        </Header>
      }
    >
      <SpaceBetween size="s">
        <SegmentedControl selectedId={form} onChange={(e) => setForm(e.detail.selectedId)} label="Form" options={[{ id: "asff", text: "ASFF" }, { id: "ocsf", text: "OCSF" }]} />
        <pre className="parry-raw" tabIndex={0} aria-label={`The finding in ${form.toUpperCase()}`}>
          {raw}
        </pre>
      </SpaceBetween>
    </Container>
  );
}
