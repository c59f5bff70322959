import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import ContentLayout from "@cloudscape-design/components/content-layout";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import Tabs from "@cloudscape-design/components/tabs";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ask, type Approval, type Exception } from "../api/client";
import { approvalsQuery, exceptionsQuery, remediationQuery } from "../api/queries";
import { Ask } from "../parts/ask";
import { Account, Code, Empty, Failure, Out, State, Time, To, Waiting } from "../parts/basics";
import { Decide } from "../parts/decide";
import { plain, plural } from "../lib/words";
import { one } from "../router";
import { useMay, useSession } from "../session";
import { useFlash } from "../shell/flash";
import { useSearch } from "../shell/navigate";
import { useNarrow } from "../theme";
import { useTitle } from "./title";

/** shownAtOnce bounds how many plans are read and shown together. */
const shownAtOnce = 10;

export function ApprovalsPage() {
  useTitle("Approvals");
  const [search, set] = useSearch();
  const pending = useQuery(approvalsQuery("pending"));
  const exceptions = useQuery(exceptionsQuery("open"));
  const asked = exceptions.data?.items.filter((e) => e.state === "pending").length ?? 0;
  const tab = one(search.tab) ?? "plans";
  return (
    <ContentLayout header={<Header variant="h1" description="What waits for a person's word. Nobody decides on what they asked for.">Approvals</Header>}>
      <Tabs
        activeTabId={tab}
        onChange={(e) => set({ tab: e.detail.activeTabId }, { replace: true })}
        ariaLabel="Kinds of approvals"
        tabs={[
          { id: "plans", label: `Plans (${pending.data?.items.length ?? "…"})`, content: <Plans /> },
          { id: "exceptions", label: `Exceptions (${exceptions.data ? asked : "…"})`, content: <Exceptions /> },
          { id: "decided", label: "Decided", content: <Decided /> },
        ]}
      />
    </ContentLayout>
  );
}

function Plans() {
  const found = useQuery(approvalsQuery("pending"));
  const [most, setMost] = useState(shownAtOnce);
  if (found.isPending) return <Waiting what="approvals" />;
  if (found.isError) return <Failure error={found.error} what="list of approvals" retry={() => void found.refetch()} />;
  const items = [...found.data.items].sort((a, b) => Date.parse(a.expires_at) - Date.parse(b.expires_at));
  if (items.length === 0) {
    return (
      <Container>
        <Empty why="No plan waits for approval." next="A plan comes here when its policy asks for people, or when somebody remediates a finding." action={<To href="/findings?f=workflow=NEW,NOTIFIED&f=record=ACTIVE&sort=priority">Open the findings</To>} />
      </Container>
    );
  }
  return (
    <SpaceBetween size="l">
      {items.slice(0, most).map((a) => (
        <One key={a.id} approval={a} />
      ))}
      {items.length > most && (
        <Box textAlign="center">
          <Button onClick={() => setMost(most + shownAtOnce)}>Show {plural(Math.min(shownAtOnce, items.length - most), "more plan")}</Button>
        </Box>
      )}
    </SpaceBetween>
  );
}

function One({ approval }: { approval: Approval }) {
  const detail = useQuery(remediationQuery(approval.remediation));
  if (detail.isPending) return <Waiting what="plan" />;
  return <Decide approval={approval} remediation={detail.data?.remediation} whole />;
}

function Exceptions() {
  const found = useQuery(exceptionsQuery("open"));
  if (found.isPending) return <Waiting what="exceptions" />;
  if (found.isError) return <Failure error={found.error} what="list of exceptions" retry={() => void found.refetch()} />;
  const items = [...found.data.items].sort((a, b) => Number(b.state === "pending") - Number(a.state === "pending") || Date.parse(a.expires_at) - Date.parse(b.expires_at));
  if (items.length === 0) {
    return (
      <Container>
        <Empty why="No exception is asked for or in force." next="Request one from a finding: Actions, Request an exception." />
      </Container>
    );
  }
  return (
    <SpaceBetween size="l">
      {items.map((e) => (
        <ExceptionShown key={e.id} exception={e} />
      ))}
    </SpaceBetween>
  );
}

type Verb = "approve" | "reject" | "expire";

function ExceptionShown({ exception: e }: { exception: Exception }) {
  const may = useMay();
  const session = useSession();
  const [verb, setVerb] = useState<Verb | "">("");
  const decide = may("exception.decide");
  const end = may("exception.end");
  const own = e.requested_by === session?.name;
  const approveWhy = !decide.ok ? decide.why : own ? "You asked for it, so another person must approve it." : "";
  return (
    <Container
      header={
        <Header
          variant="h2"
          info={<State state={e.state} />}
          description={<>Ends <Time at={e.expires_at} /></>}
          actions={
            e.state === "pending" ? (
              <SpaceBetween direction="horizontal" size="xs">
                <Button onClick={() => setVerb("reject")} disabled={!decide.ok} disabledReason={decide.why}>
                  Reject
                </Button>
                <Button variant="primary" onClick={() => setVerb("approve")} disabled={!!approveWhy} disabledReason={approveWhy}>
                  Approve
                </Button>
              </SpaceBetween>
            ) : (
              <Button onClick={() => setVerb("expire")} disabled={!end.ok} disabledReason={end.why}>
                End it
              </Button>
            )
          }
        >
          <span className="parry-wrap">{plain(e.title)}</span>
        </Header>
      }
    >
      <SpaceBetween size="s">
        <KeyValuePairs
          columns={4}
          items={[
            { label: "Owner", value: <span className="parry-wrap">{plain(e.owner)}</span> },
            { label: "Asked by", value: plain(e.requested_by) + (own ? " (you)" : "") },
            { label: "Approved by", value: plain(e.decided_by) || "–" },
            { label: "Suppresses now", value: e.covered > 0 ? <To href={`/findings?f=exception=${encodeURIComponent(e.id)}`}>{plural(e.covered, "finding")}</To> : "nothing" },
          ]}
        />
        <div className="parry-wrap">{plain(e.reason)}</div>
        {e.link && (
          <div className="parry-wrap">
            <Out href={e.link} />
          </div>
        )}
        <div>
          <Box variant="awsui-key-label">Covers</Box>
          <span className="parry-wrap">
            <Code>{scopeWords(e.scope)}</Code>
          </span>
        </div>
      </SpaceBetween>
      {verb && <Say verb={verb} exception={e} onClose={() => setVerb("")} />}
    </Container>
  );
}

