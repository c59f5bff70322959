// Package rehearse runs what a document's test.yaml says: it makes the world
// that a case is about in an emulator of AWS, lets an engine run the document
// there, and holds its end, its outputs, its calls and the state of the world
// against what the case expects. docs/runbook-test.md is the form of the file.
//
// Takes: a file of cases, an emulator, an engine that runs documents.
// Gives: a report, case by case, of what was otherwise than expected.
// Never: calls to AWS itself. Fixtures are changes that nobody approves, so the
// world has to be an emulator's; its keys are this package's and no real ones.
// When it fails: what went wrong stands in the case's report; only what keeps
// every case from running is an error.
package rehearse
