package cli

import "golang.org/x/sys/unix"

// clockKept reports whether the kernel says that something keeps the clock right.
func clockKept() (kept, known bool) {
	state, err := unix.Adjtimex(&unix.Timex{})
	return err == nil && state != unix.TIME_ERROR, err == nil
}
