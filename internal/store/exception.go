package store

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// Exception is a stored exception. What it says is in Doc, which the store does not
// read.
type Exception struct {
	ID    string
	State string
	// CreatedAt is when it was asked for; EndedAt is zero while it is open.
	CreatedAt, EndedAt time.Time
	// DueAt is when there is work on it next, zero for never.
	DueAt time.Time
	// Rev counts the writes; 1 is the first.
	Rev int64
	Doc json.RawMessage
}

// ExceptionLimits bound all open exceptions together.
type ExceptionLimits struct {
	Exceptions int64
	Bytes      int64
}

// maxException bounds the document of an exception: its scope may have 256 KB.
const maxException = 512 << 10

// CreateException stores a new exception and sends eff. It answers ErrExists when the
// id is taken, and code exhausted over the limits.
func (s *Store) CreateException(ctx context.Context, e Exception, most ExceptionLimits, eff Effects) error {
	const op = "create exception"
	if err := errors.Join(checkID(op, "exception id", e.ID), checkID(op, "state", e.State), checkException(e)); err != nil {
		return err
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		// Others who create one wait here.
		if _, err := t.changed(ctx, s.q.ExceptionRevisionNext); err != nil {
			return err
		}
		n, err := t.changed(ctx, s.q.ExceptionInsert, e.ID, e.State, micros(e.CreatedAt), micros(e.DueAt), int64(len(e.Doc)), s.docs.pack(e.Doc))
		if err != nil {
			return err
		}
		if n == 0 {
			return exists("create exception %s", e.ID)
		}
		t.hint(HintException, e.ID, "", 1)
		total, err := one(ctx, t, s.q.ExceptionTotal, nil, func(r scanner) (l ExceptionLimits, err error) {
			err = r.Scan(&l.Exceptions, &l.Bytes)
			return l, err
		})
		switch {
		case err != nil:
			return err
		case total.Exceptions > most.Exceptions:
			return fault.Errorf(fault.Exhausted, op, "there are %d open exceptions already, which is the limit", most.Exceptions).
				WithHint("end those that are no longer needed: parry exception list")
		case total.Bytes > most.Bytes:
			return fault.Errorf(fault.Exhausted, op, "all open exceptions together have more than %d bytes", most.Bytes).
				WithHint("end those that are no longer needed, or shorten their scopes: parry exception list")
		}
		return t.send(ctx, eff)
	})
}

func checkException(e Exception) error {
	if !isObject(e.Doc) || len(e.Doc) > maxException {
		return invalid("check exception", "its document has %d bytes or is no object; the limit is %d", len(e.Doc), maxException)
	}
	return nil
}

