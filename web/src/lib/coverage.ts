import type { StatusIndicatorProps } from "@cloudscape-design/components/status-indicator";

/** coverageStates are the states of coverage, what needs somebody first. */
export const coverageStates: { key: "lost" | "never" | "degraded" | "covered" | "off"; type: StatusIndicatorProps.Type; word: string; text: string }[] = [
  { key: "lost", type: "error", word: "Lost", text: "Lost: the member role can no longer be taken" },
  { key: "never", type: "error", word: "Never covered", text: "Never covered: the member role could not be taken yet" },
  { key: "degraded", type: "warning", word: "Degraded", text: "Degraded: a source fails or is silent, or the account does not say whether the Region is on" },
  { key: "covered", type: "success", word: "Covered", text: "Covered" },
  { key: "off", type: "stopped", word: "Off", text: "Off: the Region is turned off in the account" },
];
