package store

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// The states of an outbox row.
const (
	messageWaiting   = 0
	messageDelivered = 1
	messageDead      = 2
)

// maxPayload bounds a message: an EventBridge entry of 256 KB with room to spare.
const maxPayload = 1 << 20

// DeadMessage is a message that was given up, with the reason.
type DeadMessage struct {
	Delivery
	Reason string
	DiedAt time.Time
}

// packed are effects as rows, checked and compressed: work that needs no lock.
type packed struct {
	messages, audits, hits [][]any
}

func (p *packed) join(q packed) {
	p.messages = append(p.messages, q.messages...)
	p.audits = append(p.audits, q.audits...)
	p.hits = append(p.hits, q.hits...)
}

// packFrom is the size from which payloads are compressed. A frame is told from
// other payloads by the mark it begins with, so whatever begins like one is
// compressed too.
const (
	packFrom  = 512
	frameMark = "\x28\xb5\x2f\xfd"
)

func (s *Store) pack(eff Effects) (packed, error) {
	const op = "write effects"
	now := micros(s.now())
	var p packed
	for _, m := range eff.Outbox {
		if err := checkID(op, "message id", m.ID); err != nil {
			return p, err
		}
		if err := checkID(op, "topic", m.Topic); err != nil {
			return p, err
		}
		if len(m.Payload) > maxPayload {
			return p, invalid(op, "message %s has %d bytes, more than %d", m.ID, len(m.Payload), maxPayload)
		}
		payload := blob(m.Payload)
		if len(payload) > packFrom || strings.HasPrefix(string(payload), frameMark) {
			payload = s.docs.pack(payload)
		}
		p.messages = append(p.messages, []any{m.ID, m.Topic, payload, max(now, micros(m.NotBefore))})
	}
	for _, a := range eff.Audit {
		if err := checkID(op, "audit action", a.Action); err != nil {
			return p, err
		}
		a.At = a.At.UTC()
		doc, err := json.Marshal(a)
		if err != nil {
			return p, err
		}
		p.audits = append(p.audits, []any{doc})
	}
	p.hits = hitRows(eff.RuleHits)
	return p, nil
}

// send writes the effects of a state change into the file of the change.
func (t *tx) send(ctx context.Context, eff Effects) error {
	wake, err := t.putSignals(ctx, eff.Signals)
	if err != nil {
		return err
	}
	if err := t.endExecutions(ctx, eff.Ends); err != nil {
		return err
	}
	eff.Outbox = append(slices.Clip(eff.Outbox), wake...)
	p, err := t.s.pack(eff)
	if err != nil {
		return err
	}
	return t.sendPacked(ctx, p)
}

func (t *tx) sendPacked(ctx context.Context, p packed) error {
	n, err := t.bulk(ctx, t.s.q.MessageAppend, p.messages)
	if err != nil {
		return err
	}
	t.wake = t.wake || n > 0
	if _, err := t.bulk(ctx, t.s.q.RuleHitAdd, p.hits); err != nil {
		return err
	}
	_, err = t.bulk(ctx, t.s.q.AuditEnqueue, p.audits)
	return err
}

// Enqueue sends eff on its own, without a state change beside it.
func (s *Store) Enqueue(ctx context.Context, f File, eff Effects) error {
	return s.write(ctx, f, "enqueue", func(t *tx) error { return t.send(ctx, eff) })
}

// ClaimMessages leases to owner up to n messages of topics that are due, oldest
// first, until lease has passed. A message whose lease ended unacknowledged can
// be claimed again, by anyone. Two callers never get one message within a lease.
func (s *Store) ClaimMessages(ctx context.Context, f File, topics []string, n int, owner string, lease time.Duration) ([]Delivery, error) {
	const op = "claim messages"
	if n <= 0 || len(topics) == 0 {
		return nil, nil
	}
	if err := checkID(op, "owner", owner); err != nil {
		return nil, err
	}
	// Most polls find nothing, and where there is one writer a look costs less
	// than its turn.
	db, err := s.db(f)
	if err != nil {
		return nil, err
	}
	if !s.dialect.Arrays {
		ready, err := s.dueMessages(ctx, db.Read, topics, 1)
		if err != nil || len(ready) == 0 {
			return nil, s.fail(op, err)
		}
	}
	var claimed []Delivery
	err = s.write(ctx, f, op, func(t *tx) error {
		claimed = nil
		seqs, err := s.dueMessages(ctx, t, topics, n)
		if err != nil || len(seqs) == 0 {
			return err
		}
		arg, err := list(seqs)
		if err != nil {
			return err
		}
		claimed, err = collect(ctx, t, s.q.MessageClaim, []any{arg, owner, micros(s.now().Add(lease))}, func(r scanner) (Delivery, error) {
			return s.scanDelivery(r, f)
		})
		slices.SortFunc(claimed, func(a, b Delivery) int { return slices.Index(seqs, a.Seq) - slices.Index(seqs, b.Seq) })
		return err
	})
	return claimed, err
}

// ReleaseClaims lets anybody claim at once what owners, who are dead, hold: the
// lease of a claim is as long as a handler may take, a dead node is known sooner.
// A message of an owner that lives after all is delivered twice.
func (s *Store) ReleaseClaims(ctx context.Context, f File, owners []string) (released int64, err error) {
	if len(owners) == 0 {
		return 0, nil
	}
	arg, err := list(owners)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, f, "release the messages of dead nodes", func(t *tx) error {
		released, err = t.changed(ctx, s.q.MessageRelease, arg, micros(s.now()))
		t.wake = t.wake || released > 0
		return err
	})
	return released, err
}

