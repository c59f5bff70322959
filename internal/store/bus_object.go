package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// BusKind is what a BusObject is.
type BusKind string

// The kinds. Rules are of a bus; the others are of none, and have "" for it.
const (
	BusKindBus         BusKind = "bus"
	BusKindRule        BusKind = "rule"
	BusKindArchive     BusKind = "archive"
	BusKindReplay      BusKind = "replay"
	BusKindConnection  BusKind = "connection"
	BusKindDestination BusKind = "destination"
)

// DefaultBus is the bus that is always there, with or without a row of its own.
const DefaultBus = "default"

// moves reports whether nodes keep objects of k at hand: what events are held against and
// delivered by.
func (k BusKind) moves() bool { return k != BusKindReplay }

// BusKey names a BusObject.
type BusKey struct {
	Kind BusKind
	Bus  string
	Name string
}

// BusHead is a BusObject without its document: where key, time and Rev are the same,
// so is the document.
type BusHead struct {
	BusKey
	CreatedAt time.Time
	// Rev counts the writes; 1 is the first.
	Rev int64
}

// BusObject is what people keep of the event bus. What it says is in Doc, which the
// store does not read.
type BusObject struct {
	BusHead
	Doc json.RawMessage
}

const (
	busTable = "bus_object"
	// maxBusObject bounds the document of an object: a rule with all its targets.
	maxBusObject = 2 << 20
	// busChunk is how many objects are read at a time where all of them are.
	busChunk = 500
)

func (o BusObject) check() error {
	const op = "check object of the bus"
	if !isObject(o.Doc) || len(o.Doc) > maxBusObject {
		return invalid(op, "its document has %d bytes or is no object; the limit is %d", len(o.Doc), maxBusObject)
	}
	errs := []error{checkID(op, "kind", string(o.Kind)), checkID(op, "name", o.Name)}
	if o.Kind == BusKindRule {
		errs = append(errs, checkID(op, "bus", o.Bus))
	} else if o.Bus != "" {
		errs = append(errs, invalid(op, "a %s is of no bus", o.Kind))
	}
	return errors.Join(errs...)
}

// seal gives the document as it is stored, for this row alone.
func (s *Store) sealBusObject(o BusObject) ([]byte, error) {
	return s.sealer.Seal(s.docs.pack(o.Doc), busAAD(o.BusKey))
}

func busAAD(k BusKey) []byte { return aad(busTable, string(k.Kind), k.Bus, k.Name) }

// moveBus tells all nodes that what they keep at hand changes, and keeps others
// who change it waiting until this transaction ends.
func (t *tx) moveBus(ctx context.Context, k BusKind) error {
	if !k.moves() {
		return nil
	}
	_, err := t.changed(ctx, t.s.q.BusRevisionNext)
	return err
}

// CreateBusObject stores a new object and sends eff. It answers ErrExists when the key
// is taken, ErrNotFound when a rule's bus is not there, and code exhausted when there
// are most of its kind on its bus.
func (s *Store) CreateBusObject(ctx context.Context, o BusObject, most int64, eff Effects) error {
	if err := o.check(); err != nil {
		return err
	}
	op := "create " + string(o.Kind) + " " + o.Name
	sealed, err := s.sealBusObject(o)
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		if err := t.moveBus(ctx, o.Kind); err != nil {
			return err
		}
		if err := t.hasBus(ctx, o.Bus); err != nil {
			return err
		}
		// Whoever makes another one waits here until this transaction ends.
		room, err := t.changed(ctx, s.q.BusTotalAdd, string(o.Kind), o.Bus, most)
		if err != nil {
			return err
		}
		n, err := t.changed(ctx, s.q.BusInsert, string(o.Kind), o.Bus, o.Name, micros(o.CreatedAt), sealed)
		switch {
		case err != nil:
			return err
		case n == 0:
			return exists("%s", op)
		case room == 0:
			return fault.Errorf(fault.Exhausted, "", "there are %d of the kind %s already, which is the limit", most, o.Kind)
		}
		return t.send(ctx, eff)
	})
}

// hasBus answers ErrNotFound when a bus on which something is made is not there.
func (t *tx) hasBus(ctx context.Context, name string) error {
	if name == "" || name == DefaultBus {
		return nil
	}
	_, err := one(ctx, t, t.s.q.BusHead, []any{string(BusKindBus), "", name}, scanInt)
	if errors.Is(err, sql.ErrNoRows) {
		return notFound("find bus %s", name)
	}
	return err
}

// UpdateBusObject replaces an object at the Rev that was read, and sends eff.
func (s *Store) UpdateBusObject(ctx context.Context, o BusObject, eff Effects) error {
	if err := o.check(); err != nil {
		return err
	}
	op := "update " + string(o.Kind) + " " + o.Name
	sealed, err := s.sealBusObject(o)
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		if err := t.moveBus(ctx, o.Kind); err != nil {
			return err
		}
		n, err := t.changed(ctx, s.q.BusUpdate, string(o.Kind), o.Bus, o.Name, o.Rev, sealed)
		if err != nil {
			return err
		}
		if n == 0 {
			return conflict("%s", op)
		}
		return t.send(ctx, eff)
	})
}

