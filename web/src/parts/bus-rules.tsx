import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import Pagination from "@cloudscape-design/components/pagination";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Table, { type TableProps } from "@cloudscape-design/components/table";
import { keepPreviousData, queryOptions, useQuery } from "@tanstack/react-query";
import { api, ask, type Schemas } from "../api/client";
import { targetWords } from "../lib/pattern";
import { plain } from "../lib/words";
import { one } from "../router";
import { useSearch } from "../shell/navigate";
import { useNarrow } from "../theme";
import { Empty, Failure, To } from "./basics";
import { usePaging } from "./paging";
import { Pattern } from "./pattern";

type Rule = Schemas["BusRule"];

const busesQuery = queryOptions({ queryKey: ["buses"], queryFn: ({ signal }) => ask(api.GET("/v1/bus/buses", { params: { query: { limit: 100 } }, signal })), staleTime: 60_000 });

const rulesQuery = (bus: string, cursor?: string) =>
  queryOptions({ queryKey: ["bus-rules", bus, cursor ?? ""], queryFn: ({ signal }) => ask(api.GET("/v1/bus/rules", { params: { query: { bus, limit: 50, cursor } }, signal })), placeholderData: keepPreviousData });

function Targets({ rule }: { rule: Rule }) {
  if (rule.targets.length === 0) return <span className="parry-dim">None: what matches goes nowhere</span>;
  return (
    <>
      {rule.targets.map((t) => (
        <div key={t.id} className="parry-wrap" title={plain(t.arn)}>
          {plain(targetWords(t.arn))}
        </div>
      ))}
    </>
  );
}

function State({ rule }: { rule: Rule }) {
  return <StatusIndicator type={rule.enabled ? "success" : "stopped"}>{rule.enabled ? "Enabled" : "Disabled"}</StatusIndicator>;
}

function Matches({ rule }: { rule: Rule }) {
  return (
    <>
      {rule.schedule && <div className="parry-code">{plain(rule.schedule)}</div>}
      {rule.pattern && <Pattern text={rule.pattern} of={plain(rule.name)} />}
    </>
  );
}

const letters = (rule: Rule) => (
  <To href={`/events?tab=dead&rule=${encodeURIComponent(`${rule.bus}/${rule.name}`)}`} label={`Dead letters of ${plain(rule.name)}`}>
    Dead letters
  </To>
);

const columns: TableProps.ColumnDefinition<Rule>[] = [
  { id: "state", header: "State", cell: (r) => <State rule={r} />, width: 120 },
  {
    id: "name",
    header: "Rule",
    isRowHeader: true,
    minWidth: 170,
    cell: (r) => (
      <div className="parry-wrap">
        {plain(r.name)}
        <div className="parry-dim parry-small">{plain(r.description ?? "") || (r.configured ? "of parry.yaml" : "")}</div>
      </div>
    ),
  },
  { id: "matches", header: "What it takes", cell: (r) => <Matches rule={r} />, minWidth: 320 },
  { id: "targets", header: "Where it sends", cell: (r) => <Targets rule={r} />, minWidth: 190 },
  { id: "letters", header: "Given up", cell: letters, minWidth: 130 },
];

const narrowColumn: TableProps.ColumnDefinition<Rule> = {
  id: "rule",
  header: "Rule",
  isRowHeader: true,
  cell: (r) => (
    <div className="parry-wrap">
      <State rule={r} />
      <div>
        <strong>{plain(r.name)}</strong> {r.configured && <span className="parry-dim parry-small">of parry.yaml</span>}
      </div>
      <Matches rule={r} />
      <div className="parry-dim parry-small">goes to</div>
      <Targets rule={r} />
      <div>{letters(r)}</div>
    </div>
  ),
};

/** BusRules lists the rules of a bus. They are changed by EventBridge's API or in parry.yaml. */
export function BusRules() {
  const narrow = useNarrow();
  const [search, set] = useSearch();
  const bus = one(search.bus) ?? "default";
  const buses = useQuery(busesQuery);
  const paging = usePaging(bus);
  const found = useQuery(rulesQuery(bus, paging.cursor));
  const pages = paging.of(found.data?.next);
  const options = [...new Set(["default", bus, ...(buses.data?.items ?? []).map((b) => b.name)])].map((value) => ({ value, label: plain(value) }));
  return (
    <Table
      variant="container"
      items={found.data?.items ?? []}
      trackBy="name"
      wrapLines
      loading={found.isPending || (found.isPlaceholderData && found.isFetching)}
      loadingText="Reading rules"
      columnDefinitions={narrow ? [narrowColumn] : columns}
      ariaLabels={{ tableLabel: "Rules of the bus" }}
      header={
        <Header variant="h2" description="They are changed in parry.yaml, or as EventBridge's: aws events put-rule." actions={<Button iconName="refresh" ariaLabel="Read again" onClick={() => void found.refetch()} />}>
          Rules
        </Header>
      }
      filter={
        options.length > 1 && (
          <SpaceBetween direction="horizontal" size="xs">
            <Select ariaLabel="Bus" selectedOption={options.find((o) => o.value === bus) ?? options[0]!} options={options} onChange={(e) => set({ bus: e.detail.selectedOption.value === "default" ? undefined : e.detail.selectedOption.value })} expandToViewport />
          </SpaceBetween>
        )
      }
      pagination={pages.pagesCount > 1 && <Pagination {...pages} />}
      empty={found.isError ? <Failure error={found.error} what="list of rules" retry={() => void found.refetch()} /> : <Empty why="This bus has no rule." next="Without one its events go nowhere, but into archives." />}
    />
  );
}
