/**
 * What a call changes, member by member: the API gives each as text before and after.
 * A value that is JSON is shown line by line, so that a policy reads as one.
 */

export interface Line {
  sign: " " | "-" | "+";
  text: string;
}

/** pretty writes JSON over several lines, and anything else as it is. */
export function pretty(text: string): string {
  const trimmed = text.trim();
  if (trimmed.startsWith("{") || trimmed.startsWith("[") || trimmed.startsWith('"{') || trimmed.startsWith('"[')) {
    try {
      let value: unknown = JSON.parse(trimmed);
      if (typeof value === "string") value = JSON.parse(value);
      return JSON.stringify(value, null, 2);
    } catch {
      return text;
    }
  }
  return text;
}

/** maxLines bounds the work on one value; beyond it both are shown whole. */
export const maxLines = 600;

/** lines compares two values line by line by their longest common subsequence. */
export function lines(before: string, after: string): Line[] {
  const a = before === "" ? [] : pretty(before).split("\n");
  const b = after === "" ? [] : pretty(after).split("\n");
  if (a.length > maxLines || b.length > maxLines) {
    return [...a.map((text): Line => ({ sign: "-", text })), ...b.map((text): Line => ({ sign: "+", text }))];
  }
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      table[i * width + j] = a[i] === b[j] ? table[(i + 1) * width + j + 1]! + 1 : Math.max(table[(i + 1) * width + j]!, table[i * width + j + 1]!);
    }
  }
  const out: Line[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      out.push({ sign: " ", text: a[i]! });
      i++;
      j++;
    } else if (i < a.length && (j === b.length || table[(i + 1) * width + j]! >= table[i * width + j + 1]!)) {
      out.push({ sign: "-", text: a[i]! });
      i++;
    } else {
      out.push({ sign: "+", text: b[j]! });
      j++;
    }
  }
  return out;
}

/** safeLink gives the address of a link that may be followed, or undefined. */
export function safeLink(url: unknown): string | undefined {
  if (typeof url !== "string" || url.length > 2048) return undefined;
  try {
    const parsed = new URL(url);
    return parsed.protocol === "https:" || parsed.protocol === "http:" ? parsed.href : undefined;
  } catch {
    return undefined;
  }
}
