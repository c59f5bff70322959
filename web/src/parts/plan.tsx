import Alert from "@cloudscape-design/components/alert";
import Badge from "@cloudscape-design/components/badge";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ExpandableSection from "@cloudscape-design/components/expandable-section";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import type { PlanDocument, PlannedCall, Schemas } from "../api/client";
import { lines } from "../lib/diff";
import { useState } from "react";
import { count, plain, plural } from "../lib/words";
import { Account, Code, Copyable, Time, To } from "./basics";

type MemberChange = Schemas["MemberChange"];

/** shownAtFirst is how many lines of a value are seen before somebody asks for all. */
const shownAtFirst = 24;

/** Value is a member before and after, line by line; a long one is opened to see it whole. */
function Value({ change }: { change: MemberChange }) {
  const [whole, setWhole] = useState(false);
  const all = lines(plain(change.before), plain(change.after));
  // What changes comes first: of a long value the lines around it.
  const at = Math.max(0, all.findIndex((l) => l.sign !== " ") - 3);
  const shown = whole || all.length <= shownAtFirst ? all : all.slice(at, at + shownAtFirst);
  const rest = all.length - shown.length;
  return (
    <div>
      <Box variant="awsui-key-label">
        <Code>{plain(change.path) || "whole"}</Code>
      </Box>
      <div className="parry-diff" role="group" aria-label={`Change of ${change.path || "the whole"}`}>
        {rest > 0 && at > 0 && <div className="parry-diff-line parry-dim"><span>…</span><span>{plural(at, "line")} before</span></div>}
        {shown.map((l, n) => (
          <div key={n} className={`parry-diff-line ${l.sign === "-" ? "parry-diff-old" : l.sign === "+" ? "parry-diff-new" : ""}`}>
            <span aria-label={l.sign === "-" ? "before" : l.sign === "+" ? "after" : undefined}>{l.sign}</span>
            <span>{l.text}</span>
          </div>
        ))}
        {rest - at > 0 && <div className="parry-diff-line parry-dim"><span>…</span><span>{plural(rest - at, "line")} more</span></div>}
        {change.before === "" && change.after === "" && <div className="parry-diff-line"><span /><span>no value</span></div>}
      </div>
      {all.length > shownAtFirst && (
        <Button variant="inline-link" ariaExpanded={whole} onClick={() => setWhole(!whole)}>
          {whole ? "Show less" : `Show all ${count(all.length)} lines`}
        </Button>
      )}
    </div>
  );
}

/** Diff shows what a call changes, member by member. */
export function Diff({ changes }: { changes: MemberChange[] }) {
  return (
    <SpaceBetween size="xs">
      {changes.map((c, i) => (
        <Value key={i} change={c} />
      ))}
    </SpaceBetween>
  );
}

export function changesOf(calls: PlannedCall[] | null): PlannedCall[] {
  return (calls ?? []).filter((c) => c.class !== "read");
}

function Undo({ call }: { call: PlannedCall }) {
  if (call.irreversible) return <StatusIndicator type="warning">Cannot be undone</StatusIndicator>;
  return (
    <StatusIndicator type="success" wrapText>
      {call.inverse ? (
        <>
          Undone by <Code>{call.inverse}</Code>
        </>
      ) : (
        "Can be undone"
      )}
    </StatusIndicator>
  );
}

function Permission({ call }: { call: PlannedCall }) {
  switch (call.permission) {
    case "proven":
      return <StatusIndicator type="success">Permission proven by a dry run</StatusIndicator>;
    case "denied":
      return (
        <StatusIndicator type="error" wrapText>
          Permission denied: {plain(call.permission_detail)}
        </StatusIndicator>
      );
  }
  return null;
}

function Call({ call }: { call: PlannedCall }) {
  return (
    <li className="parry-call">
      <SpaceBetween size="xs">
        <div>
          <Badge color="blue">{call.class === "read" ? "Read" : call.class === "sensitive_read" ? "Sensitive read" : "Change"}</Badge>{" "}
          <Box variant="strong" display="inline">
            <Code>
              {call.service}:{call.operation}
            </Code>
          </Box>
        </div>
        <div className="parry-wrap parry-dim">
          on {plain(call.resource) || "no single resource"} · step {plain(call.step)}
          {call.as ? ` · as ${plain(call.as)}` : ""}
        </div>
        {call.diff && call.diff.length > 0 && <Diff changes={call.diff} />}
        {call.effect_unknown && (
          <>
            <StatusIndicator type="warning" wrapText>
              What this does is not known beforehand. It sends:
            </StatusIndicator>
            <pre className="parry-raw" tabIndex={0}>
              {plain(JSON.stringify(call.input, null, 2))}
            </pre>
          </>
        )}
        {call.from_outputs && call.from_outputs.length > 0 && (
          <StatusIndicator type="info" wrapText>
            Known only when it runs: {call.from_outputs.map(plain).join(", ")}
          </StatusIndicator>
        )}
        <Permission call={call} />
        <Undo call={call} />
      </SpaceBetween>
    </li>
  );
}

