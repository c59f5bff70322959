import { describe, expect, test } from "vitest";
import { compile, decode, decodeAll, encode, encodeAll, fromSelection, normalize, problem, properties, type Token } from "./filter";

describe("what the API is asked", () => {
  test("values of one property are alternatives in one attribute", () => {
    expect(compile([{ property: "severity", operator: "=", values: ["HIGH", "CRITICAL"] }]).filters).toEqual({
      SeverityLabel: [
        { Value: "HIGH", Comparison: "EQUALS" },
        { Value: "CRITICAL", Comparison: "EQUALS" },
      ],
    });
  });

  test("two exclusions exclude both", () => {
    const tokens: Token[] = [
      { property: "account", operator: "!=", values: ["111111111111"] },
      { property: "account", operator: "!=", values: ["222222222222"] },
    ];
    expect(normalize(tokens)).toEqual([{ property: "account", operator: "!=", values: ["111111111111", "222222222222"] }]);
    expect(compile(tokens).filters.AwsAccountId).toEqual([
      { Value: "111111111111", Comparison: "NOT_EQUALS" },
      { Value: "222222222222", Comparison: "NOT_EQUALS" },
    ]);
  });

  test("every operator of text has its comparison", () => {
    const of = (operator: Token["operator"]) => compile([{ property: "title", operator, values: ["S3"] }]).filters.Title;
    expect([of("="), of("!="), of("^"), of("!^")].map((t) => (t?.[0] as { Comparison: string }).Comparison)).toEqual([
      "EQUALS",
      "NOT_EQUALS",
      "PREFIX",
      "PREFIX_NOT_EQUALS",
    ]);
  });

  test("one control is asked of the column, several or an exclusion of the attribute", () => {
    expect(compile([{ property: "control", operator: "=", values: ["S3.8"] }])).toMatchObject({ query: { control: "S3.8" }, filters: {} });
    expect(compile([{ property: "control", operator: "=", values: ["S3.8", "S3.2"] }])).toMatchObject({ query: {}, filters: { ComplianceSecurityControlId: [{}, {}] } });
    expect(compile([{ property: "control", operator: "!=", values: ["S3.8"] }]).query).toEqual({});
  });

  test("words are the text, deadlines and exceptions are parameters, times are ranges", () => {
    expect(
      compile([
        { operator: ":", values: ["public bucket"] },
        { operator: ":", values: ["prod"] },
        { property: "overdue", operator: "=", values: ["passed"] },
        { property: "exception", operator: "=", values: ["any"] },
        { property: "updated", operator: "=", values: ["7"] },
      ]),
    ).toEqual({ query: { overdue: true, excepted: true }, text: "public bucket prod", filters: { UpdatedAt: [{ DateRange: { Value: 7, Unit: "DAYS" } }] } });
  });

  test("a named exception is asked by its id", () => {
    expect(compile([{ property: "exception", operator: "=", values: ["exc-1"] }]).query).toEqual({ exception: "exc-1" });
  });

  test("a time that is no number asks for nothing", () => {
    expect(compile([{ property: "updated", operator: "=", values: ["soon"] }]).filters).toEqual({});
  });

  test("an attribute takes no CONTAINS: the API refuses it", () => {
    expect(compile([{ property: "title", operator: ":", values: ["x"] }])).toEqual({ query: {}, filters: {}, text: "" });
  });

  test("nothing asked is everything", () => {
    expect(compile([])).toEqual({ query: {}, filters: {}, text: "" });
  });
});

describe("the address", () => {
  const tokens: Token[] = [
    { property: "severity", operator: "=", values: ["HIGH", "CRITICAL"] },
    { property: "resource", operator: "^", values: ["arn:aws:s3:::a,b\\c=d!:e"] },
    { property: "title", operator: "!^", values: ["<img src=x>"] },
    { operator: ":", values: ["two words"] },
    { property: "updated", operator: "=", values: ["30"] },
  ];

  test("is readable", () => {
    expect(encode(tokens[0]!)).toBe("severity=HIGH,CRITICAL");
    expect(encode(tokens[1]!)).toBe("resource^arn:aws:s3:::a\\,b\\\\c=d!:e");
  });

  test("gives back what was written, whatever the values are", () => {
    expect(decodeAll(encodeAll(tokens))).toEqual(tokens);
    let seed = 7;
    const random = (n: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
    const letters = ["a", ",", "\\", "=", "!", ":", "^", ">", "&", "%", "é", "😀", "x"];
    for (let i = 0; i < 2000; i++) {
      const p = properties.filter((q) => q.key !== "created" && q.key !== "updated")[random(14)]!;
      const value = () => Array.from({ length: 1 + random(8) }, () => letters[random(letters.length)]).join("");
      const t: Token = { property: p.key, operator: p.operators[random(p.operators.length)]!, values: [...new Set([value(), value()])] };
      expect(decode(encode(t))).toEqual(t);
    }
  });

  test("drops what it does not know", () => {
    expect(decodeAll(["", "nonsense", "unknown=1", "severity>HIGH", "severity=", "=x", "__proto__=x", "title:x"])).toEqual([]);
  });

  test("joins what stands in it twice", () => {
    expect(decodeAll(["severity=HIGH", "severity=LOW,HIGH"])).toEqual([{ property: "severity", operator: "=", values: ["HIGH", "LOW"] }]);
  });
});

describe("limits", () => {
  test("twenty values of an attribute are taken, twenty-one are refused by name", () => {
    const token = (n: number): Token => ({ property: "account", operator: "=", values: Array.from({ length: n }, (_, i) => String(i)) });
    expect(problem([token(20)])).toBeUndefined();
    expect(problem([token(21)])).toBe("Account has 21 values; the limit is 20.");
    // The API counts an attribute's values together.
    expect(problem([token(11), { ...token(11), operator: "!=" }])).toBe("Account has 22 values; the limit is 20.");
  });

  test("eight words are looked for, nine are not", () => {
    expect(problem([{ operator: ":", values: ["1 2 3 4 5 6 7 8"] }])).toBeUndefined();
    expect(problem([{ operator: ":", values: ["1 2 3 4 5 6 7 8", "9"] }])).toBeDefined();
  });
});

test("a number of the overview opens the list that it counts", () => {
  expect(fromSelection({ severity: "CRITICAL", workflow: ["NEW", "NOTIFIED"], record_state: "ACTIVE", overdue: true })).toEqual([
    { property: "severity", operator: "=", values: ["CRITICAL"] },
    { property: "workflow", operator: "=", values: ["NEW", "NOTIFIED"] },
    { property: "record", operator: "=", values: ["ACTIVE"] },
    { property: "overdue", operator: "=", values: ["passed"] },
  ]);
});
