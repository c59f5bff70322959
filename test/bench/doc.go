// Command bench measures Parry and holds each figure against its goal.
//
//	go run ./test/bench [-run REGEX] [-rows N] [-o table|json]
//
// Nothing is simulated but AWS: stores are real databases on this machine's
// disk with every commit flushed, servers are processes of the parry binary
// that is built first, and AWS is moto behind the wall or, where a thousand
// accounts would only measure moto, a small responder in this process
// (fakeaws.go). Every figure is measured in the run that prints it. The best of
// several short runs counts, because others may use the machine; the load
// average stands beside each figure. A row that cannot be measured says why,
// and the program exits 1; a row that misses its goal does not.
package main
