package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Heartbeat says that node lives until ttl from now and gives the epoch of its
// lease. A node that is in time keeps its epoch; one whose lease has passed gets
// a new, greater one, by which it knows that its work was given to others. Node
// names must differ between processes, restarts included.
//
// Leases are judged by the clocks of the nodes: keep them within a second of
// each other, or make ttl longer.
func (s *Store) Heartbeat(ctx context.Context, node string, ttl time.Duration) (epoch int64, err error) {
	const op = "renew the node lease"
	if err := checkID(op, "node", node); err != nil {
		return 0, err
	}
	err = s.write(ctx, Execution, op, func(t *tx) error {
		now := s.now()
		until := micros(now.Add(ttl))
		kept, err := one(ctx, t, s.q.NodeExtend, []any{node, until, micros(now)}, scanInt)
		if err == nil {
			epoch = kept
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if epoch, err = one(ctx, t, s.q.EpochNext, nil, scanInt); err != nil {
			return err
		}
		_, err = t.changed(ctx, s.q.NodePut, node, epoch, until)
		return err
	})
	if err != nil {
		return 0, err
	}
	return epoch, nil
}

// LeaseValid reports whether node holds its lease under epoch, now.
func (s *Store) LeaseValid(ctx context.Context, node string, epoch int64) (bool, error) {
	var have, until int64
	_, err := one(ctx, s.execution.Read, s.q.NodeRead, []any{text(node, maxID)}, func(r scanner) (struct{}, error) {
		return struct{}{}, r.Scan(&have, &until)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil && have == epoch && until > micros(s.now()), s.fail("read the node lease", err)
}

// ReleaseNode ends a node's lease at once, so that a clean stop is taken over
// without waiting.
func (s *Store) ReleaseNode(ctx context.Context, node string, epoch int64) error {
	return s.write(ctx, Execution, "release the node lease", func(t *tx) error {
		_, err := t.changed(ctx, s.q.NodeRelease, node, epoch, micros(s.now()))
		return err
	})
}

// DeadNodes gives the nodes whose lease has passed, the longest dead first. They
// are named until Prune forgets them.
func (s *Store) DeadNodes(ctx context.Context, now time.Time) ([]string, error) {
	names, err := collect(ctx, s.execution.Read, s.q.NodeDead, []any{micros(now)}, func(r scanner) (name string, err error) {
		err = r.Scan(&name)
		return name, err
	})
	return names, s.fail("list dead nodes", err)
}

// AcquireLease takes or renews the lease called name for node until ttl from
// now, and reports whether node holds it.
func (s *Store) AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (bool, error) {
	const op = "acquire lease"
	if err := errors.Join(checkID(op, "lease", name), checkID(op, "node", node)); err != nil {
		return false, err
	}
	var held bool
	err := s.write(ctx, Execution, op+" "+name, func(t *tx) error {
		now := s.now()
		n, err := t.changed(ctx, s.q.LeaseTake, name, node, micros(now.Add(ttl)), micros(now))
		held = n > 0
		return err
	})
	return held && err == nil, err
}

// ReleaseLease gives a lease back; one that node does not hold stays.
func (s *Store) ReleaseLease(ctx context.Context, name, node string) error {
	return s.write(ctx, Execution, "release lease "+name, func(t *tx) error {
		_, err := t.changed(ctx, s.q.LeaseRelease, name, node)
		return err
	})
}

// DropLeases ends the leases of all nodes but one, whatever is left of them. Only who
// knows that no other node lives may call it: the holder of the data directory's lock.
func (s *Store) DropLeases(ctx context.Context, except string) error {
	return s.write(ctx, Execution, "drop leases", func(t *tx) error {
		_, err := t.changed(ctx, s.q.LeaseDrop, except)
		return err
	})
}
