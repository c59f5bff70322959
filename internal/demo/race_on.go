//go:build race

package demo

// raceEnabled says that this binary is built with the race detector, under
// which times mean nothing.
const raceEnabled = true
