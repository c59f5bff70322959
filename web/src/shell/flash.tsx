import Flashbar, { type FlashbarProps } from "@cloudscape-design/components/flashbar";
import Button from "@cloudscape-design/components/button";
import { createContext, useCallback, useContext, useMemo, useState, type ReactNode } from "react";
import type { StopSwitch } from "../api/client";
import { useConnection } from "../live";

interface Flash {
  type: "success" | "error" | "info" | "warning";
  header?: string;
  content: ReactNode;
  action?: ReactNode;
}

const Context = createContext<{ say: (f: Flash) => void; items: FlashbarProps.MessageDefinition[] }>({ say: () => {}, items: [] });

let last = 0;

/** FlashProvider keeps what was said above the page until somebody closes it. */
export function FlashProvider({ children }: { children: ReactNode }) {
  const [items, setItems] = useState<FlashbarProps.MessageDefinition[]>([]);
  const say = useCallback((f: Flash) => {
    const id = `flash-${++last}`;
    const drop = () => setItems((all) => all.filter((i) => i.id !== id));
    setItems((all) => [{ id, ...f, dismissible: true, dismissLabel: "Dismiss", onDismiss: drop }, ...all].slice(0, 3));
    if (f.type === "success" || f.type === "info") window.setTimeout(drop, 10_000);
  }, []);
  return <Context value={useMemo(() => ({ say, items }), [say, items])}>{children}</Context>;
}

export const useFlash = () => useContext(Context).say;

/** Flashes shows what was said, and above it that changes are stopped: on every page. */
export function Flashes({ stop, onStop }: { stop: StopSwitch | undefined; onStop: () => void }) {
  const { items } = useContext(Context);
  const lost = useConnection() === "lost";
  const all: FlashbarProps.MessageDefinition[] = [...items];
  if (lost) all.unshift({ id: "lost", type: "warning", content: "The connection to Parry is lost: what you see may be old. It is being tried again." });
  if (stop?.on) {
    all.unshift({
      id: "stop",
      type: "error",
      header: "All changes are stopped",
      content: <span className="parry-wrap">{stop.reason}</span>,
      action: <Button onClick={onStop}>Let changes go on…</Button>,
    });
  }
  return <Flashbar items={all} />;
}
