package route

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// remediate asks for a plan for every finding of the event that the rule would
// select alone.
func (h *handling) remediate(r Rule, playbook string, log *slog.Logger) error {
	if !pattern.Reserved(h.event.Source) {
		// Whoever may put events could else name any finding, of whatever account.
		log.InfoContext(h.ctx, "no remediation", "playbook", playbook, "reason", "the event is not AWS's or Parry's own, but of "+h.event.Source)
		return nil
	}
	findings, err := h.singles()
	if err != nil {
		return err
	}
	for _, one := range findings {
		if !slices.Contains(one.matched, r.ID) {
			var u *pattern.Unjudged
			if errors.As(one.err, &u) && slices.Contains(u.Names, r.ID) {
				return fault.Terminal(one.err)
			}
			continue
		}
		why, err := h.request(r, playbook, one.finding)
		if err != nil {
			return err
		}
		if why != "" {
			log.InfoContext(h.ctx, "no remediation", "playbook", playbook, "finding", one.finding.ID(), "reason", why)
		}
	}
	return nil
}

// request adds the request for one finding, or says why there is none.
func (h *handling) request(r Rule, playbook string, f finding.Finding) (string, error) {
	if playbook == Answering {
		var ok bool
		if playbook, ok = h.stage.cfg.Answers(f.Control()); !ok {
			return "no playbook is written for its control", nil
		}
	}
	if why := unfit(f); why != "" {
		return why, nil
	}
	last, err := h.stage.last(h, f.ID(), playbook)
	if err != nil {
		return "", err
	}
	if why := h.settled(last, f); why != "" {
		return why, nil
	}
	if why, err := h.stage.linked(h, f.ID(), playbook); why != "" || err != nil {
		return why, err
	}
	by := h.by
	if by == "" {
		by = "rule/" + r.ID
	}
	id := RequestID(f.ID(), playbook, last.ID)
	return "", h.send(store.TopicPlan, string(id), remediation.Request{
		ID: id, Kind: remediation.KindFix, Finding: f.ID(), Playbook: playbook, RequestedBy: by,
	})
}

// unfit says why a finding asks for no remediation, "" when it does.
func unfit(f finding.Finding) string {
	switch {
	case f.ID().IsZero():
		return "the finding has no identity"
	case f.Record() == finding.Archived:
		return "the finding is archived"
	case f.Workflow() == finding.Suppressed || f.Workflow() == finding.Resolved:
		return "the finding's workflow is " + string(f.Workflow())
	case f.Compliance() == finding.Passed:
		return "the check has passed"
	}
	return ""
}

// settled says why the last remediation leaves nothing to do, "" when there is to. A
// person who asks, here or by a custom action in AWS's console, waits only for one that is
// under way.
func (h *handling) settled(last remediation.Remediation, f finding.Finding) string {
	if h.by == "" && h.event.DetailType != pattern.FindingsCustomAction {
		return h.stage.settled(last, f.UpdatedAt(), h.event.Time)
	}
	if last.ID != "" && !last.State.Final() {
		return "remediation " + string(last.ID) + " is " + string(last.State)
	}
	return ""
}

// RequestID gives the id of the remediation of a finding with a playbook after
// the settled remediation last, "" when there is none. See the package's States.
func RequestID(id finding.ID, playbook string, last remediation.ID) remediation.ID {
	sum := sha256.New()
	for _, part := range []string{id.ProductArn, id.Id, playbook, string(last)} {
		_, _ = fmt.Fprintf(sum, "%d:%s,", len(part), part) // a hash never fails
	}
	return remediation.ID("rem-" + hex.EncodeToString(sum.Sum(nil))[:20])
}

// last gives the latest fix of a finding with a playbook, zero when there is none.
func (s *Stage) last(h *handling, id finding.ID, playbook string) (remediation.Remediation, error) {
	filter := store.RemediationFilter{Accounts: store.AllAccounts(), Finding: id}
	cursor := ""
	for {
		page, next, err := s.cfg.Store.ListRemediations(h.ctx, filter, 100, cursor)
		if err != nil {
			return remediation.Remediation{}, fmt.Errorf("look for earlier remediations of %s: %w", id, err)
		}
		for _, r := range page { // the latest first
			if r.Kind == remediation.KindFix && r.Playbook == playbook {
				return r, nil
			}
		}
		if next == "" {
			return remediation.Remediation{}, nil
		}
		cursor = next
	}
}

