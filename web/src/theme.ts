import { applyDensity, applyMode, Density, Mode } from "@cloudscape-design/global-styles";
import { useSyncExternalStore } from "react";

/** The look is a matter of this browser: it is kept in its local storage. */
export type Theme = "system" | "light" | "dark";

const key = "parry.theme";
const dense = "parry.density";
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

function stored(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // storage is switched off: the system decides
  }
}

function keep(name: string, value: string) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // it holds until the page is loaded anew
  }
}

function read(): Theme {
  const t = stored(key);
  return t === "light" || t === "dark" ? t : "system";
}

let theme = read();
let compact = stored(dense) === "compact";

function apply() {
  const on = theme === "dark" || (theme === "system" && dark.matches);
  applyMode(on ? Mode.Dark : Mode.Light);
  applyDensity(compact ? Density.Compact : Density.Comfortable);
  document.documentElement.style.colorScheme = on ? "dark" : "light";
  for (const tell of listeners) tell();
}

export function startTheme() {
  apply();
  dark.addEventListener("change", apply);
  window.addEventListener("storage", (e) => {
    if (e.key === key) {
      theme = read();
      apply();
    }
  });
}

export function setTheme(t: Theme) {
  theme = t;
  keep(key, t);
  apply();
}

export function setCompact(on: boolean) {
  compact = on;
  keep(dense, on ? "compact" : "comfortable");
  apply();
}

function subscribe(tell: () => void) {
  listeners.add(tell);
  return () => listeners.delete(tell);
}

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, () => theme);
}

export function useCompact(): boolean {
  return useSyncExternalStore(subscribe, () => compact);
}

const narrow = window.matchMedia("(max-width: 688px)");

/** useNarrow says that the window is a telephone's: tables have one column that tells all. */
export function useNarrow(): boolean {
  return useSyncExternalStore(
    (tell) => {
      narrow.addEventListener("change", tell);
      return () => narrow.removeEventListener("change", tell);
    },
    () => narrow.matches,
  );
}
