package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

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

// usage is the caller's mistake in the words of the command.
func usage(format string, args ...any) error {
	return exit(ExitUsage, fault.Errorf(fault.Invalid, "", format, args...))
}

// misused makes what the library says about flags and arguments a usage error.
func misused(err error) error { return exit(ExitUsage, fault.E(fault.Invalid, "", err)) }

// pointed gives a usage error without a hint one: the help of the command.
func pointed(cmd *cobra.Command, err error) error {
	var e *exitError
	if !errors.As(err, &e) || e.code != ExitUsage || fault.HintOf(err) != "" {
		return err
	}
	return exit(ExitUsage, fault.E(fault.Invalid, "", err).WithHint("run: %s --help", cmd.CommandPath()))
}

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
		if r != '\n' && r != '\t' && steers(r) {
			return -1
		}
		return r
	}, s)
}

// steers reports whether r is a control character or turns the direction of
// what follows.
func steers(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
