import Button from "@cloudscape-design/components/button";
import ContentLayout from "@cloudscape-design/components/content-layout";
import Header from "@cloudscape-design/components/header";
import { Empty, Failure } from "../parts/basics";
import { useGo } from "../shell/navigate";

/** Missing is the page of an address that is none. */
export function Missing() {
  const go = useGo();
  return (
    <ContentLayout header={<Header variant="h1">There is no such page</Header>}>
      <Empty why="Nothing is at this address." next="It may have been cut when it was copied." action={<Button onClick={() => go("/")}>Open the overview</Button>} />
    </ContentLayout>
  );
}

/** Failed is shown where a page itself fails. */
export function Failed({ error, reset }: { error: unknown; reset?: () => void }) {
  return <Failure error={error} what="page" retry={reset ?? (() => window.location.reload())} />;
}
