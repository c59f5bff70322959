/** read gives the pattern with what tells events apart first: whose they are, and of what kind. */
function read(text: string): unknown {
  const p: unknown = JSON.parse(text);
  if (typeof p !== "object" || p === null || Array.isArray(p)) return p;
  const first = ["detail-type", "source"];
  return Object.fromEntries(Object.entries(p).sort(([a], [b]) => first.indexOf(b) - first.indexOf(a)));
}

const named = (key: string, value: string) => `${JSON.stringify(key)}: ${value}`;

/** line writes a value on one line, which can break between its members. */
function line(v: unknown): string {
  if (Array.isArray(v)) return `[${v.map(line).join(", ")}]`;
  if (typeof v !== "object" || v === null) return JSON.stringify(v);
  return `{${Object.entries(v).map(([k, x]) => named(k, line(x))).join(", ")}}`;
}

/** lines writes a value over several lines; what is short stays on one. */
function lines(v: unknown, indent = ""): string {
  const flat = line(v);
  if (typeof v !== "object" || v === null || flat.length <= 40) return flat;
  const deeper = indent + "  ";
  const members = Array.isArray(v) ? v.map((x) => lines(x, deeper)) : Object.entries(v).map(([k, x]) => named(k, lines(x, deeper)));
  return `${flat[0]}${members.map((m) => `\n${deeper}${m}`).join(",")}\n${indent}${flat.at(-1)}`;
}

const shown = (write: (v: unknown) => string) => (text: string) => {
  try {
    return write(read(text));
  } catch {
    return text; // what is no JSON stays as it is
  }
};

/** spaced writes a pattern on one line, pretty over several. */
export const spaced = shown(line);
export const pretty = shown(lines);

/** targetWords shortens an ARN to what tells targets apart: service and name. */
export function targetWords(arn: string): string {
  const [, , service, , , ...rest] = arn.split(":");
  return service && rest.length > 0 ? `${service === "parry" ? "" : `${service} `}${rest.join(":")}` : arn;
}
