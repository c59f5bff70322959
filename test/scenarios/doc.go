// Package scenarios holds tests of the real binary: parry serve as a process of
// its own, in front of an emulated AWS whose calls are held, dropped, throttled
// and refused while the server is killed. Each scenario has buckets and a data
// directory of its own; the emulated organization is shared.
package scenarios
