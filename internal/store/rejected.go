package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Rejected is a message, or one finding of it, that could not be accepted: kept
// so that a person can see why and send it again.
type Rejected struct {
	// ID is RejectedID of the three things that make it what it is.
	ID     string
	Source string
	// Place is where it came from: a queue's message id, a file and its line.
	Place string
	// FindingID is the Id of the finding, where the message could be read.
	FindingID string
	Code      string
	Reason    string
	// At is when it came last, Times how often.
	At    time.Time
	Times int64
	// Body is the message. One longer than MaxRejectedBody is cut, which Cut says.
	Body []byte
	Cut  bool
}

const (
	// MaxRejectedBody is how much of a message is kept.
	MaxRejectedBody = 512 << 10
)

// RejectedID names what was rejected by source, message and finding, so that a
// message which is delivered again is one row.
func RejectedID(source string, body []byte, findingID string) string {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(source), body, []byte(findingID)} {
		sum := sha256.Sum256(part)
		_, _ = h.Write(sum[:]) // a hash never fails
	}
	return "rej-" + hex.EncodeToString(h.Sum(nil))[:24]
}

// PutRejected keeps what was rejected. One that is here already counts up.
func (s *Store) PutRejected(ctx context.Context, list []Rejected) error {
	const op = "keep rejected messages"
	rows := make([][]any, 0, len(list))
	seen := map[string]bool{}
	for _, r := range list {
		if err := checkID(op, "id", r.ID); err != nil {
			return err
		}
		if seen[r.ID] {
			continue
		}
		seen[r.ID] = true
		body := r.Body
		cut := r.Cut || len(body) > MaxRejectedBody
		body = body[:min(len(body), MaxRejectedBody)]
		rows = append(rows, []any{
			r.ID, text(r.Source, maxID), text(r.Place, wideColumn), text(r.FindingID, wideColumn), text(r.Code, narrowColumn), text(r.Reason, maxReason),
			micros(r.At), flag(cut), s.docs.pack(body),
		})
	}
	if len(rows) == 0 {
		return nil
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		_, err := t.bulk(ctx, s.q.RejectedPut, rows)
		return err
	})
}

// ListRejected gives a page of what was rejected, the latest first, without the
// bodies; source "" is all.
func (s *Store) ListRejected(ctx context.Context, source string, limit int, cursor string) ([]Rejected, string, error) {
	b := builder{columns: findingColumn}
	if source != "" {
		b.and("f.source = %s", b.arg(text(source, maxID)))
	}
	by := order{{"f.at", timeColumn, true}, {"f.id", textColumn, true}}
	out, next, err := keyPage(ctx, s.findings.Read, s.q.RejectedPage, &b, by, limit, cursor, scanRejected, func(r Rejected) []any {
		return []any{micros(r.At), r.ID}
	})
	return out, next, s.fail("list rejected messages", err)
}

func scanRejected(r scanner) (Rejected, error) {
	var x Rejected
	var at, cut int64
	err := r.Scan(&x.ID, &x.Source, &x.Place, &x.FindingID, &x.Code, &x.Reason, &at, &x.Times, &cut)
	x.At, x.Cut = fromMicros(at), cut != 0
	return x, err
}

// Rejected gives one with its body.
func (s *Store) Rejected(ctx context.Context, id string) (Rejected, error) {
	x, err := one(ctx, s.findings.Read, s.q.RejectedRead, []any{text(id, maxID)}, func(r scanner) (Rejected, error) {
		var x Rejected
		var at, cut int64
		var frame []byte
		if err := r.Scan(&x.ID, &x.Source, &x.Place, &x.FindingID, &x.Code, &x.Reason, &at, &x.Times, &cut, &frame); err != nil {
			return x, err
		}
		x.At, x.Cut = fromMicros(at), cut != 0
		body, err := s.docs.unpack(frame)
		x.Body = body
		return x, err
	})
	return x, s.fail("read rejected message", err)
}

// DropRejected forgets one and sends eff. One that is not there answers
// ErrNotFound.
func (s *Store) DropRejected(ctx context.Context, id string, eff Effects) error {
	return s.write(ctx, Findings, "drop rejected message", func(t *tx) error {
		n, err := t.changed(ctx, s.q.RejectedDelete, text(id, maxID))
		if err != nil {
			return err
		}
		if n == 0 {
			return notFound("find rejected message %s", id)
		}
		return t.send(ctx, eff)
	})
}

// pruneRejected removes rejected messages by age and by number, so that a source
// which sends nothing but rubbish does not fill the disk.
func (s *Store) pruneRejected(ctx context.Context, c Cutoffs) (int64, error) {
	var old, surplus int64
	var err error
	if !c.Rejected.IsZero() {
		if old, err = s.pruneRows(ctx, Findings, s.q.RejectedPrune, micros(c.Rejected), int64(pruneChunk)); err != nil {
			return old, err
		}
	}
	if c.MaxRejected > 0 {
		surplus, err = s.pruneRows(ctx, Findings, s.q.RejectedTrim, c.MaxRejected, int64(pruneChunk))
	}
	return old + surplus, err
}
