import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import BreadcrumbGroup from "@cloudscape-design/components/breadcrumb-group";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import ContentLayout from "@cloudscape-design/components/content-layout";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Spinner from "@cloudscape-design/components/spinner";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Steps from "@cloudscape-design/components/steps";
import Table from "@cloudscape-design/components/table";
import Tabs from "@cloudscape-design/components/tabs";
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api, ask, Trouble, type Change, type RemediationDetail } from "../api/client";
import { callsQuery, planQuery, remediationQuery, stopQuery } from "../api/queries";
import { Ask } from "../parts/ask";
import { Account, Code, Empty, FailedPage, Failure, State, Time, To, Waiting } from "../parts/basics";
import { Decide } from "../parts/decide";
import { Diff, PlanView } from "../parts/plan";
import { between, duration } from "../lib/time";
import { cancellable, kindWords, moving, plain, plural, resourceName, stateKind, stateWords, undoable } from "../lib/words";
import { one } from "../router";
import { useMay } from "../session";
import { useFlash } from "../shell/flash";
import { useFollow, useGo, useSearch } from "../shell/navigate";
import { remediationHref } from "./finding";
import { remediationName } from "./remediations";
import { useTitle } from "./title";

/** patience is how long a page waits for the plan that was just asked for, in milliseconds. */
const patience = 90_000;

export function RemediationPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const [search, set] = useSearch();
  const asked = one(search.asked) === "1";
  const [begun] = useState(() => Date.now());
  const found = useQuery({
    ...remediationQuery(id),
    retry: false,
    // The stream tells of changes; this is for when it does not.
    refetchInterval: (q) => (q.state.data ? (moving(q.state.data.remediation.state) ? 2000 : false) : asked && Date.now() - begun < patience ? 700 : false),
  });
  useTitle(found.data ? remediationName(found.data.remediation) : "Remediation");
  useEffect(() => {
    if (found.data && asked) set({ asked: undefined }, { replace: true });
  }, [found.data, asked, set]);
  if (found.isPending) return <Waiting what="remediation" />;
  if (!found.data) {
    const missing = found.error instanceof Trouble && found.error.status === 404;
    if (missing && asked && Date.now() - begun < patience) {
      return (
        <ContentLayout header={<Header variant="h1">Making the plan</Header>}>
          <Container>
            <Box textAlign="center" padding="l">
              <Spinner size="large" />
              <Box variant="p">Parry reads the resource and works out every call, with what it changes and how it is taken back. Nothing is changed.</Box>
            </Box>
          </Container>
        </ContentLayout>
      );
    }
    return <FailedPage title="Remediation" error={found.error} what="remediation" retry={() => void found.refetch()} />;
  }
  return <Shown detail={found.data} />;
}

