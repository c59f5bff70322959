import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import Modal from "@cloudscape-design/components/modal";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, ask } from "../api/client";
import { passwordTrouble } from "../lib/people";
import { TroubleText } from "../parts/basics";
import { useFlash } from "./flash";

/** PasswordModal changes the password of who is signed in, who has to know the old one. */
export function PasswordModal({ name, onClose }: { name: string; onClose: () => void }) {
  const flash = useFlash();
  const [old, setOld] = useState("");
  const [next, setNext] = useState("");
  const [again, setAgain] = useState("");
  const [tried, setTried] = useState(false);
  const change = useMutation({
    mutationFn: () => ask(api.PUT("/v1/session/password", { body: { old, new: next } })),
    onSuccess: () => {
      flash({ type: "success", content: "Your password is changed. Your other sessions have ended." });
      onClose();
    },
  });
  const wrong = passwordTrouble(name, next) || (next === old ? "This is the old one." : "");
  const submit = () => {
    setTried(true);
    if (old !== "" && !wrong && next === again && !change.isPending) change.mutate();
  };
  const enter = (e: CustomEvent<{ key: string }>) => e.detail.key === "Enter" && submit();
  return (
    <Modal
      visible
      onDismiss={onClose}
      header="Change your password"
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={onClose}>
              Cancel
            </Button>
            <Button variant="primary" onClick={submit} loading={change.isPending}>
              Change the password
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <form onSubmit={(e) => e.preventDefault()}>
        <SpaceBetween size="m">
          <div>You stay signed in here. Everywhere else {name} is signed out.</div>
          <FormField label="Name">
            <Input name="username" autoComplete="username" value={name} readOnly />
          </FormField>
          <FormField label="Old password" errorText={tried && old === "" ? "Give the password that you have." : undefined}>
            <Input type="password" name="old-password" autoComplete="current-password" value={old} onChange={(e) => setOld(e.detail.value)} onKeyDown={enter} ariaRequired />
          </FormField>
          <FormField label="New password" constraintText="12 to 128 characters. Several words in a row make a good one." errorText={tried && wrong ? wrong : undefined}>
            <Input type="password" name="new-password" autoComplete="new-password" value={next} onChange={(e) => setNext(e.detail.value)} onKeyDown={enter} ariaRequired />
          </FormField>
          <FormField label="New password once more" errorText={tried && !wrong && next !== again ? "The two passwords differ." : undefined}>
            <Input type="password" name="new-password-again" autoComplete="new-password" value={again} onChange={(e) => setAgain(e.detail.value)} onKeyDown={enter} ariaRequired />
          </FormField>
          {change.isError && (
            <Alert type="error" header="The password is not changed">
              <TroubleText error={change.error} />
            </Alert>
          )}
        </SpaceBetween>
      </form>
    </Modal>
  );
}
