package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/fault"
)

const (
	caseTable  = "case_file"
	entryTable = "case_entry"
)

// CaseWrite is what is written with a case: one entry of its timeline, and what the
// event behind it says.
type CaseWrite struct {
	Entry casefile.Entry
	// Event names what is told, "" for what people do.
	Event string
	// Group is the group of events that the case takes, "" for none, and Last when its
	// last one came. Replaces is the case that took them before, "" for none.
	Group, Replaces string
	Last            time.Time
}

// CaseGroup says which open case takes the events of a group.
type CaseGroup struct {
	Case string
	Last time.Time
}

// CaseFilter selects cases.
type CaseFilter struct {
	// Accounts is the scope of the caller: see AllAccounts. It is required. A case is in
	// it with all of its accounts; one that has none is in every account's scope alone.
	Accounts []string
	Status   casefile.Status // "" is any
	Open     bool            // only those that are not closed
	Account  string          // only those that have this account; "" is any
}

// CreateCase stores a new case with its first entry and sends eff. It answers ErrExists
// when the id is taken or the event is told already, ErrConflict when the group's case
// is not the one that w replaces, and code exhausted when there are most open cases.
func (s *Store) CreateCase(ctx context.Context, c casefile.Case, w CaseWrite, most int64, eff Effects) error {
	op := "create case " + c.ID
	sealed, err := s.sealCase(c)
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		n, err := t.changed(ctx, s.q.CaseInsert, c.ID, string(c.Status), micros(c.CreatedAt), sealed)
		switch {
		case err != nil:
			return err
		case n == 0:
			return exists("%s", op)
		}
		open, err := one(ctx, t, s.q.CaseOpenTotal, []any{most + 1}, scanInt)
		switch {
		case err != nil:
			return err
		case open > most:
			return fault.Errorf(fault.Exhausted, op, "there are %d open cases already, which is the limit", most).
				WithHint("close those that are over: parry case list")
		}
		return t.putCase(ctx, c, w, eff)
	})
}

// UpdateCase replaces a case, adds an entry to its timeline and sends eff. ErrConflict
// says that it is not at the Rev that was read or that another case took its group,
// ErrExists that the event is told already.
func (s *Store) UpdateCase(ctx context.Context, c casefile.Case, w CaseWrite, eff Effects) error {
	op := "update case " + c.ID
	sealed, err := s.sealCase(c)
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		n, err := t.changed(ctx, s.q.CaseUpdate, c.ID, c.Rev, string(c.Status), micros(c.ClosedAt), sealed)
		switch {
		case err != nil:
			return err
		case n == 0:
			return conflict("%s", op)
		}
		if c.Status == casefile.Closed {
			if _, err := t.changed(ctx, s.q.CaseGroupFree, c.ID); err != nil {
				return err
			}
		}
		return t.putCase(ctx, c, w, eff)
	})
}

// putCase writes what hangs on the row of a case.
func (t *tx) putCase(ctx context.Context, c casefile.Case, w CaseWrite, eff Effects) error {
	q := t.s.q
	for _, account := range c.Accounts {
		if _, err := t.changed(ctx, q.CaseAccountPut, c.ID, account); err != nil {
			return err
		}
	}
	if w.Group != "" {
		n, err := t.changed(ctx, q.CaseGroupPut, w.Group, c.ID, micros(w.Last), w.Replaces)
		if err != nil {
			return err
		}
		if n == 0 {
			return conflict("take the events of a group for case %s", c.ID)
		}
	}
	w.Entry.Seq = c.Entries
	sealed, err := t.s.sealJSON(w.Entry, entryAAD(c.ID, w.Entry.Seq))
	if err != nil {
		return err
	}
	n, err := t.changed(ctx, q.CaseEntryAppend, c.ID, w.Entry.Seq, w.Event, sealed)
	if err != nil {
		return err
	}
	if n == 0 {
		return exists("write an event to case %s", c.ID)
	}
	return t.send(ctx, eff)
}

func (s *Store) sealCase(c casefile.Case) ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return s.sealer.Seal(s.docs.pack(raw), aad(caseTable, c.ID))
}

func entryAAD(id string, seq int64) []byte {
	return aad(entryTable, id, strconv.FormatInt(seq, 10))
}

// Case gives one case.
func (s *Store) Case(ctx context.Context, id string) (casefile.Case, error) {
	c, err := one(ctx, s.execution.Read, s.q.CaseRead, []any{text(id, maxID)}, s.scanCase)
	return c, s.fail("read case", err)
}

func (s *Store) scanCase(r scanner) (casefile.Case, error) {
	var c casefile.Case
	var id string
	var rev int64
	var sealed []byte
	if err := r.Scan(&id, &rev, &sealed); err != nil {
		return c, err
	}
	frame, err := s.sealer.Open(sealed, aad(caseTable, id))
	if err != nil {
		return c, err
	}
	raw, err := s.docs.unpack(frame)
	if err != nil {
		return c, err
	}
	err = json.Unmarshal(raw, &c)
	c.Rev = rev
	return c, err
}

