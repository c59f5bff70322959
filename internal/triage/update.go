package triage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
)

// MaxIdentifiers is how many findings one update may name.
const MaxIdentifiers = 100

// UpdateRequest is BatchUpdateFindings' request: one patch for many findings.
type UpdateRequest struct {
	Identifiers []finding.ID
	Patch       finding.Patch
}

// The codes of an identifier that was not processed. They are AWS's.
const (
	CodeConcurrentUpdate = "ConcurrentUpdateError"
	CodeDuplicate        = "DuplicatedFindingIdentifier"
	CodeNotFound         = "FindingNotFound"
	CodeTooLarge         = "FindingSizeExceeded"
	CodeInternal         = "InternalFailure"
)

// Unprocessed is a finding that an update did not change, and why.
type Unprocessed struct {
	FindingIdentifier finding.ID `json:"FindingIdentifier"`
	ErrorCode         string     `json:"ErrorCode"`
	ErrorMessage      string     `json:"ErrorMessage"`
}

// UpdateResult is BatchUpdateFindings' answer.
type UpdateResult struct {
	Processed   []finding.ID  `json:"ProcessedFindings"`
	Unprocessed []Unprocessed `json:"UnprocessedFindings"`
}

// ParseUpdate reads the body of BatchUpdateFindings. Members that may not be
// changed, such as RecordState, are refused by name.
func ParseUpdate(raw []byte) (UpdateRequest, error) {
	const op = "read BatchUpdateFindings"
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return UpdateRequest{}, fault.E(fault.Invalid, op, err)
	}
	var req UpdateRequest
	d := json.NewDecoder(bytes.NewReader(members["FindingIdentifiers"]))
	d.DisallowUnknownFields()
	if err := d.Decode(&req.Identifiers); err != nil {
		return UpdateRequest{}, fault.Errorf(fault.Invalid, op, "FindingIdentifiers should be a list of {Id, ProductArn}")
	}
	delete(members, "FindingIdentifiers")
	rest, err := json.Marshal(members)
	if err != nil {
		return UpdateRequest{}, fault.E(fault.Invalid, op, err)
	}
	if req.Patch, err = finding.ParsePatch(rest, "data"); err != nil {
		return UpdateRequest{}, fault.E(fault.Invalid, op, err)
	}
	return req, req.check()
}

func (r UpdateRequest) check() error {
	const op = "update findings"
	switch {
	case len(r.Identifiers) == 0:
		return fault.Errorf(fault.Invalid, op, "FindingIdentifiers must name at least 1 finding")
	case len(r.Identifiers) > MaxIdentifiers:
		return fault.Errorf(fault.Invalid, op, "FindingIdentifiers names %d findings, more than the limit of %d", len(r.Identifiers), MaxIdentifiers)
	case r.Patch.IsZero():
		return fault.Errorf(fault.Invalid, op, "the request changes nothing")
	}
	for i, id := range r.Identifiers {
		if id.Id == "" || id.ProductArn == "" {
			return fault.Errorf(fault.Invalid, op, "FindingIdentifiers[%d] needs Id and ProductArn", i)
		}
	}
	return nil
}

// Update applies a customer's update. By is the caller's principal, accounts
// are those whose findings it may change ("*" for all); a finding of another
// account is answered as one that does not exist. Rules are not run and
// UpdatedAt does not change. The error is for the request as a whole.
func (t *Triage) Update(ctx context.Context, req UpdateRequest, by string, accounts []string) (UpdateResult, error) {
	if err := req.check(); err != nil {
		return UpdateResult{}, err
	}
	if err := req.Patch.Check("data"); err != nil {
		return UpdateResult{}, err
	}
	// What was imported before the update must be there for it.
	if _, err := t.Drain(ctx); err != nil {
		return UpdateResult{}, fmt.Errorf("update findings: %w", err)
	}
	var result UpdateResult
	err := t.again(ctx, func() error {
		var err error
		result, err = t.update(ctx, req, by, accounts)
		return err
	})
	if errors.Is(err, store.ErrConflict) {
		for _, id := range result.Processed {
			result.unprocessed(id, CodeConcurrentUpdate, "The finding is being updated by another request. Try again.")
		}
		result.Processed, err = []finding.ID{}, nil
	}
	if err != nil {
		return UpdateResult{}, fmt.Errorf("update findings: %w", err)
	}
	return result, nil
}

