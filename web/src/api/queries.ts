import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { compile, type Token } from "../lib/filter";
import { api, ask, type Finding, type Remediation } from "./client";

export type Sort = "updated" | "priority";
export type GroupBy = "severity" | "account" | "region" | "control" | "workflow" | "compliance" | "product" | "resource_type" | "resource";

export interface Page<T> {
  items: T[];
  next?: string;
  hidden?: number;
  hidden_more?: boolean;
}

/** findingsQuery is one page of the list: page n+1 is asked with the cursor of page n. */
export function findingsQuery(tokens: Token[], sort: Sort, limit: number, cursor: string | undefined, everywhere = false) {
  const search = compile(tokens);
  return queryOptions({
    queryKey: ["findings", search, sort, limit, cursor ?? "", everywhere],
    queryFn: ({ signal }): Promise<Page<Finding>> =>
      ask(api.POST("/v1/findings/search", { params: { query: { ...search.query, all_accounts: everywhere || undefined, sort, limit, cursor } }, body: { filters: search.filters, text: search.text || undefined }, signal })),
    placeholderData: keepPreviousData,
  });
}

export function groupsQuery(tokens: Token[], by: GroupBy, limit = 50, everywhere = false) {
  const search = compile(tokens);
  return queryOptions({
    queryKey: ["groups", search, by, limit, everywhere],
    queryFn: ({ signal }) => ask(api.POST("/v1/findings/groups", { params: { query: { ...search.query, all_accounts: everywhere || undefined, by, limit } }, body: { filters: search.filters, text: search.text || undefined }, signal })),
    placeholderData: keepPreviousData,
    retry: false,
    // What an exception suppresses cannot be counted.
    enabled: !search.query.excepted && !search.query.exception,
  });
}

export const findingQuery = (key: string) =>
  queryOptions({ queryKey: ["finding", key], queryFn: ({ signal }) => ask(api.GET("/v1/findings/{key}", { params: { path: { key } }, signal })) });

export const historyQuery = (key: string) =>
  infiniteQueryOptions({
    queryKey: ["finding", key, "history"],
    queryFn: ({ signal, pageParam }) => ask(api.GET("/v1/findings/{key}/history", { params: { path: { key }, query: { limit: 50, cursor: pageParam } }, signal })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next || undefined,
  });

export interface RemediationSelection {
  state?: Remediation["state"];
  account?: string;
  control?: string;
  finding?: string;
  undo_of?: string;
}

export function remediationsQuery(selection: RemediationSelection, limit: number, cursor?: string) {
  return queryOptions({
    queryKey: ["remediations", selection, limit, cursor ?? ""],
    queryFn: ({ signal }): Promise<Page<Remediation>> =>
      ask(api.GET("/v1/remediations", { params: { query: { ...selection, limit, cursor } as never }, signal })),
    placeholderData: keepPreviousData,
  });
}

export const remediationQuery = (id: string) =>
  queryOptions({ queryKey: ["remediation", id], queryFn: ({ signal }) => ask(api.GET("/v1/remediations/{id}", { params: { path: { id } }, signal })) });

export const planQuery = (id: string) =>
  queryOptions({ queryKey: ["plan", id], queryFn: ({ signal }) => ask(api.GET("/v1/plans/{id}", { params: { path: { id } }, signal })), retry: false });

export const callsQuery = (id: string) =>
  infiniteQueryOptions({
    queryKey: ["remediation", id, "calls"],
    queryFn: ({ signal, pageParam }) => ask(api.GET("/v1/remediations/{id}/calls", { params: { path: { id }, query: { limit: 100, cursor: pageParam } }, signal })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next || undefined,
  });

export const approvalsQuery = (state?: "pending" | "approved" | "rejected" | "expired" | "superseded") =>
  queryOptions({ queryKey: ["approvals", state ?? ""], queryFn: ({ signal }) => ask(api.GET("/v1/approvals", { params: { query: { state, limit: 200 } }, signal })) });

export const exceptionsQuery = (state?: "open" | "pending" | "active" | "ended" | "rejected" | "withdrawn" | "expired") =>
  queryOptions({ queryKey: ["exceptions", state ?? ""], queryFn: ({ signal }) => ask(api.GET("/v1/exceptions", { params: { query: { state, limit: 200 } }, signal })) });

export const stopQuery = queryOptions({ queryKey: ["stop"], queryFn: ({ signal }) => ask(api.GET("/v1/stop-switch", { signal })), refetchInterval: 60_000 });

/** accountsQuery gives the names of accounts by id; at most 2,000 are read. */
export const accountsQuery = queryOptions({
  queryKey: ["accounts"],
  queryFn: async ({ signal }) => {
    const names = new Map<string, string>();
    let cursor: string | undefined;
    for (let n = 0; n < 10; n++) {
      const page = await ask(api.GET("/v1/organization/accounts", { params: { query: { limit: 200, cursor } }, signal }));
      for (const a of page.items) names.set(a.id, a.name ?? "");
      cursor = page.next || undefined;
      if (!cursor) break;
    }
    return names;
  },
  staleTime: 300_000,
  retry: false,
});

export type Facet = "severity" | "account" | "region" | "control" | "workflow" | "record_state" | "compliance" | "product" | "resource_type" | "resource";

/** facetsQuery gives the values of a property that begin with a prefix, with their numbers; at most 50. */
export const facetsQuery = (field: Facet, prefix: string) =>
  queryOptions({
    queryKey: ["facets", field, prefix],
    queryFn: ({ signal }) => ask(api.GET("/v1/findings/facets", { params: { query: { field, prefix: prefix || undefined } }, signal })),
    placeholderData: keepPreviousData,
    staleTime: 120_000,
  });

export const viewsQuery = queryOptions({ queryKey: ["views"], queryFn: ({ signal }) => ask(api.GET("/v1/views", { params: { query: { limit: 200 } }, signal })) });

/** peopleQuery is who may sign in. Who was invited joins without an event, so it is read again. */
export const peopleQuery = queryOptions({ queryKey: ["people"], queryFn: ({ signal }) => ask(api.GET("/v1/people", { signal })), refetchInterval: 30_000 });

/** invitationQuery looks at an invitation. It is read once: each look counts as a try, and a used one is none. */
export const invitationQuery = (code: string) =>
  queryOptions({
    queryKey: ["invitation", code],
    queryFn: ({ signal }) => ask(api.POST("/v1/invitation/look", { body: { code }, signal })),
    enabled: code !== "",
    retry: false,
    staleTime: Infinity,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
