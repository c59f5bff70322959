package triage

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/store"
)

// The kinds of writer in a finding's history. The first two are AWS's.
const (
	ByImport      = "BATCH_IMPORT_FINDINGS"
	ByUpdate      = "BATCH_UPDATE_FINDINGS"
	ByRule        = "AUTOMATION_RULE"
	ByRemediation = "REMEDIATION"
	ByException   = "EXCEPTION"
)

// subject is one finding while a batch works on it.
type subject struct {
	record  store.FindingRecord
	doc     finding.Finding
	exists  bool // there is a version, stored or made earlier in this batch
	history []store.HistoryEntry
	// applied are the rules that matched, with what of their changes lasted.
	applied rule.Trace
	// versions are the documents of the accepted writes: one event for each.
	versions []finding.Finding
	// decided says that workflow or note were changed here: by a person, a rule or
	// a remediation, not by the provider.
	decided bool
}

// receive takes a provider's version of the finding. An older or equal version
// is ignored; the error says why a version is refused.
func (s *subject) receive(row store.InboxRow, incoming finding.Finding, rules *rule.Set, b *batch) (err error) {
	// A finding whose handling panics would stop the service again at every
	// start; it becomes a refused row instead.
	defer func() {
		if p := recover(); p != nil {
			err = fault.Errorf(fault.Internal, "triage finding", "unexpected: %v", p)
		}
	}()
	if s.repeats(row) {
		return nil
	}
	if err := s.read(); err != nil {
		return err
	}
	if !s.exists {
		created := finding.Create(incoming)
		s.write(row, created, nil, created, rules, b)
		return nil
	}
	if s.record.Account != incoming.Account() {
		return fault.Errorf(fault.Denied, "triage finding",
			"the finding belongs to account %s, the source %q reports it for account %s", s.record.Account, row.Source, incoming.Account()).
			WithHint("give findings of each account an Id of their own")
	}
	// A trusted source takes over what an untrusted one had written, whatever
	// time that one claimed; otherwise a date far ahead would keep it out.
	takeover := row.Trusted && !s.record.Trusted
	if !takeover && !finding.Later(s.doc, incoming) {
		return nil
	}
	base, touched := s.doc, finding.Touched(s.record.Touched)
	if takeover {
		base = base.Forget(touched)
	}
	before := s.doc
	s.write(row, finding.Merge(base, incoming, touched), &before, finding.Create(incoming), rules, b)
	return nil
}

// repeats reports whether row says to the byte what the finding's source said last, as
// most of what comes does: it would be ignored, and nothing has to be read for that.
func (s *subject) repeats(row store.InboxRow) bool {
	return s.exists && (s.record.Trusted || !row.Trusted) && bytes.Equal(s.record.Original, row.Finding)
}

// read opens the stored document.
func (s *subject) read() error {
	if !s.exists || !s.doc.IsZero() {
		return nil
	}
	doc, err := finding.Reopen(s.record.Doc)
	if err != nil {
		return fmt.Errorf("read stored finding %s: %w", s.record.ID, err)
	}
	s.doc = doc
	return nil
}

// write makes merged the next version, after the rules, which see original, and the
// exceptions. Before is nil for a finding that did not exist.
func (s *subject) write(row store.InboxRow, merged finding.Finding, before *finding.Finding, original finding.Finding, rules *rule.Set, b *batch) {
	if before != nil && before.Workflow() != merged.Workflow() {
		s.record.ExemptAt = time.Time{} // the provider moved it on from where a person had put it
	}
	free := s.free(merged)
	result, trace := rules.Apply(original, free, b.now)
	held := s.hold(merged, free, settle(result), b)
	result = held.result.With("ProcessedAt", finding.FormatTime(b.now))
	s.note(row.Source, merged, before, result, trace, held, b.now)
	for _, step := range trace {
		s.decide(step.Updates)
	}
	s.doc, s.exists = result, true
	s.versions = append(s.versions, result)
	// The next version in this batch is held against these two.
	s.record.ID, s.record.Account = original.ID(), original.Account()
	s.record.Original = row.Finding
	s.record.Source, s.record.Trusted = row.Source, row.Trusted
}

