/**
 * The filter of findings: tokens as the property filter shows them, as they stand in
 * the address, and as the API takes them. Pure functions; filter.test.ts holds them.
 *
 * All tokens must hold. Within one property the values of one positive operator are
 * alternatives, as in Security Hub's own filters: severity = HIGH or CRITICAL. Values
 * that are excluded are all excluded.
 */

export type Operator = "=" | "!=" | ":" | "^" | "!^";

export interface Token {
  property?: string; // absent: words of title or description
  operator: Operator;
  values: string[];
}

/** StringTest is a test of AwsSecurityFindingFilters. */
export interface StringTest {
  Value: string;
  Comparison: "EQUALS" | "NOT_EQUALS" | "PREFIX" | "PREFIX_NOT_EQUALS";
}

export interface DateTest {
  DateRange: { Value: number; Unit: "DAYS" };
}

export type Filters = Record<string, (StringTest | DateTest)[]>;

/** Search is what the API is asked. */
export interface Search {
  query: Partial<{ control: string; overdue: boolean; excepted: boolean; exception: string }>;
  filters: Filters;
  text: string;
}

export interface Property {
  key: string;
  label: string;
  plural: string;
  operators: Operator[];
  /** field is the attribute of AwsSecurityFindingFilters; absent where a parameter says it. */
  field?: string;
  /** options are all values there are. */
  options?: string[];
  /** facet: the server knows the values. */
  facet?: string;
}

// The API's queries take no CONTAINS, as AWS's do not: words of titles and descriptions
// are looked for by the text of a search.
const text: Operator[] = ["=", "!=", "^", "!^"];
const choice: Operator[] = ["=", "!="];

export const severities = ["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL"];

export const properties: Property[] = [
  { key: "severity", label: "Severity", plural: "Severities", operators: choice, field: "SeverityLabel", options: severities },
  { key: "workflow", label: "Workflow status", plural: "Workflow statuses", operators: choice, field: "WorkflowStatus", options: ["NEW", "NOTIFIED", "SUPPRESSED", "RESOLVED"] },
  { key: "record", label: "Record state", plural: "Record states", operators: choice, field: "RecordState", options: ["ACTIVE", "ARCHIVED"] },
  { key: "compliance", label: "Compliance", plural: "Compliance statuses", operators: choice, field: "ComplianceStatus", options: ["FAILED", "WARNING", "PASSED", "NOT_AVAILABLE"] },
  { key: "account", label: "Account", plural: "Accounts", operators: choice, field: "AwsAccountId", facet: "account" },
  { key: "region", label: "Region", plural: "Regions", operators: choice, field: "Region", facet: "region" },
  { key: "control", label: "Control", plural: "Controls", operators: choice, field: "ComplianceSecurityControlId", facet: "control" },
  { key: "type", label: "Resource type", plural: "Resource types", operators: choice, field: "ResourceType", facet: "resource_type" },
  { key: "resource", label: "Resource", plural: "Resources", operators: text, field: "ResourceId" },
  { key: "product", label: "Product", plural: "Products", operators: text, field: "ProductName", facet: "product" },
  { key: "title", label: "Title", plural: "Titles", operators: text, field: "Title" },
  { key: "id", label: "Finding ID", plural: "Finding IDs", operators: text, field: "Id" },
  { key: "created", label: "Created", plural: "Times", operators: ["="], field: "CreatedAt", options: ["1", "7", "30", "90", "365"] },
  { key: "updated", label: "Updated", plural: "Times", operators: ["="], field: "UpdatedAt", options: ["1", "7", "30", "90", "365"] },
  { key: "overdue", label: "Deadline", plural: "Deadlines", operators: ["="], options: ["passed"] },
  { key: "exception", label: "Exception", plural: "Exceptions", operators: ["="], options: ["any"] },
];

/** times are properties whose value is a number of days: updated=7 is in the last 7 days. */
const times = new Set(["created", "updated"]);

const byKey = new Map(properties.map((p) => [p.key, p]));

export function propertyNamed(key: string | undefined): Property | undefined {
  return key === undefined ? undefined : byKey.get(key);
}

const comparisons: Record<Exclude<Operator, ":">, StringTest["Comparison"]> = {
  "=": "EQUALS",
  "!=": "NOT_EQUALS",
  "^": "PREFIX",
  "!^": "PREFIX_NOT_EQUALS",
};

/** maxValues is how many values the API takes for one attribute. */
export const maxValues = 20;

/**
 * normalize joins tokens of one property and operator, so that what is shown says how
 * the values count: as alternatives, or all excluded. Order is that of first mention.
 */
export function normalize(tokens: readonly Token[]): Token[] {
  const out: Token[] = [];
  for (const t of tokens) {
    const values = t.values.map((v) => v.trim()).filter((v) => v !== "");
    if (values.length === 0) continue;
    if (t.property !== undefined) {
      const p = byKey.get(t.property);
      if (!p || !p.operators.includes(t.operator)) continue;
    } else if (t.operator !== ":") {
      continue;
    }
    const same = out.find((o) => o.property === t.property && o.operator === t.operator);
    if (!same) {
      out.push({ ...t, values: t.property && times.has(t.property) ? values.slice(-1) : [...new Set(values)] });
    } else if (t.property && times.has(t.property)) {
      same.values = values.slice(-1); // the last word on a time counts
    } else {
      same.values = [...new Set([...same.values, ...values])];
    }
  }
  return out;
}

