// Package py holds the Python programs of the demo and the tests: the one that
// makes the AWS Organization, and the judges of the end state. They are embedded
// so that `parry demo` works outside a checkout.
package py

import "embed"

// FS holds the programs and what they need installed.
//
//go:embed *.py requirements.txt requirements.lock
var FS embed.FS