// settle holds the invariant that a finding whose check passes is resolved or
// suppressed, whatever a rule set.
func settle(f finding.Finding) finding.Finding {
	if f.Compliance() == finding.Passed && f.Workflow() != finding.Suppressed && f.Workflow() != finding.Resolved {
		return f.WithWorkflow(finding.Resolved)
	}
	return f
}

// note adds the history of one accepted version. An attribute that ends as it
// began is left out even if provider and rule changed it to and fro, which they
// do at every import of a finding that a rule applies to.
func (s *subject) note(source string, merged finding.Finding, before *finding.Finding, result finding.Finding, trace rule.Trace, held holding, now time.Time) {
	lasting := func(updates []finding.Update) []finding.Update { return updates }
	if before == nil {
		s.history = append(s.history, store.HistoryEntry{At: now, Created: true, Source: ByImport, Identity: source})
	} else {
		lasting = lastingOf(finding.Diff(*before, result))
		s.remember(ByImport, source, lasting(finding.Diff(*before, merged)), now)
		for i := range trace {
			trace[i].Updates = lasting(trace[i].Updates)
		}
	}
	s.applied = append(s.applied, trace...)
	s.letGo(held, lasting, now)
	for _, step := range trace {
		s.remember(ByRule, step.Rule, step.Updates, now)
	}
	s.taken(held, lasting, now)
}

// lastingOf gives of updates those of attributes that net changes.
func lastingOf(net []finding.Update) func(updates []finding.Update) []finding.Update {
	return func(updates []finding.Update) []finding.Update {
		return slices.DeleteFunc(slices.Clone(updates), func(u finding.Update) bool {
			return !slices.ContainsFunc(net, func(n finding.Update) bool { return n.UpdatedField == u.UpdatedField })
		})
	}
}

// decide notes updates of what is told to where the finding came from.
func (s *subject) decide(updates []finding.Update) {
	for _, u := range updates {
		if strings.HasPrefix(u.UpdatedField, "Workflow") || strings.HasPrefix(u.UpdatedField, "Note") {
			s.decided = true
		}
	}
}

func (s *subject) remember(source, identity string, updates []finding.Update, now time.Time) {
	if len(updates) > 0 {
		s.history = append(s.history, store.HistoryEntry{At: now, Source: source, Identity: identity, Updates: updates})
	}
}

// change applies a customer's or Parry's own patch.
func (s *subject) change(p finding.Patch, source, by string, b *batch) error {
	next := p.Apply(s.doc, b.now)
	if p.Workflow != nil && p.Workflow.Status != "" {
		s.setFree(next, source == ByUpdate, b)
	}
	if err := s.become(next, source, by, b); err != nil {
		return err
	}
	s.record.Touched = finding.Touched(s.record.Touched).With(p.Attributes()...)
	return nil
}

// become makes next, which is no provider's, the next version, after the exceptions.
func (s *subject) become(next finding.Finding, source, by string, b *batch) error {
	before, free := s.doc, s.free(next)
	held := s.hold(next, free, free, b)
	if n := len(held.result.Bare().JSON()); n > finding.MaxBytes && n > len(s.record.Doc) {
		return fault.Errorf(fault.Exhausted, "update finding", "the finding would have %d bytes, more than the limit of %d", n, finding.MaxBytes)
	}
	lasting := lastingOf(finding.Diff(before, held.result))
	updates := lasting(finding.Diff(before, next))
	s.decide(updates)
	s.remember(source, by, updates, b.now)
	s.letGo(held, lasting, b.now)
	s.taken(held, lasting, b.now)
	s.doc = held.result.With("ProcessedAt", finding.FormatTime(b.now))
	s.versions = append(s.versions, s.doc)
	return nil
}

// stored gives the record as it is to be written.
func (s *subject) stored() store.FindingRecord {
	r := s.record
	r.Describe(s.doc)
	return r
}
