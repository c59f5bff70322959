package app

import (
	"context"
	"time"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/store"
)

// outbox shows one file's outbox to the bus, in the bus's own words.
type outbox struct {
	store *store.Store
	file  store.File
}

// Claim leases up to n messages.
func (o outbox) Claim(ctx context.Context, topics []string, n int, owner string, lease time.Duration) ([]bus.Delivery, error) {
	claimed, err := o.store.ClaimMessages(ctx, o.file, topics, n, owner, lease)
	if err != nil {
		return nil, err
	}
	out := make([]bus.Delivery, 0, len(claimed))
	for _, d := range claimed {
		out = append(out, bus.Delivery{ID: d.ID, Topic: d.Topic, Payload: d.Payload, File: string(o.file), Seq: d.Seq, Claim: d.Claim, Attempts: d.Attempts, Since: d.Since})
	}
	return out, nil
}

// Ack marks d as delivered.
func (o outbox) Ack(ctx context.Context, d bus.Delivery) error {
	return o.store.AckMessage(ctx, o.claimed(d))
}

// Retry gives d back until at.
func (o outbox) Retry(ctx context.Context, d bus.Delivery, at time.Time, reason string) error {
	return o.store.RetryMessage(ctx, o.claimed(d), at, reason)
}

// Hold gives d back until at, as if it were first due then.
func (o outbox) Hold(ctx context.Context, d bus.Delivery, at time.Time, reason string) error {
	return o.store.HoldMessage(ctx, o.claimed(d), at, reason)
}

// Dead keeps d aside with its reason.
func (o outbox) Dead(ctx context.Context, d bus.Delivery, reason string) error {
	return o.store.DeadMessage(ctx, o.claimed(d), reason)
}

func (o outbox) claimed(d bus.Delivery) store.Delivery {
	return store.Delivery{Message: store.Message{ID: d.ID, Topic: d.Topic, Payload: d.Payload}, File: o.file, Seq: d.Seq, Claim: d.Claim, Attempts: d.Attempts, Since: d.Since}
}
