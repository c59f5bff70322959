package store

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// HubKind is what a HubObject is.
type HubKind string

// The kinds.
const (
	HubInsight HubKind = "insight"
	HubAction  HubKind = "action"
)

// HubObject is what people keep in Security Hub: an insight or a custom action. What
// it says is in Doc, which the store does not read.
type HubObject struct {
	Kind      HubKind
	ARN       string
	Region    string
	CreatedAt time.Time
	// Rev counts the writes; 1 is the first.
	Rev int64
	Doc json.RawMessage
}

// maxHubObject bounds the document of an object.
const maxHubObject = 256 << 10

func (o HubObject) check() error {
	const op = "check object"
	if !isObject(o.Doc) || len(o.Doc) > maxHubObject {
		return invalid(op, "its document has %d bytes or is no object; the limit is %d", len(o.Doc), maxHubObject)
	}
	return errors.Join(checkID(op, "kind", string(o.Kind)), checkID(op, "ARN", o.ARN), checkID(op, "region", o.Region))
}

// CreateHubObject stores a new object and sends eff. It answers ErrExists when the
// ARN is taken, and code exhausted when there are most of its kind in its Region.
func (s *Store) CreateHubObject(ctx context.Context, o HubObject, most int64, eff Effects) error {
	if err := o.check(); err != nil {
		return err
	}
	op := "create " + string(o.Kind)
	return s.write(ctx, Findings, op, func(t *tx) error {
		// Whoever makes another one waits here until this transaction ends.
		n, err := t.changed(ctx, s.q.HubTotalAdd, string(o.Kind), o.Region, most)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Errorf(fault.Exhausted, "", "there are %d in %s already, which is the limit", most, o.Region)
		}
		if n, err = t.changed(ctx, s.q.HubInsert, o.ARN, string(o.Kind), o.Region, micros(o.CreatedAt), s.docs.pack(o.Doc)); err != nil {
			return err
		}
		if n == 0 {
			return exists("create %s", o.ARN)
		}
		return t.send(ctx, eff)
	})
}

// UpdateHubObject replaces an object at the Rev that was read, and sends eff.
func (s *Store) UpdateHubObject(ctx context.Context, o HubObject, eff Effects) error {
	if err := o.check(); err != nil {
		return err
	}
	return s.write(ctx, Findings, "update "+string(o.Kind), func(t *tx) error {
		n, err := t.changed(ctx, s.q.HubUpdate, o.ARN, string(o.Kind), o.Rev, s.docs.pack(o.Doc))
		if err != nil {
			return err
		}
		if n == 0 {
			return conflict("update %s", o.ARN)
		}
		return t.send(ctx, eff)
	})
}

// DeleteHubObject removes an object and sends eff.
func (s *Store) DeleteHubObject(ctx context.Context, kind HubKind, arn string, eff Effects) error {
	return s.write(ctx, Findings, "delete "+string(kind), func(t *tx) error {
		for _, query := range []string{s.q.HubTotalTake, s.q.HubDelete} {
			n, err := t.changed(ctx, query, text(arn, maxID), string(kind))
			if err != nil {
				return err
			}
			if n == 0 {
				return notFound("delete %s", kind)
			}
		}
		return t.send(ctx, eff)
	})
}

// HubObjects gives those of arns that there are, in no particular order.
func (s *Store) HubObjects(ctx context.Context, kind HubKind, arns []string) ([]HubObject, error) {
	clean := make([]string, len(arns))
	for i, a := range arns {
		clean[i] = text(a, maxID)
	}
	arg, err := list(unique(clean))
	if err != nil {
		return nil, err
	}
	out, err := collect(ctx, s.findings.Read, s.q.HubRead, []any{string(kind), arg}, s.scanHubObject(kind))
	return out, s.fail("read objects", err)
}

func (s *Store) scanHubObject(kind HubKind) func(scanner) (HubObject, error) {
	return func(r scanner) (HubObject, error) {
		o := HubObject{Kind: kind}
		var created int64
		var frame []byte
		if err := r.Scan(&o.ARN, &o.Region, &created, &o.Rev, &frame); err != nil {
			return o, err
		}
		doc, err := s.docs.unpack(frame)
		o.CreatedAt, o.Doc = fromMicros(created), doc
		return o, err
	}
}

// ListHubObjects gives a page of a kind, the oldest first; region "" is all of them.
func (s *Store) ListHubObjects(ctx context.Context, kind HubKind, region string, limit int, cursor string) ([]HubObject, string, error) {
	const op = "list objects"
	by := "created_at, arn of " + string(kind) + " in " + region
	at, arn := int64(math.MinInt64), ""
	if cursor != "" {
		p, err := decodePosition(cursor, by, []columnType{numberColumn, textColumn})
		if err != nil {
			return nil, "", err
		}
		at, _ = p.Values[0].(int64)
		arn, _ = p.Values[1].(string)
	}
	n := pageSize(limit)
	out, err := collect(ctx, s.findings.Read, s.q.HubPage, []any{string(kind), region, at, arn, int64(n + 1)}, s.scanHubObject(kind))
	if err != nil || len(out) <= n {
		return out, "", s.fail(op, err)
	}
	out = out[:n]
	last := out[n-1]
	next, err := position{Order: by, Values: []any{micros(last.CreatedAt), last.ARN}}.encode()
	return out, next, s.fail(op, err)
}
