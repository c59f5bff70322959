package store

import (
	"context"
	"encoding/json"
	"time"
)

// BusDelivery is a delivery of the bus that was claimed, or given up.
type BusDelivery struct {
	Seq   int64
	Event int64
	Waiting
	Claim int64
	Died  time.Time
	Bus   string
	Doc   json.RawMessage
}

// AddressDue is an address that deliveries wait for, and when the first is due.
type AddressDue struct {
	Address string
	Due     time.Time
}

// DueAddresses gives up to n addresses that deliveries wait for, in their order after a
// given one.
func (s *Store) DueAddresses(ctx context.Context, after string, n int) ([]AddressDue, error) {
	out, err := collect(ctx, s.execution.Read, s.q.BusAddressDue, []any{after, int64(n)}, func(r scanner) (AddressDue, error) {
		var a AddressDue
		var due int64
		err := r.Scan(&a.Address, &due)
		a.Due = fromMicros(due)
		return a, err
	})
	return out, s.fail("look for deliveries that wait", err)
}

// ClaimDeliveries leases to owner up to n deliveries to an address that are due, until
// lease has passed: nobody else gets them before.
func (s *Store) ClaimDeliveries(ctx context.Context, address string, n int, owner string, lease time.Duration) (claimed []BusDelivery, err error) {
	now := s.now()
	err = s.write(ctx, Execution, "claim deliveries", func(t *tx) error {
		seqs, err := collect(ctx, t, s.q.BusDeliveryDue, []any{address, micros(now), int64(n)}, scanInt)
		if err != nil || len(seqs) == 0 {
			claimed = nil
			return err
		}
		arg, err := list(seqs)
		if err != nil {
			return err
		}
		if _, err := t.changed(ctx, s.q.BusDeliveryClaim, arg, text(owner, maxID), micros(now.Add(lease))); err != nil {
			return err
		}
		claimed, err = collect(ctx, t, s.q.BusDeliveryRead, []any{arg}, s.scanBusDelivery)
		return err
	})
	return claimed, err
}

func (s *Store) scanBusDelivery(r scanner) (BusDelivery, error) {
	var d BusDelivery
	var since, due, died, state, attempts int64
	var doc []byte
	err := r.Scan(&d.Seq, &d.Event, &d.Rule, &d.Target, &d.Address, &state, &since, &due, &attempts, &d.Claim, &d.Code, &d.Reason, &died, &d.Bus, &doc)
	if err != nil {
		return d, err
	}
	d.Since, d.Due, d.Died, d.Dead, d.Attempts = fromMicros(since), fromMicros(due), fromMicros(died), state == messageDead, int(attempts)
	d.Doc, err = s.docs.unpackEntry(doc)
	return d, err
}

// DeliveryOutcome is what became of a claimed delivery: it is made, when Again is nil, or
// waits or was given up as Again says.
type DeliveryOutcome struct {
	BusDelivery
	Again *Waiting
}

// SettleDeliveries notes outcomes. Those of a claim that was lost to another node are
// left out: the delivery is made once more.
func (s *Store) SettleDeliveries(ctx context.Context, outcomes []DeliveryOutcome) error {
	var made [][]int64
	var again [][]any
	for _, o := range outcomes {
		if o.Again == nil {
			made = append(made, []int64{o.Seq, o.Claim})
			continue
		}
		row := s.waitingRow(o.Event, *o.Again)
		// seq, claim, state, due, attempts, code, reason, died
		again = append(again, []any{o.Seq, o.Claim, row[4], row[6], row[7], row[8], row[9], row[10]})
	}
	return s.write(ctx, Execution, "settle deliveries", func(t *tx) error {
		if len(made) > 0 {
			arg, err := list(made)
			if err != nil {
				return err
			}
			events, err := collect(ctx, t, s.q.BusDeliveryDone, []any{arg}, scanInt)
			if err != nil {
				return err
			}
			if err := t.hold(ctx, less(events)); err != nil {
				return err
			}
		}
		_, err := t.bulk(ctx, s.q.BusDeliveryAgain, again)
		return err
	})
}

// less gives by how much the holds of events change when each is needed once less.
func less(events []int64) map[int64]int64 {
	by := make(map[int64]int64, len(events))
	for _, seq := range events {
		by[seq]--
	}
	return by
}

// DeadFilter selects deliveries that were given up; what is empty selects all.
type DeadFilter struct {
	Bus, Rule, Target, Code string
}

