import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import CollectionPreferences, { type CollectionPreferencesProps } from "@cloudscape-design/components/collection-preferences";
import Header from "@cloudscape-design/components/header";
import Pagination from "@cloudscape-design/components/pagination";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Table, { type TableProps } from "@cloudscape-design/components/table";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useState } from "react";
import type { Finding } from "../api/client";
import { findingsQuery, groupsQuery, type GroupBy, type Sort } from "../api/queries";
import { Account, Empty, Failure, Severity, Time, To } from "../parts/basics";
import { FindingFilter } from "../parts/finding-filter";
import { RemediateSeveral, SetStatus, statusAction } from "../parts/finding-actions";
import { Views } from "../parts/views";
import { decodeAll, encodeAll, normalize, problem, propertyNamed, type Token } from "../lib/filter";
import { count, plain, plural, resourceName, sentence } from "../lib/words";
import { list, one, writeSearch } from "../router";
import { useMay } from "../session";
import { useSearch } from "../shell/navigate";
import { useNarrow } from "../theme";
import { useTitle } from "./title";

/** findingHref is the page of a finding. */
export const findingHref = (f: { key: string }) => `/findings/${encodeURIComponent(f.key)}`;

function Due({ f }: { f: Finding }) {
  if (!f.due_at) return <>–</>;
  if (f.overdue) {
    return (
      <StatusIndicator type="error">
        <Time at={f.due_at} />
      </StatusIndicator>
    );
  }
  return <Time at={f.due_at} />;
}

const columns: TableProps.ColumnDefinition<Finding>[] = [
  { id: "severity", header: "Severity", cell: (f) => <Severity label={f.severity} />, width: 110 },
  { id: "priority", header: "Priority", cell: (f) => f.priority, sortingField: "priority", width: 122 },
  { id: "title", header: "Title", cell: (f) => <To href={findingHref(f)}>{plain(f.title) || "without a title"}</To>, width: 300, minWidth: 220, isRowHeader: true },
  { id: "resource", header: "Resource", cell: (f) => <span className="parry-wrap">{plain(resourceName(f.resource_id))}</span>, width: 210 },
  { id: "account", header: "Account", cell: (f) => <Account id={f.account} />, width: 180 },
  { id: "control", header: "Control", cell: (f) => plain(f.control) || "–", width: 110 },
  { id: "workflow", header: "Workflow", cell: (f) => (f.exception ? "Suppressed (exception)" : sentence(f.workflow)), width: 130 },
  { id: "due", header: "Due", cell: (f) => <Due f={f} />, width: 140 },
  { id: "updated", header: "Updated", cell: (f) => <Time at={f.updated_at} />, sortingField: "updated", width: 150 },
  { id: "region", header: "Region", cell: (f) => f.region, width: 130 },
  { id: "type", header: "Resource type", cell: (f) => plain(f.resource_type) || "–", width: 170 },
  { id: "compliance", header: "Compliance", cell: (f) => (f.compliance ? sentence(f.compliance) : "–"), width: 130 },
  { id: "record", header: "Record state", cell: (f) => sentence(f.record_state), width: 120 },
  { id: "source", header: "Source", cell: (f) => plain(f.source) + (f.trusted ? " (trusted)" : ""), width: 170 },
  { id: "created", header: "Created", cell: (f) => <Time at={f.created_at} />, width: 150 },
];

/** narrowColumn tells all that a telephone has room for. */
const narrowColumn: TableProps.ColumnDefinition<Finding> = {
  id: "finding",
  header: "Finding",
  isRowHeader: true,
  cell: (f) => (
    <div className="parry-wrap">
      <Severity label={f.severity} /> <span className="parry-dim">priority {f.priority}</span>
      <div>
        <To href={findingHref(f)}>{plain(f.title) || "without a title"}</To>
      </div>
      <div className="parry-dim parry-small">
        {plain(resourceName(f.resource_id))} · <Account id={f.account} /> · {sentence(f.workflow)}
      </div>
    </div>
  ),
};

const shownAtFirst = ["severity", "priority", "title", "resource", "account", "control", "workflow", "due", "updated"];
const groups: { value: GroupBy; label: string; property?: string }[] = [
  { value: "control", label: "Control", property: "control" },
  { value: "resource", label: "Resource", property: "resource" },
  { value: "account", label: "Account", property: "account" },
  { value: "severity", label: "Severity", property: "severity" },
  { value: "region", label: "Region", property: "region" },
  { value: "resource_type", label: "Resource type", property: "type" },
  { value: "product", label: "Product", property: "product" },
  { value: "workflow", label: "Workflow status", property: "workflow" },
];

const prefsKey = "parry.findings";
const sizes = [20, 50, 100];

