import { useLocation, useRouter } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { parseSearch, writeSearch, type Search } from "../router";

/** useGo opens an address of the console. */
export function useGo() {
  const router = useRouter();
  return useCallback((href: string, how?: { replace?: boolean }) => (how?.replace ? router.history.replace(href) : router.history.push(href)), [router]);
}

/** useFollow handles the links of Cloudscape: those of the console do not load the page anew. */
export function useFollow() {
  const go = useGo();
  return useCallback(
    (e: CustomEvent<{ href?: string; external?: boolean; target?: string }>) => {
      const href = e.detail.href;
      if (!href || e.detail.external || !href.startsWith("/")) return;
      e.preventDefault();
      go(href);
    },
    [go],
  );
}

/** useSearch gives what stands behind the question mark, and a function that changes it. */
export function useSearch(): [Search, (change: Search, how?: { replace?: boolean }) => void] {
  const { pathname, searchStr } = useLocation();
  const go = useGo();
  const search = useMemo(() => parseSearch(searchStr), [searchStr]);
  const set = useCallback((change: Search, how?: { replace?: boolean }) => go(pathname + writeSearch({ ...search, ...change }), how), [go, pathname, search]);
  return [search, set];
}
