import type { StatusIndicatorProps } from "@cloudscape-design/components/status-indicator";
import type { Schemas } from "../api/client";

export type Person = Schemas["Person"];
export type Role = Person["role"];

/** roles of people, the least first, with what they may do. */
export const roles: { value: Role; label: string; description: string }[] = [
  { value: "viewer", label: "Viewer", description: "Sees everything within the accounts." },
  { value: "responder", label: "Responder", description: "Also remediates, undoes, sets the status of findings, asks for exceptions, stops all changes." },
  { value: "approver", label: "Approver", description: "Decides on plans and exceptions, stops all changes. Asks for no remediation." },
  { value: "administrator", label: "Administrator", description: "Everything, letting changes go on and inviting people included." },
];

const names = /^[a-z0-9][a-z0-9._@+=-]{0,63}$/;

/** nameTrouble says what is wrong with the name of somebody to invite. */
export function nameTrouble(name: string, taken: readonly string[]): string {
  if (name === "") return "Give a name.";
  if (!names.test(name)) return "Lower-case letters, digits and . _ @ + = - only, at most 64; a letter or digit first.";
  if (taken.includes(name)) return `There is a person ${name} already. For a new link choose Reset password.`;
  return "";
}

/** passwordTrouble says what is wrong with a new password. The server has the last word. */
export function passwordTrouble(name: string, password: string): string {
  const length = [...password].length;
  if (length < 12) return length === 0 ? "Choose a password." : `At least 12 characters; these are ${length}.`;
  if (length > 128) return `At most 128 characters; these are ${length}.`;
  if (new Set(password).size < 5) return "At least 5 different characters.";
  if (password.toLowerCase().includes(name.toLowerCase()) && length < 12 + [...name].length) return "This is little more than your name.";
  return "";
}

/** readAccounts reads 12-digit ids that are parted by anything; null is that something is none. */
export function readAccounts(text: string): string[] | null {
  const ids = text.split(/[\s,;]+/).filter((id) => id !== "");
  return ids.length > 0 && ids.every((id) => /^\d{12}$/.test(id)) ? [...new Set(ids)] : null;
}

/** scopeWords says on which accounts a person acts. */
export function scopeWords(accounts: readonly string[]): string {
  if (accounts.includes("*")) return "All accounts";
  return accounts.length <= 2 ? accounts.join(", ") : `${accounts.length} accounts`;
}

/** personState is the state of a person in words, with an icon. */
export function personState(state: Person["state"]): { type: StatusIndicatorProps.Type; text: string } {
  switch (state) {
    case "invited":
      return { type: "pending", text: "Invited" };
    case "expired":
      return { type: "warning", text: "Invitation expired" };
    case "disabled":
      return { type: "stopped", text: "Disabled" };
    default:
      return { type: "success", text: "May sign in" };
  }
}
