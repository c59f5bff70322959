package store

import (
	"context"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
)

const (
	maxResource = 2048
	maxDetail   = 500
)

// AppendCalls adds to the record of calls. Calls of changes are written with the
// change (RecordIntent); one that is here already stays as it is.
func (s *Store) AppendCalls(ctx context.Context, calls []remediation.CallRecord) error {
	rows := make([][]any, len(calls))
	for i, c := range calls {
		rows[i] = callRow(c)
	}
	return s.write(ctx, Execution, "record calls", func(t *tx) error {
		_, err := t.bulk(ctx, s.q.CallAppend, rows)
		return err
	})
}

func callRow(c remediation.CallRecord) []any {
	return []any{
		micros(c.At), text(c.Change, maxID), text(string(c.Remediation), maxID), text(c.Execution, maxID), text(c.Step, maxID), c.Mode,
		text(c.Account, maxID), text(c.Region, maxID), text(c.Service, maxID), text(c.Operation, maxID), string(c.Class), text(c.Resource, maxResource),
		c.Digest, text(c.RequestID, maxID), int64(c.Attempts), int64(c.HTTPStatus), c.Duration.Microseconds(), string(c.Outcome),
		text(c.Code, maxID), text(c.Detail, maxDetail),
	}
}

func scanCall(r scanner) (placedCall, error) {
	var c placedCall
	var at, took int64
	var class, outcome, about string
	err := r.Scan(&c.seq, &at, &c.Change, &about, &c.Execution, &c.Step, &c.Mode, &c.Account, &c.Region, &c.Service, &c.Operation,
		&class, &c.Resource, &c.Digest, &c.RequestID, &c.Attempts, &c.HTTPStatus, &took, &outcome, &c.Code, &c.Detail)
	c.At, c.Duration = fromMicros(at), time.Duration(took)*time.Microsecond
	c.Remediation, c.Class, c.Outcome = remediation.ID(about), apimodel.Class(class), remediation.CallOutcome(outcome)
	return c, err
}

// placedCall is a call with its place in the table.
type placedCall struct {
	remediation.CallRecord
	seq int64
}

// Calls gives a page of the calls of a remediation, the first first. The caller
// has checked that its account is within reach.
func (s *Store) Calls(ctx context.Context, id remediation.ID, limit int, cursor string) ([]remediation.CallRecord, string, error) {
	b := builder{columns: findingColumn, dialect: s.dialect}
	b.and("f.remediation = %s AND f.remediation <> ''", b.arg(text(string(id), maxID))) // the second finds the index
	by := order{{"f.at", timeColumn, false}, {"f.seq", numberColumn, false}}
	all, next, err := keyPage(ctx, s.execution.Read, s.q.CallPage, &b, by, limit, cursor, scanCall, func(c placedCall) []any {
		return []any{micros(c.At), c.seq}
	})
	out := make([]remediation.CallRecord, len(all))
	for i, c := range all {
		out[i] = c.CallRecord
	}
	return out, next, s.fail("list calls of "+string(id), err)
}

// putCall writes the call of a change with its intent: from here on it may have
// been sent.
func (t *tx) putCall(ctx context.Context, c remediation.Change) error {
	_, err := t.bulk(ctx, t.s.q.CallAppend, [][]any{callRow(c.Record())})
	return err
}

// endCall writes how the call of a change ended.
func (t *tx) endCall(ctx context.Context, c remediation.Change) error {
	r := c.Record()
	_, err := t.changed(ctx, t.s.q.CallUpdate, text(r.Change, maxID), text(r.RequestID, maxID), int64(r.Attempts), int64(r.HTTPStatus),
		r.Duration.Microseconds(), string(r.Outcome), text(r.Code, maxID))
	return err
}
