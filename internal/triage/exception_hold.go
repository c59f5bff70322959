package triage

import (
	"context"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/store"
)

// ExceptionSource gives the exceptions in force.
type ExceptionSource interface {
	Exceptions(ctx context.Context) (*Exceptions, error)
}

type noExceptions struct{}

// Exceptions gives none.
func (noExceptions) Exceptions(context.Context) (*Exceptions, error) { return &Exceptions{}, nil }

// Exceptions are those in force, compiled: they are found as automation rules are. An
// Exceptions is never written and may be shared.
type Exceptions struct {
	set *rule.Set // the one in force longest first
	// known has each as a rule without an action, whose UpdatedAt is since when it is in
	// force.
	known map[string]rule.Rule
}

// active reports whether the exception is in force at now.
func (x *Exceptions) active(id string, now time.Time) bool {
	e, ok := x.known[id]
	return ok && e.Active(now)
}

// choose gives the exception that suppresses f, which none does yet: had if it covers
// f still, else the first that does. An exception takes only what is open, and not
// what a person decided on while it was in force. What is suppressed without it, by a
// rule or a person, it leaves to them.
func (x *Exceptions) choose(f finding.Finding, had string, exempt, now time.Time) string {
	if f.Workflow() == finding.Suppressed || had == "" && !isOpen(f.Record(), f.Compliance(), f.Workflow()) {
		return ""
	}
	covering := x.set.Matching(f, now)
	if slices.Contains(covering, had) {
		return had
	}
	for _, id := range covering {
		if had != "" || x.known[id].UpdatedAt.After(exempt) {
			return id
		}
	}
	return ""
}

// isOpen reports whether a finding waits for somebody to deal with it.
func isOpen(r finding.RecordState, c finding.Compliance, w finding.Workflow) bool {
	return r == finding.Active && c != finding.Passed && (w == finding.New || w == finding.Notified)
}

// holding is what the exceptions made of one version of a finding.
type holding struct {
	had, has string // the exception before and after
	// reasons for the history
	left, took string
	let, take  []finding.Update
	result     finding.Finding
}

// free gives f as it would be if no exception suppressed it, as the state machine has
// it for one that was just created.
func (s *subject) free(f finding.Finding) finding.Finding {
	if s.record.Exception == "" || f.Workflow() != finding.Suppressed {
		return f
	}
	return f.WithWorkflow(finding.InitialWorkflow(f.Compliance()))
}

// hold suppresses f when an exception covers it. Free is next without its exception,
// f is what rules made of that.
//
// Invariant: record.Exception is set only on a finding that is SUPPRESSED.
func (s *subject) hold(next, free, f finding.Finding, b *batch) holding {
	h := holding{had: s.record.Exception, result: f}
	h.has = b.exceptions.choose(f, h.had, s.record.ExemptAt, b.now)
	s.record.Exception = h.has
	if h.has != "" {
		h.result = f.WithWorkflow(finding.Suppressed)
	}
	if h.has == h.had {
		return h
	}
	if h.had != "" {
		h.let = finding.Diff(next, free)
		switch {
		case b.why != "":
			h.left = b.why
		case !b.exceptions.active(h.had, b.now):
			h.left = "it has ended"
		case f.Workflow() == finding.Suppressed:
			h.left = "an automation rule suppresses the finding"
		default:
			h.left = "it does not cover the finding any more"
		}
	}
	if h.has != "" {
		h.take, h.took = finding.Diff(f, h.result), b.exceptions.known[h.has].Name
	}
	return h
}

// letGo writes into the history that an exception does not suppress the finding any
// more, unless another one does now, of which taken tells.
func (s *subject) letGo(h holding, lasting func([]finding.Update) []finding.Update, now time.Time) {
	if h.had != h.has && h.had != "" && h.has == "" {
		s.tell(h.had, h, lasting(h.let), h.left, now)
	}
}

// taken writes into the history that an exception suppresses the finding.
func (s *subject) taken(h holding, lasting func([]finding.Update) []finding.Update, now time.Time) {
	if h.had != h.has && h.has != "" {
		s.tell(h.has, h, lasting(h.take), h.took, now)
	}
}

// tell adds an entry of exception id. Where the status ends as it began, what changed
// is the exception.
func (s *subject) tell(id string, h holding, updates []finding.Update, why string, now time.Time) {
	if len(updates) == 0 {
		updates = []finding.Update{{UpdatedField: "Exception", OldValue: h.had, NewValue: h.has}}
	}
	s.decide(updates)
	s.history = append(s.history, store.HistoryEntry{At: now, Source: ByException, Identity: id, Updates: updates, Reason: why})
}

// setFree takes the finding out of its exception because its status is set. When a
// person does that, the exceptions that cover it leave it alone from now on, until its
// provider moves it or a later exception covers it.
func (s *subject) setFree(next finding.Finding, person bool, b *batch) {
	had := s.record.Exception
	s.record.Exception = ""
	if !person {
		return
	}
	s.record.ExemptAt = time.Time{}
	if had != "" || len(b.exceptions.set.Matching(next, b.now)) > 0 {
		s.record.ExemptAt = b.now
	}
}

// reconsider puts the finding where the exceptions have it now, and reports whether
// that is another place than before.
func (s *subject) reconsider(b *batch) bool {
	before, free := s.doc, s.free(s.doc)
	held := s.hold(before, free, free, b)
	if held.had == held.has {
		return false
	}
	lasting := lastingOf(finding.Diff(before, held.result))
	s.letGo(held, lasting, b.now)
	s.taken(held, lasting, b.now)
	s.doc = held.result.With("ProcessedAt", finding.FormatTime(b.now))
	s.versions = append(s.versions, s.doc)
	return true
}
