package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
)

// RemediationFilter selects remediations; a zero field does not restrict.
type RemediationFilter struct {
	// Accounts is the scope of the caller: see AllAccounts. It is required.
	Accounts []string
	State    remediation.State
	Account  string
	Finding  finding.ID
	Control  string
	UndoOf   remediation.ID
}

// CreateRemediation stores r as version 1, its plan sealed, and sends eff. An id
// that is taken answers ErrExists: making it twice is making it once.
func (s *Store) CreateRemediation(ctx context.Context, r remediation.Remediation, p *remediation.Plan, eff Effects) error {
	op := "create remediation " + string(r.ID)
	if err := checkRemediation(op, r); err != nil {
		return err
	}
	if p != nil && p.Remediation != r.ID {
		return invalid(op, "the plan is that of %q", p.Remediation)
	}
	var raw []byte
	if p != nil {
		var err error
		if raw, err = encodePlan(*p, r.PlanHash); err != nil {
			return s.fail(op, err)
		}
	}
	r.Version = 1
	doc, err := json.Marshal(r)
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		n, err := t.changed(ctx, s.q.RemediationInsert, string(r.ID), string(r.UndoOf), remediationFinding(r.Finding),
			text(r.Control, narrowColumn), r.Account, string(r.State), micros(r.CreatedAt), r.Version, doc)
		if err != nil {
			return err
		}
		if n == 0 {
			return exists("%s", op)
		}
		t.hint(HintRemediation, string(r.ID), r.Account, r.Version)
		if p != nil {
			if err := t.putPlan(ctx, raw, r.PlanHash); err != nil {
				return err
			}
		}
		return t.send(ctx, eff)
	})
}

func checkRemediation(op string, r remediation.Remediation) error {
	if err := checkID(op, "remediation id", string(r.ID)); err != nil {
		return err
	}
	if err := checkID(op, "account", r.Account); err != nil {
		return err
	}
	if !r.State.Valid() {
		return invalid(op, "there is no state %q", r.State)
	}
	if len(r.UndoOf) > maxID {
		return invalid(op, "undo_of has %d bytes", len(r.UndoOf))
	}
	return nil
}

// remediationFinding is the column by which the remediations of a finding are found.
func remediationFinding(id finding.ID) string {
	if id.IsZero() {
		return ""
	}
	return findingKey(id)
}

func scanRemediation(r scanner) (remediation.Remediation, error) {
	var rem remediation.Remediation
	var version int64
	var doc []byte
	if err := r.Scan(&version, &doc); err != nil {
		return rem, err
	}
	err := json.Unmarshal(doc, &rem)
	rem.Version = version
	return rem, err
}

// Remediation gives the remediation with id.
func (s *Store) Remediation(ctx context.Context, id remediation.ID) (remediation.Remediation, error) {
	r, err := one(ctx, s.execution.Read, s.q.RemediationRead, []any{text(string(id), maxID)}, scanRemediation)
	return r, s.fail("read remediation "+string(id), err)
}

// ListRemediations gives a page of remediations, the latest first.
func (s *Store) ListRemediations(ctx context.Context, f RemediationFilter, limit int, cursor string) ([]remediation.Remediation, string, error) {
	const op = "list remediations"
	b := builder{columns: findingColumn, dialect: s.dialect}
	if err := b.scope(op, f.Accounts); err != nil {
		return nil, "", err
	}
	for column, value := range map[string]string{
		"state": string(f.State), "account": f.Account, "control": text(f.Control, narrowColumn),
		"undo_of": string(f.UndoOf), "finding": remediationFinding(f.Finding),
	} {
		if value != "" {
			b.and("f.%s = %s", column, b.arg(text(value, maxID)))
		}
	}
	by := order{{"f.created_at", timeColumn, true}, {"f.id", textColumn, true}}
	all, next, err := keyPage(ctx, s.execution.Read, s.q.RemediationPage, &b, by, limit, cursor, scanRemediation, func(r remediation.Remediation) []any {
		return []any{micros(r.CreatedAt), string(r.ID)}
	})
	return all, next, s.fail(op, err)
}

// keyPage reads one page of a list by key.
func keyPage[T any](ctx context.Context, q querier, query string, b *builder, by order, limit int, cursor string, scan func(scanner) (T, error), at func(T) []any) ([]T, string, error) {
	if cursor != "" {
		p, err := decodePosition(cursor, by.String(), by.kinds())
		if err != nil {
			return nil, "", err
		}
		b.after(by, p)
	}
	n := pageSize(limit)
	all, err := collect(ctx, q, query+b.sql()+" ORDER BY "+by.String()+" LIMIT "+b.arg(int64(n+1)), b.args, scan)
	if err != nil || len(all) <= n {
		return all, "", err
	}
	next, err := position{Order: by.String(), Values: at(all[n-1])}.encode()
	return all[:n], next, err
}