// UpdateException replaces an exception whose state changes, tells all nodes, and
// sends eff. ErrConflict says that it is not at the Rev that was read.
func (s *Store) UpdateException(ctx context.Context, e Exception, eff Effects) error {
	const op = "update exception"
	if err := checkException(e); err != nil {
		return err
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		if _, err := t.changed(ctx, s.q.ExceptionRevisionNext); err != nil {
			return err
		}
		if err := t.putException(ctx, e); err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

func (t *tx) putException(ctx context.Context, e Exception) error {
	t.hint(HintException, e.ID, "", e.Rev+1)
	n, err := t.changed(ctx, t.s.q.ExceptionUpdate, e.ID, e.Rev, text(e.State, maxID), micros(e.EndedAt), micros(e.DueAt), int64(len(e.Doc)), t.s.docs.pack(e.Doc))
	if err == nil && n == 0 {
		err = conflict("write exception %s", e.ID)
	}
	return err
}

// CommitException writes findings that an exception took or let go together with how
// far it came, and sends eff: one transaction, so that work which is taken up again
// counts nothing twice. ErrConflict says that the exception, or a finding, was
// changed meanwhile. The state stays.
func (s *Store) CommitException(ctx context.Context, e Exception, w []FindingWrite, eff Effects) error {
	const op = "commit exception"
	prepared, err := s.prepareWrites(w)
	if err := errors.Join(err, checkException(e)); err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		if err := t.putException(ctx, e); err != nil {
			return err
		}
		if err := t.commitFindings(ctx, prepared); err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

// Exception gives one exception.
func (s *Store) Exception(ctx context.Context, id string) (Exception, error) {
	e, err := one(ctx, s.findings.Read, s.q.ExceptionRead, []any{text(id, maxID)}, s.scanException)
	return e, s.fail("read exception", err)
}

// ExceptionRevision is a number that moves whenever an exception is made or changes
// its state.
func (s *Store) ExceptionRevision(ctx context.Context) (int64, error) {
	n, err := one(ctx, s.findings.Read, s.q.ExceptionRevision, nil, scanInt)
	return n, s.fail("read the revision of the exceptions", err)
}

// ExceptionsIn gives every exception in a state, in the order of creation, and the
// revision at which they were read. It is for states that CreateException bounds.
func (s *Store) ExceptionsIn(ctx context.Context, state string) ([]Exception, int64, error) {
	const op = "read exceptions"
	raw, err := s.findings.Read.BeginTx(ctx, s.dialect.Snapshot)
	if err != nil {
		return nil, 0, s.fail(op, err)
	}
	rev, err := one(ctx, raw, s.q.ExceptionRevision, nil, scanInt)
	var out []Exception
	if err == nil {
		out, err = collect(ctx, raw, s.q.ExceptionsIn, []any{state}, s.scanException)
	}
	return out, rev, s.fail(op, errors.Join(err, raw.Rollback()))
}

// DueExceptions gives up to n exceptions on which there is work at now, the longest
// due first.
func (s *Store) DueExceptions(ctx context.Context, now time.Time, n int) ([]Exception, error) {
	out, err := collect(ctx, s.findings.Read, s.q.ExceptionDue, []any{micros(now), int64(pageSize(n))}, s.scanException)
	return out, s.fail("list due exceptions", err)
}

// OpenExceptions stands for the states of exceptions that have not ended.
const OpenExceptions = "open"

// ListExceptions gives a page of the exceptions in a state, of the open ones for
// OpenExceptions, or of all for "", the latest first. The cursor of the next page is "" on the last.
func (s *Store) ListExceptions(ctx context.Context, state string, limit int, cursor string) ([]Exception, string, error) {
	const op = "list exceptions"
	by := order{{"f.created_at", numberColumn, true}, {"f.id", textColumn, true}}
	b := builder{}
	switch state {
	case "":
	case OpenExceptions:
		b.and("f.ended_at = 0")
	default:
		b.and("f.state = %s", b.arg(text(state, maxID)))
	}
	if cursor != "" {
		p, err := decodePosition(cursor, by.String(), by.kinds())
		if err != nil {
			return nil, "", err
		}
		b.after(by, p)
	}
	n := pageSize(limit)
	query := s.q.ExceptionPage + b.sql() + " ORDER BY " + by.String() + " LIMIT " + b.arg(int64(n+1))
	out, err := collect(ctx, s.findings.Read, query, b.args, s.scanException)
	if err != nil || len(out) <= n {
		return out, "", s.fail(op, err)
	}
	next, err := position{Order: by.String(), Values: []any{micros(out[n-1].CreatedAt), out[n-1].ID}}.encode()
	return out[:n], next, s.fail(op, err)
}

// CountHeld gives how many findings each of ids suppresses, or every exception for nil;
// one that suppresses none is not there.
func (s *Store) CountHeld(ctx context.Context, ids []string) (map[string]int64, error) {
	const op = "count excepted findings"
	out, b := map[string]int64{}, builder{}
	b.and("f.exception <> ''") // what the index is limited to
	if ids != nil {
		marks := []string{"''"}
		for _, id := range ids {
			marks = append(marks, b.arg(text(id, maxID)))
		}
		b.and("f.exception IN (%s)", strings.Join(marks, ", "))
	}
	_, err := collect(ctx, s.findings.Read, s.q.FindingHeld+b.sql()+" GROUP BY f.exception", b.args, func(r scanner) (struct{}, error) {
		var id string
		var n int64
		err := r.Scan(&id, &n)
		out[id] = n
		return struct{}{}, err
	})
	return out, s.fail(op, err)
}

func (s *Store) scanException(r scanner) (Exception, error) {
	var e Exception
	var created, ended, due int64
	var frame []byte
	if err := r.Scan(&e.ID, &e.State, &created, &ended, &due, &e.Rev, &frame); err != nil {
		return e, err
	}
	e.CreatedAt, e.EndedAt, e.DueAt = fromMicros(created), fromMicros(ended), fromMicros(due)
	doc, err := s.docs.unpack(frame)
	e.Doc = doc
	return e, err
}
