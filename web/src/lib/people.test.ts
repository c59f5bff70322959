import { expect, test } from "vitest";
import { nameTrouble, passwordTrouble, readAccounts, scopeWords } from "./people";

test("names are those that the server takes", () => {
  for (const good of ["ada", "ada.l@example.com", "a", "7of9", "x".repeat(64)]) expect(nameTrouble(good, [])).toBe("");
  for (const bad of ["", "Ada", ".ada", "a b", "ädä", "x".repeat(65), "a/b"]) expect(nameTrouble(bad, [])).not.toBe("");
  expect(nameTrouble("ada", ["ada"])).toContain("already");
});

test("a password is held against what the server asks for", () => {
  expect(passwordTrouble("ada", "correct horse battery")).toBe("");
  expect(passwordTrouble("ada", "elevenchars")).toContain("these are 11");
  expect(passwordTrouble("ada", "aaaaaaaaaaaaaa")).toContain("different");
  expect(passwordTrouble("administrator", "administrator1")).toContain("your name");
  expect(passwordTrouble("ada", "x".repeat(129))).toContain("At most");
  // A character outside the first plane is one character.
  expect(passwordTrouble("ada", "😀".repeat(6))).toContain("these are 6");
});

test("accounts are read as people paste them", () => {
  expect(readAccounts("111122223333, 444455556666\n111122223333")).toEqual(["111122223333", "444455556666"]);
  for (const bad of ["", "1111", "*", "111122223333 x"]) expect(readAccounts(bad)).toBeNull();
  expect(scopeWords(["*"])).toBe("All accounts");
  expect(scopeWords(["1", "2", "3"])).toBe("3 accounts");
});