function storedPreferences(): CollectionPreferencesProps.Preferences {
  const first: CollectionPreferencesProps.Preferences = { pageSize: 50, wrapLines: true, stripedRows: false, contentDisplay: columns.map((c) => ({ id: c.id!, visible: shownAtFirst.includes(c.id!) })) };
  try {
    const kept = JSON.parse(localStorage.getItem(prefsKey) ?? "{}") as CollectionPreferencesProps.Preferences;
    // A column that came with a later version is put behind those that were chosen.
    const known = (kept.contentDisplay ?? []).filter((c) => columns.some((d) => d.id === c.id));
    const added = (first.contentDisplay ?? []).filter((c) => !known.some((k) => k.id === c.id)).map((c) => ({ ...c, visible: known.length === 0 && c.visible }));
    return { ...first, ...kept, pageSize: sizes.includes(kept.pageSize ?? 0) ? kept.pageSize : 50, contentDisplay: [...known, ...added] };
  } catch {
    return first;
  }
}

export function FindingsPage() {
  useTitle("Findings");
  const [search, setSearch] = useSearch();
  const tokens = useMemo(() => decodeAll(list(search.f)), [search.f]);
  const sort: Sort = one(search.sort) === "updated" ? "updated" : "priority";
  const group = groups.find((g) => g.value === one(search.group));
  const everywhere = one(search.accounts) === "all";
  const showEverywhere = useCallback((on: boolean) => setSearch({ accounts: on ? "all" : undefined }), [setSearch]);
  const setTokens = useCallback((next: Token[]) => setSearch({ f: encodeAll(next) }), [setSearch]);
  const wrong = problem(tokens);
  const filter = (
    <SpaceBetween size="s">
      <FindingFilter tokens={tokens} onChange={setTokens} tail={<GroupSelect value={group?.value} onChange={(g) => setSearch({ group: g })} />} />
      {wrong && <Alert type="warning">{wrong} Take some away.</Alert>}
    </SpaceBetween>
  );
  if (wrong) return filter;
  const reach = { everywhere, showEverywhere };
  return group ? <Groups tokens={tokens} group={group} filter={filter} {...reach} /> : <Findings tokens={tokens} setTokens={setTokens} sort={sort} setSort={(s) => setSearch({ sort: s })} filter={filter} {...reach} />;
}

/** Reach is whether findings of accounts that are out of use are listed too. */
interface Reach {
  everywhere: boolean;
  showEverywhere: (on: boolean) => void;
}

/** Hidden says how many findings are not listed because their accounts are out of use, and lists them. */
function Hidden({ n, more, everywhere, showEverywhere }: Reach & { n: number | undefined; more: boolean | undefined }) {
  if (everywhere) {
    return (
      <div className="parry-dim">
        Findings of accounts that are suspended, closed or gone are listed too.{" "}
        <Button variant="inline-link" onClick={() => showEverywhere(false)}>
          Leave them out
        </Button>
      </div>
    );
  }
  if (!n && !more) return null;
  return (
    <div className="parry-dim">
      {n ? `${plural(n, "finding is", "findings are")} not listed, because their accounts are suspended, closed or gone.` : "Findings of accounts that are suspended, closed or gone are not listed."}{" "}
      <Button variant="inline-link" onClick={() => showEverywhere(true)}>
        {n ? "List them too" : "List those too"}
      </Button>
    </div>
  );
}

function GroupSelect({ value, onChange }: { value: GroupBy | undefined; onChange: (g: GroupBy | undefined) => void }) {
  const options = [{ value: "", label: "Not grouped" }, ...groups.map((g) => ({ value: g.value as string, label: `By ${g.label.toLowerCase()}` }))];
  return <Select ariaLabel="Group findings" selectedOption={options.find((o) => o.value === (value ?? "")) ?? options[0]!} options={options} onChange={(e) => onChange((e.detail.selectedOption.value || undefined) as GroupBy | undefined)} expandToViewport />;
}

function Total({ tokens, everywhere }: { tokens: Token[]; everywhere: boolean }) {
  const total = useQuery(groupsQuery(tokens, "severity", 50, everywhere));
  if (!total.isSuccess || !total.data) return null;
  return <>({count(total.data.groups.reduce((sum, g) => sum + g.count, 0))})</>;
}