function Shown({ detail }: { detail: RemediationDetail }) {
  const r = detail.remediation;
  const may = useMay();
  const follow = useFollow();
  const [search, set] = useSearch();
  const [action, setAction] = useState("");
  const waiting = r.state === "awaiting_approval";
  const tab = one(search.tab) ?? (detail.steps.length > 0 ? "progress" : "plan");
  const undo = may("remediation.undo");
  const cancel = may("execution.control");
  const stopped = useQuery(stopQuery).data?.on;
  const canUndo = undoable(r.state, r.kind) && detail.changes.some((c) => c.state !== "not sent");
  return (
    <ContentLayout
      breadcrumbs={<BreadcrumbGroup ariaLabel="Where you are" onFollow={follow as never} items={[{ text: "Remediations", href: "/remediations" }, { text: r.id, href: "#" }]} />}
      header={
        <Header
          variant="h1"
          info={<State state={r.state} />}
          description={`Asked by ${plain(r.requested_by)}`}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              {cancellable(r.state) && (
                <Button onClick={() => setAction("cancel")} disabled={!cancel.ok} disabledReason={cancel.why}>
                  {r.state === "running" ? "Stop" : "Cancel"}
                </Button>
              )}
              {canUndo && (
                <Button variant="primary" onClick={() => setAction("undo")} disabled={!undo.ok} disabledReason={undo.why}>
                  Undo
                </Button>
              )}
            </SpaceBetween>
          }
        >
          <span className="parry-wrap">{remediationName(r)}</span>
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Verdict detail={detail} stopped={!!stopped} />
        {waiting && detail.approval && <Decide approval={detail.approval} remediation={r} />}
        <Container header={<Header variant="h2">What it is about</Header>}>
          <KeyValuePairs
            columns={3}
            items={[
              { label: "Resource", value: <span className="parry-wrap">{plain(resourceName(r.resource)) || "–"}</span> },
              { label: "Account", value: <Account id={r.account} /> },
              { label: "Region", value: r.region || "–" },
              { label: "Finding", value: r.finding.Id ? <To href={`/findings/${findingKey(r.finding)}`}>{plain(r.control) || "Open the finding"}</To> : "None: a document that somebody started" },
              { label: "Playbook and runbook", value: <span className="parry-wrap">{[r.playbook, r.runbook].filter(Boolean).map(plain).join(", ") || "–"}</span> },
              { label: "Created", value: <Time at={r.created_at} /> },
              ...(r.undo_of ? [{ label: "Takes back", value: <To href={remediationHref(r.undo_of)}>{r.undo_of}</To> }] : []),
              ...(r.undone_by ? [{ label: "Taken back by", value: <To href={remediationHref(r.undone_by)}>{r.undone_by}</To> }] : []),
              ...(detail.approval ? [{ label: "Approval", value: <ApprovalWords detail={detail} /> }] : []),
            ]}
          />
        </Container>
        <Tabs
          activeTabId={tab}
          onChange={(e) => set({ tab: e.detail.activeTabId }, { replace: true })}
          ariaLabel="Parts of the remediation"
          tabs={[
            { id: "plan", label: "Plan", content: <Plan id={r.id} has={!!r.plan_hash} reason={r.reason} /> },
            { id: "progress", label: "Steps and changes", content: <Progress detail={detail} /> },
            { id: "calls", label: "Calls", content: <Calls id={r.id} /> },
          ]}
        />
      </SpaceBetween>
      {action === "undo" && <UndoAsk detail={detail} onClose={() => setAction("")} />}
      {action === "cancel" && <CancelAsk detail={detail} onClose={() => setAction("")} />}
    </ContentLayout>
  );
}

