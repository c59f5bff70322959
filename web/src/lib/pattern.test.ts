import { expect, test } from "vitest";
import { pretty, spaced, targetWords } from "./pattern";

test("a pattern begins with whose events it takes, and breaks between its members", () => {
  expect(spaced('{"detail":{"n":[{"numeric":[">",1]}]},"detail-type":["Order","Return"],"source":["shop"]}')).toBe(
    '{"source": ["shop"], "detail-type": ["Order", "Return"], "detail": {"n": [{"numeric": [">", 1]}]}}',
  );
});

test("strings stay as they are", () => {
  const text = '{"source":["a\\n  b","{\\n}","<b>"]}';
  expect(JSON.parse(spaced(text))).toEqual(JSON.parse(text));
  expect(JSON.parse(pretty(text))).toEqual(JSON.parse(text));
});

test("every member is kept, also those with names of JavaScript's own", () => {
  for (const text of ['{"__proto__":["x"],"source":["y"]}', '{"constructor":["x"],"detail":{}}', "{}"]) {
    expect(Object.keys(JSON.parse(spaced(text)) as object).sort()).toEqual(Object.keys(JSON.parse(text) as object).sort());
  }
});

test("what is no JSON is shown as it is", () => {
  expect(spaced("not json\n  at all")).toBe("not json\n  at all");
  expect(pretty("")).toBe("");
});

test("over several lines, what is short stays on one", () => {
  expect(pretty('{"source":["shop"],"detail":{"country":["DE","FR","IT","PL"],"total":[{"numeric":[">",100]}]}}')).toBe(`{
  "source": ["shop"],
  "detail": {
    "country": ["DE", "FR", "IT", "PL"],
    "total": [{"numeric": [">", 100]}]
  }
}`);
});

test("a target is known by its service and name", () => {
  expect(targetWords("arn:aws:sqs:us-east-1:111122223333:orders")).toBe("sqs orders");
  expect(targetWords("arn:aws:parry:us-east-1:111122223333:playbook/S3.2")).toBe("playbook/S3.2");
  expect(targetWords("https://shop.example.com")).toBe("https://shop.example.com");
});
