import { useEffect } from "react";

/** useTitle names the page in the browser's tab and for who hears it read. */
export function useTitle(title: string) {
  useEffect(() => {
    document.title = title ? `${title} – Parry` : "Parry";
  }, [title]);
}
