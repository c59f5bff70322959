import { I18nProvider } from "@cloudscape-design/components/i18n";
import messages from "@cloudscape-design/components/i18n/messages/all.en";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { onSignedOut, Trouble } from "./api/client";
import { FlashProvider } from "./shell/flash";
import { router } from "./router";
import { sessionQuery } from "./session";

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      // What the server refused, it refuses again.
      retry: (n, e) => n < 2 && !(e instanceof Trouble && e.status >= 400 && e.status < 500),
      refetchOnWindowFocus: true,
    },
    mutations: { retry: false },
  },
});

onSignedOut(() => client.setQueryData(sessionQuery.queryKey, null));

export function App() {
  return (
    <QueryClientProvider client={client}>
      <I18nProvider locale="en" messages={[messages]}>
        <FlashProvider>
          <RouterProvider router={router} />
        </FlashProvider>
      </I18nProvider>
    </QueryClientProvider>
  );
}