function Findings({ tokens, setTokens, sort, setSort, filter, everywhere, showEverywhere }: Reach & { tokens: Token[]; setTokens: (t: Token[]) => void; sort: Sort; setSort: (s: Sort) => void; filter: React.ReactNode }) {
  const narrow = useNarrow();
  const may = useMay();
  const client = useQueryClient();
  const [prefs, setPrefs] = useState(storedPreferences);
  const [selected, setSelected] = useState<Finding[]>([]);
  const [action, setAction] = useState("");
  const size = prefs.pageSize ?? 50;
  const asked = JSON.stringify([encodeAll(tokens), sort, size, everywhere]);

  // The cursors of the pages that were seen; another question begins at the first.
  const [paging, setPaging] = useState<{ asked: string; cursors: (string | undefined)[]; page: number }>({ asked, cursors: [undefined], page: 0 });
  const at = paging.asked === asked ? paging : { asked, cursors: [undefined], page: 0 };
  const cursor = at.cursors[at.page];

  // Rows do not move under the pointer: what has changed is read when it leaves.
  const [over, setOver] = useState(false);
  const query = findingsQuery(tokens, sort, size, cursor, everywhere);
  // The first page says how many are hidden; the others do not count again.
  const begin = useQuery({ ...findingsQuery(tokens, sort, size, undefined, everywhere), enabled: cursor !== undefined });
  const held = over && client.getQueryState(query.queryKey)?.data !== undefined;
  const found = useQuery({ ...query, enabled: !held });
  const old = held && client.getQueryState(query.queryKey)?.isInvalidated;
  const items = found.data?.items ?? [];
  const first = cursor === undefined ? found.data : begin.data;
  useEffect(() => setSelected([]), [asked, at.page]);
  const chosen = selected.map((s) => items.find((i) => i.key === s.key)).filter((f) => f !== undefined);

  const request = may("remediation.request");
  const update = may("finding.update");
  const none = chosen.length === 0 ? "Select findings first." : "";
  const next = found.data?.next;
  const pages = at.cursors.length + (next && at.page === at.cursors.length - 1 ? 1 : 0);
  const turn = (page: number) => {
    if (page < at.cursors.length) setPaging({ ...at, page });
    else if (next) setPaging({ asked, cursors: [...at.cursors, next], page });
  };
  const keep = (p: CollectionPreferencesProps.Preferences) => {
    setPrefs(p);
    try {
      localStorage.setItem(prefsKey, JSON.stringify(p));
    } catch {
      // they hold until the page is loaded anew
    }
  };

  return (
    <>
      <div onPointerEnter={(e) => e.pointerType === "mouse" && setOver(true)} onPointerLeave={() => setOver(false)}>
        <Table
          variant="full-page"
          stickyHeader
          enableKeyboardNavigation
          resizableColumns={!narrow}
          items={items}
          trackBy="key"
          columnDefinitions={narrow ? [narrowColumn] : columns}
          columnDisplay={narrow ? [{ id: "finding", visible: true }] : prefs.contentDisplay}
          wrapLines={prefs.wrapLines}
          stripedRows={prefs.stripedRows}
          loading={found.isPending || (found.isPlaceholderData && found.isFetching)}
          loadingText="Reading findings"
          sortingColumn={columns.find((c) => c.sortingField === sort)}
          sortingDescending
          onSortingChange={(e) => setSort(e.detail.sortingColumn.sortingField as Sort)}
          selectionType="multi"
          selectedItems={chosen}
          onSelectionChange={(e) => setSelected(e.detail.selectedItems)}
          ariaLabels={{
            tableLabel: "Findings",
            selectionGroupLabel: "Findings that are selected",
            allItemsSelectionLabel: () => "Select all findings of this page",
            itemSelectionLabel: (_s, f) => `Select ${plain(f.title)}, ${plain(resourceName(f.resource_id))}`,
            resizerRoleDescription: "Resize button",
          }}
          header={
            <Header
              variant="awsui-h1-sticky"
              description={old ? "Findings have changed. The list is read again when the pointer leaves it." : undefined}
              actions={
                <SpaceBetween direction="horizontal" size="xs">
                  <Button iconName="refresh" ariaLabel="Read again" onClick={() => void client.invalidateQueries({ predicate: (q) => ["findings", "groups"].includes(String(q.queryKey[0])) }).then(() => found.refetch())} />
                  <Views tokens={tokens} sort={sort} />
                  <ButtonDropdown
                    variant="primary"
                    disabled={chosen.length === 0}
                    disabledReason={none}
                    items={[
                      { id: "remediate", text: "Remediate", disabled: !request.ok, disabledReason: request.why },
                      ...["NOTIFIED", "SUPPRESSED", "RESOLVED", "NEW"].map((s) => ({ id: s, text: statusAction(s), disabled: !update.ok, disabledReason: update.why })),
                    ]}
                    onItemClick={(e) => setAction(e.detail.id)}
                  >
                    Actions
                  </ButtonDropdown>
                </SpaceBetween>
              }
            >
              Findings <Total tokens={tokens} everywhere={everywhere} />
            </Header>
          }
          filter={
            <SpaceBetween size="s">
              {filter}
              <Hidden n={first?.hidden} more={first?.hidden_more} everywhere={everywhere} showEverywhere={showEverywhere} />
            </SpaceBetween>
          }
          pagination={
            <Pagination
              currentPageIndex={at.page + 1}
              pagesCount={Math.max(1, pages)}
              openEnd={!!next && at.page === at.cursors.length - 1}
              onChange={(e) => turn(e.detail.currentPageIndex - 1)}
              ariaLabels={{ nextPageLabel: "Next page", previousPageLabel: "Previous page", pageLabel: (n) => `Page ${n}` }}
            />
          }
          preferences={
            <CollectionPreferences
              title="Preferences"
              confirmLabel="Confirm"
              cancelLabel="Cancel"
              preferences={prefs}
              onConfirm={(e) => keep(e.detail)}
              pageSizePreference={{ title: "Findings on a page", options: sizes.map((value) => ({ value, label: `${value} findings` })) }}
              wrapLinesPreference={{ label: "Wrap lines", description: "Show all of a text instead of cutting it" }}
              stripedRowsPreference={{ label: "Striped rows", description: "Shade every second row" }}
              contentDisplayPreference={{ title: "Columns", description: "Which are shown, and in what order", options: columns.map((c) => ({ id: c.id!, label: String(c.header), alwaysVisible: c.id === "title" })) }}
            />
          }
          empty={
            found.isError ? (
              <Failure error={found.error} what="list of findings" retry={() => void found.refetch()} />
            ) : tokens.length > 0 ? (
              <Empty why="No finding matches the filter." next="Take a part of it away, or begin anew." action={<Button onClick={() => setTokens([])}>Clear the filter</Button>} />
            ) : (
              <Empty why="No finding has arrived yet." next="Connect a source (docs/sources.md), or send a file: parry finding import FILE" />
            )
          }
        />
      </div>
      {action === "remediate" && <RemediateSeveral findings={chosen} onClose={() => setAction("")} />}
      {["NEW", "NOTIFIED", "SUPPRESSED", "RESOLVED"].includes(action) && (
        <SetStatus findings={chosen} status={action as "NEW"} onClose={() => setAction("")} onDone={() => setSelected([])} />
      )}
    </>
  );
}

