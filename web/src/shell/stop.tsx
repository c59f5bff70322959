import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import Modal from "@cloudscape-design/components/modal";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Textarea from "@cloudscape-design/components/textarea";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ask, type StopSwitch } from "../api/client";
import { stopQuery } from "../api/queries";
import { TroubleText } from "../parts/basics";
import { useMay } from "../session";
import { useFlash } from "./flash";

/** StopModal stops all changes, or lets them go on. Either needs a reason. */
export function StopModal({ now, onClose }: { now: StopSwitch | undefined; onClose: () => void }) {
  const client = useQueryClient();
  const flash = useFlash();
  const may = useMay();
  const on = now?.on ?? false;
  const right = may(on ? "switch.off" : "switch.on");
  const [reason, setReason] = useState("");
  const [tried, setTried] = useState(false);
  const set = useMutation({
    mutationFn: () => ask(api.PUT("/v1/stop-switch", { body: { on: !on, reason: reason.trim() } })),
    onSuccess: (s) => {
      client.setQueryData(stopQuery.queryKey, s);
      void client.invalidateQueries({ queryKey: ["overview"] });
      flash({ type: s.on ? "warning" : "success", content: s.on ? "All changes are stopped. What runs ends before its next change." : "Changes go on." });
      onClose();
    },
  });
  const submit = () => {
    setTried(true);
    if (reason.trim() !== "" && !set.isPending) set.mutate();
  };
  return (
    <Modal
      visible
      onDismiss={onClose}
      header={on ? "Let changes go on" : "Stop all changes"}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={onClose}>
              Cancel
            </Button>
            <Button variant="primary" onClick={submit} loading={set.isPending} disabled={!right.ok} disabledReason={right.why}>
              {on ? "Let changes go on" : "Stop all changes"}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        {on ? (
          <div className="parry-wrap">
            They are stopped because: <strong>{now?.reason || "no reason was given"}</strong>. Plans that were approved meanwhile begin at once.
          </div>
        ) : (
          <div>
            Parry sends no change to any account until somebody lets changes go on. What runs ends before its next change. Findings still arrive, plans are still made, and everything can still be read.
          </div>
        )}
        {!right.ok && <Alert type="info">{right.why}</Alert>}
        {set.isError && (
          <Alert type="error" header="Nothing was changed">
            <TroubleText error={set.error} />
          </Alert>
        )}
        <FormField label="Reason" description="Everybody sees it, and it goes into the audit log." errorText={tried && reason.trim() === "" ? "Say why." : undefined}>
          <Textarea value={reason} onChange={(e) => setReason(e.detail.value)} rows={2} ariaRequired disabled={!right.ok} />
        </FormField>
      </SpaceBetween>
    </Modal>
  );
}
