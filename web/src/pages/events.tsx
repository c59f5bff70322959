import Box from "@cloudscape-design/components/box";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tabs from "@cloudscape-design/components/tabs";
import { Archives, Replays } from "../parts/archives";
import { BusRules } from "../parts/bus-rules";
import { DeadLetters } from "../parts/dead-letters";
import { one } from "../router";
import { useSearch } from "../shell/navigate";
import { useTitle } from "./title";

/** EventsPage shows the event bus: what it sends where, what it could not deliver, what it keeps. */
export function EventsPage() {
  useTitle("Events");
  const [search, set] = useSearch();
  const tab = one(search.tab) ?? "rules";
  return (
    <SpaceBetween size="m">
      <Header variant="h1" description="The event bus: which rules send what where, what could not be delivered, what is kept to be sent again.">
        Events
      </Header>
      <Tabs
        activeTabId={tab}
        onChange={(e) => set({ tab: e.detail.activeTabId, bus: undefined, rule: undefined, code: undefined })}
        ariaLabel="Parts of the event bus"
        tabs={[
          { id: "rules", label: "Rules", content: <BusRules /> },
          { id: "dead", label: "Dead letters", content: <DeadLetters /> },
          {
            id: "archives",
            label: "Archives and replays",
            content: (
              <SpaceBetween size="l">
                <Archives />
                <Replays />
                <Box color="text-body-secondary">To make an archive or begin a replay: parry archive create, parry replay start.</Box>
              </SpaceBetween>
            ),
          },
        ]}
      />
    </SpaceBetween>
  );
}
