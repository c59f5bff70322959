package store

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
)

// Hint says that an object was changed: whoever shows it reads it again. It says
// nothing of what changed, so that nobody learns by it what they may not read.
type Hint struct {
	Kind HintKind `json:"k"`
	// ID is "" for many of the kind.
	ID string `json:"i,omitempty"`
	// Account is "" for what is of the installation, or of many accounts.
	Account string `json:"a,omitempty"`
	Rev     int64  `json:"r,omitempty"`
}

// HintKind is what a hint is of.
type HintKind string

// The kinds of hints. A finding is named by its key, see finding.ID.
const (
	HintFinding     HintKind = "finding"
	HintRemediation HintKind = "remediation"
	HintApproval    HintKind = "approval"
	HintException   HintKind = "exception"
	HintStop        HintKind = "stop"
)

const (
	// maxHints of one kind in one account go out of a transaction by name; more are one
	// hint without a name.
	maxHints = 20
	// maxHintAccounts is the same for accounts.
	maxHintAccounts = 20
	// maxHintID bounds a name: with maxHintPart, what PostgreSQL takes in a notification
	// (8,000 bytes) is enough.
	maxHintID   = 600
	maxHintPart = 10
)

// hint tells of a change when the transaction is committed.
func (t *tx) hint(kind HintKind, id, account string, rev int64) {
	if len(id) > maxHintID {
		id = ""
	}
	t.hints = append(t.hints, Hint{kind, id, account, rev})
}

// fewHints makes one hint of many of a kind: first by account, then altogether.
func fewHints(all []Hint) []Hint {
	if len(all) <= maxHints {
		return all
	}
	type group struct {
		kind    HintKind
		account string
	}
	count, accounts := map[group]int{}, map[HintKind]int{}
	for _, h := range all {
		g := group{h.Kind, h.Account}
		if count[g]++; count[g] == 1 {
			accounts[h.Kind]++
		}
	}
	var out []Hint
	said := map[Hint]bool{}
	for _, h := range all {
		if accounts[h.Kind] > maxHintAccounts {
			h.ID, h.Account, h.Rev = "", "", 0
		} else if count[group{h.Kind, h.Account}] > maxHints {
			h.ID, h.Rev = "", 0
		}
		if !said[h] {
			said[h] = true
			out = append(out, h)
		}
	}
	return out
}

// notifyHints puts hints into the transaction, where the database carries them to all
// nodes with the commit.
func (t *tx) notifyHints(ctx context.Context) error {
	if t.s.dialect.Notify == "" || len(t.hints) == 0 {
		return nil
	}
	all := fewHints(t.hints)
	for len(all) > 0 {
		n := min(len(all), maxHintPart)
		raw, err := json.Marshal(all[:n])
		if err != nil {
			return err
		}
		if _, err := t.ExecContext(ctx, t.s.dialect.Notify, string(raw)); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// publish gives hints of this process's commits to whoever watches; a database that
// carries them itself brings them back through Watch.
func (s *Store) publish(hints []Hint) {
	if s.dialect.Notify != "" || len(hints) == 0 {
		return
	}
	if watch := s.watch.Load(); watch != nil {
		(*watch)(fewHints(hints), false)
	}
}

// Watch calls got for what changed, on any node, until ctx ends. gap says that
// something may have been missed before: the connection was lost. got must return
// at once. One call at a time may watch.
func (s *Store) Watch(ctx context.Context, got func(hints []Hint, gap bool)) error {
	if !s.watch.CompareAndSwap(nil, &got) {
		return fault.Errorf(fault.Internal, "watch for changes", "somebody watches already")
	}
	defer s.watch.Store(nil)
	if s.dialect.Listen == nil {
		<-ctx.Done()
		return nil
	}
	return s.fail("watch for changes", s.dialect.Listen(ctx, func(text string, gap bool) {
		var hints []Hint
		if text != "" && json.NewDecoder(strings.NewReader(text)).Decode(&hints) != nil {
			gap = true
		}
		got(hints, gap)
	}))
}

// findingName is by what a hint names a finding: its key, unless it is too long.
func findingName(id finding.ID) string {
	if key := id.Key(); len(key) <= maxHintID {
		return key
	}
	return ""
}

// hintSteps tells of the remediations whose executions got on.
func (t *tx) hintSteps(ctx context.Context, steps []Step, at []Progress) error {
	var ids []string
	for _, s := range steps {
		ids = append(ids, text(s.Execution, maxID))
	}
	for _, p := range at {
		ids = append(ids, text(p.Execution, maxID))
	}
	if len(ids) == 0 {
		return nil
	}
	arg, err := list(unique(ids))
	if err != nil {
		return err
	}
	_, err = collect(ctx, t, t.s.q.ExecutionOwners, []any{arg}, func(r scanner) (struct{}, error) {
		var id, account string
		err := r.Scan(&id, &account)
		t.hint(HintRemediation, id, account, 0)
		return struct{}{}, err
	})
	return err
}

// hintRemediation tells of a remediation of which its id is known. Its account decides
// who is told, which need not be that of a call.
func (t *tx) hintRemediation(ctx context.Context, id remediation.ID) error {
	_, err := collect(ctx, t, t.s.q.RemediationAccount, []any{string(id)}, func(r scanner) (struct{}, error) {
		var account string
		err := r.Scan(&account)
		t.hint(HintRemediation, string(id), account, 0)
		return struct{}{}, err
	})
	return err
}
