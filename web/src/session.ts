import { queryOptions, useQuery, type QueryClient } from "@tanstack/react-query";
import { api, ask, Trouble, type Session } from "./api/client";

/** Who is signed in; null is nobody. The server decides what they may do, again, each time. */
export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async (): Promise<Session | null> => {
    try {
      return await ask(api.GET("/v1/session"));
    } catch (e) {
      if (e instanceof Trouble && e.status === 401) return null;
      throw e;
    }
  },
  staleTime: 60_000,
  retry: false,
});

export function useSession(): Session | undefined {
  return useQuery(sessionQuery).data ?? undefined;
}

/** useMay says whether the role has an action, and gives the words for why not. */
export function useMay() {
  const session = useSession();
  return (action: string): { ok: boolean; why: string } => {
    const ok = session?.may.includes(action) ?? false;
    return { ok, why: ok ? "" : `Your role (${session?.role ?? "none"}) may not do this: ${action}. An administrator can change it.` };
  };
}

export async function signIn(client: QueryClient, name: string, password: string) {
  const session = await ask(api.POST("/v1/session", { body: { name, password } }));
  forget(client);
  client.setQueryData(sessionQuery.queryKey, session);
}

/** join uses an invitation up: the password is set, and this browser is signed in. */
export async function join(client: QueryClient, code: string, password: string) {
  const session = await ask(api.POST("/v1/invitation", { body: { code, password } }));
  forget(client);
  client.setQueryData(sessionQuery.queryKey, session);
}

export async function signOut(client: QueryClient) {
  await ask(api.DELETE("/v1/session"));
  client.setQueryData(sessionQuery.queryKey, null);
  forget(client);
}

/** forget drops all that was read for another person. */
function forget(client: QueryClient) {
  client.removeQueries({ predicate: (q) => q.queryKey[0] !== "session" });
}
