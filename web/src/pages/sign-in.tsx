import Alert from "@cloudscape-design/components/alert";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import Form from "@cloudscape-design/components/form";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input, { type InputProps } from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { TroubleText } from "../parts/basics";
import { Trouble } from "../api/client";
import { signIn } from "../session";
import icon from "../styles/icon.svg";
import { useTitle } from "./title";

export function SignInPage() {
  useTitle("Sign in");
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [tried, setTried] = useState(false);
  const first = useRef<InputProps.Ref>(null);
  useEffect(() => first.current?.focus(), []);
  const enter = useMutation({ mutationFn: () => signIn(client, name.trim(), password), onError: () => setPassword("") });
  return (
    <main className="parry-sign-in">
      <div className="parry-mark">
        <img src={icon} alt="" />
        <Header variant="h1">Sign in to Parry</Header>
      </div>
      <Container>
        <form
          onSubmit={(e) => {
            e.preventDefault();
            setTried(true);
            if (name.trim() !== "" && password !== "" && !enter.isPending) enter.mutate();
          }}
        >
          <Form
            actions={
              <Button variant="primary" formAction="submit" loading={enter.isPending}>
                Sign in
              </Button>
            }
          >
            <SpaceBetween size="m">
              {enter.isError && (
                <Alert type="error" header={enter.error instanceof Trouble && enter.error.status === 401 ? "Name or password is wrong" : "You are not signed in"}>
                  <TroubleText error={enter.error} />
                </Alert>
              )}
              <FormField label="Name" errorText={tried && name.trim() === "" ? "Give your name." : undefined}>
                <Input ref={first} name="username" autoComplete="username" value={name} onChange={(e) => setName(e.detail.value)} spellcheck={false} ariaRequired />
              </FormField>
              <FormField label="Password" errorText={tried && password === "" && !enter.isError ? "Give your password." : undefined}>
                <Input type="password" name="password" autoComplete="current-password" value={password} onChange={(e) => setPassword(e.detail.value)} ariaRequired />
              </FormField>
              <div className="parry-dim parry-small">No account yet, or the password forgotten? An administrator sends you a link where you choose one.</div>
            </SpaceBetween>
          </Form>
        </form>
      </Container>
    </main>
  );
}
