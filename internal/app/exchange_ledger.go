package app

import (
	"context"
	"time"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/store"
)

// busLedger shows the store's events and deliveries to the bus, in the bus's own words.
type busLedger struct{ store *store.Store }

// AppendEvents stores events and gives them their numbers.
func (b busLedger) AppendEvents(ctx context.Context, owner string, events []*bus.Posted) error {
	rows := make([]*store.BusEvent, len(events))
	for i, e := range events {
		rows[i] = &store.BusEvent{Bus: e.Bus, At: e.At, Since: e.Since, Archives: e.Archives, Doc: e.Text, Targets: make([]store.TargetRef, len(e.Targets))}
		for j, ref := range e.Targets {
			rows[i].Targets[j] = store.TargetRef(ref)
		}
	}
	if err := b.store.AppendEvents(ctx, owner, rows, store.Effects{}); err != nil {
		return err
	}
	for i, r := range rows {
		events[i].Seq = r.Seq
	}
	return nil
}

// ClaimEvents gives events that nobody delivers.
func (b busLedger) ClaimEvents(ctx context.Context, owner string, dead []string, n int) ([]bus.Posted, error) {
	claimed, err := b.store.ClaimEvents(ctx, owner, dead, n)
	out := make([]bus.Posted, 0, len(claimed))
	for _, e := range claimed {
		p := bus.Posted{Seq: e.Seq, Bus: e.Bus, At: e.At, Since: e.Since, Text: e.Doc}
		for _, ref := range e.Targets {
			p.Targets = append(p.Targets, bus.Ref(ref))
		}
		out = append(out, p)
	}
	return out, err
}

// SettleEvents closes events whose first deliveries are over.
func (b busLedger) SettleEvents(ctx context.Context, owner string, settled []bus.Settled) error {
	rows := make([]store.SettledEvent, len(settled))
	for i, s := range settled {
		rows[i].Seq = s.Event
		for _, l := range s.Again {
			rows[i].Again = append(rows[i].Again, waitingOf(l))
		}
	}
	return b.store.SettleEvents(ctx, owner, rows)
}

func waitingOf(l bus.Later) store.Waiting {
	return store.Waiting{TargetRef: store.TargetRef(l.Ref), Since: l.Since, Due: l.Due, Attempts: l.Attempts, Dead: l.Dead, Code: l.Code, Reason: l.Reason}
}

func laterOf(w store.Waiting) bus.Later {
	return bus.Later{Ref: bus.Ref(w.TargetRef), Since: w.Since, Due: w.Due, Attempts: w.Attempts, Dead: w.Dead, Code: w.Code, Reason: w.Reason}
}

// DueAddresses gives addresses that deliveries wait for.
func (b busLedger) DueAddresses(ctx context.Context, after string, n int) ([]bus.AddressDue, error) {
	due, err := b.store.DueAddresses(ctx, after, n)
	out := make([]bus.AddressDue, len(due))
	for i, d := range due {
		out[i] = bus.AddressDue(d)
	}
	return out, err
}

// ClaimDeliveries leases deliveries to an address.
func (b busLedger) ClaimDeliveries(ctx context.Context, address string, n int, owner string, lease time.Duration) ([]bus.Claimed, error) {
	claimed, err := b.store.ClaimDeliveries(ctx, address, n, owner, lease)
	out := make([]bus.Claimed, len(claimed))
	for i, d := range claimed {
		out[i] = bus.Claimed{Seq: d.Seq, Event: d.Event, Claim: d.Claim, Later: laterOf(d.Waiting), Bus: d.Bus, Text: d.Doc}
	}
	return out, err
}

// SettleDeliveries notes what became of claimed deliveries.
func (b busLedger) SettleDeliveries(ctx context.Context, outcomes []bus.Outcome) error {
	rows := make([]store.DeliveryOutcome, len(outcomes))
	for i, o := range outcomes {
		rows[i].BusDelivery = store.BusDelivery{Seq: o.Seq, Event: o.Event, Claim: o.Claim}
		if o.Again != nil {
			again := waitingOf(*o.Again)
			rows[i].Again = &again
		}
	}
	return b.store.SettleDeliveries(ctx, rows)
}