func (t *Triage) update(ctx context.Context, req UpdateRequest, by string, accounts []string) (UpdateResult, error) {
	result := UpdateResult{Processed: []finding.ID{}, Unprocessed: []Unprocessed{}}
	b, err := t.begin(ctx)
	if err != nil {
		return result, err
	}
	if err := t.load(ctx, b, req.Identifiers); err != nil {
		return result, err
	}
	seen := map[finding.ID]bool{}
	for _, id := range req.Identifiers {
		s, ok := b.open[id]
		switch {
		case seen[id]:
			result.unprocessed(id, CodeDuplicate, "The finding identifier is in the request more than once.")
			continue
		case !ok || !within(accounts, s.record.Account):
			seen[id] = true
			result.unprocessed(id, CodeNotFound, "There is no finding with this Id and ProductArn.")
			continue
		}
		seen[id] = true
		if err := s.change(req.Patch, ByUpdate, by, b); err != nil {
			result.unprocessed(id, CodeTooLarge, "The finding would be larger than 240 KB.")
			continue
		}
		if err := b.audit(s, req.Patch, by); err != nil {
			return result, err
		}
		result.Processed = append(result.Processed, id)
	}
	if len(result.Processed) == 0 {
		return result, nil
	}
	return result, t.write(ctx, b)
}

func (r *UpdateResult) unprocessed(id finding.ID, code, message string) {
	r.Unprocessed = append(r.Unprocessed, Unprocessed{FindingIdentifier: id, ErrorCode: code, ErrorMessage: message})
}

func within(accounts []string, account string) bool {
	return slices.Contains(accounts, account) || slices.Contains(accounts, "*")
}

// audit records who changed what: a person's decision about a finding, such as
// suppressing it, is audited, while a provider's report is history only.
func (b *batch) audit(s *subject, p finding.Patch, by string) error {
	detail, err := json.Marshal(map[string]any{"account": s.record.Account, "update": p})
	if err != nil {
		return fmt.Errorf("audit update: %w", err)
	}
	b.eff.Audit = append(b.eff.Audit, store.AuditRecord{
		At: b.now.UTC(), Actor: by, Action: "finding.updated", Object: s.record.ID.String(), Detail: detail,
	})
	return nil
}

// maxNote is AWS's limit for a note.
const maxNote = 512

// Annotate writes what a later stage found out on a finding: a workflow status
// and a note. It is idempotent: an annotation that is there already makes no
// write and no event.
func (t *Triage) Annotate(ctx context.Context, a finding.Annotation) error {
	p, err := patchOf(a)
	if err != nil {
		return fault.Terminal(err)
	}
	if _, err := t.Drain(ctx); err != nil {
		return fmt.Errorf("annotate %s: %w", a.Finding, err)
	}
	err = t.again(ctx, func() error { return t.annotate(ctx, a, p) })
	if err != nil {
		return fmt.Errorf("annotate %s: %w", a.Finding, err)
	}
	return nil
}

func (t *Triage) annotate(ctx context.Context, a finding.Annotation, p finding.Patch) error {
	b, err := t.begin(ctx)
	if err != nil {
		return err
	}
	if err := t.load(ctx, b, []finding.ID{a.Finding}); err != nil {
		return err
	}
	s, ok := b.open[a.Finding]
	if !ok {
		return fault.Terminal(fault.Errorf(fault.NotFound, "read finding", "there is none"))
	}
	if len(finding.Diff(s.doc, p.Apply(s.doc, b.now))) == 0 {
		return nil
	}
	if err := s.change(p, ByRemediation, a.By, b); err != nil {
		return fault.Terminal(err)
	}
	return t.write(ctx, b)
}

// HandleAnnotate handles topic annotate.
func (t *Triage) HandleAnnotate(ctx context.Context, payload json.RawMessage) error {
	var a finding.Annotation
	if err := json.Unmarshal(payload, &a); err != nil {
		return fault.Terminal(fault.Errorf(fault.Invalid, "read annotation", "%w", err))
	}
	return t.Annotate(ctx, a)
}

func patchOf(a finding.Annotation) (finding.Patch, error) {
	var p finding.Patch
	if a.Workflow != "" {
		p.Workflow = &finding.WorkflowUpdate{Status: finding.Workflow(a.Workflow)}
	}
	if a.Note != "" {
		text := a.Note
		if utf8.RuneCountInString(text) > maxNote {
			text = string([]rune(text)[:maxNote-1]) + "…"
		}
		p.Note = &finding.NoteUpdate{Text: text, UpdatedBy: a.By}
	}
	if p.IsZero() {
		return p, fault.Errorf(fault.Invalid, "read annotation", "it says nothing")
	}
	return p, p.Check("annotation")
}
