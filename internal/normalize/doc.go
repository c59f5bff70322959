// Package normalize is the stage that turns what a source sent into findings.
// Each format is a package of its own below this one.
//
// # Takes
//
// One message of one source, as it came: ASFF and OCSF; the events of
// AWS's detectors join it.
//
// # Gives
//
// A valid finding, or the reason why it is none, in the form of the API that
// it came by.
//
// # States
//
// None.
//
// # Never
//
// Looks anything up, keeps anything, or changes what a source says: it only
// adds what Security Hub itself adds.
//
// # When it fails
//
// The one finding is refused with a code and a text; its batch goes on.
package normalize