interface Group {
  value: string;
  count: number;
}

function Groups({ tokens, group, filter, everywhere, showEverywhere }: Reach & { tokens: Token[]; group: (typeof groups)[number]; filter: React.ReactNode }) {
  const found = useQuery(groupsQuery(tokens, group.value, 200, everywhere));
  const excepted = tokens.some((t) => t.property === "exception");
  const href = (g: Group) => {
    const property = group.property && propertyNamed(group.property);
    const others = tokens.filter((t) => !(t.property === group.property && t.operator === "="));
    return "/findings" + writeSearch({ f: encodeAll(normalize([...others, { property: property ? property.key : undefined, operator: "=", values: [g.value] }])), accounts: everywhere ? "all" : undefined });
  };
  const cell = (g: Group) => {
    if (g.value === "") return "(none)";
    const name = group.value === "account" ? <Account id={g.value} /> : ["severity", "workflow"].includes(group.value) ? sentence(g.value) : plain(g.value);
    return (
      <span className="parry-wrap">
        <To href={href(g)}>{name}</To>
      </span>
    );
  };
  return (
    <Table
      variant="full-page"
      stickyHeader
      items={found.data?.groups ?? []}
      trackBy="value"
      loading={found.isLoading}
      loadingText="Counting findings"
      header={
        <Header variant="awsui-h1-sticky" description={found.data?.more ? "The 200 with the most findings are shown. Narrow the filter to see the others." : undefined}>
          Findings by {group.label.toLowerCase()} {found.data && <>({count(found.data.groups.length)}{found.data.more ? "+" : ""})</>}
        </Header>
      }
      filter={
        <SpaceBetween size="s">
          {filter}
          <Hidden n={found.data?.hidden} more={found.data?.hidden_more} everywhere={everywhere} showEverywhere={showEverywhere} />
        </SpaceBetween>
      }
      ariaLabels={{ tableLabel: `Findings by ${group.label.toLowerCase()}` }}
      columnDefinitions={[
        { id: "value", header: group.label, cell, isRowHeader: true },
        { id: "count", header: "Findings", cell: (g) => <Box variant="span">{count(g.count)}</Box>, width: 140 },
      ]}
      empty={
        excepted ? (
          <Empty why="Findings that an exception suppresses are listed, not grouped." next="Take the exception out of the filter, or list them." />
        ) : found.isError ? (
          <Failure error={found.error} what="count of findings" retry={() => void found.refetch()} />
        ) : (
          <Empty why="No finding matches the filter." />
        )
      }
    />
  );
}
