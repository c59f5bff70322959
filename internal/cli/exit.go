package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// The exit codes of every command.
const (
	ExitOK      = 0
	ExitError   = 1
	ExitUsage   = 2
	ExitFailing = 3
	ExitPartly  = 4
	ExitWaiting = 5
)

// exitError ends the program with a code of its own. A nil err prints nothing:
// the command has said what there is to say.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exit gives an error that ends the program with code.
func exit(code int, err error) error { return &exitError{code: code, err: err} }

// usage marks err as the caller's mistake in the words of the command.
func usage(format string, args ...any) error { return exit(ExitUsage, fmt.Errorf(format, args...)) }

// Report prints err for a person and gives the exit code that it stands for.
func Report(w io.Writer, err error) int {
	if err == nil {
		return ExitOK
	}
	code := ExitError
	var e *exitError
	if errors.As(err, &e) {
		code = e.code
		if e.err == nil {
			return code
		}
	}
	fmt.Fprintf(w, "error: %s\n", printable(err.Error()))
	if hint := fault.HintOf(err); hint != "" {
		fmt.Fprintf(w, "next:  %s\n", printable(hint))
	}
	return code
}

// printable removes control characters, so that text from outside cannot steer
// a terminal. Line breaks stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return -1
		}
		return r
	}, s)
}