/** problem says why the API would not take the tokens, or undefined. */
export function problem(tokens: readonly Token[]): string | undefined {
  const counts = new Map<string, number>();
  for (const t of tokens) {
    const key = t.property ?? "";
    counts.set(key, (counts.get(key) ?? 0) + t.values.length);
  }
  for (const [key, n] of counts) {
    if (key === "") {
      if (words(tokens).length > 8) return "A search looks for at most 8 words.";
    } else if (n > maxValues) {
      return `${byKey.get(key)?.label} has ${n} values; the limit is ${maxValues}.`;
    }
  }
  return undefined;
}

function words(tokens: readonly Token[]): string[] {
  return tokens.filter((t) => t.property === undefined).flatMap((t) => t.values.flatMap((v) => v.split(/\s+/)));
}

/** compile gives what the API is asked for tokens. */
export function compile(given: readonly Token[]): Search {
  const tokens = normalize(given);
  const out: Search = { query: {}, filters: {}, text: words(tokens).join(" ") };
  for (const t of tokens) {
    const p = propertyNamed(t.property);
    if (!p) continue;
    switch (p.key) {
      case "overdue":
        out.query.overdue = true;
        continue;
      case "exception":
        if (t.values.includes("any")) out.query.excepted = true;
        else out.query.exception = t.values[0];
        continue;
      case "control":
        // The column of the list knows controls that a finding itself does not name.
        if (t.operator === "=" && t.values.length === 1) {
          out.query.control = t.values[0];
          continue;
        }
    }
    if (!p.field) continue;
    const tests = (out.filters[p.field] ??= []);
    for (const value of t.values) {
      if (times.has(p.key)) {
        const days = Number(value);
        if (Number.isInteger(days) && days > 0) tests.push({ DateRange: { Value: days, Unit: "DAYS" } });
      } else if (t.operator !== ":") {
        tests.push({ Value: value, Comparison: comparisons[t.operator] });
      }
    }
    if (tests.length === 0) delete out.filters[p.field];
  }
  return out;
}

const form = /^([a-z]*)(!=|!\^|=|:|\^)(.*)$/s;

/** encode writes a token as it stands in the address: severity=HIGH,CRITICAL. */
export function encode(t: Token): string {
  return (t.property ?? "") + t.operator + t.values.map((v) => v.replace(/[\\,]/g, "\\$&")).join(",");
}

/** decode reads what encode wrote; undefined for anything else. */
export function decode(s: string): Token | undefined {
  const m = form.exec(s);
  if (!m) return undefined;
  const values: string[] = [];
  let value = "";
  const rest = m[3] ?? "";
  for (let i = 0; i < rest.length; i++) {
    if (rest[i] === "\\" && i + 1 < rest.length) value += rest[++i];
    else if (rest[i] === ",") {
      values.push(value);
      value = "";
    } else value += rest[i];
  }
  values.push(value);
  const [token] = normalize([{ property: m[1] === "" ? undefined : m[1], operator: m[2] as Operator, values }]);
  return token;
}

export function decodeAll(list: readonly string[]): Token[] {
  return normalize(list.map(decode).filter((t) => t !== undefined));
}

export function encodeAll(tokens: readonly Token[]): string[] {
  return normalize(tokens).map(encode);
}

/** openTokens are what needs work: the view with which the list begins. */
export const openTokens: Token[] = [
  { property: "workflow", operator: "=", values: ["NEW", "NOTIFIED"] },
  { property: "record", operator: "=", values: ["ACTIVE"] },
];

/** selection names in the API's lists -> properties here. */
const selections: Record<string, string> = {
  severity: "severity",
  workflow: "workflow",
  record_state: "record",
  compliance: "compliance",
  account: "account",
  region: "region",
  control: "control",
  resource_id: "resource",
  resource_type: "type",
  id: "id",
  product: "product",
};

/** fromSelection makes tokens of the parameters with which the API lists something. */
export function fromSelection(selection: Record<string, unknown>): Token[] {
  const tokens: Token[] = [];
  for (const [name, value] of Object.entries(selection)) {
    const property = selections[name];
    if (name === "overdue" && String(value) === "true") tokens.push({ property: "overdue", operator: "=", values: ["passed"] });
    else if (name === "excepted" && String(value) === "true") tokens.push({ property: "exception", operator: "=", values: ["any"] });
    else if (name === "exception") tokens.push({ property: "exception", operator: "=", values: [String(value)] });
    else if (property) tokens.push({ property, operator: "=", values: Array.isArray(value) ? value.map(String) : String(value).split(",") });
  }
  return normalize(tokens);
}
