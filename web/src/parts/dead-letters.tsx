import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import Link from "@cloudscape-design/components/link";
import Modal from "@cloudscape-design/components/modal";
import Pagination from "@cloudscape-design/components/pagination";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table, { type TableProps } from "@cloudscape-design/components/table";
import { keepPreviousData, queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ask, type Schemas } from "../api/client";
import { targetWords } from "../lib/pattern";
import { count, plain, plural } from "../lib/words";
import { one } from "../router";
import { useMay } from "../session";
import { useFlash } from "../shell/flash";
import { useSearch } from "../shell/navigate";
import { useNarrow } from "../theme";
import { Ask } from "./ask";
import { Empty, Failure, Time } from "./basics";
import { Exact, usePaging } from "./paging";

type Letter = Schemas["DeadLetter"];

interface Selection {
  bus?: string;
  rule?: string;
  code?: string;
}

const lettersQuery = (selection: Selection, cursor?: string) =>
  queryOptions({
    queryKey: ["dead-letters", selection, cursor ?? ""],
    queryFn: ({ signal }) => ask(api.GET("/v1/bus/dead-letters", { params: { query: { ...selection, limit: 50, cursor } }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: 30_000,
  });

/** eventName is what an event is, in its own words. */
function eventName(l: Letter): string {
  const event = l.event as { "detail-type"?: unknown; source?: unknown } | null;
  const type = event?.["detail-type"];
  return typeof type === "string" && type !== "" ? plain(type) : "Event";
}

function GivenUp({ letter }: { letter: Letter }) {
  return (
    <>
      <Time at={letter.given_up_at} />, after {plural(letter.attempts, "try", "tries")}
    </>
  );
}

/** Why is the beginning of the reason: the whole is in the dialog. */
function Why({ letter }: { letter: Letter }) {
  return (
    <div className="parry-wrap">
      {plain(letter.code)}
      <div className="parry-dim parry-few">{plain(letter.reason)}</div>
    </div>
  );
}

/** Whole shows one dead letter: everything in it is text that others wrote. */
function Whole({ letter, send, onClose }: { letter: Letter; send?: () => void; onClose: () => void }) {
  const narrow = useNarrow();
  return (
    <Modal
      visible
      size="large"
      onDismiss={onClose}
      header={<span className="parry-wrap">{eventName(letter)}</span>}
      footer={
        send && (
          <Box float="right">
            <Button onClick={send}>Send again</Button>
          </Box>
        )
      }
    >
      <SpaceBetween size="m">
        <KeyValuePairs
          columns={narrow ? 1 : 2}
          items={[
            { label: "Rule", value: <span className="parry-wrap">{plain(letter.rule)}</span> },
            { label: "Target", value: <span className="parry-wrap">{plain(letter.target)}</span> },
            { label: "Where it goes", value: <span className="parry-wrap">{plain(letter.address)}</span> },
            { label: "Code", value: plain(letter.code) },
            { label: "Accepted", value: <Time at={letter.since} /> },
            { label: "Given up", value: <GivenUp letter={letter} /> },
          ]}
        />
        <div>
          <Box variant="awsui-key-label">Why</Box>
          <div className="parry-wrap">{plain(letter.reason) || "–"}</div>
        </div>
        <div>
          <Box variant="awsui-key-label">Event</Box>
          <pre className="parry-raw parry-event" tabIndex={0} role="region" aria-label="Event">
            {plain(JSON.stringify(letter.event, null, 2))}
          </pre>
        </div>
      </SpaceBetween>
    </Modal>
  );
}

/** DeadLetters lists deliveries that were given up, with the reason, and sends them again. */
export function DeadLetters() {
  const narrow = useNarrow();
  const may = useMay();
  const flash = useFlash();
  const client = useQueryClient();
  const [search, set] = useSearch();
  const selection: Selection = { bus: one(search.bus), rule: one(search.rule), code: one(search.code) };
  const paging = usePaging(JSON.stringify(selection));
  const found = useQuery(lettersQuery(selection, paging.cursor));
  const [chosen, setChosen] = useState<Letter[]>([]);
  const [shown, setShown] = useState<Letter | null>(null);
  const [asking, setAsking] = useState<"chosen" | "all" | null>(null);
  const write = may("event_rule.write");
  const filtered = !!(selection.bus || selection.rule || selection.code);
  const items = found.data?.items ?? [];
  const picked = chosen.filter((c) => items.some((i) => i.id === c.id));
  const redrive = async () => {
    const body = asking === "chosen" ? { ids: picked.map((c) => c.id) } : { ...selection, all: filtered ? undefined : true };
    const done = await ask(api.POST("/v1/bus/dead-letters/redrive", { body }));
    setChosen([]);
    await client.invalidateQueries({ queryKey: ["dead-letters"] });
    flash({ type: "success", content: `${count(done.redriven)} ${done.redriven === 1 ? "delivery is" : "deliveries are"} tried again.${done.more ? " There are more: send them again too." : ""}` });
  };
  const open = (l: Letter) => (
    <Link onFollow={(e) => (e.preventDefault(), setShown(l))} href="#" ariaLabel={`${eventName(l)}: show the whole`}>
      <span className="parry-wrap">{eventName(l)}</span>
    </Link>
  );
  const columns: TableProps.ColumnDefinition<Letter>[] = [
    { id: "event", header: "Event", cell: open, isRowHeader: true, minWidth: 170 },
    { id: "rule", header: "Rule", cell: (l) => <span className="parry-wrap">{plain(l.rule)}</span>, minWidth: 150 },
    {
      id: "address",
      header: "Where it goes",
      cell: (l) => (
        <span className="parry-wrap" title={plain(l.address)}>
          {plain(targetWords(l.address))}
        </span>
      ),
      minWidth: 140,
    },
    { id: "why", header: "Why", cell: (l) => <Why letter={l} />, minWidth: 240 },
    { id: "died", header: "Given up", cell: (l) => <GivenUp letter={l} />, minWidth: 130 },
  ];
  const narrowColumn: TableProps.ColumnDefinition<Letter> = {
    id: "event",
    header: "Event",
    isRowHeader: true,
    cell: (l) => (
      <div className="parry-wrap">
        {open(l)}
        <Why letter={l} />
        <div className="parry-dim parry-small">
          {plain(l.rule)} · {plain(targetWords(l.address))} · <GivenUp letter={l} />
        </div>
      </div>
    ),
  };
  return (
    <>
      <Table
        variant="container"
        items={items}
        trackBy="id"
        wrapLines
        selectionType="multi"
        selectedItems={picked}
        onSelectionChange={(e) => setChosen(e.detail.selectedItems)}
        loading={found.isPending || (found.isPlaceholderData && found.isFetching)}
        loadingText="Reading dead letters"
        columnDefinitions={narrow ? [narrowColumn] : columns}
        ariaLabels={{
          tableLabel: "Dead letters",
          selectionGroupLabel: "Choose dead letters",
          allItemsSelectionLabel: ({ selectedItems }) => (selectedItems.length > 0 ? "Choose none of this page" : "Choose all of this page"),
          itemSelectionLabel: (_, l) => `${eventName(l)} of ${plain(l.rule)}, ${l.id}`,
        }}
        header={
          <Header
            variant="h2"
            description="Deliveries that were given up, the latest first."
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button iconName="refresh" ariaLabel="Read again" onClick={() => void found.refetch()} />
                <Button onClick={() => setAsking("chosen")} disabled={!write.ok || picked.length === 0} disabledReason={write.ok ? "Choose what to send again." : write.why}>
                  Send again
                </Button>
                <Button onClick={() => setAsking("all")} disabled={!write.ok || items.length === 0} disabledReason={write.ok ? "There is nothing to send again." : write.why}>
                  Send all again
                </Button>
              </SpaceBetween>
            }
          >
            Dead letters
          </Header>
        }
        filter={
          <SpaceBetween direction={narrow ? "vertical" : "horizontal"} size="xs">
            <Exact label="Bus" value={selection.bus} onChange={(v) => set({ bus: v })} />
            <Exact label="Rule" value={selection.rule} onChange={(v) => set({ rule: v })} />
            <Exact label="Code" value={selection.code} onChange={(v) => set({ code: v })} />
            {filtered && <Button onClick={() => set({ bus: undefined, rule: undefined, code: undefined })}>Clear the filter</Button>}
          </SpaceBetween>
        }
        pagination={<Pagination {...paging.of(found.data?.next)} />}
        empty={
          found.isError ? (
            <Failure error={found.error} what="list of dead letters" retry={() => void found.refetch()} />
          ) : filtered ? (
            <Empty why="No dead letter is like this." next="A rule is named with its bus: default/orders." />
          ) : (
            <Empty why="Every event was delivered." next="What cannot be delivered after all tries is listed here, with the reason." />
          )
        }
      />
      {shown && <Whole letter={shown} send={write.ok ? () => (setChosen([shown]), setShown(null), setAsking("chosen")) : undefined} onClose={() => setShown(null)} />}
      {asking && (
        <Ask title={asking === "chosen" ? `Send ${count(picked.length)} again` : filtered ? "Send all of these again" : "Send all dead letters again"} yes="Send again" act={redrive} onClose={() => setAsking(null)}>
          <div>
            {asking === "chosen" ? "They are" : `Every dead letter${filtered ? " that the filter finds" : ""} is`} delivered once more, by the rule's target as it is now, with all its tries. Mend what is named as the reason first.
          </div>
        </Ask>
      )}
    </>
  );
}
