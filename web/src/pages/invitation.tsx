import Alert from "@cloudscape-design/components/alert";
import Button from "@cloudscape-design/components/button";
import Checkbox from "@cloudscape-design/components/checkbox";
import Container from "@cloudscape-design/components/container";
import Form from "@cloudscape-design/components/form";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input, { type InputProps } from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useLocation } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { Trouble, type Schemas } from "../api/client";
import { invitationQuery } from "../api/queries";
import { TroubleText, Waiting } from "../parts/basics";
import { passwordTrouble } from "../lib/people";
import { absolute } from "../lib/time";
import { plain } from "../lib/words";
import { join, useSession } from "../session";
import { useGo } from "../shell/navigate";
import icon from "../styles/icon.svg";
import { useTitle } from "./title";

/** InvitationPage is where somebody who was invited chooses a password. The code is behind the "#", which browsers send to nobody. */
export function InvitationPage() {
  useTitle("Choose your password");
  const { hash } = useLocation();
  const code = hash.replace(/^#/, "");
  const found = useQuery(invitationQuery(code));
  return (
    <main className="parry-sign-in">
      <div className="parry-mark">
        <img src={icon} alt="" />
        <Header variant="h1">{found.data ? "Choose your password" : "Invitation to Parry"}</Header>
      </div>
      <Container>
        {code === "" ? (
          <NotValid header="The link is not complete" text="Open it again from where you got it, whole: what stands behind the # is missing." />
        ) : found.isPending ? (
          <Waiting what="invitation" />
        ) : found.isError ? (
          <Refused error={found.error} retry={() => void found.refetch()} />
        ) : (
          <Choose code={code} invitation={found.data} />
        )}
      </Container>
    </main>
  );
}

function NotValid({ header, text }: { header: string; text: string }) {
  const go = useGo();
  return (
    <SpaceBetween size="m">
      <Alert type="warning" header={header}>
        {text}
      </Alert>
      <div>You have chosen a password already?</div>
      <Button onClick={() => go("/sign-in", { replace: true })}>Sign in</Button>
    </SpaceBetween>
  );
}

function Refused({ error, retry }: { error: unknown; retry: () => void }) {
  if (error instanceof Trouble && (error.status === 403 || error.status === 422)) {
    return <NotValid header="This invitation is not valid" text="It was used, it has expired, or there is a newer one. Ask whoever invited you for a new link." />;
  }
  return (
    <Alert type="error" header="The invitation could not be read" action={<Button onClick={retry}>Try again</Button>}>
      <TroubleText error={error} />
    </Alert>
  );
}

function Choose({ code, invitation }: { code: string; invitation: Schemas["Invitation"] }) {
  const client = useQueryClient();
  const go = useGo();
  const session = useSession();
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const [show, setShow] = useState(false);
  const [tried, setTried] = useState(false);
  const first = useRef<InputProps.Ref>(null);
  useEffect(() => first.current?.focus(), []);
  const use = useMutation({ mutationFn: () => join(client, code, password), onSuccess: () => go("/", { replace: true }) });
  const wrong = passwordTrouble(invitation.name, password);
  const differ = !show && again !== password;
  if (use.error instanceof Trouble && use.error.status === 403) return <Refused error={use.error} retry={() => use.reset()} />;
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        setTried(true);
        if (!wrong && !differ && !use.isPending) use.mutate();
      }}
    >
      <Form
        actions={
          <Button variant="primary" formAction="submit" loading={use.isPending}>
            Set the password and sign in
          </Button>
        }
      >
        <SpaceBetween size="m">
          <div className="parry-wrap">
            {plain(invitation.by)} invited you to Parry as {invitation.role}. The link works once, until {absolute(invitation.ends)}.
          </div>
          {session && session.name !== invitation.name && (
            <Alert type="info">
              {session.name} is signed in here, and is signed out when you set the password of {invitation.name}.
            </Alert>
          )}
          {use.isError && (
            <Alert type="error" header="The password is not set">
              <TroubleText error={use.error} />
            </Alert>
          )}
          <FormField label="Name" description="You sign in with it from now on.">
            <Input name="username" autoComplete="username" value={invitation.name} readOnly />
          </FormField>
          <FormField label="New password" constraintText="12 to 128 characters. Several words in a row make a good one." errorText={tried && wrong ? wrong : undefined}>
            <Input ref={first} type={show ? "text" : "password"} name="new-password" autoComplete="new-password" spellcheck={false} value={password} onChange={(e) => setPassword(e.detail.value)} ariaRequired />
          </FormField>
          {!show && (
            <FormField label="Once more" errorText={tried && !wrong && differ ? "The two passwords differ." : undefined}>
              <Input type="password" name="new-password-again" autoComplete="new-password" value={again} onChange={(e) => setAgain(e.detail.value)} ariaRequired />
            </FormField>
          )}
          <Checkbox checked={show} onChange={(e) => setShow(e.detail.checked)}>
            Show the password
          </Checkbox>
        </SpaceBetween>
      </Form>
    </form>
  );
}
