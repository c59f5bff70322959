import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ButtonDropdown, { type ButtonDropdownProps } from "@cloudscape-design/components/button-dropdown";
import Checkbox from "@cloudscape-design/components/checkbox";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import Modal from "@cloudscape-design/components/modal";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ask, type Schemas } from "../api/client";
import { viewsQuery, type Sort } from "../api/queries";
import { decodeAll, encodeAll, openTokens, type Token } from "../lib/filter";
import { plain } from "../lib/words";
import { writeSearch } from "../router";
import { useSession } from "../session";
import { useFlash } from "../shell/flash";
import { useFollow } from "../shell/navigate";
import { Ask } from "./ask";
import { TroubleText } from "./basics";

type View = Schemas["SavedView"];

/** system are the views that everybody has. */
const system: { id: string; text: string; tokens: Token[]; sort: Sort }[] = [
  { id: "open", text: "Open", tokens: openTokens, sort: "priority" },
  { id: "urgent", text: "Open, critical and high", tokens: [{ property: "severity", operator: "=", values: ["CRITICAL", "HIGH"] }, ...openTokens], sort: "priority" },
  { id: "overdue", text: "Past their deadline", tokens: [...openTokens, { property: "overdue", operator: "=", values: ["passed"] }], sort: "priority" },
  { id: "excepted", text: "Suppressed by exceptions", tokens: [{ property: "exception", operator: "=", values: ["any"] }], sort: "updated" },
  { id: "all", text: "All findings", tokens: [], sort: "updated" },
];

/** hrefOf opens a saved view. What is stored is read as an address is: what is not known is left out. */
export function hrefOf(v: View): string {
  const text = (x: unknown) => (typeof x === "string" ? x : undefined);
  const f = Array.isArray(v.query.f) ? v.query.f.filter((x): x is string => typeof x === "string") : [];
  return "/findings" + writeSearch({ f: encodeAll(decodeAll(f)), sort: text(v.query.sort), group: text(v.query.group) });
}

/** Views opens and saves what the list is asked. */
export function Views({ tokens, sort }: { tokens: Token[]; sort: Sort }) {
  const follow = useFollow();
  const session = useSession();
  const views = useQuery(viewsQuery);
  const [action, setAction] = useState("");
  const saved = (views.data?.items ?? []).filter((v) => v.page === "findings");
  const own = saved.filter((v) => v.owner === session?.name);
  const shared = saved.filter((v) => v.owner !== session?.name);
  const link = (v: View) => ({ id: v.id, text: plain(v.name), secondaryText: v.owner === session?.name ? (v.shared ? "shared" : undefined) : `of ${plain(v.owner)}`, href: hrefOf(v) });
  const items: ButtonDropdownProps.ItemOrGroup[] = [
    { text: "For everybody", items: system.map((v) => ({ id: v.id, text: v.text, href: "/findings" + writeSearch({ f: encodeAll(v.tokens), sort: v.sort }) })) },
    ...(own.length > 0 ? [{ text: "Yours", items: own.map(link) }] : []),
    ...(shared.length > 0 ? [{ text: "Shared", items: shared.map(link) }] : []),
    { text: "This list", items: [{ id: "save", text: "Save as a view…" }, ...(own.length > 0 ? [{ id: "delete", text: "Delete a view…" }] : [])] },
  ];
  return (
    <>
      <ButtonDropdown items={items} onItemFollow={follow as never} onItemClick={(e) => ["save", "delete"].includes(e.detail.id) && setAction(e.detail.id)} expandToViewport>
        Views
      </ButtonDropdown>
      {action === "save" && <Save tokens={tokens} sort={sort} own={own} onClose={() => setAction("")} />}
      {action === "delete" && <Delete own={own} onClose={() => setAction("")} />}
    </>
  );
}

function Save({ tokens, sort, own, onClose }: { tokens: Token[]; sort: Sort; own: View[]; onClose: () => void }) {
  const client = useQueryClient();
  const flash = useFlash();
  const [name, setName] = useState("");
  const [shared, setShared] = useState(false);
  const [tried, setTried] = useState(false);
  const same = own.find((v) => v.name === name.trim());
  const save = useMutation({
    mutationFn: async () => {
      const body = { name: name.trim(), page: "findings" as const, query: { f: encodeAll(tokens), sort }, shared };
      await (same ? ask(api.PUT("/v1/views/{id}", { params: { path: { id: same.id } }, body })) : ask(api.POST("/v1/views", { body })));
    },
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["views"] });
      flash({ type: "success", content: `The view is saved${shared ? ", and everybody can open it" : ""}.` });
      onClose();
    },
  });
  const wrong = name.trim() === "" ? "Give it a name." : name.trim().length > 100 ? "At most 100 characters." : "";
  const submit = () => {
    setTried(true);
    if (!wrong && !save.isPending) save.mutate();
  };
  return (
    <Modal
      visible
      onDismiss={onClose}
      header="Save as a view"
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={onClose}>
              Cancel
            </Button>
            <Button variant="primary" onClick={submit} loading={save.isPending}>
              {same ? "Replace" : "Save"}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        <div>The filter and the order are kept. The address of this page says the same, and can be sent to somebody.</div>
        {save.isError && (
          <Alert type="error" header="It was not saved">
            <TroubleText error={save.error} />
          </Alert>
        )}
        <FormField label="Name" errorText={tried && wrong ? wrong : undefined} constraintText={same ? "You have a view of this name: it is replaced." : undefined}>
          <Input value={name} onChange={(e) => setName(e.detail.value)} ariaRequired />
        </FormField>
        <Checkbox checked={shared} onChange={(e) => setShared(e.detail.checked)} description="Only you can change it. What somebody sees in it is within their own accounts.">
          Let everybody open it
        </Checkbox>
      </SpaceBetween>
    </Modal>
  );
}

function Delete({ own, onClose }: { own: View[]; onClose: () => void }) {
  const client = useQueryClient();
  const [chosen, setChosen] = useState<string[]>([]);
  return (
    <Ask
      title="Delete views"
      yes="Delete"
      disabled={chosen.length === 0 ? "Choose a view." : undefined}
      onClose={onClose}
      act={async () => {
        for (const id of chosen) await ask(api.DELETE("/v1/views/{id}", { params: { path: { id } } }));
        void client.invalidateQueries({ queryKey: ["views"] });
      }}
    >
      <SpaceBetween size="xs">
        {own.map((v) => (
          <Checkbox key={v.id} checked={chosen.includes(v.id)} onChange={(e) => setChosen(e.detail.checked ? [...chosen, v.id] : chosen.filter((c) => c !== v.id))}>
            {plain(v.name)}
          </Checkbox>
        ))}
      </SpaceBetween>
    </Ask>
  );
}