// DeadDeliveries gives a page of what was given up, the latest first.
func (s *Store) DeadDeliveries(ctx context.Context, f DeadFilter, limit int, cursor string) ([]BusDelivery, string, error) {
	const op, by = "list dead letters", "died_at, seq of dead letters"
	at, seq := int64(1)<<62, int64(1)<<62
	if cursor != "" {
		p, err := decodePosition(cursor, by, []columnType{numberColumn, numberColumn})
		if err != nil {
			return nil, "", err
		}
		at, _ = p.Values[0].(int64)
		seq, _ = p.Values[1].(int64)
	}
	n := pageSize(limit)
	out, err := collect(ctx, s.execution.Read, s.q.BusDeadPage, []any{f.Bus, f.Rule, f.Target, f.Code, at, seq, int64(n + 1)}, s.scanBusDelivery)
	if err != nil || len(out) <= n {
		return out, "", s.fail(op, err)
	}
	out = out[:n]
	last := out[n-1]
	next, err := position{Order: by, Values: []any{micros(last.Died), last.Seq}}.encode()
	return out, next, s.fail(op, err)
}

// Redrive has up to n deliveries that were given up made again, as if they were new, and
// says how many: those of seqs, or with none those that f selects.
func (s *Store) Redrive(ctx context.Context, f DeadFilter, seqs []int64, n int, eff Effects) (redriven int64, err error) {
	chosen := int64(0)
	if len(seqs) > 0 {
		chosen = 1
	}
	arg, err := list(seqs)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, Execution, "send dead letters again", func(t *tx) error {
		redriven, err = t.changed(ctx, s.q.BusDeadRedrive, f.Bus, f.Rule, f.Target, f.Code, chosen, arg, micros(s.now()), int64(n))
		if err != nil || redriven == 0 {
			return err
		}
		return t.send(ctx, eff)
	})
	return redriven, err
}

// pruneDeadDeliveries removes what was given up before.
func (s *Store) pruneDeadDeliveries(ctx context.Context, before time.Time) (total int64, err error) {
	for !before.IsZero() {
		var n int
		err := s.write(ctx, Execution, "prune dead letters", func(t *tx) error {
			events, err := collect(ctx, t, s.q.BusDeadPrune, []any{micros(before), int64(pruneChunk)}, scanInt)
			n = len(events)
			if err != nil {
				return err
			}
			return t.hold(ctx, less(events))
		})
		total += int64(n)
		if err != nil || n == 0 {
			return total, err
		}
	}
	return total, nil
}

// ReleaseDeliveries lets anybody claim at once what owners, who are dead, hold.
func (s *Store) ReleaseDeliveries(ctx context.Context, owners []string) (released int64, err error) {
	if len(owners) == 0 {
		return 0, nil
	}
	arg, err := list(owners)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, Execution, "release the deliveries of dead nodes", func(t *tx) error {
		released, err = t.changed(ctx, s.q.BusDeliveryRelease, arg, micros(s.now()))
		return err
	})
	return released, err
}

// codeSetAside is the code of deliveries that somebody set aside.
const codeSetAside = "SET_ASIDE"

// HaltBus sets aside every delivery that is still to be made, as if it had been given up,
// and says how many. No node may run.
func (s *Store) HaltBus(ctx context.Context, reason string) (halted int64, err error) {
	const owner = "halted"
	if err := s.write(ctx, Execution, "halt the bus", func(t *tx) error {
		if _, err := t.changed(ctx, s.q.BusEventFree); err != nil {
			return err
		}
		halted, err = t.changed(ctx, s.q.BusDeliveryHalt, codeSetAside, text(reason, maxReason), micros(s.now()))
		return err
	}); err != nil {
		return 0, err
	}
	for {
		events, err := s.ClaimEvents(ctx, owner, nil, pruneChunk)
		if err != nil || len(events) == 0 {
			return halted, err
		}
		settled := make([]SettledEvent, len(events))
		for i, e := range events {
			settled[i].Seq = e.Seq
			for _, ref := range e.Targets {
				settled[i].Again = append(settled[i].Again, Waiting{TargetRef: ref, Since: e.Since, Dead: true, Code: codeSetAside, Reason: reason})
				halted++
			}
		}
		if err := s.SettleEvents(ctx, owner, settled); err != nil {
			return halted, err
		}
	}
}