/** findingKey names a finding in an address, as the API does: base64url of product ARN, a zero byte and id. */
export function findingKey(id: { Id: string; ProductArn: string }): string {
  const bytes = new TextEncoder().encode(`${id.ProductArn}\0${id.Id}`);
  let binary = "";
  for (const b of bytes) binary += String.fromCharCode(b);
  return btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function ApprovalWords({ detail }: { detail: RemediationDetail }) {
  const a = detail.approval!;
  const decided = (a.decisions ?? []).filter((d) => d.principal);
  return (
    <div className="parry-wrap">
      <State state={a.state} />
      <div className="parry-dim parry-small">
        {a.automatic ? `by policy ${plain(a.policy)}` : decided.length > 0 ? decided.map((d) => `${d.grant ? "approved" : "rejected"} by ${plain(d.principal)}${d.reason ? `: ${plain(d.reason)}` : ""}`).join("; ") : `policy ${plain(a.policy)}`}
      </div>
    </div>
  );
}

const capital = (s: string) => s.charAt(0).toUpperCase() + s.slice(1);

/** Verdict says how it stands, in a sentence, and what to do. */
function Verdict({ detail, stopped }: { detail: RemediationDetail; stopped: boolean }) {
  const r = detail.remediation;
  const says: Record<string, [("success" | "info" | "warning" | "error"), string]> = {
    planned: ["info", "The plan is made, and a policy decides who approves it."],
    awaiting_approval: ["info", "Nothing has been changed. The plan waits for approval."],
    queued: ["info", stopped ? "It is approved, and waits: all changes are stopped." : "It is approved, and waits for its turn."],
    running: ["info", stopped ? "It has begun, and waits: all changes are stopped." : "The steps are being carried out. This page follows them."],
    verifying: ["info", "All is done. AWS is being read again to see whether it holds."],
    verified: ["success", r.kind === "undo" ? "It is taken back: AWS was read again, and all is as it was." : "It is fixed: AWS was read again in a session of its own."],
    unverified: ["warning", "It was carried out, but what was read afterwards is not what was expected."],
    failed: ["error", "It failed."],
    cancelled: ["warning", "It was cancelled."],
    rejected: ["warning", "The plan was rejected."],
    expired: ["warning", "Nobody decided in time, so the plan expired."],
    superseded: ["warning", "The resource changed after the plan was made, so it was not applied as planned."],
    undoing: ["info", "It is being taken back."],
    undone: ["info", "It was taken back, and verified."],
    regressed: ["warning", "It was fixed, and is broken again."],
  };
  const [type, words] = says[r.state] ?? ["info", stateWords(r.state)];
  return (
    <Alert type={type} header={stateWords(r.state)}>
      <div className="parry-wrap">
        <div>{words}</div>
        {r.reason && <div>{capital(plain(r.reason))}</div>}
        {r.hint && <div>Next: {plain(r.hint)}</div>}
      </div>
    </Alert>
  );
}

function Plan({ id, has, reason }: { id: string; has: boolean; reason: string | undefined }) {
  const plan = useQuery({ ...planQuery(id), enabled: has });
  return (
    <Container header={<Header variant="h2">Plan</Header>}>
      {!has ? <Empty why="There is no plan." next={plain(reason) || "It ended before one was made."} /> : plan.isPending ? <Waiting what="plan" /> : plan.isError ? <Failure error={plan.error} what="plan" retry={() => void plan.refetch()} /> : <PlanView doc={plan.data} />}
    </Container>
  );
}

function Progress({ detail }: { detail: RemediationDetail }) {
  const r = detail.remediation;
  const [all, setAll] = useState(false);
  const failed = detail.steps.filter((s) => ["Failed", "TimedOut"].includes(s.status));
  const steps = all || failed.length === 0 || detail.steps.length <= 20 ? detail.steps : failed;
  return (
    <SpaceBetween size="l">
      <Container
        header={
          <Header variant="h2" counter={detail.steps.length > 0 ? `(${detail.steps.length})` : undefined} actions={steps.length < detail.steps.length ? <Button onClick={() => setAll(true)}>Show all steps</Button> : undefined}>
            Steps
          </Header>
        }
      >
        {steps.length === 0 ? (
          <Empty why="No step was carried out." next={r.state === "awaiting_approval" ? "They begin once the plan is approved." : moving(r.state) ? "They are about to begin." : undefined} />
        ) : (
          <Steps
            ariaLabel="Steps of the runbook"
            steps={steps.map((s) => ({
              status: stateKind(s.status) as "success",
              statusIconAriaLabel: stateWords(s.status),
              header: (
                <span className="parry-wrap">
                  {plain(s.name)} <span className="parry-dim parry-small">{s.action}</span>
                </span>
              ),
              details: (
                <div className="parry-wrap">
                  <span className="parry-dim parry-small">
                    {stateWords(s.status)}
                    {between(s.started_at, s.ended_at) && `, ${between(s.started_at, s.ended_at)}`}
                    {s.attempt > 1 && `, attempt ${s.attempt}`}
                  </span>
                  {s.failure && <div>{plain(s.failure)}</div>}
                </div>
              ),
            }))}
          />
        )}
      </Container>
      <Container header={<Header variant="h2" counter={detail.changes.length > 0 ? `(${detail.changes.length})` : undefined} description="What was sent to AWS to change something, and what the plan held and was not sent.">Changes</Header>}>
        {detail.changes.length === 0 ? (
          <Empty why="Nothing was changed." />
        ) : (
          <ol className="parry-calls">
            {detail.changes.map((c, i) => (
              <ChangeShown key={c.id ?? i} change={c} />
            ))}
          </ol>
        )}
      </Container>
    </SpaceBetween>
  );
}

function ChangeShown({ change: c }: { change: Change }) {
  return (
    <li className="parry-call">
      <SpaceBetween size="xs">
        <div>
          <State state={c.state} />{" "}
          <Box variant="strong" display="inline">
            <Code>
              {c.service}:{c.operation}
            </Code>
          </Box>
        </div>
        <div className="parry-wrap parry-dim">
          on {plain(c.resource) || "no single resource"} · step {plain(c.step)}
          {c.request_id ? ` · request ${plain(c.request_id)}` : ""}
        </div>
        {c.error && (
          <StatusIndicator type="error" wrapText>
            {plain(c.error)}
          </StatusIndicator>
        )}
        {c.diff.length > 0 && <Diff changes={c.diff} />}
        {c.inverse && (
          <div className="parry-dim">
            Undone by <Code>{c.inverse}</Code>
          </div>
        )}
      </SpaceBetween>
    </li>
  );
}

function Calls({ id }: { id: string }) {
  const found = useInfiniteQuery(callsQuery(id));
  const [failed, setFailed] = useState(false);
  const all = found.data?.pages.flatMap((p) => p.items) ?? [];
  const items = failed ? all.filter((c) => c.outcome !== "ok") : all;
  return (
    <Table
      items={items}
      wrapLines
      loading={found.isPending}
      loadingText="Reading calls"
      enableKeyboardNavigation
      ariaLabels={{ tableLabel: "AWS calls" }}
      header={
        <Header variant="h2" counter={found.data ? `(${items.length}${found.hasNextPage ? "+" : ""})` : undefined} description="Every AWS call that was made for it, in order, without its values." actions={<Button onClick={() => setFailed(!failed)}>{failed ? "Show all calls" : "Only what failed"}</Button>}>
          Calls
        </Header>
      }
      columnDefinitions={[
        { id: "at", header: "When", cell: (c) => <Time at={c.at} /> },
        { id: "call", header: "Call", cell: (c) => <span className="parry-nowrap"><code className="parry-mono">{`${c.service}:${c.operation}`}</code></span>, isRowHeader: true },
        { id: "mode", header: "Right", cell: (c) => c.mode },
        { id: "outcome", header: "Outcome", cell: (c) => <span className="parry-wrap"><State state={c.outcome} />{c.code ? ` ${plain(c.code)}` : ""}{c.detail ? ` ${plain(c.detail)}` : ""}</span> },
        { id: "resource", header: "Resource", cell: (c) => <span className="parry-wrap">{plain(c.resource) || "–"}</span> },
        { id: "took", header: "Took", cell: (c) => <span className="parry-nowrap">{duration(c.duration_ns / 1e9)}</span> },
      ]}
      footer={
        found.hasNextPage ? (
          <Box textAlign="center">
            <Button onClick={() => void found.fetchNextPage()} loading={found.isFetchingNextPage}>
              Show more
            </Button>
          </Box>
        ) : undefined
      }
      empty={found.isError ? <Failure error={found.error} what="list of calls" retry={() => void found.refetch()} /> : <Empty why={failed ? "No call failed." : "No call is recorded."} next={failed ? undefined : "Calls older than their retention are not kept."} />}
    />
  );
}

function UndoAsk({ detail, onClose }: { detail: RemediationDetail; onClose: () => void }) {
  const go = useGo();
  const sent = detail.changes.filter((c) => c.state !== "not sent");
  const never = sent.filter((c) => !c.inverse);
  return (
    <Ask
      title="Undo this remediation"
      yes="Make the plan of the undo"
      onClose={onClose}
      act={async () => {
        const made = await ask(api.POST("/v1/remediations/{id}/undo", { params: { path: { id: detail.remediation.id } } }));
        go(`${remediationHref(made.remediation)}?asked=1`);
      }}
    >
      <div>An undo is a plan of its own, from what was recorded before each change. It can open again what was closed, so it needs approval, as the policy has it. If the resource was changed meanwhile, the plan says so.</div>
      <div>
        {plural(sent.length, "change")} would be taken back{never.length > 0 ? `, but ${never.length} of them has no known way back` : ""}.
      </div>
    </Ask>
  );
}

function CancelAsk({ detail, onClose }: { detail: RemediationDetail; onClose: () => void }) {
  const client = useQueryClient();
  const flash = useFlash();
  const r = detail.remediation;
  const running = r.state === "running";
  return (
    <Ask
      title={running ? "Stop this remediation" : "Cancel this remediation"}
      yes={running ? "Stop it" : "Cancel the remediation"}
      reason="required"
      onClose={onClose}
      act={async (reason) => {
        await ask(api.POST("/v1/remediations/{id}/cancel", { params: { path: { id: r.id } }, body: { reason } }));
        for (const word of ["remediation", "remediations", "approvals", "finding"]) void client.invalidateQueries({ queryKey: [word] });
        flash({ type: "success", content: running ? `${kindWords(r.kind)} is told to end.` : `${kindWords(r.kind)} is cancelled.` });
      }}
    >
      <div>{running ? "It ends before its next step. What was changed so far stays changed, and can be undone." : "Nothing has been changed. It can be asked for again."}</div>
    </Ask>
  );
}
