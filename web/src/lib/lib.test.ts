import { describe, expect, test } from "vitest";
import { lines, maxLines, pretty, safeLink } from "./diff";
import { absolute, between, duration, relative } from "./time";
import { cancellable, plain, resourceName, stateKind, stateWords, undoable } from "./words";

describe("a diff", () => {
  const text = (d: ReturnType<typeof lines>) => d.map((l) => l.sign + l.text).join("\n");

  test("shows a policy line by line and keeps what stays", () => {
    const before = '{"Statement":[{"Sid":"Public","Principal":"*"},{"Sid":"Named","Principal":{"AWS":"1"}}]}';
    const after = '{"Statement":[{"Sid":"Named","Principal":{"AWS":"1"}}]}';
    const d = lines(before, after);
    expect(d.filter((l) => l.sign === "-").map((l) => l.text.trim())).toContain('"Sid": "Public",');
    expect(d.some((l) => l.sign === " " && l.text.includes('"Sid": "Named"'))).toBe(true);
    expect(d.filter((l) => l.sign !== "-").map((l) => l.text).join("\n")).toBe(pretty(after));
    expect(d.filter((l) => l.sign !== "+").map((l) => l.text).join("\n")).toBe(pretty(before));
  });

  test("of short values is one line each", () => {
    expect(text(lines("false", "true"))).toBe("-false\n+true");
    expect(text(lines("", "true"))).toBe("+true");
    expect(text(lines("same", "same"))).toBe(" same");
    expect(lines("", "")).toEqual([]);
  });

  test("gives both sides back, whatever they are", () => {
    let seed = 3;
    const random = (n: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
    for (let n = 0; n < 300; n++) {
      const some = () => Array.from({ length: random(9) }, () => "abc"[random(3)]).join("\n");
      const [a, b] = [some(), some()];
      const d = lines(a, b);
      expect(d.filter((l) => l.sign !== "+").map((l) => l.text).join("\n")).toBe(a);
      expect(d.filter((l) => l.sign !== "-").map((l) => l.text).join("\n")).toBe(b);
    }
  });

  test("of something huge is bounded", () => {
    const huge = Array.from({ length: maxLines + 1 }, (_, i) => String(i)).join("\n");
    expect(lines(huge, huge)).toHaveLength(2 * (maxLines + 1));
  });

  test("a string that holds JSON is read as JSON, text that looks so is left", () => {
    expect(pretty('"{\\"a\\":1}"')).toBe('{\n  "a": 1\n}');
    expect(pretty("{not json")).toBe("{not json");
  });
});

test("only pages of the web are linked", () => {
  expect(safeLink("https://docs.aws.amazon.com/x")).toBe("https://docs.aws.amazon.com/x");
  for (const bad of ["javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "/relative", "", 7, null, "https://" + "x".repeat(2050)]) {
    expect(safeLink(bad)).toBeUndefined();
  }
});

test("times", () => {
  const now = Date.parse("2026-11-29T12:00:00Z");
  expect(relative("2026-11-29T11:59:40Z", now)).toBe("just now");
  expect(relative("2026-11-29T11:00:00Z", now)).toBe("1 hour ago");
  expect(relative("2026-11-30T11:59:00Z", now)).toBe("in 1 day");
  expect(relative("2025-11-29T12:00:00Z", now)).toBe("1 year ago");
  expect(relative("0001-01-01T00:00:00Z", now)).toBe("");
  expect(relative(undefined, now)).toBe("");
  expect(absolute("2026-11-29T12:00:00.123Z")).toBe("2026-11-29 12:00:00 UTC");
  expect([0.25, 4.2, 59, 120, 7200, 400000].map(duration)).toEqual(["250 ms", "4.2 s", "59 s", "2 min", "2 h", "4.6 days"]);
  expect(between("2026-11-29T12:00:00Z", "2026-11-29T12:00:02Z")).toBe("2.0 s");
});

test("words", () => {
  expect(stateWords("awaiting_approval")).toBe("Awaiting approval");
  expect(stateKind("failed")).toBe("error");
  expect(stateWords("SOMETHING_NEW")).toBe("Something new");
  expect(resourceName("arn:aws:s3:::bucket/key")).toBe("bucket/key");
  expect(resourceName("arn:aws:ec2:eu-central-1:111111111111:security-group/sg-1")).toBe("security-group/sg-1");
  expect(resourceName("AWS::::Account:111111111111")).toBe("AWS::::Account:111111111111");
  expect([undoable("verified", "fix"), undoable("verified", "undo"), undoable("rejected", "fix"), cancellable("running"), cancellable("verified")]).toEqual([true, false, false, true, false]);
});

test("hidden characters of untrusted text are seen", () => {
  expect(plain("pay\u202etxt.exe\u0007\u200b")).toBe("pay\ufffdtxt.exe\ufffd\ufffd");
  expect(plain("two\nlines\tand é 😀")).toBe("two\nlines\tand é 😀");
  expect(plain(undefined)).toBe("");
});