// maxLinked bounds how many linked findings are looked at.
const maxLinked = 20

// linked says which remediation of another finding of the same control on the
// same resource is under way: another standard's copy of a finding asks for the
// same change.
func (s *Stage) linked(h *handling, id finding.ID, playbook string) (string, error) {
	others, err := s.cfg.Store.LinkedFindings(h.ctx, id)
	if err != nil {
		return "", fmt.Errorf("look for findings linked to %s: %w", id, err)
	}
	for _, other := range others[:min(len(others), maxLinked)] {
		if other == id {
			continue
		}
		last, err := s.last(h, other, playbook)
		if err != nil {
			return "", err
		}
		if last.ID != "" && !last.State.Final() {
			return "remediation " + string(last.ID) + " of the linked finding " + other.Id + " is " + string(last.State), nil
		}
	}
	return "", nil
}

// settled says why the last remediation leaves nothing to do, "" when a report
// of reported, seen at now, asks for another.
func (s *Stage) settled(last remediation.Remediation, reported, now time.Time) string {
	if last.ID == "" {
		return ""
	}
	if !last.State.Final() {
		return "remediation " + string(last.ID) + " is " + string(last.State)
	}
	if last.Exception != "" && (last.State == remediation.Superseded || last.State == remediation.Cancelled) {
		return "" // the exception ended since, or the plan will be stopped by it again
	}
	if !reported.After(last.UpdatedAt) {
		return "the report is older than remediation " + string(last.ID) + ", which is " + string(last.State)
	}
	switch last.State {
	case remediation.Rejected, remediation.Undone, remediation.Unverified:
		if until := last.UpdatedAt.Add(s.cfg.Quiet); now.Before(until) {
			return fmt.Sprintf("remediation %s is %s and left alone until %s", last.ID, last.State, until.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

// singles gives the event's findings, each with the event as it would be for it
// alone, so that no finding is remediated because of its neighbour.
func (h *handling) singles() ([]single, error) {
	if !h.split {
		h.split = true
		h.findings, h.splitErr = h.parseFindings()
	}
	return h.findings, h.splitErr
}

func (h *handling) parseFindings() ([]single, error) {
	const op = "read the event's findings"
	var detail struct {
		Findings []json.RawMessage `json:"findings"`
	}
	if err := json.Unmarshal(h.event.Detail, &detail); err != nil {
		return nil, fault.Terminal(fault.E(fault.Invalid, op, err))
	}
	if len(detail.Findings) > MaxFindings {
		return nil, fault.Terminal(fault.Errorf(fault.Invalid, op, "%d findings are more than the limit of %d", len(detail.Findings), MaxFindings))
	}
	out := make([]single, 0, len(detail.Findings))
	for i, raw := range detail.Findings {
		f, err := finding.Reopen(raw)
		if err != nil {
			return nil, fault.Terminal(fault.Errorf(fault.Invalid, op, "findings[%d]: %w", i, err))
		}
		one := single{finding: f, matched: h.matched}
		if len(detail.Findings) > 1 {
			text, err := aloneIn(h.event, raw)
			if err != nil {
				return nil, fault.Terminal(fault.Errorf(fault.Invalid, op, "findings[%d]: %w", i, err))
			}
			if one.matched, one.err = h.table.match(text); one.err != nil && !fault.Is(one.err, fault.Exhausted) {
				return nil, fault.Terminal(fault.Errorf(fault.Invalid, op, "findings[%d]: %w", i, one.err))
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// aloneIn gives an event with one of its findings only.
func aloneIn(event bus.Event, raw json.RawMessage) ([]byte, error) {
	var detail map[string]json.RawMessage
	if err := json.Unmarshal(event.Detail, &detail); err != nil {
		return nil, err
	}
	list, err := json.Marshal([]json.RawMessage{raw})
	if err != nil {
		return nil, err
	}
	detail["findings"] = list
	if event.Detail, err = json.Marshal(detail); err != nil {
		return nil, err
	}
	return json.Marshal(event)
}