// UpdateRemediation stores r over the version that r names, as the next one, and
// sends eff. It answers ErrConflict when another version is stored or its state
// may not become r's, and refuses to change what a remediation is about.
func (s *Store) UpdateRemediation(ctx context.Context, r remediation.Remediation, eff Effects) error {
	return s.UpdateRemediations(ctx, []remediation.Remediation{r}, eff)
}

// UpdateRemediations is UpdateRemediation for several at once, all or none: an
// undo and the remediation that it undoes.
func (s *Store) UpdateRemediations(ctx context.Context, rs []remediation.Remediation, eff Effects) error {
	return s.write(ctx, Execution, "update remediation", func(t *tx) error {
		for _, r := range rs {
			if err := t.updateRemediation(ctx, r); err != nil {
				return err
			}
		}
		return t.send(ctx, eff)
	})
}

func (t *tx) updateRemediation(ctx context.Context, r remediation.Remediation) error {
	op := "update remediation " + string(r.ID)
	if err := checkRemediation(op, r); err != nil {
		return err
	}
	was, err := one(ctx, t, t.s.q.RemediationRead, []any{string(r.ID)}, scanRemediation)
	if err != nil {
		return t.s.fail(op, err)
	}
	if was.Version != r.Version {
		return conflict("%s: it is at version %d, not %d", op, was.Version, r.Version)
	}
	if was.State != r.State {
		if err := was.State.Check(r.State); err != nil {
			return fault.E(fault.Conflict, op, errors.Join(ErrConflict, err))
		}
	}
	if was.Kind != r.Kind || was.UndoOf != r.UndoOf || was.Finding != r.Finding || was.Account != r.Account ||
		was.PlanHash != "" && was.PlanHash != r.PlanHash {
		return invalid(op, "kind, undone remediation, finding, account and plan are fixed")
	}
	version := r.Version
	r.Version, r.CreatedAt = version+1, was.CreatedAt
	doc, err := json.Marshal(r)
	if err != nil {
		return err
	}
	n, err := t.changed(ctx, t.s.q.RemediationUpdate, string(r.ID), version, string(r.State), text(r.Control, narrowColumn), doc)
	t.hint(HintRemediation, string(r.ID), r.Account, r.Version)
	if err == nil && n == 0 {
		err = conflict("%s", op)
	}
	return err
}

const planTable = "plan"

// encodePlan gives the very text that Plan.Hash digests, and checks hash.
func encodePlan(p remediation.Plan, hash remediation.Hash) ([]byte, error) {
	p.CreatedAt, p.ExpiresAt = p.CreatedAt.UTC(), p.ExpiresAt.UTC()
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	if digest(raw) != hash {
		return nil, invalid("store plan", "the plan's hash is %s, not %q", digest(raw), hash)
	}
	return raw, nil
}

func digest(raw []byte) remediation.Hash {
	sum := sha256.Sum256(raw)
	return remediation.Hash(hex.EncodeToString(sum[:]))
}

func (t *tx) putPlan(ctx context.Context, raw []byte, hash remediation.Hash) error {
	sealed, err := t.s.sealer.Seal(raw, aad(planTable, string(hash)))
	if err != nil {
		return err
	}
	_, err = t.changed(ctx, t.s.q.PlanInsert, string(hash), sealed, micros(t.s.now()))
	return err
}

// PutPlan stores a plan under its hash, sealed. A plan that is there stays.
func (s *Store) PutPlan(ctx context.Context, p remediation.Plan, hash remediation.Hash) error {
	raw, err := encodePlan(p, hash)
	if err != nil {
		return s.fail("store plan", err)
	}
	return s.write(ctx, Execution, "store plan", func(t *tx) error { return t.putPlan(ctx, raw, hash) })
}

// Plan gives the plan with hash. The stored text is digested again: a plan that
// was changed in the table is an error, never another plan.
func (s *Store) Plan(ctx context.Context, hash remediation.Hash) (remediation.Plan, error) {
	p, err := one(ctx, s.execution.Read, s.q.PlanRead, []any{text(string(hash), maxID)}, func(r scanner) (remediation.Plan, error) {
		var p remediation.Plan
		var sealed []byte
		if err := r.Scan(&sealed); err != nil {
			return p, err
		}
		raw, err := s.sealer.Open(sealed, aad(planTable, string(hash)))
		if err != nil {
			return p, err
		}
		if digest(raw) != hash {
			return p, errors.New("the stored plan does not have the hash it is stored under")
		}
		return p, json.Unmarshal(raw, &p)
	})
	if err != nil {
		return remediation.Plan{}, s.fail("read plan "+string(hash), err)
	}
	return p, nil
}
