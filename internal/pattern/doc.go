// Package pattern holds EventBridge event patterns: the envelope that they are
// written against, and a parser, matcher and explainer for the whole language
// (anything-but, numeric, cidr, wildcard, exists, $or and array consistency).
//
// The semantics are those of aws/event-ruler, held to by some seven thousand
// verdicts in testdata. Where its behaviour is a defect, Parry does the
// sensible thing instead:
//
//   - a cidr block matches strings of its own address family only, never numbers;
//   - an empty list inside anything-but is refused;
//   - a quote in a prefix or suffix is an ordinary character;
//   - text after an event's closing brace is an error. After a pattern's closing
//     brace it is ignored, as event-ruler does, and Warnings names it.
//
// What one may not expect: the clauses of a pattern are settled in the order of
// their paths, and exists:false looks at the array elements chosen by the
// clauses before it. {"d":{"a":[1],"b":[{"exists":false}]}} therefore matches
// {"d":[{"a":1},{"b":2}]}, and the same pattern with a and b exchanged does not.
// EventBridge does the same.
//
// A Set matches many patterns at once, by an index over their clauses and one pass
// over the bytes of the event: docs/design/0024-matcher.md says how. The way of an
// event is Validate (text.go), reading by masks (masks.go, walk.go, read.go) along the
// names that the index has (names.go, index.go), and judging (judge.go).
//
// Every input has a limit, and matching does a bounded amount of work: an event
// that would need more is an error, not a wait.
package pattern
