import Button from "@cloudscape-design/components/button";
import { useState } from "react";
import { pretty, spaced } from "../lib/pattern";
import { plain } from "../lib/words";

/** short is how many characters of a pattern a row of a table shows. */
const short = 160;

/** Pattern is an event pattern in a row of a table: its beginning, and the whole on demand. */
export function Pattern({ text, of }: { text: string; of: string }) {
  const [whole, setWhole] = useState(false);
  const line = plain(spaced(text));
  if (line.length <= short) return <div className="parry-code parry-wrap">{line}</div>;
  return (
    <>
      {whole ? (
        <pre className="parry-raw parry-event" tabIndex={0} role="region" aria-label={`Pattern of ${of}`}>
          {plain(pretty(text))}
        </pre>
      ) : (
        <div className="parry-code parry-wrap">{line.slice(0, short)}…</div>
      )}
      <Button variant="inline-link" ariaExpanded={whole} ariaLabel={`${whole ? "Less of the" : "The whole"} pattern of ${of}`} onClick={() => setWhole(!whole)}>
        {whole ? "Less" : "The whole pattern"}
      </Button>
    </>
  );
}
