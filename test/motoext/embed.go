// Package motoext holds the Python package of the same name: what moto lacks and
// the tests need.
package motoext

import "embed"

// FS holds the Python package's modules.
//
//go:embed *.py
var FS embed.FS
