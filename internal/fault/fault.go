// Package fault gives every error of Parry a code for machines, a message for
// people, a hint that names the next step, and a retry class that is data and
// not guesswork. It has no dependencies, so every kind of package may import it.
package fault

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Code says what kind of failure an error is. The set is closed.
type Code string

// The codes of style.md rule 14. Internal is what an error without a code is.
const (
	Invalid     Code = "invalid"
	NotFound    Code = "not_found"
	Conflict    Code = "conflict"
	Denied      Code = "denied"
	Exhausted   Code = "exhausted"
	Unavailable Code = "unavailable"
	Internal    Code = "internal"
)

// Valid reports whether c is one of the closed set.
func (c Code) Valid() bool {
	switch c {
	case Invalid, NotFound, Conflict, Denied, Exhausted, Unavailable, Internal:
		return true
	}
	return false
}

// HTTPStatus maps a code to the status that Parry's own REST API answers.
func (c Code) HTTPStatus() int {
	switch c {
	case Invalid:
		return http.StatusBadRequest
	case NotFound:
		return http.StatusNotFound
	case Conflict:
		return http.StatusConflict
	case Denied:
		return http.StatusForbidden
	case Exhausted:
		return http.StatusTooManyRequests
	case Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// Error is an error with a code, the operation that failed, and optionally a
// hint for the reader and a retry class for the caller.
type Error struct {
	Code Code
	// Op is what was being attempted, lower case: "claim step", "read bucket policy".
	Op string
	// Err is the cause. Its text is shown to people except for Internal.
	Err error
	// Hint is the next command or setting, for the person who reads the error.
	Hint string
	// retry is the retry class; after is the earliest time to wait before it.
	retry   retryClass
	after   time.Duration
	refused bool
}

type retryClass int

const (
	retryUnset retryClass = iota
	retryTransient
	retryTerminal
	retryHeld
)

// E wraps err with a code and the operation that was attempted.
// A nil err gives an error whose text is op alone.
func E(code Code, op string, err error) *Error {
	return &Error{Code: code, Op: op, Err: err}
}

// Errorf is E with a formatted cause.
func Errorf(code Code, op, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Err: fmt.Errorf(format, args...)}
}

// WithHint returns e with a hint: a full sentence or a command, no full stop needed.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Error prints "op: cause".
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Op
	case e.Op == "":
		return e.Err.Error()
	default:
		return e.Op + ": " + e.Err.Error()
	}
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// Transient marks err as worth another try, no sooner than after.
// The code of err is kept; an error without one becomes Unavailable.
func Transient(err error, after time.Duration) error {
	return classed(err, retryTransient, after, Unavailable)
}

// Held marks err as not yet: people put something in the way, and will take it away. It is
// Transient, and another try comes every after, however many there were and however long
// it lasts.
func Held(err error, after time.Duration) error {
	return classed(err, retryHeld, after, Unavailable)
}

// IsHeld reports whether err was marked Held, and when to try again.
func IsHeld(err error) (time.Duration, bool) {
	var e *Error
	if errors.As(err, &e) && e.retry == retryHeld {
		return e.after, true
	}
	return 0, false
}

// Terminal marks err as not worth another try.
func Terminal(err error) error { return classed(err, retryTerminal, 0, CodeOf(err)) }

// Refused marks err as the answer to something that was asked for against the rules:
// no failure of what was done, but a reason to trust nothing that asked for it.
func Refused(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: CodeOf(err), Err: err, Hint: HintOf(err), refused: true}
}

// IsRefused reports whether err was marked Refused.
func IsRefused(err error) bool {
	var e *Error
	for errors.As(err, &e) {
		if e.refused {
			return true
		}
		err = e.Err
	}
	return false
}

func classed(err error, class retryClass, after time.Duration, fallback Code) error {
	if err == nil {
		return nil
	}
	code := fallback
	var e *Error
	if errors.As(err, &e) {
		code = e.Code
	}
	return &Error{Code: code, Err: err, Hint: HintOf(err), retry: class, after: after}
}

// CodeOf gives the code of the outermost coded error in err's chain, Internal
// where there is none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// Is reports whether err carries code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }

// HintOf gives the first hint found from the outside in, or "".
func HintOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

// IsTransient reports whether err was marked Transient, and the least wait.
// The outermost mark wins.
func IsTransient(err error) (time.Duration, bool) {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return 0, false
		}
		switch e.retry {
		case retryTransient, retryHeld:
			return e.after, true
		case retryTerminal:
			return 0, false
		}
		err = e.Err
	}
	return 0, false
}

// IsTerminal reports whether err was marked Terminal.
func IsTerminal(err error) bool {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return false
		}
		switch e.retry {
		case retryTerminal:
			return true
		case retryTransient, retryHeld:
			return false
		}
		err = e.Err
	}
	return false
}
