/** Times are shown relative to now, and whole, in UTC, where one looks closer. */

const units: [number, string][] = [
  [365 * 86400, "year"],
  [30 * 86400, "month"],
  [86400, "day"],
  [3600, "hour"],
  [60, "minute"],
];

/** zero says that Go wrote its zero time. */
export function known(iso: string | undefined): iso is string {
  return !!iso && !iso.startsWith("0001-");
}

export function relative(iso: string | undefined, now = Date.now()): string {
  if (!known(iso)) return "";
  const seconds = (Date.parse(iso) - now) / 1000;
  const size = Math.abs(seconds);
  if (size < 45) return seconds > 0 ? "in a moment" : "just now";
  for (const [length, name] of units) {
    if (size >= length * 0.95) {
      const n = Math.max(1, Math.round(size / length));
      const text = `${n} ${name}${n === 1 ? "" : "s"}`;
      return seconds > 0 ? `in ${text}` : `${text} ago`;
    }
  }
  return seconds > 0 ? "in 1 minute" : "1 minute ago";
}

export function absolute(iso: string | undefined): string {
  if (!known(iso)) return "";
  return iso.replace("T", " ").replace(/(\.\d+)?(Z|[+-]\d\d:\d\d)$/, (_a, _f, zone: string) => (zone === "Z" ? " UTC" : ` ${zone}`));
}

export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 360) / 10} h`;
  return `${Math.round(seconds / 8640) / 10} days`;
}

export function between(from: string | undefined, to: string | undefined): string {
  if (!known(from) || !known(to)) return "";
  return duration(Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000));
}
