// Package remediation holds the nouns of fixing a resource: the remediation and
// its states, the immutable plan and its hash, the approval bound to that hash,
// and the recorded change with its before-image. Types and pure functions only;
// see design.md decisions 6 and 7.
package remediation
