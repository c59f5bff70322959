import Header from "@cloudscape-design/components/header";
import Pagination from "@cloudscape-design/components/pagination";
import StatusIndicator, { type StatusIndicatorProps } from "@cloudscape-design/components/status-indicator";
import Table, { type TableProps } from "@cloudscape-design/components/table";
import { keepPreviousData, queryOptions, useQuery } from "@tanstack/react-query";
import { api, ask, type Schemas } from "../api/client";
import { absolute } from "../lib/time";
import { plain, plural, sentence } from "../lib/words";
import { useNarrow } from "../theme";
import { Empty, Failure, Time } from "./basics";
import { usePaging } from "./paging";
import { Pattern } from "./pattern";

type Archive = Schemas["Archive"];
type Replay = Schemas["Replay"];

const archivesQuery = (cursor?: string) =>
  queryOptions({ queryKey: ["archives", cursor ?? ""], queryFn: ({ signal }) => ask(api.GET("/v1/bus/archives", { params: { query: { limit: 50, cursor } }, signal })), placeholderData: keepPreviousData });

const replaysQuery = (cursor?: string) =>
  queryOptions({ queryKey: ["replays", cursor ?? ""], queryFn: ({ signal }) => ask(api.GET("/v1/bus/replays", { params: { query: { limit: 50, cursor } }, signal })), placeholderData: keepPreviousData, refetchInterval: 10_000 });

const kept = (a: Archive) => (a.days ? plural(a.days, "day") : "ever");
const pattern = (a: Archive) => (a.pattern ? <Pattern text={a.pattern} of={plain(a.name)} /> : "Every event");

const archiveColumns: TableProps.ColumnDefinition<Archive>[] = [
  { id: "name", header: "Archive", cell: (a) => <span className="parry-wrap">{plain(a.name)}</span>, isRowHeader: true, minWidth: 140 },
  { id: "bus", header: "Bus", cell: (a) => plain(a.bus) },
  { id: "pattern", header: "What it keeps", cell: pattern, minWidth: 240 },
  { id: "days", header: "Kept for", cell: kept, minWidth: 120 },
  { id: "created", header: "Made", cell: (a) => <Time at={a.created_at} /> },
];

const narrowArchive: TableProps.ColumnDefinition<Archive> = {
  id: "name",
  header: "Archive",
  isRowHeader: true,
  cell: (a) => (
    <div className="parry-wrap">
      <strong>{plain(a.name)}</strong>
      <div>{pattern(a)}</div>
      <div className="parry-dim parry-small">
        {plain(a.bus)} · kept for {kept(a)} · made <Time at={a.created_at} />
      </div>
    </div>
  ),
};

/** Archives lists what keeps events. */
export function Archives() {
  const narrow = useNarrow();
  const paging = usePaging("archives");
  const found = useQuery(archivesQuery(paging.cursor));
  const pages = paging.of(found.data?.next);
  return (
    <Table
      variant="container"
      items={found.data?.items ?? []}
      trackBy="name"
      wrapLines
      loading={found.isPending}
      loadingText="Reading archives"
      columnDefinitions={narrow ? [narrowArchive] : archiveColumns}
      ariaLabels={{ tableLabel: "Archives" }}
      header={<Header variant="h2">Archives</Header>}
      pagination={pages.pagesCount > 1 && <Pagination {...pages} />}
      empty={found.isError ? <Failure error={found.error} what="list of archives" retry={() => void found.refetch()} /> : <Empty why="No events are kept." next="An archive keeps events of a bus, to try rules on them and to send them again." />}
    />
  );
}

const replayTypes: Record<string, StatusIndicatorProps.Type> = { STARTING: "pending", RUNNING: "in-progress", CANCELLING: "in-progress", COMPLETED: "success", CANCELLED: "stopped", FAILED: "error" };

function ReplayState({ replay }: { replay: Replay }) {
  return (
    <StatusIndicator type={replayTypes[replay.state] ?? "info"} wrapText>
      {sentence(replay.state)}
      {replay.reason ? <span className="parry-dim"> {plain(replay.reason)}</span> : null}
    </StatusIndicator>
  );
}

const span = (r: Replay) => `${absolute(r.from)} to ${absolute(r.to)}`;

const replayColumns: TableProps.ColumnDefinition<Replay>[] = [
  { id: "state", header: "State", cell: (r) => <ReplayState replay={r} />, minWidth: 150 },
  { id: "name", header: "Replay", cell: (r) => <span className="parry-wrap">{plain(r.name)}</span>, isRowHeader: true, minWidth: 140 },
  { id: "archive", header: "Archive", cell: (r) => plain(r.archive) },
  { id: "span", header: "Events of", cell: (r) => span(r), minWidth: 200 },
  { id: "by", header: "Asked by", cell: (r) => plain(r.by ?? "") || "–", minWidth: 120 },
  { id: "started", header: "Began", cell: (r) => <Time at={r.started_at} /> },
];

const narrowReplay: TableProps.ColumnDefinition<Replay> = {
  id: "name",
  header: "Replay",
  isRowHeader: true,
  cell: (r) => (
    <div className="parry-wrap">
      <ReplayState replay={r} />
      <div>
        <strong>{plain(r.name)}</strong> of {plain(r.archive)}
      </div>
      <div className="parry-dim parry-small">
        Events of {span(r)}; {r.by ? `by ${plain(r.by)}, ` : ""}
        <Time at={r.started_at} />
      </div>
    </div>
  ),
};

/** Replays lists what was sent again. */
export function Replays() {
  const narrow = useNarrow();
  const paging = usePaging("replays");
  const found = useQuery(replaysQuery(paging.cursor));
  const pages = paging.of(found.data?.next);
  return (
    <Table
      variant="container"
      items={found.data?.items ?? []}
      trackBy="name"
      wrapLines
      loading={found.isPending}
      loadingText="Reading replays"
      columnDefinitions={narrow ? [narrowReplay] : replayColumns}
      ariaLabels={{ tableLabel: "Replays" }}
      header={<Header variant="h2">Replays</Header>}
      pagination={pages.pagesCount > 1 && <Pagination {...pages} />}
      empty={found.isError ? <Failure error={found.error} what="list of replays" retry={() => void found.refetch()} /> : <Empty why="Nothing was sent again." next="A replay sends events of an archive to rules once more; nothing is remediated by it." />}
    />
  );
}
