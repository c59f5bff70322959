import Button from "@cloudscape-design/components/button";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import Header from "@cloudscape-design/components/header";
import Pagination from "@cloudscape-design/components/pagination";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Table, { type TableProps } from "@cloudscape-design/components/table";
import TextFilter from "@cloudscape-design/components/text-filter";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ask } from "../api/client";
import { peopleQuery } from "../api/queries";
import { personState, roles, scopeWords, type Person } from "../lib/people";
import { plain, plural } from "../lib/words";
import { Ask } from "../parts/ask";
import { Empty, FailedPage, Time } from "../parts/basics";
import { ChangeAccess, InviteModal, ResetModal } from "../parts/invite";
import { useMay, useSession } from "../session";
import { useFlash } from "../shell/flash";
import { useNarrow } from "../theme";
import { useTitle } from "./title";

type Doing = { what: "invite" } | { what: "access" | "reset" | "disable" | "remove"; person: Person };

const pageSize = 50;

const roleWords = (role: string) => roles.find((r) => r.value === role)?.label ?? plain(role);

function State({ person }: { person: Person }) {
  const { type, text } = personState(person.state);
  return (
    <StatusIndicator type={type} wrapText>
      {text}{" "}
      <span className="parry-dim">
        {person.state === "invited" && (
          <>
            by {plain(person.invited_by)}, ends <Time at={person.invitation_ends} />
          </>
        )}
        {person.state === "expired" && <Time at={person.invitation_ends} />}
        {person.state === "disabled" && <Time at={person.disabled_at} />}
      </span>
    </StatusIndicator>
  );
}

/** PeoplePage is for administrators: who may sign in, and who was invited. */
export function PeoplePage() {
  useTitle("People");
  const narrow = useNarrow();
  const may = useMay();
  const found = useQuery(peopleQuery);
  const [text, setText] = useState("");
  const [page, setPage] = useState(1);
  const [doing, setDoing] = useState<Doing | null>(null);
  const write = may("person.write");
  if (found.isError && !found.data) return <FailedPage title="People" error={found.error} retry={() => void found.refetch()} what="list of people" />;

  const all = found.data?.items ?? [];
  const wanted = text.trim().toLowerCase();
  const people = all.filter((p) => wanted === "" || p.name.includes(wanted) || roleWords(p.role).toLowerCase().includes(wanted) || personState(p.state).text.toLowerCase().includes(wanted));
  const pages = Math.max(1, Math.ceil(people.length / pageSize));
  const at = Math.min(page, pages);
  const menu = (person: Person) => <Menu person={person} allowed={write} onChoose={(what) => setDoing({ what, person })} />;
  const columns: TableProps.ColumnDefinition<Person>[] = [
    { id: "name", header: "Name", cell: (p) => <span className="parry-wrap">{plain(p.name)}</span>, isRowHeader: true, minWidth: 160 },
    { id: "role", header: "Role", cell: (p) => roleWords(p.role), minWidth: 120 },
    { id: "accounts", header: "Accounts", cell: (p) => <span title={p.accounts.join(", ")}>{scopeWords(p.accounts)}</span>, minWidth: 140 },
    { id: "state", header: "State", cell: (p) => <State person={p} />, minWidth: 200 },
    { id: "created", header: "Added", cell: (p) => <Time at={p.created_at} />, minWidth: 120 },
    { id: "actions", header: "Actions", cell: menu, minWidth: 90 },
  ];
  const narrowColumns: TableProps.ColumnDefinition<Person>[] = [
    {
      id: "person",
      header: "Person",
      isRowHeader: true,
      cell: (p) => (
        <div className="parry-wrap">
          <strong>{plain(p.name)}</strong>
          <div className="parry-dim parry-small">
            {roleWords(p.role)} · {scopeWords(p.accounts)}
          </div>
          <State person={p} />
        </div>
      ),
    },
    { id: "actions", header: "Actions", cell: menu, width: 96 },
  ];
  return (
    <>
      <Table
        variant="full-page"
        stickyHeader
        items={people.slice((at - 1) * pageSize, at * pageSize)}
        trackBy="name"
        wrapLines
        loading={found.isPending}
        loadingText="Reading the list of people"
        columnDefinitions={narrow ? narrowColumns : columns}
        ariaLabels={{ tableLabel: "People" }}
        header={
          <Header
            variant="awsui-h1-sticky"
            counter={found.data ? `(${all.length})` : undefined}
            description="Who may sign in here, and who was invited. What keys may do is apart: parry key list."
            actions={
              <Button variant="primary" onClick={() => setDoing({ what: "invite" })} disabled={!write.ok} disabledReason={write.why}>
                Invite somebody
              </Button>
            }
          >
            People
          </Header>
        }
        filter={
          <TextFilter
            filteringText={text}
            filteringPlaceholder="Find by name, role or state"
            filteringAriaLabel="Find people"
            filteringClearAriaLabel="Clear"
            countText={wanted ? plural(people.length, "person", "people") : undefined}
            onChange={(e) => (setText(e.detail.filteringText), setPage(1))}
          />
        }
        pagination={pages > 1 && <Pagination currentPageIndex={at} pagesCount={pages} onChange={(e) => setPage(e.detail.currentPageIndex)} ariaLabels={{ nextPageLabel: "Next page", previousPageLabel: "Previous page", pageLabel: (n) => `Page ${n}` }} />}
        empty={
          wanted ? (
            <Empty why="Nobody is like this." action={<Button onClick={() => setText("")}>Clear</Button>} />
          ) : (
            <Empty why="Nobody may sign in with a password yet." next="Invite somebody: they get a link where they choose a password." action={<Button onClick={() => setDoing({ what: "invite" })}>Invite somebody</Button>} />
          )
        }
      />
      {doing?.what === "invite" && <InviteModal taken={all.map((p) => p.name)} mails={found.data?.mails ?? false} onClose={() => setDoing(null)} />}
      {doing?.what === "access" && <ChangeAccess person={doing.person} onClose={() => setDoing(null)} />}
      {doing?.what === "reset" && <ResetModal person={doing.person} mails={found.data?.mails ?? false} onClose={() => setDoing(null)} />}
      {doing?.what === "disable" && <Disable person={doing.person} onClose={() => setDoing(null)} />}
      {doing?.what === "remove" && <Remove person={doing.person} onClose={() => setDoing(null)} />}
    </>
  );
}

