import ButtonDropdown, { type ButtonDropdownProps } from "@cloudscape-design/components/button-dropdown";
import type { Sort } from "../api/queries";
import { encodeAll, openTokens, type Token } from "../lib/filter";
import { writeSearch } from "../router";
import { useFollow } from "../shell/navigate";

/** system are the views that everybody has. */
const system: { id: string; text: string; tokens: Token[]; sort: Sort }[] = [
  { id: "open", text: "Open", tokens: openTokens, sort: "priority" },
  { id: "urgent", text: "Open, critical and high", tokens: [{ property: "severity", operator: "=", values: ["CRITICAL", "HIGH"] }, ...openTokens], sort: "priority" },
  { id: "overdue", text: "Past their deadline", tokens: [...openTokens, { property: "overdue", operator: "=", values: ["passed"] }], sort: "priority" },
  { id: "excepted", text: "Suppressed by exceptions", tokens: [{ property: "exception", operator: "=", values: ["any"] }], sort: "updated" },
  { id: "all", text: "All findings", tokens: [], sort: "updated" },
];

export function Views(_: { tokens: Token[]; sort: Sort }) {
  const follow = useFollow();
  const items: ButtonDropdownProps.ItemOrGroup[] = [{ text: "Views", items: system.map((v) => ({ id: v.id, text: v.text, href: "/findings" + writeSearch({ f: encodeAll(v.tokens), sort: v.sort }) })) }];
  return (
    <ButtonDropdown items={items} onItemFollow={follow as never} expandToViewport>
      Views
    </ButtonDropdown>
  );
}