// DeleteBusObject removes an object at the Rev that was read, and sends eff. It answers
// ErrConflict when the object is another by now, and ErrInUse for a bus with rules.
func (s *Store) DeleteBusObject(ctx context.Context, k BusKey, rev int64, eff Effects) error {
	op := "delete " + string(k.Kind) + " " + k.Name
	return s.write(ctx, Execution, op, func(t *tx) error {
		if err := t.moveBus(ctx, k.Kind); err != nil {
			return err
		}
		n, err := t.changed(ctx, s.q.BusDelete, string(k.Kind), k.Bus, text(k.Name, maxID), rev)
		switch {
		case err != nil:
			return err
		case n == 0:
			return conflict("%s", op)
		}
		if _, err := t.changed(ctx, s.q.BusTotalTake, string(k.Kind), k.Bus); err != nil {
			return err
		}
		if k.Kind == BusKindBus {
			if err := t.dropRules(ctx, k.Name); err != nil {
				return err
			}
		}
		return t.send(ctx, eff)
	})
}

// dropRules forgets how many rules a bus had that is deleted, if it has none.
func (t *tx) dropRules(ctx context.Context, bus string) error {
	n, err := one(ctx, t, t.s.q.BusTotal, []any{string(BusKindRule), bus}, scanInt)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case n > 0:
		return fault.E(fault.Conflict, "delete bus "+bus, ErrInUse)
	}
	_, err = t.changed(ctx, t.s.q.BusTotalDrop, string(BusKindRule), bus)
	return err
}

// BusObject reads one object.
func (s *Store) BusObject(ctx context.Context, k BusKey) (BusObject, error) {
	op := "read " + string(k.Kind)
	o, err := one(ctx, s.execution.Read, s.q.BusRead, []any{string(k.Kind), text(k.Bus, maxID), text(k.Name, maxID)}, s.scanBusObject(k.Kind))
	return o, s.fail(op, err)
}

func (s *Store) scanBusObject(kind BusKind) func(scanner) (BusObject, error) {
	return func(r scanner) (BusObject, error) {
		o := BusObject{BusHead: BusHead{BusKey: BusKey{Kind: kind}}}
		var created int64
		var sealed []byte
		if err := r.Scan(&o.Bus, &o.Name, &created, &o.Rev, &sealed); err != nil {
			return o, err
		}
		o.CreatedAt = fromMicros(created)
		packed, err := s.sealer.Open(sealed, busAAD(o.BusKey))
		if err != nil {
			return o, err
		}
		o.Doc, err = s.docs.unpack(packed)
		return o, err
	}
}

// ListBusObjects gives up to n of a kind on a bus whose names begin with prefix and come
// after a name, in the order of names, and reports whether there are more.
func (s *Store) ListBusObjects(ctx context.Context, kind BusKind, bus, prefix, after string, n int) (page []BusObject, more bool, err error) {
	n, prefix = pageSize(n), text(prefix, maxID)
	// What begins with the prefix lies before the prefix with the last of all characters.
	args := []any{string(kind), text(bus, maxID), text(after, maxID), prefix, prefix + "\U0010FFFF", int64(n + 1)}
	page, err = collect(ctx, s.execution.Read, s.q.BusPage, args, s.scanBusObject(kind))
	if len(page) > n {
		page, more = page[:n], true
	}
	return page, more, s.fail("list objects of the bus", err)
}

// AllBusObjects gives every object of a kind on every bus to each, in the order of bus
// and name; an error of each ends it. Objects that change meanwhile may be given as they
// were: whoever needs them all as they are reads BusRevision before and after.
func (s *Store) AllBusObjects(ctx context.Context, kind BusKind, each func(BusObject) error) error {
	op := "read every " + string(kind)
	bus, name := "", ""
	for {
		page, err := collect(ctx, s.execution.Read, s.q.BusAll, []any{string(kind), bus, name, int64(busChunk)}, s.scanBusObject(kind))
		if err != nil {
			return s.fail(op, err)
		}
		for _, o := range page {
			if err := each(o); err != nil {
				return err
			}
		}
		if len(page) < busChunk {
			return nil
		}
		bus, name = page[len(page)-1].Bus, page[len(page)-1].Name
	}
}

// BusHeads gives every object of a kind without its document, in the order of bus and
// name: enough to tell which of them have to be read again.
func (s *Store) BusHeads(ctx context.Context, kind BusKind) ([]BusHead, error) {
	out, err := collect(ctx, s.execution.Read, s.q.BusHeads, []any{string(kind)}, func(r scanner) (BusHead, error) {
		h := BusHead{BusKey: BusKey{Kind: kind}}
		var created int64
		err := r.Scan(&h.Bus, &h.Name, &created, &h.Rev)
		h.CreatedAt = fromMicros(created)
		return h, err
	})
	return out, s.fail("read the names of every "+string(kind), err)
}

// BusRevision is a number that moves with every change of what nodes keep at hand: all but replays.
func (s *Store) BusRevision(ctx context.Context) (int64, error) {
	n, err := one(ctx, s.execution.Read, s.q.BusRevision, nil, scanInt)
	return n, s.fail("read the revision of the bus", err)
}
