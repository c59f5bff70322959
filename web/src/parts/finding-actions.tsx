import Box from "@cloudscape-design/components/box";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import { useQueryClient } from "@tanstack/react-query";
import { api, ask, type Finding, type FindingDetail } from "../api/client";
import { plain, plural, resourceName, sentence } from "../lib/words";
import { useFlash } from "../shell/flash";
import { useGo } from "../shell/navigate";
import { Ask } from "./ask";

const settle = 8; // requests at once, so that a page of findings is no flood

/** eachOf does something for several findings, and throws the first error after all were tried. */
async function eachOf(findings: Finding[], act: (f: Finding) => Promise<unknown>): Promise<number> {
  let done = 0;
  const failed: unknown[] = [];
  for (let i = 0; i < findings.length; i += settle) {
    for (const r of await Promise.allSettled(findings.slice(i, i + settle).map(act))) {
      if (r.status === "fulfilled") done++;
      else failed.push(r.reason);
    }
  }
  if (failed.length > 0 && done === 0) throw failed[0];
  return failed.length;
}

function Names({ findings }: { findings: Finding[] }) {
  return (
    <ul className="parry-list">
      {findings.slice(0, 8).map((f) => (
        <li key={f.key} className="parry-wrap">
          {plain(f.title)} <span className="parry-dim">{plain(resourceName(f.resource_id))}</span>
        </li>
      ))}
      {findings.length > 8 && <li>and {findings.length - 8} more</li>}
    </ul>
  );
}

/** RemediateOne asks for the plan of one finding, and opens it. */
export function RemediateOne({ finding, onClose, disabled }: { finding: FindingDetail; onClose: () => void; disabled?: string }) {
  const go = useGo();
  const m = finding.remedy;
  return (
    <Ask
      title="Remediate"
      yes="Make the plan"
      disabled={disabled}
      onClose={onClose}
      act={async () => {
        const made = await ask(api.POST("/v1/remediations", { body: { id: finding.id, product_arn: finding.product_arn } }));
        go(`/remediations/${encodeURIComponent(made.remediation)}?asked=1`);
      }}
    >
      <Box>
        Parry reads the resource, and makes a plan of every call with its effect and its way back. <strong>Nothing is changed before the plan is approved</strong>, by a policy or by another person.
      </Box>
      <KeyValuePairs
        columns={2}
        items={[
          { label: "Playbook", value: <span className="parry-wrap">{m.playbook ? `${m.playbook}: ${m.title}` : "none"}</span> },
          { label: "Resource", value: <span className="parry-wrap">{plain(resourceName(finding.resource_id))}</span> },
          { label: "Risk", value: sentence(m.risk ?? "unknown") },
          { label: "Can be undone", value: m.reversible ? "Yes" : "Not all of it" },
        ]}
      />
      {m.impact && (
        <div>
          <Box variant="awsui-key-label">What users of the resource may notice</Box>
          {m.impact}
        </div>
      )}
    </Ask>
  );
}

/** RemediateSeveral asks for a plan for each of several findings. */
export function RemediateSeveral({ findings, onClose, disabled }: { findings: Finding[]; onClose: () => void; disabled?: string }) {
  const go = useGo();
  const flash = useFlash();
  const client = useQueryClient();
  return (
    <Ask
      title={`Remediate ${plural(findings.length, "finding")}`}
      yes={`Make ${plural(findings.length, "plan")}`}
      disabled={disabled}
      onClose={onClose}
      act={async () => {
        const failed = await eachOf(findings, (f) => ask(api.POST("/v1/remediations", { body: { id: f.id, product_arn: f.product_arn } })));
        void client.invalidateQueries({ queryKey: ["remediations"] });
        flash(
          failed
            ? { type: "warning", content: `${plural(findings.length - failed, "plan")} asked for; ${failed} could not be: each finding says why.` }
            : { type: "success", content: `${plural(findings.length, "plan")} asked for.` },
        );
        go("/remediations");
      }}
    >
      <div>A plan is made for each. Nothing is changed before a plan is approved, by a policy or by another person.</div>
      <Names findings={findings} />
    </Ask>
  );
}

const statusWords: Record<string, [string, string]> = {
  NEW: ["Reopen", "It counts as work again, and may be remediated."],
  NOTIFIED: ["Mark as notified", "Somebody knows and deals with it. It still counts as open."],
  SUPPRESSED: ["Suppress", "It is no longer work, and nothing acts on it, until somebody reopens it. For a risk that is accepted for a time, request an exception: it has an owner and an end."],
  RESOLVED: ["Resolve", "It was dealt with. It comes back when its check fails again."],
};

export const statusAction = (status: string) => statusWords[status]?.[0] ?? sentence(status);

/** SetStatus sets the workflow status of findings, with a note. */
export function SetStatus({ findings, status, onClose, onDone, disabled }: { findings: Finding[]; status: "NEW" | "NOTIFIED" | "SUPPRESSED" | "RESOLVED"; onClose: () => void; onDone?: () => void; disabled?: string }) {
  const client = useQueryClient();
  const flash = useFlash();
  const [verb, meaning] = statusWords[status]!;
  return (
    <Ask
      title={findings.length === 1 ? `${verb} this finding` : `${verb}: ${plural(findings.length, "finding")}`}
      yes={verb}
      disabled={disabled}
      onClose={onClose}
      reason={status === "SUPPRESSED" ? "required" : "optional"}
      reasonLabel={status === "SUPPRESSED" ? "Why" : "Note – optional"}
      reasonHelp="It becomes the note of the finding, in your name."
      most={512}
      act={async (note) => {
        const failed = await eachOf(findings, (f) => ask(api.PATCH("/v1/findings/{key}", { params: { path: { key: f.key } }, body: { workflow: status, note: note || undefined } })));
        for (const word of ["findings", "finding", "groups", "overview"]) void client.invalidateQueries({ queryKey: [word] });
        flash(
          failed
            ? { type: "warning", content: `${plural(findings.length - failed, "finding")} set to ${sentence(status)}; ${failed} could not be: an exception may decide over them.` }
            : { type: "success", content: `${findings.length === 1 ? "The finding is" : `${plural(findings.length, "finding")} are`} ${sentence(status).toLowerCase()}.` },
        );
        onDone?.();
      }}
    >
      <div>{meaning}</div>
      <Names findings={findings} />
    </Ask>
  );
}