/** PlanSummary is the plan in two sentences. */
export function planWords(doc: PlanDocument): string {
  const changes = changesOf(doc.plan.calls);
  if (changes.length === 0) return "This plan changes nothing.";
  const back = changes.some((c) => c.irreversible) ? "not all of them can be undone" : changes.length === 1 ? "it can be undone" : "all of them can be undone";
  const waits = doc.state === "planned" || doc.state === "awaiting_approval" ? " Nothing has been changed yet." : "";
  return `${plural(changes.length, "change")}; ${back}.${waits}`;
}

/** PlanView shows all that a plan holds: what a live read found, every call, before and after, and the way back. */
export function PlanView({ doc }: { doc: PlanDocument }) {
  const p = doc.plan;
  const changes = changesOf(p.calls);
  const reads = (p.calls ?? []).filter((c) => c.class === "read");
  return (
    <SpaceBetween size="l">
      {p.problems && p.problems.length > 0 && (
        <Alert type="error" header="Applying this plan is bound to fail">
          <ul className="parry-list">
            {p.problems.map((t, i) => (
              <li key={i} className="parry-wrap">
                {plain(t)}
              </li>
            ))}
          </ul>
        </Alert>
      )}
      {p.open && (
        <Alert type="warning" header="The plan is open">
          It could not be planned to its end: {plain(p.open_reason)}. What it may call beyond that is listed below.
        </Alert>
      )}
      <div>{planWords(doc)}</div>
      {doc.alike && doc.alike.length > 0 && (
        <Alert type="info" header={doc.alike.some((o) => o.shared === changes.length && o.shared === o.changes) ? "Another plan makes the same changes" : "Another plan makes some of the same changes"}>
          <ul className="parry-list">
            {doc.alike.map((o) => (
              <li key={o.remediation}>
                <To href={`/remediations/${encodeURIComponent(o.remediation)}`}>{`The plan for ${plain(o.control) || o.remediation}`}</To> makes {plural(o.changes, "change")}, of which {o.shared === 1 ? "one is" : `${o.shared} are`} in this plan too.
              </li>
            ))}
          </ul>
          Approve one of them: once it is carried out the other no longer fits, and is planned again.
        </Alert>
      )}
      <KeyValuePairs
        columns={3}
        items={[
          { label: "Resource", value: <span className="parry-wrap">{plain(p.resource)}</span> },
          { label: "Account", value: <Account id={p.account} /> },
          { label: "Region", value: p.region || "–" },
          { label: "Runbook", value: <span className="parry-wrap">{plain(p.runbook.name)}</span> },
          { label: "Role", value: <span className="parry-wrap">{plain(p.role) || "–"}</span> },
          { label: "Plan expires", value: <Time at={p.expires_at} /> },
        ]}
      />
      <div>
        <Box variant="awsui-key-label">Hash of the plan</Box>
        <span className="parry-wrap parry-code">
          <Copyable text={doc.hash} what="the hash of the plan" />
        </span>
        <div className="parry-dim parry-small">An approval is for exactly this hash. If anything of the plan changes, it is void.</div>
      </div>
      {p.violation && p.violation.length > 0 && (
        <div>
          <Box variant="h4" padding={{ bottom: "xs" }}>
            What a live read found
          </Box>
          <SpaceBetween size="xxs">
            {p.violation.map((v, i) => (
              <div key={i}>
                <StatusIndicator type={v.passed ? "success" : "error"} wrapText>
                  {plain(v.check)}
                  {!v.passed && v.detail ? `: ${plain(v.detail)}` : ""}
                </StatusIndicator>
              </div>
            ))}
          </SpaceBetween>
        </div>
      )}
      <div>
        <Box variant="h4" padding={{ bottom: "xs" }}>
          What will be changed
        </Box>
        {changes.length === 0 ? (
          <Box color="text-body-secondary">Nothing: all calls of this plan read.</Box>
        ) : (
          <ol className="parry-calls">
            {changes.map((c) => (
              <Call key={c.seq} call={c} />
            ))}
          </ol>
        )}
      </div>
      {p.beyond && p.beyond.length > 0 && (
        <div>
          <Box variant="h4">What may be called beyond that{p.open ? "" : ", when a step fails or is cancelled"}</Box>
          <ul className="parry-list">
            {p.beyond.map((a, i) => (
              <li key={i} className="parry-wrap">
                <Code>
                  {a.service}:{a.operation}
                </Code>{" "}
                in {a.account} {a.region}, step {plain(a.step)}
                {a.irreversible ? " (cannot be undone)" : ""}
              </li>
            ))}
          </ul>
        </div>
      )}
      {reads.length > 0 && (
        <ExpandableSection headerText={`${plural(reads.length, "call")} that only read`}>
          <ul className="parry-list">
            {reads.map((c) => (
              <li key={c.seq} className="parry-wrap">
                <Code>
                  {c.service}:{c.operation}
                </Code>{" "}
                on {plain(c.resource) || "no single resource"}
              </li>
            ))}
          </ul>
        </ExpandableSection>
      )}
      <ExpandableSection headerText="Parameters of the runbook">
        <pre className="parry-raw" tabIndex={0}>
          {plain(JSON.stringify(p.parameters, null, 2))}
        </pre>
      </ExpandableSection>
    </SpaceBetween>
  );
}
