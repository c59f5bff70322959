import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import CopyToClipboard from "@cloudscape-design/components/copy-to-clipboard";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import Modal from "@cloudscape-design/components/modal";
import Multiselect from "@cloudscape-design/components/multiselect";
import RadioGroup from "@cloudscape-design/components/radio-group";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Textarea from "@cloudscape-design/components/textarea";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { api, ask, type Schemas } from "../api/client";
import { accountsQuery } from "../api/queries";
import { nameTrouble, readAccounts, roles, type Person, type Role } from "../lib/people";
import { absolute } from "../lib/time";
import { plain } from "../lib/words";
import { useFlash } from "../shell/flash";
import { TroubleText } from "./basics";

/** Access is the choice of a role, and of accounts: null while it is not complete. */
interface Access {
  role: Role;
  accounts: string[] | null;
}

function AccessFields({ value, onChange, tried }: { value: Access; onChange: (v: Access) => void; tried: boolean }) {
  const known = useQuery(accountsQuery);
  const all = value.accounts?.includes("*") ?? false;
  const [some, setSome] = useState<string[]>(all ? [] : (value.accounts ?? []));
  const [text, setText] = useState(some.join("\n"));
  const ids = [...new Set([...(known.data?.keys() ?? []), ...some])].sort();
  const options = ids.map((id) => ({ value: id, label: known.data?.get(id) ? `${plain(known.data.get(id))} ${id}` : id }));
  const pick = (accounts: string[]) => {
    setSome(accounts);
    onChange({ ...value, accounts: accounts.length > 0 ? accounts : null });
  };
  const error = tried && !all && value.accounts === null ? "Name at least one account, by its 12-digit id." : undefined;
  return (
    <SpaceBetween size="m">
      <FormField label="Role">
        <RadioGroup value={value.role} items={roles} onChange={(e) => onChange({ ...value, role: e.detail.value as Role })} />
      </FormField>
      <FormField label="Accounts" description="What the person sees and acts on. What concerns the whole installation, such as inviting people, needs all.">
        <RadioGroup
          value={all ? "all" : "some"}
          items={[
            { value: "all", label: "All accounts" },
            { value: "some", label: "Only these" },
          ]}
          onChange={(e) => onChange({ ...value, accounts: e.detail.value === "all" ? ["*"] : some.length > 0 ? some : null })}
        />
      </FormField>
      {!all && options.length > 0 && (
        <FormField label="Which accounts" errorText={error}>
          <Multiselect
            selectedOptions={options.filter((o) => some.includes(o.value))}
            options={options}
            filteringType="auto"
            filteringAriaLabel="Find an account"
            placeholder="Choose accounts"
            deselectAriaLabel={(o) => `Take ${o.label} away`}
            expandToViewport
            onChange={(e) => pick(e.detail.selectedOptions.map((o) => o.value ?? ""))}
          />
        </FormField>
      )}
      {!all && options.length === 0 && (
        <FormField label="Which accounts" constraintText="12-digit ids, one a line" errorText={error}>
          <Textarea value={text} rows={3} onChange={(e) => (setText(e.detail.value), onChange({ ...value, accounts: readAccounts(e.detail.value) }))} />
        </FormField>
      )}
    </SpaceBetween>
  );
}

/** Frame is a dialog with one thing to do; once done it shows what came of it. */
function Frame(props: { title: string; yes: string; children: ReactNode; result?: ReactNode; failed: unknown; failedWords: string; pending: boolean; submit: () => void; onClose: () => void }) {
  return (
    <Modal
      visible
      onDismiss={props.onClose}
      header={props.title}
      footer={
        <Box float="right">
          {props.result ? (
            <Button variant="primary" onClick={props.onClose}>
              Done
            </Button>
          ) : (
            <SpaceBetween direction="horizontal" size="xs">
              <Button variant="link" onClick={props.onClose}>
                Cancel
              </Button>
              <Button variant="primary" onClick={props.submit} loading={props.pending}>
                {props.yes}
              </Button>
            </SpaceBetween>
          )}
        </Box>
      }
    >
      {props.result ?? (
        <SpaceBetween size="m">
          {props.children}
          {!!props.failed && (
            <Alert type="error" header={props.failedWords}>
              <TroubleText error={props.failed} />
            </Alert>
          )}
        </SpaceBetween>
      )}
    </Modal>
  );
}

/** Handover shows the link of an invitation, this one time, or where it was sent. */
function Handover({ invited }: { invited: Schemas["InvitedPerson"] }) {
  if (invited.mailed_to) {
    return (
      <Alert type="success" header="The invitation is on its way">
        The mail server took it for {plain(invited.mailed_to)}. It holds a link that works once, until {absolute(invited.invitation_ends)}.
      </Alert>
    );
  }
  const link = invited.link || `${window.location.origin}/invitation#${invited.code ?? ""}`;
  return (
    <SpaceBetween size="m">
      {invited.mail_problem && (
        <Alert type="warning" header="The mail could not be sent">
          <div className="parry-wrap">{plain(invited.mail_problem)}</div>
          The invitation holds all the same: hand over the link yourself.
        </Alert>
      )}
      <div>
        Hand this link over to {plain(invited.name)} in a way that nobody else reads. Whoever opens it first chooses the password. It works once, until {absolute(invited.invitation_ends)}.
      </div>
      <div className="parry-link-once parry-code">{link}</div>
      <CopyToClipboard variant="button" textToCopy={link} copyButtonText="Copy the link" copyButtonAriaLabel="Copy the link" copySuccessText="Copied" copyErrorText="The browser did not allow it" />
      <Alert type="info">The link is not shown again. If it is lost, make a new one; that ends this one.</Alert>
    </SpaceBetween>
  );
}

