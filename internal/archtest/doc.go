// Package archtest keeps the tree in the shape that docs/ARCHITECTURE.md draws.
// It holds no code but tests: import rules by kind of package, package docs, no
// clock in nouns, and AWS clients in the gate only.
package archtest
