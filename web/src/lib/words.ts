import type { StatusIndicatorProps } from "@cloudscape-design/components/status-indicator";

type Kind = StatusIndicatorProps.Type;

/** states of a remediation, as they are written to the database -> words and icon. */
const states: Record<string, [string, Kind]> = {
  planned: ["Planned", "pending"],
  awaiting_approval: ["Awaiting approval", "pending"],
  queued: ["Queued", "pending"],
  running: ["Running", "in-progress"],
  verifying: ["Verifying", "in-progress"],
  verified: ["Verified", "success"],
  unverified: ["Unverified", "warning"],
  failed: ["Failed", "error"],
  cancelled: ["Cancelled", "stopped"],
  rejected: ["Rejected", "stopped"],
  expired: ["Expired", "stopped"],
  superseded: ["Superseded", "stopped"],
  undoing: ["Undoing", "in-progress"],
  undone: ["Undone", "stopped"],
  regressed: ["Regressed", "warning"],
  // of approvals and exceptions
  pending: ["Pending", "pending"],
  approved: ["Approved", "success"],
  active: ["In force", "success"],
  ended: ["Ended", "stopped"],
  withdrawn: ["Withdrawn", "stopped"],
  // of steps and executions, as Systems Manager has them
  Pending: ["Pending", "pending"],
  InProgress: ["In progress", "in-progress"],
  Waiting: ["Waiting", "pending"],
  Success: ["Success", "success"],
  Failed: ["Failed", "error"],
  TimedOut: ["Timed out", "error"],
  Cancelling: ["Cancelling", "in-progress"],
  Cancelled: ["Cancelled", "stopped"],
  Skipped: ["Skipped", "stopped"],
  // of changes and calls
  done: ["Done", "success"],
  "not sent": ["Not sent", "stopped"],
  "maybe sent": ["Maybe sent", "warning"],
  refused: ["Refused by AWS", "error"],
  ok: ["OK", "success"],
  error: ["Error", "error"],
  throttled: ["Throttled", "warning"],
  not_sent: ["Not sent", "stopped"],
  maybe_sent: ["Maybe sent", "warning"],
};

export function stateWords(state: string): string {
  return states[state]?.[0] ?? sentence(state);
}

export function stateKind(state: string): Kind {
  return states[state]?.[1] ?? "info";
}

export const remediationStates = [
  "planned", "awaiting_approval", "queued", "running", "verifying", "verified", "unverified", "failed",
  "cancelled", "rejected", "expired", "superseded", "undoing", "undone", "regressed",
] as const;
export type RemediationState = (typeof remediationStates)[number];

/** moving says that a remediation will move on by itself. */
export function moving(state: string): boolean {
  return ["planned", "queued", "running", "verifying", "undoing"].includes(state);
}

/** undoable says that what a remediation changed can be asked to be taken back. */
export function undoable(state: string, kind: string): boolean {
  return kind !== "undo" && ["verified", "unverified", "failed", "cancelled", "superseded", "regressed"].includes(state);
}

export function cancellable(state: string): boolean {
  return ["planned", "awaiting_approval", "queued", "running"].includes(state);
}

/** sentence writes NOT_AVAILABLE or awaiting_approval as people do. */
export function sentence(s: string): string {
  const words = s.replace(/_/g, " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const kinds: Record<string, string> = { fix: "Fix", undo: "Undo", run: "Run" };
export const kindWords = (kind: string) => kinds[kind] ?? sentence(kind);

/** optionWords gives the words for a value of a closed property of the filter. */
export function optionWords(property: string, value: string): string {
  if (property === "created" || property === "updated") return value === "1" ? "the last day" : `the last ${value} days`;
  if (property === "overdue") return "Passed";
  if (property === "exception") return value === "any" ? "Any exception" : value;
  if (["severity", "workflow", "record", "compliance"].includes(property)) return sentence(value);
  return value;
}

/** tail gives the end of an ARN, by which people know a resource. */
export function resourceName(id: string): string {
  if (!id.startsWith("arn:")) return id;
  const rest = id.split(":").slice(5).join(":");
  return rest === "" ? id : rest;
}

export function plural(n: number, one: string, many = one + "s"): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

export function count(n: number): string {
  return n.toLocaleString("en-US");
}

/**
 * plain makes hidden characters of untrusted text visible: control characters, and those
 * that turn the direction of reading, by which a name can look like another.
 */
export function plain(text: string | undefined): string {
  return (text ?? "").replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, "\ufffd");
}
