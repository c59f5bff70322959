import createClient from "openapi-fetch";
import type { paths, components } from "./schema";

export type Schemas = components["schemas"];
export type Problem = Schemas["Problem"];

/** Trouble is an answer that is no success: what happened, and the next step. */
export class Trouble extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string;
  readonly places: { location?: string; message: string }[];

  constructor(status: number, problem: Partial<Problem>) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code ?? "internal";
    this.hint = problem.hint ?? "";
    this.places = problem.errors ?? [];
  }
}

/** signedOut is told when an answer says that nobody is signed in any more. */
let signedOut = () => {};

export function onSignedOut(tell: () => void) {
  signedOut = tell;
}

export const api = createClient<paths>({ baseUrl: "", credentials: "same-origin", headers: { Accept: "application/json" } });

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** ask waits for an answer and gives its body, or throws Trouble. */
export async function ask<T>(asked: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await asked;
  } catch (e) {
    if (e instanceof DOMException && e.name === "AbortError") throw e;
    throw new Trouble(0, { code: "unavailable", detail: "Parry does not answer.", hint: "Check the network, and that parry serve is running. The page goes on by itself once it answers." });
  }
  if (answer.response.ok) return answer.data as T;
  const status = answer.response.status;
  if (status === 401) signedOut();
  const problem = typeof answer.error === "object" && answer.error !== null ? (answer.error as Partial<Problem>) : { detail: typeof answer.error === "string" && answer.error.length < 300 ? answer.error : "" };
  throw new Trouble(status, problem);
}

export type Finding = Schemas["Finding"];
export type FindingDetail = Schemas["FindingDetail"];
export type Remediation = Schemas["Remediation"];
export type RemediationDetail = Schemas["RemediationDetail"];
export type Approval = Schemas["Approval"];
export type PlanDocument = Schemas["PlanDocument"];
export type PlannedCall = Schemas["PlannedCall"];
export type Exception = Schemas["Exception"];
export type StopSwitch = Schemas["StopSwitch"];
export type Step = Schemas["Step"];
export type Change = Schemas["Change"];
export type CallRecord = Schemas["CallRecord"];
export type HistoryEntry = Schemas["HistoryEntry"];
export type Session = Schemas["Session"];