function MailField({ mail, onChange, error }: { mail: string; onChange: (v: string) => void; error: string }) {
  return (
    <FormField label="Send it to – optional" description="A mail address. Without one the link is shown to you, to hand it over." errorText={error || undefined}>
      <Input value={mail} onChange={(e) => onChange(e.detail.value)} type="email" inputMode="email" autoComplete={false} spellcheck={false} placeholder="name@example.com" />
    </FormField>
  );
}

const mailTrouble = (mail: string) => (mail.trim() === "" || /^[^\s@<>,;]+@[^\s@<>,;]+$/.test(mail.trim()) ? "" : "This is not one mail address.");

/** InviteModal invites somebody, and shows the link. */
export function InviteModal({ taken, mails, onClose }: { taken: string[]; mails: boolean; onClose: () => void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [access, setAccess] = useState<Access>({ role: "viewer", accounts: ["*"] });
  const [mail, setMail] = useState("");
  const [tried, setTried] = useState(false);
  const wrong = nameTrouble(name.trim(), taken);
  const invite = useMutation({
    mutationFn: () => ask(api.POST("/v1/people", { body: { name: name.trim(), role: access.role, accounts: access.accounts ?? [], mail: mail.trim() || undefined } })),
    onSuccess: () => void client.invalidateQueries({ queryKey: ["people"] }),
  });
  return (
    <Frame
      title={invite.data ? `${invite.data.name} is invited` : "Invite somebody"}
      yes="Invite"
      failed={invite.error}
      failedWords="Nobody was invited"
      pending={invite.isPending}
      submit={() => {
        setTried(true);
        if (!wrong && access.accounts && !mailTrouble(mail) && !invite.isPending) invite.mutate();
      }}
      onClose={onClose}
      result={invite.data && <Handover invited={invite.data} />}
    >
      <div>They get a link that works once, for three days, and choose a password there. Nobody else knows it.</div>
      <FormField label="Name" description="They sign in with it. A key of the same name is the same person: who asked for a change cannot approve it by the other." errorText={tried && wrong ? wrong : undefined}>
        <Input value={name} onChange={(e) => setName(e.detail.value)} autoComplete={false} spellcheck={false} ariaRequired />
      </FormField>
      <AccessFields value={access} onChange={setAccess} tried={tried} />
      {mails && <MailField mail={mail} onChange={setMail} error={tried ? mailTrouble(mail) : ""} />}
    </Frame>
  );
}

/** ResetModal takes a person's password, or a link that was lost, and makes a new link. */
export function ResetModal({ person, mails, onClose }: { person: Person; mails: boolean; onClose: () => void }) {
  const client = useQueryClient();
  const [mail, setMail] = useState("");
  const [tried, setTried] = useState(false);
  const waits = person.state !== "active";
  const reset = useMutation({
    mutationFn: () => ask(api.POST("/v1/people/{name}/invitation", { params: { path: { name: person.name } }, body: { mail: mail.trim() || undefined } })),
    onSuccess: () => void client.invalidateQueries({ queryKey: ["people"] }),
  });
  return (
    <Frame
      title={reset.data ? `A new link for ${person.name}` : waits ? `Make a new link for ${person.name}` : `Reset the password of ${person.name}`}
      yes={waits ? "Make a new link" : "Reset the password"}
      failed={reset.error}
      failedWords="Nothing was changed"
      pending={reset.isPending}
      submit={() => {
        setTried(true);
        if (!mailTrouble(mail) && !reset.isPending) reset.mutate();
      }}
      onClose={onClose}
      result={reset.data && <Handover invited={reset.data} />}
    >
      <div>{waits ? "The link from before ends at once." : `The password of ${person.name} ends at once, and they are signed out everywhere. They choose a new one by a link.`}</div>
      {mails && <MailField mail={mail} onChange={setMail} error={tried ? mailTrouble(mail) : ""} />}
    </Frame>
  );
}

/** ChangeAccess changes role and accounts. */
export function ChangeAccess({ person, onClose }: { person: Person; onClose: () => void }) {
  const client = useQueryClient();
  const flash = useFlash();
  const [access, setAccess] = useState<Access>({ role: person.role, accounts: person.accounts });
  const [tried, setTried] = useState(false);
  const change = useMutation({
    mutationFn: () => ask(api.PATCH("/v1/people/{name}", { params: { path: { name: person.name } }, body: { role: access.role, accounts: access.accounts ?? [] } })),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["people"] });
      flash({ type: "success", content: `${person.name} is ${access.role} now and is signed out.` });
      onClose();
    },
  });
  return (
    <Frame
      title={`Role and accounts of ${person.name}`}
      yes="Change"
      failed={change.error}
      failedWords="Nothing was changed"
      pending={change.isPending}
      submit={() => {
        setTried(true);
        if (access.accounts && !change.isPending) change.mutate();
      }}
      onClose={onClose}
    >
      <div>They are signed out, and have the new rights when they sign in again.</div>
      <AccessFields value={access} onChange={setAccess} tried={tried} />
    </Frame>
  );
}
