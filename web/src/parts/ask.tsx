import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import Modal, { type ModalProps } from "@cloudscape-design/components/modal";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Textarea from "@cloudscape-design/components/textarea";
import { useMutation } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { TroubleText } from "./basics";

/** Ask is a question before something is done: what will happen, a reason, yes or no. */
export function Ask(props: {
  title: string;
  children: ReactNode;
  yes: string;
  /** act does it. What it throws is shown, and the question stays. */
  act: (reason: string) => Promise<unknown>;
  onClose: () => void;
  reason?: "required" | "optional";
  reasonLabel?: string;
  reasonHelp?: string;
  most?: number;
  /** disabled says why it cannot be done now. */
  disabled?: string;
  size?: ModalProps.Size;
}) {
  const [reason, setReason] = useState("");
  const [tried, setTried] = useState(false);
  const most = props.most ?? 500;
  const wrong = props.reason === "required" && reason.trim() === "" ? "Say why." : reason.length > most ? `At most ${most} characters; these are ${reason.length}.` : "";
  const run = useMutation({ mutationFn: () => props.act(reason.trim()), onSuccess: props.onClose });
  const submit = () => {
    setTried(true);
    if (!wrong && !run.isPending) run.mutate();
  };
  return (
    <Modal
      visible
      size={props.size ?? "medium"}
      onDismiss={props.onClose}
      header={props.title}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={props.onClose}>
              Cancel
            </Button>
            <Button variant="primary" onClick={submit} loading={run.isPending} disabled={!!props.disabled} disabledReason={props.disabled}>
              {props.yes}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        {props.children}
        {props.disabled && <Alert type="info">{props.disabled}</Alert>}
        {run.isError && (
          <Alert type="error" header="It was not done">
            <TroubleText error={run.error} />
          </Alert>
        )}
        {props.reason && (
          <FormField label={props.reasonLabel ?? (props.reason === "required" ? "Reason" : "Reason – optional")} description={props.reasonHelp} errorText={tried && wrong ? wrong : undefined}>
            <Textarea value={reason} onChange={(e) => setReason(e.detail.value)} rows={2} ariaRequired={props.reason === "required"} />
          </FormField>
        )}
      </SpaceBetween>
    </Modal>
  );
}
