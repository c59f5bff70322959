import Alert from "@cloudscape-design/components/alert";
import Badge from "@cloudscape-design/components/badge";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ContentLayout from "@cloudscape-design/components/content-layout";
import CopyToClipboard from "@cloudscape-design/components/copy-to-clipboard";
import Header from "@cloudscape-design/components/header";
import CloudscapeLink from "@cloudscape-design/components/link";
import Spinner from "@cloudscape-design/components/spinner";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState, type ReactNode } from "react";
import { Trouble } from "../api/client";
import { accountsQuery } from "../api/queries";
import { safeLink } from "../lib/diff";
import { absolute, known, relative } from "../lib/time";
import { sentence, stateKind, stateWords } from "../lib/words";
import { useFollow } from "../shell/navigate";

/** To is a link within the console. */
export function To({ href, children, label, size }: { href: string; children: ReactNode; label?: string; size?: "heading-m" | "heading-xl" | "body-m" }) {
  return (
    <CloudscapeLink href={href} onFollow={useFollow()} ariaLabel={label} fontSize={size}>
      {children}
    </CloudscapeLink>
  );
}

/** Out is a link that a finding brought: only to pages of the web, in a window that knows nothing of this one. */
export function Out({ href, children }: { href: unknown; children?: ReactNode }) {
  const safe = safeLink(href);
  if (!safe) return <>{typeof href === "string" ? href : ""}</>;
  return (
    <CloudscapeLink href={safe} external rel="noopener noreferrer" target="_blank">
      {children ?? safe}
    </CloudscapeLink>
  );
}

const tones: Record<string, "severity-critical" | "severity-high" | "severity-medium" | "severity-low" | "severity-neutral"> = {
  CRITICAL: "severity-critical",
  HIGH: "severity-high",
  MEDIUM: "severity-medium",
  LOW: "severity-low",
};

export function Severity({ label }: { label: string }) {
  return <Badge color={tones[label] ?? "severity-neutral"}>{label === "INFORMATIONAL" ? "Info" : sentence(label || "unknown")}</Badge>;
}

export function State({ state }: { state: string }) {
  return <StatusIndicator type={stateKind(state)}>{stateWords(state)}</StatusIndicator>;
}

/** Time says how long ago; the whole time is its title, and is read out. */
export function Time({ at, none = "–" }: { at: string | undefined; none?: string }) {
  useMinute();
  if (!known(at)) return <>{none}</>;
  return (
    <time dateTime={at} title={absolute(at)} className="parry-nowrap">
      {relative(at)}
    </time>
  );
}

/** useMinute renders again each half minute, so that relative times stay true. */
function useMinute() {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = window.setInterval(() => tick((n) => n + 1), 30_000);
    return () => window.clearInterval(timer);
  }, []);
}

export function useAccountName(): (id: string) => string {
  const { data } = useQuery(accountsQuery);
  return (id) => data?.get(id) ?? "";
}

export function Account({ id }: { id: string }) {
  const name = useAccountName()(id);
  if (!name) return <>{id}</>;
  return (
    <span className="parry-nowrap">
      {name} <span className="parry-dim">{id}</span>
    </span>
  );
}

export function Code({ children }: { children: ReactNode }) {
  return <code className="parry-code">{children}</code>;
}

export function Copyable({ text, what }: { text: string; what: string }) {
  return <CopyToClipboard variant="inline" textToCopy={text} textToDisplay={text} copyButtonAriaLabel={`Copy ${what}`} copySuccessText="Copied" copyErrorText="The browser did not allow it" />;
}

/** Failure says what went wrong and what to do. */
export function Failure({ error, retry, what }: { error: unknown; retry?: () => void; what: string }) {
  const t = error instanceof Trouble ? error : undefined;
  return (
    <Alert type={t?.status === 403 ? "warning" : "error"} header={t?.status === 404 ? `There is no such ${what}` : t?.status === 403 ? "You may not see this" : `The ${what} could not be read`} action={retry && <Button onClick={retry}>Try again</Button>}>
      <TroubleText error={error} />
    </Alert>
  );
}

/** FailedPage is a whole page that could not be read. */
export function FailedPage({ title, error, retry, what }: { title: string; error: unknown; retry?: () => void; what: string }) {
  return (
    <ContentLayout header={<Header variant="h1">{title}</Header>}>
      <Failure error={error} what={what} retry={retry} />
    </ContentLayout>
  );
}

/** TroubleText is the words of an error: what happened, the places that are wrong, the next step. */
export function TroubleText({ error }: { error: unknown }) {
  if (!(error instanceof Trouble)) return <>{error instanceof Error ? error.message : "Something failed."}</>;
  return (
    <div className="parry-wrap">
      <div>{error.message}</div>
      {error.places.length > 0 && (
        <ul className="parry-list">
          {error.places.map((p, i) => (
            <li key={i}>{p.location ? `${p.location}: ${p.message}` : p.message}</li>
          ))}
        </ul>
      )}
      {error.hint && <div>Next: {error.hint}</div>}
    </div>
  );
}

/** Empty says why there is nothing, and what to do about that. */
export function Empty({ why, next, action }: { why: string; next?: ReactNode; action?: ReactNode }) {
  return (
    <Box textAlign="center" margin={{ vertical: "xs" }} color="inherit">
      <Box variant="strong" color="inherit">
        {why}
      </Box>
      {next && (
        <Box variant="p" color="inherit" padding={{ bottom: action ? "s" : "n" }}>
          {next}
        </Box>
      )}
      {action}
    </Box>
  );
}

export function Waiting({ what }: { what: string }) {
  return (
    <Box padding="l" textAlign="center">
      <Spinner size="large" />
      <Box variant="p">Reading the {what}…</Box>
    </Box>
  );
}
