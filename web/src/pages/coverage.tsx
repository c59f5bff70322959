import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import Pagination from "@cloudscape-design/components/pagination";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Table, { type TableProps } from "@cloudscape-design/components/table";
import { keepPreviousData, queryOptions, useQuery } from "@tanstack/react-query";
import { api, ask, type Schemas } from "../api/client";
import { coverageStates } from "../lib/coverage";
import { count, plain } from "../lib/words";
import { Account, Empty, Failure, Time } from "../parts/basics";
import { Exact, usePaging } from "../parts/paging";
import { one } from "../router";
import { useSearch } from "../shell/navigate";
import { useNarrow } from "../theme";
import { useTitle } from "./title";

type Row = Schemas["CoverageRegion"];

interface Selection {
  state?: Row["state"];
  account?: string;
  region?: string;
}

const coverageQuery = (selection: Selection, cursor?: string) =>
  queryOptions({
    queryKey: ["organization", "coverage", selection, cursor ?? ""],
    queryFn: ({ signal }) => ask(api.GET("/v1/organization/coverage", { params: { query: { ...selection, limit: 50, cursor } }, signal })),
    placeholderData: keepPreviousData,
  });

const organizationQuery = queryOptions({ queryKey: ["organization"], queryFn: ({ signal }) => ask(api.GET("/v1/organization", { signal })), staleTime: 60_000 });

function State({ row }: { row: Row }) {
  const s = coverageStates.find((x) => x.key === row.state);
  return (
    <StatusIndicator type={s?.type ?? "info"} wrapText>
      {s?.word ?? row.state}
    </StatusIndicator>
  );
}

const begun = (s: string) => s.charAt(0).toUpperCase() + s.slice(1);

/** Why is what stands behind a state: AWS's words may be in it, so it is text and no more. */
function Why({ row }: { row: Row }) {
  const words = [row.detail, row.next].map((w) => begun(plain(w ?? ""))).filter(Boolean);
  if (words.length === 0) return <>–</>;
  return (
    <div className="parry-wrap">
      {words.map((w, i) => (
        <div key={i} className={i > 0 ? "parry-dim" : undefined}>
          {w}
        </div>
      ))}
    </div>
  );
}

const columns: TableProps.ColumnDefinition<Row>[] = [
  { id: "state", header: "State", cell: (r) => <State row={r} />, width: 150 },
  { id: "account", header: "Account", cell: (r) => <Account id={r.account} />, isRowHeader: true, minWidth: 200 },
  { id: "region", header: "Region", cell: (r) => r.region, minWidth: 120 },
  { id: "why", header: "Why, and what to do", cell: (r) => <Why row={r} />, minWidth: 260 },
  { id: "since", header: "Since", cell: (r) => <Time at={r.since} /> },
  { id: "checked", header: "Looked at", cell: (r) => <Time at={r.checked_at} /> },
];

const narrowColumn: TableProps.ColumnDefinition<Row> = {
  id: "place",
  header: "Account and Region",
  isRowHeader: true,
  cell: (r) => (
    <div className="parry-wrap">
      <State row={r} />
      <div>
        <Account id={r.account} /> in {r.region}
      </div>
      {(r.detail || r.next) && <Why row={r} />}
      <div className="parry-dim parry-small">
        since <Time at={r.since} />, looked at <Time at={r.checked_at} />
      </div>
    </div>
  ),
};

/** CoveragePage says of every Region of every account whether Parry can see and act in it. */
export function CoveragePage() {
  useTitle("Coverage");
  const narrow = useNarrow();
  const [search, set] = useSearch();
  const state = coverageStates.find((s) => s.key === one(search.state))?.key;
  const selection: Selection = { state, account: one(search.account), region: one(search.region) };
  const paging = usePaging(JSON.stringify(selection));
  const organization = useQuery(organizationQuery);
  const found = useQuery(coverageQuery(selection, paging.cursor));
  const counts = organization.data?.coverage ?? {};
  const options = [
    { value: "", label: "Any state" },
    ...coverageStates.map((s) => ({ value: s.key as string, label: `${s.word} (${count(counts[s.key] ?? 0)})` })),
  ];
  const filtered = !!(selection.state || selection.account || selection.region);
  const refresh = () => void Promise.all([found.refetch(), organization.refetch()]);
  return (
    <Table
      variant="full-page"
      stickyHeader
      enableKeyboardNavigation
      items={found.data?.items ?? []}
      trackBy={(r) => `${r.account}/${r.region}`}
      wrapLines
      loading={found.isPending || (found.isPlaceholderData && found.isFetching)}
      loadingText="Reading coverage"
      columnDefinitions={narrow ? [narrowColumn] : columns}
      ariaLabels={{ tableLabel: "Coverage" }}
      header={
        <Header
          variant="awsui-h1-sticky"
          description={
            <>
              Regions of accounts in which Parry can see and act, what is lost first.
              {organization.data?.covered_at && (
                <>
                  {" "}
                  Found out <Time at={organization.data.covered_at} />.
                </>
              )}
              {!!counts.idle && <> {count(counts.idle)} of accounts that are suspended or closed are not among the numbers.</>}
            </>
          }
          actions={<Button iconName="refresh" ariaLabel="Read again" onClick={refresh} />}
        >
          Coverage
        </Header>
      }
      filter={
        <SpaceBetween direction={narrow ? "vertical" : "horizontal"} size="xs">
          <Select ariaLabel="State" selectedOption={options.find((o) => o.value === (state ?? "")) ?? options[0]!} options={options} onChange={(e) => set({ state: e.detail.selectedOption.value })} expandToViewport />
          <Exact label="Account" value={selection.account} onChange={(v) => set({ account: v })} />
          <Exact label="Region" value={selection.region} onChange={(v) => set({ region: v })} />
          {filtered && <Button onClick={() => set({ state: undefined, account: undefined, region: undefined })}>Clear the filter</Button>}
        </SpaceBetween>
      }
      pagination={<Pagination {...paging.of(found.data?.next)} />}
      empty={
        found.isError ? (
          <Failure error={found.error} what="coverage" retry={refresh} />
        ) : filtered ? (
          <Empty why="No Region of an account is like this." next="Choose another state, or clear the filter." />
        ) : (
          <Empty why="Coverage was not found out yet." next="Set organization.coverage in parry.yaml, or run: parry org sync" />
        )
      }
    />
  );
}
