import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { api, ask } from "../api/client";
import { coverageStates } from "../lib/coverage";
import { count, plain } from "../lib/words";
import { Account, Failure, Time, To } from "./basics";

/** The server counts those of accounts that are idle apart. */
const states = [...coverageStates, { key: "idle", type: "stopped", text: "Of accounts that are suspended or closed" } as const];

const organizationQuery = queryOptions({ queryKey: ["organization"], queryFn: ({ signal }) => ask(api.GET("/v1/organization", { signal })), staleTime: 60_000 });

/** The first that are not covered, in the order of the server: what never was and what is lost. */
const troubledQuery = queryOptions({
  queryKey: ["organization", "coverage"],
  queryFn: ({ signal }) => ask(api.GET("/v1/organization/coverage", { params: { query: { limit: 5 } }, signal })),
  staleTime: 60_000,
});

/** Coverage says what of the accounts Parry can see and act in. Where that is not found out it is not there. */
export function Coverage() {
  const found = useQuery(organizationQuery);
  const n = found.data?.coverage ?? {};
  const trouble = (n.lost ?? 0) + (n.never ?? 0) + (n.degraded ?? 0) > 0;
  const first = useQuery({ ...troubledQuery, enabled: trouble });
  if (found.isError) return <Failure error={found.error} what="coverage" retry={() => void found.refetch()} />;
  if (Object.keys(n).length === 0) return null;
  const rows = (first.data?.items ?? []).filter((r) => r.state !== "covered" && r.state !== "off" && r.reason !== "account_state");
  return (
    <Container
      header={
        <Header variant="h2" description={<>Regions of accounts that Parry can see and act in{found.data?.covered_at && <>, found out <Time at={found.data.covered_at} /></>}</>} actions={<To href="/coverage">All Regions</To>}>
          Coverage
        </Header>
      }
    >
      <ul className="parry-rows">
        {states
          .filter((s) => (n[s.key] ?? 0) > 0)
          .map((s) => (
            <li key={s.key}>
              <StatusIndicator type={s.type} wrapText>
                <span className="parry-words">{s.text}</span>
              </StatusIndicator>
              <span className="parry-nowrap">{count(n[s.key] ?? 0)}</span>
            </li>
          ))}
        {rows.map((r) => (
          <li key={`${r.account}/${r.region}`}>
            <div className="parry-wrap">
              <Account id={r.account} /> in {r.region}
              <div className="parry-dim parry-small">{plain([r.detail, r.next].filter(Boolean).join(" – "))}</div>
            </div>
            <span className="parry-nowrap parry-small">
              {r.state} since <Time at={r.since} />
            </span>
          </li>
        ))}
      </ul>
    </Container>
  );
}
