import type { PaginationProps } from "@cloudscape-design/components/pagination";
import Input from "@cloudscape-design/components/input";
import { useEffect, useState } from "react";

/** usePaging keeps the cursors of a list that the server pages. Another question begins at its first page. */
export function usePaging(asked: string): { cursor: string | undefined; of: (next: string | undefined) => PaginationProps } {
  const [paging, setPaging] = useState<{ asked: string; cursors: (string | undefined)[]; page: number }>({ asked, cursors: [undefined], page: 0 });
  const at = paging.asked === asked ? paging : { asked, cursors: [undefined], page: 0 };
  const last = at.page === at.cursors.length - 1;
  return {
    cursor: at.cursors[at.page],
    of: (next) => ({
      currentPageIndex: at.page + 1,
      pagesCount: at.cursors.length + (next && last ? 1 : 0),
      openEnd: !!next && last,
      onChange: (e) => {
        const page = e.detail.currentPageIndex - 1;
        if (page < at.cursors.length) setPaging({ ...at, page });
        else if (next) setPaging({ asked, cursors: [...at.cursors, next], page });
      },
      ariaLabels: { nextPageLabel: "Next page", previousPageLabel: "Previous page", pageLabel: (n) => `Page ${n}` },
    }),
  };
}

/** Exact is a field whose whole text is looked for, once it is left or Enter is pressed. */
export function Exact({ label, value, onChange }: { label: string; value: string | undefined; onChange: (v: string | undefined) => void }) {
  const [text, setText] = useState(value ?? "");
  useEffect(() => setText(value ?? ""), [value]);
  const done = () => text.trim() !== (value ?? "") && onChange(text.trim() || undefined);
  return (
    <Input
      ariaLabel={label}
      placeholder={label}
      type="search"
      clearAriaLabel={`Clear ${label.toLowerCase()}`}
      value={text}
      onChange={(e) => (setText(e.detail.value), e.detail.value === "" && onChange(undefined))}
      onBlur={done}
      onKeyDown={(e) => e.detail.key === "Enter" && done()}
    />
  );
}
