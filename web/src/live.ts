import type { QueryClient } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";

/**
 * What changed on the server, as hints: what they name is read again. All tabs of a
 * browser share one stream: one tab holds a lock and passes on what it hears, and when
 * it is closed the next one gets the lock. A browser keeps few connections to a host,
 * and a person many tabs.
 */

interface Hint {
  type: string;
  id?: string;
}

export type Connection = "connecting" | "live" | "lost";

let connection: Connection = "connecting";
const listeners = new Set<() => void>();

function say(c: Connection) {
  if (c === connection) return;
  connection = c;
  for (const tell of listeners) tell();
}

export function useConnection(): Connection {
  return useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => listeners.delete(tell);
    },
    () => connection,
  );
}

/** about gives the first words of the keys of queries that a hint makes old. */
function about(type: string): string[] {
  switch (type) {
    case "finding":
      return ["findings", "finding", "groups", "overview"];
    case "remediation":
      return ["remediations", "remediation", "plan", "finding", "overview", "approvals"];
    case "approval":
      return ["approvals", "remediation", "overview"];
    case "exception":
      return ["exceptions", "overview"];
    case "stop":
      return ["stop", "overview", "finding"];
    case "signed-out":
      return ["session"];
    case "reset":
      return ["findings", "finding", "groups", "remediations", "remediation", "plan", "approvals", "exceptions", "stop", "overview"];
  }
  return [];
}

/** pause is how long hints are gathered, in milliseconds: one fix gives a dozen. */
const pause = 250;

/** start follows the server until the function that it gives is called. */
export function startLive(client: QueryClient): () => void {
  const ended = new AbortController();
  const begun = performance.now();
  const channel = new BroadcastChannel("parry.live");
  let due = new Set<string>();
  let timer: number | undefined;

  const heard = (hint: Hint) => {
    for (const word of about(hint.type)) due.add(word);
    if (timer !== undefined || due.size === 0) return;
    timer = window.setTimeout(() => {
      const words = due;
      due = new Set();
      timer = undefined;
      void client.invalidateQueries({ predicate: (q) => words.has(String(q.queryKey[0])) });
    }, pause);
  };

  channel.onmessage = (e: MessageEvent) => {
    const m = e.data as { connection?: Connection; hint?: Hint };
    if (m.connection) say(m.connection);
    if (m.hint) heard(m.hint);
  };
  channel.postMessage({ who: "asks" });

  const lead = () =>
    new Promise<void>((done) => {
      if (ended.signal.aborted) return done();
      // Who follows another tab may have missed what came between.
      let broken = performance.now() - begun > 1000;
      const tell = (c: Connection) => {
        say(c);
        channel.postMessage({ connection: c });
      };
      const hear = (hint: Hint) => {
        heard(hint);
        channel.postMessage({ hint });
      };
      const stream = new EventSource("/v1/stream");
      stream.onopen = () => {
        tell("live");
        // What happened while nobody listened is not known.
        if (broken) hear({ type: "reset" });
        broken = false;
      };
      stream.onmessage = (e: MessageEvent<string>) => {
        try {
          hear(JSON.parse(e.data) as Hint);
        } catch {
          hear({ type: "reset" });
        }
      };
      stream.addEventListener("signed-out", () => hear({ type: "signed-out" }));
      stream.addEventListener("reset", () => hear({ type: "reset" }));
      let again: number | undefined;
      stream.onerror = () => {
        broken = true;
        tell("lost");
        // A stream that the server refused is not tried again by the browser.
        if (stream.readyState === EventSource.CLOSED && again === undefined) again = window.setTimeout(finish, 10_000, true);
      };
      const finish = (anew: boolean) => {
        stream.close();
        window.clearTimeout(again);
        ended.signal.removeEventListener("abort", stop);
        channel.removeEventListener("message", answer);
        done();
        if (anew) void follow();
      };
      const stop = () => finish(false);
      ended.signal.addEventListener("abort", stop);
      // A tab that came later asks how things are.
      const answer = (e: MessageEvent) => {
        if ((e.data as { who?: string }).who) channel.postMessage({ connection });
      };
      channel.addEventListener("message", answer);
    });

  const follow = async () => {
    if (ended.signal.aborted) return;
    if (!("locks" in navigator)) return lead();
    try {
      await navigator.locks.request("parry.live", { signal: ended.signal }, lead);
    } catch (e) {
      if (!ended.signal.aborted) throw e;
    }
  };
  void follow();

  return () => {
    ended.abort();
    window.clearTimeout(timer);
    channel.close();
    say("connecting");
  };
}
