// Package app wires Parry: it alone knows every package, gives each stage the
// neighbours it declared, and starts and stops them in order.
package app
