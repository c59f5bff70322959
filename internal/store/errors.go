package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/parry-security/parry/internal/fault"
)

// The sentinels of the store's contract. Every error that means one of these
// answers errors.Is, and carries the same fault code.
var (
	// ErrNotFound: there is no such row.
	ErrNotFound error = fault.Errorf(fault.NotFound, "", "not found")
	// ErrConflict: the row is not as the caller read it; read again.
	ErrConflict error = fault.Errorf(fault.Conflict, "", "changed by another writer")
	// ErrExists: the id is taken, and what is stored was left alone.
	ErrExists error = fault.Errorf(fault.Conflict, "", "exists already")
	// ErrInUse: something else needs the row, which was left alone.
	ErrInUse error = fault.Errorf(fault.Conflict, "", "in use")
)

// Failure is what an error of the database means to the store.
type Failure int

// The failures that a dialect tells apart.
const (
	FailureOther       Failure = iota
	FailureRetry               // lost against a concurrent transaction: run it again
	FailureUnique              // a unique key is taken
	FailureUnavailable         // no connection, or locked for too long
	FailureFull                // no space left
)

// fail names what was attempted and gives err the code of what it means.
func (s *Store) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	var coded *fault.Error
	if errors.As(err, &coded) {
		return fmt.Errorf("%s: %w", op, err)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fault.E(fault.NotFound, op, ErrNotFound)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.E(fault.Unavailable, op, err)
	}
	switch s.dialect.Classify(err) {
	case FailureUnique:
		return fault.E(fault.Conflict, op, errors.Join(ErrConflict, err))
	case FailureRetry:
		return fault.Transient(fault.E(fault.Conflict, op, errors.Join(ErrConflict, err)), 0)
	case FailureUnavailable:
		return fault.Transient(fault.E(fault.Unavailable, op, err), 0)
	case FailureFull:
		return fault.E(fault.Exhausted, op, err).WithHint("free space on the volume of the data directory, then restart")
	}
	return fault.E(fault.Internal, op, err)
}

func notFound(op string, args ...any) error {
	return fault.E(fault.NotFound, fmt.Sprintf(op, args...), ErrNotFound)
}

func conflict(op string, args ...any) error {
	return fault.E(fault.Conflict, fmt.Sprintf(op, args...), ErrConflict)
}

func exists(op string, args ...any) error {
	return fault.E(fault.Conflict, fmt.Sprintf(op, args...), ErrExists)
}

func invalid(op, format string, args ...any) error {
	return fault.Errorf(fault.Invalid, op, format, args...)
}