// dueMessages gives the n messages of topics that are due longest.
func (s *Store) dueMessages(ctx context.Context, q querier, topics []string, n int) ([]int64, error) {
	arg, err := list(unique(topics))
	if err != nil {
		return nil, err
	}
	return collect(ctx, q, s.q.MessageDue, []any{arg, micros(s.now()), int64(n)}, func(r scanner) (seq int64, err error) {
		err = r.Scan(&seq)
		return seq, err
	})
}

func (s *Store) scanDelivery(r scanner, f File, more ...any) (Delivery, error) {
	d := Delivery{File: f}
	var payload []byte
	var since int64
	dest := append([]any{&d.Seq, &d.ID, &d.Topic, &payload, &since, &d.Claim, &d.Attempts}, more...)
	if err := r.Scan(dest...); err != nil {
		return d, err
	}
	d.Since = fromMicros(since)
	if strings.HasPrefix(string(payload), frameMark) {
		var err error
		if payload, err = s.docs.unpack(payload); err != nil {
			return d, err
		}
	}
	d.Payload = orNil(payload)
	return d, nil
}

// AckMessage marks d delivered. Of the message its id is kept, by which a repetition
// is recognised until Prune. A second acknowledgement of the same claim does nothing;
// one of a claim that was lost to another node answers ErrConflict. Those that come
// at the same time share a transaction.
func (s *Store) AckMessage(ctx context.Context, d Delivery) error {
	a := &ack{Delivery: d}
	ran := s.acks[d.File].do(ctx, a, func(all []*ack) { s.ackAll(context.WithoutCancel(ctx), d.File, all) })
	if !ran {
		return s.fail("acknowledge message "+d.ID, context.Cause(ctx))
	}
	return a.err
}

// ack is an acknowledgement on its way.
type ack struct {
	Delivery
	err error
}

// ackTimeout bounds the transaction of acknowledgements, which is not one caller's.
const ackTimeout = 10 * time.Second

func (s *Store) ackAll(ctx context.Context, f File, all []*ack) {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	claims := make([][]int64, len(all))
	for i, a := range all {
		claims[i], a.err = []int64{a.Seq, a.Claim}, s.fail("acknowledge messages", errBrokenOff)
	}
	err := s.write(ctx, f, "acknowledge messages", func(t *tx) error {
		arg, err := list(claims)
		if err != nil {
			return err
		}
		done, err := collect(ctx, t, s.q.MessageDone, []any{arg, micros(s.now())}, func(r scanner) (seq int64, err error) {
			err = r.Scan(&seq)
			return seq, err
		})
		if err != nil {
			return err
		}
		for _, a := range all {
			a.err = nil
			if slices.Contains(done, a.Seq) {
				continue
			}
			before, err := t.delivered(ctx, a.Delivery)
			if err != nil {
				return err
			}
			if !before {
				a.err = conflict("acknowledge message %s", a.ID)
			}
		}
		return nil
	})
	if err != nil {
		for _, a := range all {
			a.err = err
		}
	}
}

// delivered reports whether d was acknowledged already, under the same claim.
func (t *tx) delivered(ctx context.Context, d Delivery) (bool, error) {
	var state, claims int64
	_, err := one(ctx, t, t.s.q.MessageState, []any{d.Seq}, func(r scanner) (struct{}, error) {
		return struct{}{}, r.Scan(&state, &claims)
	})
	return state == messageDelivered && claims == d.Claim, err
}

// maxReason bounds why a message was put back or given up.
const maxReason = 4 << 10

// RetryMessage puts d back until at. It answers ErrConflict when the claim was lost.
func (s *Store) RetryMessage(ctx context.Context, d Delivery, at time.Time, reason string) error {
	return s.settle(ctx, d, "retry message "+d.ID, s.q.MessageRetry, micros(at), text(reason, maxReason))
}

// HoldMessage puts d back until at, as if it were first due then: what people hold is
// not given up for the time or the tries that it was held.
func (s *Store) HoldMessage(ctx context.Context, d Delivery, at time.Time, reason string) error {
	return s.settle(ctx, d, "hold message "+d.ID, s.q.MessageHeld, micros(at), text(reason, maxReason))
}

// DeadMessage gives d up. It answers ErrConflict when the claim was lost.
func (s *Store) DeadMessage(ctx context.Context, d Delivery, reason string) error {
	return s.settle(ctx, d, "give up message "+d.ID, s.q.MessageDead, micros(s.now()), text(reason, maxReason))
}

func (s *Store) settle(ctx context.Context, d Delivery, op, query string, args ...any) error {
	return s.write(ctx, d.File, op, func(t *tx) error {
		n, err := t.changed(ctx, query, append([]any{d.Seq, d.Claim}, args...)...)
		if err == nil && n == 0 {
			err = conflict("%s", op)
		}
		return err
	})
}

// DeadMessages gives the messages that were given up, the latest first.
func (s *Store) DeadMessages(ctx context.Context, f File, limit int) ([]DeadMessage, error) {
	db, err := s.db(f)
	if err != nil {
		return nil, err
	}
	dead, err := collect(ctx, db.Read, s.q.MessageDeadList, []any{int64(pageSize(limit))}, func(r scanner) (DeadMessage, error) {
		var m DeadMessage
		var at int64
		var err error
		m.Delivery, err = s.scanDelivery(r, f, &m.Reason, &at)
		m.DiedAt = fromMicros(at)
		return m, err
	})
	return dead, s.fail("list dead messages", err)
}

// RequeueDead gives a dead message another life; ErrNotFound when it is not dead.
func (s *Store) RequeueDead(ctx context.Context, f File, seq int64) error {
	return s.write(ctx, f, "requeue message", func(t *tx) error {
		n, err := t.changed(ctx, s.q.MessageRequeue, seq, micros(s.now()))
		if err == nil && n == 0 {
			err = notFound("find dead message %d", seq)
		}
		t.wake = true
		return err
	})
}
