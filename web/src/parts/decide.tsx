import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import ExpandableSection from "@cloudscape-design/components/expandable-section";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ask, type Approval, type Remediation } from "../api/client";
import { planQuery } from "../api/queries";
import { kindWords, plain, plural } from "../lib/words";
import { useMay, useSession } from "../session";
import { useFlash } from "../shell/flash";
import { Ask } from "./ask";
import { Account, Failure, Time, To, Waiting } from "./basics";
import { planWords, PlanView } from "./plan";

/** Decide shows an approval that waits, with its plan, and takes a person's word on it. */
export function Decide({ approval, remediation, whole }: { approval: Approval; remediation: Remediation | undefined; whole?: boolean }) {
  const may = useMay();
  const session = useSession();
  const [asked, setAsked] = useState<"" | "grant" | "reject">("");
  const [open, setOpen] = useState(false);
  const step = !!approval.step;
  const plan = useQuery({ ...planQuery(approval.remediation), enabled: may("plan.read").ok });
  const right = may("approval.decide");
  // A step of a document may be approved by who started it, where the document names them.
  const own = !step && remediation?.requested_by === session?.name;
  const decided = (approval.decisions ?? []).find((d) => d.principal === session?.name);
  const stale = plan.data && !step && plan.data.hash !== approval.plan;
  const why = !right.ok
    ? right.why
    : own
      ? "You asked for it, so another person must decide: nobody approves what they asked for."
      : decided
        ? `You have ${decided.grant ? "approved" : "rejected"} it already.`
        : stale
          ? "The plan has changed since. Read the page again."
          : plan.isPending
            ? "The plan is being read."
            : plan.isError
              ? "The plan could not be read, and nobody decides on what they have not seen."
              : "";
  // Who may not approve what they asked for may still withdraw it: that is cancel.
  const granted = (approval.decisions ?? []).filter((d) => d.grant).length;
  return (
    <Container
      header={
        <Header
          variant="h2"
          description={
            <>
              {granted > 0 ? `${granted} of ${approval.quorum} approvals. ` : approval.quorum > 1 ? `${approval.quorum} people must approve. ` : ""}
              Expires <Time at={approval.expires_at} />
            </>
          }
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Button onClick={() => setAsked("reject")} disabled={!!why} disabledReason={why}>
                Reject
              </Button>
              <Button variant="primary" onClick={() => setAsked("grant")} disabled={!!why} disabledReason={why}>
                Approve
              </Button>
            </SpaceBetween>
          }
        >
          {whole && remediation ? (
            <span className="parry-wrap">
              <To href={`/remediations/${encodeURIComponent(remediation.id)}`} size="heading-m">
                {`${kindWords(remediation.kind)} of ${plain(remediation.control || remediation.runbook)}`}
              </To>
            </span>
          ) : step ? (
            `Approval of step ${plain(approval.step)}`
          ) : (
            "Approval"
          )}
        </Header>
      }
    >
      <SpaceBetween size="m">
        {own && (
          <Alert type="info" header="You asked for it">
            Another person must approve: nobody approves what they asked for, whether they sign in or use a key. You can cancel it on its page.
          </Alert>
        )}
        {!own && why && !plan.isPending && <Alert type={stale ? "warning" : "info"}>{why}</Alert>}
        {approval.message && <div className="parry-wrap">{plain(approval.message)}</div>}
        {whole && (
          <KeyValuePairs
            columns={4}
            items={[
              { label: "Resource", value: <span className="parry-wrap">{plain(remediation?.resource) || "–"}</span> },
              { label: "Account", value: <Account id={approval.account} /> },
              { label: "Asked by", value: plain(remediation?.requested_by) || "–" },
              { label: "Policy", value: plain(approval.policy) || "–" },
            ]}
          />
        )}
        {whole &&
          (plan.isPending ? (
            <Waiting what="plan" />
          ) : plan.isError ? (
            <Failure error={plan.error} what="plan" retry={() => void plan.refetch()} />
          ) : (
            <>
              <div>{planWords(plan.data)}</div>
              <ExpandableSection headerText="Plan: every call, before and after" expanded={open} onChange={(e) => setOpen(e.detail.expanded)}>
                {open && <PlanView doc={plan.data} />}
              </ExpandableSection>
            </>
          ))}
      </SpaceBetween>
      {asked && plan.data && <Word verdict={asked} approval={approval} hash={step ? approval.plan : plan.data.hash} words={planWords(plan.data)} plan={<PlanView doc={plan.data} />} onClose={() => setAsked("")} />}
    </Container>
  );
}

/** Word takes the decision on exactly the plan that is shown: its hash goes with it. */
function Word({ verdict, approval, hash, words, plan, onClose }: { verdict: "grant" | "reject"; approval: Approval; hash: string; words: string; plan: React.ReactNode; onClose: () => void }) {
  const client = useQueryClient();
  const flash = useFlash();
  const grant = verdict === "grant";
  return (
    <Ask
      size="large"
      title={grant ? "Approve this plan" : "Reject this plan"}
      yes={grant ? "Approve" : "Reject"}
      reason={grant ? "optional" : "required"}
      reasonHelp="It is kept with the approval and in the audit log."
      most={1000}
      onClose={onClose}
      act={async (reason) => {
        const body = { plan_hash: hash, reason: reason || undefined };
        const path = { id: approval.id };
        const done = await (grant ? ask(api.POST("/v1/approvals/{id}/grant", { params: { path }, body })) : ask(api.POST("/v1/approvals/{id}/reject", { params: { path }, body })));
        for (const word of ["approvals", "remediation", "remediations", "finding", "overview"]) void client.invalidateQueries({ queryKey: [word] });
        const missing = approval.quorum - (done.decisions ?? []).filter((d) => d.grant).length;
        flash(
          !grant
            ? { type: "success", content: "The plan is rejected. Nothing is changed." }
            : done.state === "pending"
              ? { type: "success", content: `You have approved it. ${plural(Math.max(1, missing), "more person", "more people")} must.` }
              : { type: "success", content: "The plan is approved, and is carried out now." },
        );
      }}
    >
      <div>
        {words} {grant ? "Once it is approved, it is carried out: exactly these calls, nothing else." : ""}
      </div>
      <div>
        <Box variant="awsui-key-label">Hash of the plan</Box>
        <span className="parry-code parry-wrap">{hash}</span>
      </div>
      <ExpandableSection headerText="Plan" defaultExpanded={grant}>
        {plan}
      </ExpandableSection>
    </Ask>
  );
}
