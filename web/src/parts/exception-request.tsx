import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import DatePicker from "@cloudscape-design/components/date-picker";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import Modal from "@cloudscape-design/components/modal";
import RadioGroup from "@cloudscape-design/components/radio-group";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Textarea from "@cloudscape-design/components/textarea";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ask, type Finding } from "../api/client";
import { safeLink } from "../lib/diff";
import { plain, plural, resourceName } from "../lib/words";
import { useFlash } from "../shell/flash";
import { TroubleText } from "./basics";

const is = (value: string) => [{ Value: value, Comparison: "EQUALS" }];

/** ExceptionRequest asks that a risk be accepted for a time; a second person decides. */
export function ExceptionRequest({ finding, onClose }: { finding: Finding; onClose: () => void }) {
  const client = useQueryClient();
  const flash = useFlash();
  const [reach, setReach] = useState("resource");
  const [title, setTitle] = useState(`${finding.control || "Finding"} on ${resourceName(finding.resource_id)}`.slice(0, 200));
  const [owner, setOwner] = useState("");
  const [reason, setReason] = useState("");
  const [link, setLink] = useState("");
  const [until, setUntil] = useState(() => new Date(Date.now() + 30 * 86400_000).toISOString().slice(0, 10));
  const [tried, setTried] = useState(false);
  const scope: Record<string, unknown> =
    reach === "finding" || !finding.control
      ? { Id: is(finding.id), ProductArn: is(finding.product_arn) }
      : reach === "resource"
        ? { ComplianceSecurityControlId: is(finding.control), ResourceId: is(finding.resource_id), AwsAccountId: is(finding.account) }
        : { ComplianceSecurityControlId: is(finding.control), AwsAccountId: is(finding.account) };
  const preview = useQuery({ queryKey: ["exception-preview", scope], queryFn: ({ signal }) => ask(api.POST("/v1/exceptions/preview", { body: { scope }, signal })), retry: false });
  const errors = {
    title: title.trim() === "" ? "Give it a title." : "",
    owner: owner.trim() === "" ? "Name who answers for the risk." : "",
    reason: reason.trim() === "" ? "Say why the risk is accepted." : "",
    until: !until || until <= new Date().toISOString().slice(0, 10) ? "Choose a day in the future." : "",
    link: link.trim() !== "" && !safeLink(link.trim()) ? "A link begins with https:// or http://." : "",
  };
  const request = useMutation({
    mutationFn: () =>
      ask(api.POST("/v1/exceptions", { body: { title: title.trim(), owner: owner.trim(), reason: reason.trim(), link: link.trim() || undefined, scope, expires_at: `${until}T00:00:00Z` } })),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["exceptions"] });
      flash({ type: "success", content: "The exception is requested. It is in force once another person approves it." });
      onClose();
    },
  });
  const submit = () => {
    setTried(true);
    if (Object.values(errors).every((e) => e === "") && !request.isPending) request.mutate();
  };
  const shown = (e: string) => (tried && e ? e : undefined);
  return (
    <Modal
      visible
      onDismiss={onClose}
      header="Request an exception"
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={onClose}>
              Cancel
            </Button>
            <Button variant="primary" onClick={submit} loading={request.isPending}>
              Request
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        <div>What an exception covers is suppressed until its end, and is not remediated. Another person approves it.</div>
        {request.isError && (
          <Alert type="error" header="It was not requested">
            <TroubleText error={request.error} />
          </Alert>
        )}
        <FormField label="It covers">
          <RadioGroup
            value={finding.control ? reach : "finding"}
            onChange={(e) => setReach(e.detail.value)}
            items={[
              ...(finding.control
                ? [
                    { value: "resource", label: `${plain(finding.control)} on this resource`, description: plain(resourceName(finding.resource_id)) },
                    { value: "account", label: `${plain(finding.control)} in the account ${finding.account}` },
                  ]
                : []),
              { value: "finding", label: "This finding alone" },
            ]}
          />
        </FormField>
        {preview.isSuccess && (
          <StatusIndicator type="info" wrapText>
            {plural(preview.data.covered, "finding")} now, of which {preview.data.open} open{preview.data.complete ? "" : ", or more"}
          </StatusIndicator>
        )}
        {preview.isError && (
          <StatusIndicator type="warning" wrapText>
            <TroubleText error={preview.error} />
          </StatusIndicator>
        )}
        <FormField label="Title" errorText={shown(errors.title)}>
          <Input value={title} onChange={(e) => setTitle(e.detail.value)} ariaRequired />
        </FormField>
        <FormField label="Owner" description="The person or team that answers for the risk." errorText={shown(errors.owner)}>
          <Input value={owner} onChange={(e) => setOwner(e.detail.value)} ariaRequired />
        </FormField>
        <FormField label="Reason" errorText={shown(errors.reason)}>
          <Textarea value={reason} onChange={(e) => setReason(e.detail.value)} rows={2} ariaRequired />
        </FormField>
        <FormField label="Ends" constraintText="YYYY/MM/DD, at the beginning of the day, UTC" errorText={shown(errors.until)}>
          <DatePicker value={until} onChange={(e) => setUntil(e.detail.value)} placeholder="YYYY/MM/DD" isDateEnabled={(d) => d.getTime() > Date.now()} openCalendarAriaLabel={(d) => (d ? `Choose the end, now ${d}` : "Choose the end")} expandToViewport />
        </FormField>
        <FormField label="Link – optional" description="A ticket, or where more is written." errorText={shown(errors.link)}>
          <Input value={link} onChange={(e) => setLink(e.detail.value)} type="url" />
        </FormField>
      </SpaceBetween>
    </Modal>
  );
}