function Menu({ person, allowed, onChoose }: { person: Person; allowed: { ok: boolean; why: string }; onChoose: (what: "access" | "reset" | "disable" | "remove") => void }) {
  const session = useSession();
  const client = useQueryClient();
  const flash = useFlash();
  const own = session?.name === person.name ? "This is you: another administrator can, or parry user on the server." : "";
  const why = allowed.ok ? own : allowed.why;
  const off = person.state === "disabled";
  const noPassword = person.state === "invited" || person.state === "expired";
  const enable = async () => {
    try {
      await ask(api.PATCH("/v1/people/{name}", { params: { path: { name: person.name } }, body: { disabled: false } }));
      flash({ type: "success", content: `${person.name} is enabled.` });
    } catch (e) {
      flash({ type: "error", header: `${person.name} is still disabled`, content: e instanceof Error ? e.message : "" });
    }
    void client.invalidateQueries({ queryKey: ["people"] });
  };
  return (
    <ButtonDropdown
      variant="inline-icon"
      ariaLabel={`Actions for ${person.name}`}
      expandToViewport
      items={[
        { id: "access", text: "Change role and accounts…", disabled: !!why, disabledReason: why },
        { id: "reset", text: noPassword ? "New link…" : "Reset password…", disabled: !!why || off, disabledReason: why || "Enable the person first." },
        off ? { id: "enable", text: "Enable", disabled: !!why, disabledReason: why } : { id: "disable", text: "Disable…", disabled: !!why, disabledReason: why },
        { id: "remove", text: "Remove…", disabled: !!why, disabledReason: why },
      ]}
      onItemClick={(e) => (e.detail.id === "enable" ? void enable() : onChoose(e.detail.id as "access"))}
    />
  );
}

function Disable({ person, onClose }: { person: Person; onClose: () => void }) {
  const client = useQueryClient();
  const flash = useFlash();
  return (
    <Ask
      title={`Disable ${person.name}`}
      yes="Disable"
      onClose={onClose}
      act={async () => {
        await ask(api.PATCH("/v1/people/{name}", { params: { path: { name: person.name } }, body: { disabled: true } }));
        void client.invalidateQueries({ queryKey: ["people"] });
        flash({ type: "success", content: `${person.name} is disabled and signed out.` });
      }}
    >
      <div>They are signed out at once and cannot sign in until they are enabled again. An invitation ends. Their access keys go on: revoke those with parry key revoke.</div>
    </Ask>
  );
}

function Remove({ person, onClose }: { person: Person; onClose: () => void }) {
  const client = useQueryClient();
  const flash = useFlash();
  return (
    <Ask
      title={`Remove ${person.name}`}
      yes="Remove"
      onClose={onClose}
      act={async () => {
        await ask(api.DELETE("/v1/people/{name}", { params: { path: { name: person.name } } }));
        void client.invalidateQueries({ queryKey: ["people"] });
        flash({ type: "success", content: `${person.name} is removed and signed out.` });
      }}
    >
      <div>
        They are signed out at once and forgotten. What they did stays in the audit log and the history, under their name. Their access keys go on: revoke those with parry key revoke. Disable who is only to stay out for a time.
      </div>
    </Ask>
  );
}
