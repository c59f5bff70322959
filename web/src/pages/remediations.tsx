import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import Pagination from "@cloudscape-design/components/pagination";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table, { type TableProps } from "@cloudscape-design/components/table";
import { useQuery } from "@tanstack/react-query";
import type { Remediation } from "../api/client";
import { remediationsQuery, type RemediationSelection } from "../api/queries";
import { Account, Empty, Failure, State, Time, To } from "../parts/basics";
import { Exact, usePaging } from "../parts/paging";
import { kindWords, plain, remediationStates, resourceName, stateWords } from "../lib/words";
import { one } from "../router";
import { useSearch } from "../shell/navigate";
import { useNarrow } from "../theme";
import { remediationHref } from "./finding";
import { useTitle } from "./title";

/** name says what a remediation is about, in a few words. */
export function remediationName(r: Remediation): string {
  const on = plain(resourceName(r.resource)) || r.account;
  return `${kindWords(r.kind)} of ${plain(r.control || r.runbook)} on ${on}`;
}

const columns: TableProps.ColumnDefinition<Remediation>[] = [
  { id: "state", header: "State", cell: (r) => <State state={r.state} />, width: 170 },
  { id: "name", header: "Remediation", cell: (r) => <To href={remediationHref(r.id)}>{remediationName(r)}</To>, isRowHeader: true, minWidth: 240 },
  { id: "account", header: "Account", cell: (r) => <Account id={r.account} /> },
  { id: "by", header: "Asked by", cell: (r) => plain(r.requested_by), minWidth: 110 },
  { id: "reason", header: "What it says", cell: (r) => <span className="parry-wrap">{plain(r.reason) || "–"}</span>, minWidth: 200 },
  { id: "updated", header: "Updated", cell: (r) => <Time at={r.updated_at} /> },
];

const narrowColumn: TableProps.ColumnDefinition<Remediation> = {
  id: "remediation",
  header: "Remediation",
  isRowHeader: true,
  cell: (r) => (
    <div className="parry-wrap">
      <State state={r.state} />
      <div>
        <To href={remediationHref(r.id)}>{remediationName(r)}</To>
      </div>
      <div className="parry-dim parry-small">
        <Account id={r.account} /> · {plain(r.requested_by)} · <Time at={r.updated_at} />
      </div>
    </div>
  ),
};

export function RemediationsPage() {
  useTitle("Remediations");
  const narrow = useNarrow();
  const [search, set] = useSearch();
  const state = remediationStates.find((s) => s === one(search.state));
  const control = one(search.control);
  const account = one(search.account);
  const selection: RemediationSelection = { state, control, account, finding: one(search.finding), undo_of: one(search.undo_of) };
  const paging = usePaging(JSON.stringify(selection));
  const found = useQuery(remediationsQuery(selection, 50, paging.cursor));
  const options = [{ value: "", label: "Any state" }, ...remediationStates.map((value) => ({ value: value as string, label: stateWords(value) }))];
  const filtered = !!(state || control || account || selection.finding || selection.undo_of);
  return (
    <Table
      variant="full-page"
      stickyHeader
      enableKeyboardNavigation
      items={found.data?.items ?? []}
      trackBy="id"
      wrapLines
      loading={found.isPending || (found.isPlaceholderData && found.isFetching)}
      loadingText="Reading remediations"
      columnDefinitions={narrow ? [narrowColumn] : columns}
      ariaLabels={{ tableLabel: "Remediations" }}
      header={
        <Header variant="awsui-h1-sticky" description="What was asked for, planned, approved and done. The latest first." actions={<Button iconName="refresh" ariaLabel="Read again" onClick={() => void found.refetch()} />}>
          Remediations
        </Header>
      }
      filter={
        <SpaceBetween direction={narrow ? "vertical" : "horizontal"} size="xs">
          <Select ariaLabel="State" selectedOption={options.find((o) => o.value === (state ?? "")) ?? options[0]!} options={options} onChange={(e) => set({ state: e.detail.selectedOption.value })} expandToViewport />
          <Exact label="Control" value={control} onChange={(v) => set({ control: v })} />
          <Exact label="Account" value={account} onChange={(v) => set({ account: v })} />
          {filtered && <Button onClick={() => set({ state: undefined, control: undefined, account: undefined, finding: undefined, undo_of: undefined })}>Clear the filter</Button>}
        </SpaceBetween>
      }
      pagination={<Pagination {...paging.of(found.data?.next)} />}
      empty={
        found.isError ? (
          <Failure error={found.error} what="list of remediations" retry={() => void found.refetch()} />
        ) : filtered ? (
          <Empty why="No remediation is like this." next="Choose another state, or clear the filter." />
        ) : (
          <Empty why="Nothing was remediated yet." next="Open a finding and choose Actions, Remediate. Rules of the bus start remediations by themselves." action={<To href="/findings?f=workflow=NEW,NOTIFIED&f=record=ACTIVE&sort=priority">Open the findings</To>} />
        )
      }
    />
  );
}
