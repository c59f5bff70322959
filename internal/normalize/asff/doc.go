// Package asff normalizes findings that come in AWS's own format.
//
// # Takes
//
// One raw ASFF document.
//
// # Gives
//
// A validated finding with the members that Security Hub fills in (region,
// product and company name, its own product fields), or a finding.ImportError
// worded as BatchImportFindings words it.
//
// # States
//
// None.
//
// # Never
//
// Overwrites a member that the provider gave, or drops one that it does not know.
// One that it knows and that is no ASFF is dropped only when asked to mend.
//
// # When it fails
//
// It gives an ImportError with code InvalidInput: fixing the finding is up to
// its sender, and repeating it unchanged is of no use.
package asff