// CaseOfEvent gives the case to whose timeline an event was written, "" for none.
func (s *Store) CaseOfEvent(ctx context.Context, event string) (string, error) {
	id, err := one(ctx, s.execution.Read, s.q.CaseOfEvent, []any{text(event, maxID)}, scanText)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, s.fail("find the case of an event", err)
}

// CaseGroup gives the open case that takes the events of a group, zero for none.
func (s *Store) CaseGroup(ctx context.Context, name string) (CaseGroup, error) {
	g, err := one(ctx, s.execution.Read, s.q.CaseGroupRead, []any{text(name, maxID)}, func(r scanner) (g CaseGroup, err error) {
		var last int64
		err = r.Scan(&g.Case, &last)
		g.Last = fromMicros(last)
		return g, err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return CaseGroup{}, nil
	}
	return g, s.fail("find the case of a group", err)
}

// ListCases gives a page of cases, the latest first.
func (s *Store) ListCases(ctx context.Context, f CaseFilter, limit int, cursor string) ([]casefile.Case, string, error) {
	const op = "list cases"
	b := builder{}
	if err := b.caseScope(op, f.Accounts); err != nil {
		return nil, "", err
	}
	if f.Status != "" {
		b.and("f.status = %s", b.arg(text(string(f.Status), maxID)))
	}
	if f.Open {
		b.and("f.closed_at = 0")
	}
	if f.Account != "" {
		b.and("EXISTS (SELECT 1 FROM case_account a WHERE a.case_id = f.id AND a.account = %s)", b.arg(text(f.Account, maxID)))
	}
	by := order{{"f.created_at", numberColumn, true}, {"f.id", textColumn, true}}
	all, next, err := keyPage(ctx, s.execution.Read, s.q.CasePage, &b, by, limit, cursor, s.scanCase, func(c casefile.Case) []any {
		return []any{micros(c.CreatedAt), c.ID}
	})
	return all, next, s.fail(op, err)
}

// caseScope limits the rows to cases that have no account outside the scope.
func (b *builder) caseScope(op string, accounts []string) error {
	scoped := builder{args: b.args}
	if err := scoped.scope(op, accounts); err != nil || len(scoped.where) == 0 {
		return err
	}
	b.and("EXISTS (SELECT 1 FROM case_account a WHERE a.case_id = f.id)")
	if len(accounts) == 0 {
		b.and("1 = 0")
		return nil
	}
	marks := make([]string, len(accounts))
	for i, a := range accounts {
		marks[i] = b.arg(text(a, maxID))
	}
	b.and("NOT EXISTS (SELECT 1 FROM case_account a WHERE a.case_id = f.id AND a.account NOT IN (%s))", strings.Join(marks, ", "))
	return nil
}

// CaseEntries gives a page of a case's timeline, the first entry first.
func (s *Store) CaseEntries(ctx context.Context, id string, limit int, cursor string) ([]casefile.Entry, string, error) {
	const op = "read the timeline of a case"
	b := builder{}
	b.and("f.case_id = %s", b.arg(text(id, maxID)))
	by := order{{"f.seq", numberColumn, false}}
	all, next, err := keyPage(ctx, s.execution.Read, s.q.CaseEntryPage, &b, by, limit, cursor, func(r scanner) (casefile.Entry, error) {
		var e casefile.Entry
		var in string
		var seq int64
		var sealed []byte
		if err := r.Scan(&in, &seq, &sealed); err != nil {
			return e, err
		}
		return e, s.openJSON(sealed, entryAAD(in, seq), &e)
	}, func(e casefile.Entry) []any { return []any{e.Seq} })
	return all, next, s.fail(op, err)
}

// pruneCases removes cases that were closed before, with their timelines.
func (s *Store) pruneCases(ctx context.Context, before time.Time) (int64, error) {
	if before.IsZero() {
		return 0, nil
	}
	var total int64
	for {
		var n int64
		err := s.write(ctx, Execution, "prune cases", func(t *tx) error {
			ids, err := collect(ctx, t, s.q.CaseExpired, []any{micros(before), int64(caseChunk)}, scanText)
			if n = int64(len(ids)); err != nil || n == 0 {
				return err
			}
			arg, err := list(ids)
			if err != nil {
				return err
			}
			for _, query := range []string{s.q.CaseEntryDrop, s.q.CaseAccountDrop, s.q.CaseDrop} {
				if _, err := t.changed(ctx, query, arg); err != nil {
					return err
				}
			}
			return nil
		})
		if total += n; err != nil || n == 0 {
			return total, err
		}
	}
}

// caseChunk is few: a case has up to 10,000 entries.
const caseChunk = 10