/** scopeWords writes a filter in one line: ResourceId EQUALS x or y. */
export function scopeWords(scope: unknown): string {
  if (typeof scope !== "object" || scope === null) return "";
  return plain(
    Object.entries(scope as Record<string, unknown>)
      .map(([field, tests]) => {
        const words = (Array.isArray(tests) ? tests : []).map((t: Record<string, unknown>) => `${String(t.Comparison ?? "").toLowerCase().replace(/_/g, " ")} ${typeof t.Value === "string" ? t.Value : JSON.stringify(t)}`.trim());
        return `${field} ${words.join(" or ")}`;
      })
      .join("; "),
  );
}

function Say({ verb, exception, onClose }: { verb: Verb; exception: Exception; onClose: () => void }) {
  const client = useQueryClient();
  const flash = useFlash();
  const words = {
    approve: { title: "Approve this exception", yes: "Approve", text: "What it covers is suppressed, and is not remediated, until its end.", done: "The exception is in force." },
    reject: { title: "Reject this exception", yes: "Reject", text: "Nothing is suppressed.", done: "The exception is rejected." },
    expire: { title: "End this exception", yes: "End it", text: "What it suppresses is new again, and may be remediated.", done: "The exception has ended." },
  }[verb];
  return (
    <Ask
      title={words.title}
      yes={words.yes}
      reason={verb === "approve" ? "optional" : "required"}
      most={2000}
      onClose={onClose}
      act={async (reason) => {
        const options = { params: { path: { id: exception.id } }, body: { reason: reason || undefined } };
        if (verb === "approve") await ask(api.POST("/v1/exceptions/{id}/approve", options));
        else if (verb === "reject") await ask(api.POST("/v1/exceptions/{id}/reject", options));
        else await ask(api.POST("/v1/exceptions/{id}/expire", options));
        for (const word of ["exceptions", "findings", "finding", "groups", "overview"]) void client.invalidateQueries({ queryKey: [word] });
        flash({ type: "success", content: words.done });
      }}
    >
      <div>
        <strong className="parry-wrap">{plain(exception.title)}</strong>
      </div>
      <div>{words.text}</div>
    </Ask>
  );
}

function Decided() {
  const narrow = useNarrow();
  const found = useQuery(approvalsQuery());
  const items = (found.data?.items ?? []).filter((a) => a.state !== "pending");
  const by = (a: Approval) => (a.automatic ? `policy ${plain(a.policy)}` : (a.decisions ?? []).map((d) => plain(d.principal)).join(", ") || "–");
  return (
    <Table
      items={items}
      loading={found.isPending}
      loadingText="Reading approvals"
      trackBy="id"
      wrapLines
      enableKeyboardNavigation
      ariaLabels={{ tableLabel: "Approvals that were decided" }}
      header={<Header variant="h2" description="The latest first, of the last 200.">Decided</Header>}
      columnDefinitions={
        narrow
          ? [
              {
                id: "all",
                header: "Approval",
                isRowHeader: true,
                cell: (a: Approval) => (
                  <div className="parry-wrap">
                    <State state={a.state} />
                    <div>
                      <To href={`/remediations/${encodeURIComponent(a.remediation)}`}>{a.remediation}</To>
                    </div>
                    <div className="parry-dim parry-small">
                      <Account id={a.account} /> · {by(a)}
                    </div>
                  </div>
                ),
              },
            ]
          : [
              { id: "state", header: "State", cell: (a: Approval) => <State state={a.state} />, width: 150 },
              { id: "remediation", header: "Remediation", isRowHeader: true, cell: (a: Approval) => <To href={`/remediations/${encodeURIComponent(a.remediation)}`}>{a.remediation}</To> },
              { id: "account", header: "Account", cell: (a: Approval) => <Account id={a.account} /> },
              { id: "by", header: "Decided by", cell: by },
              { id: "reason", header: "Reason", cell: (a: Approval) => <span className="parry-wrap">{(a.decisions ?? []).map((d) => plain(d.reason)).filter(Boolean).join("; ") || "–"}</span> },
              { id: "created", header: "Put up", cell: (a: Approval) => <Time at={a.created_at} /> },
            ]
      }
      empty={found.isError ? <Failure error={found.error} what="list of approvals" retry={() => void found.refetch()} /> : <Empty why="Nothing was decided yet." />}
    />
  );
}
