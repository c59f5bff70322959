package notify

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
)

// The bounds on text in a message.
const (
	maxSubject = 200
	maxFact    = 500
	maxReason  = 2000
	maxDetail  = 8000
	maxCell    = 120
)

// Render gives the message about an event, without its ID, and whether there is
// anything to say. severity and title are those of the finding of a remediation;
// empty ones are left out.
func Render(e bus.Event, severity, title string) (Message, bool, error) {
	change, ok, err := stateChange(e)
	if err != nil {
		return Message{}, false, err
	}
	var m Message
	switch {
	case ok:
		if m, ok = renderChange(change, severity, title); !ok {
			return Message{}, false, nil
		}
	case e.Source == bus.SourceSecurityHub && e.DetailType == bus.FindingsImported:
		if m, err = renderFindings(e); err != nil {
			return Message{}, false, err
		}
	default:
		if m, ok, err = renderException(e); err == nil && !ok {
			m, ok, err = renderCase(e)
		}
		if err != nil {
			return Message{}, false, err
		}
		if !ok {
			m = renderOther(e)
		}
	}
	m.Subject = Clean(m.Subject, maxSubject)
	m.At, m.Event = e.Time, e
	return m, true, nil
}

// stateChange reads the detail of an event about a remediation.
func stateChange(e bus.Event) (remediation.StateChange, bool, error) {
	var c remediation.StateChange
	if e.Source != bus.SourceParry || e.DetailType != bus.RemediationChanged {
		return c, false, nil
	}
	if err := json.Unmarshal(e.Detail, &c); err != nil {
		return c, false, fmt.Errorf("read state change: %w", err)
	}
	return c, true, nil
}

// words is how a state is told.
type words struct {
	subject  string
	sentence string
}

// told gives the words for a state, false for one that is not worth a message.
func told(c remediation.StateChange) (words, bool) {
	what := "The fix"
	switch c.Remediation.Kind {
	case remediation.KindUndo:
		what = "The undo"
	case remediation.KindRun:
		what = "The run"
	}
	switch c.To {
	case remediation.Queued:
		return words{"queued", what + " is approved and queued."}, true
	case remediation.AwaitingApproval:
		return words{"awaiting approval", what + " waits for approval. Nothing has been changed."}, true
	case remediation.Verified:
		return words{"succeeded", what + " succeeded and was verified by reading it back from AWS."}, true
	case remediation.Unverified:
		return words{"unverified", what + " ran, but reading back from AWS did not show it."}, true
	case remediation.Failed:
		return words{"failed", what + " failed."}, true
	case remediation.Undone:
		return words{"undone", what + " was undone. The resource is as it was before."}, true
	case remediation.Regressed:
		return words{"regressed", what + " was verified, and is no longer there."}, true
	case remediation.Rejected:
		return words{"rejected", what + " was rejected. Nothing was changed by it."}, true
	case remediation.Expired:
		return words{"expired", what + " was not approved in time. Nothing was changed by it."}, true
	case remediation.Superseded:
		return words{"superseded", "The plan does not hold any more, so it was stopped."}, true
	case remediation.Cancelled:
		return words{"cancelled", what + " was cancelled."}, true
	}
	return words{}, false
}

func renderChange(c remediation.StateChange, severity, title string) (Message, bool) {
	w, ok := told(c)
	if !ok {
		return Message{}, false
	}
	r := c.Remediation
	if title == "" {
		title = c.Title
	}
	kind, about := "remediation", r.Control
	switch r.Kind {
	case remediation.KindUndo:
		kind = "undo"
	case remediation.KindRun:
		kind, about, title = "run", r.Runbook, ""
	}
	var b body
	b.lead(w.sentence)
	b.gap()
	b.fact("Finding", title)
	b.fact("Control", r.Control)
	b.fact("Severity", severity)
	b.fact("Account", r.Account)
	b.fact("Region", r.Region)
	b.fact("Resource", r.Resource)
	b.fact("Playbook", r.Playbook)
	if r.Kind == remediation.KindRun {
		b.fact("Document", r.Runbook)
	}
	b.fact("Remediation", string(r.ID))
	b.fact("Undoes", string(r.UndoOf))
	if c.Changes > 0 {
		b.fact("Changes", fmt.Sprintf("%d call(s) in the plan", c.Changes))
	}
	b.reason(r.Reason)
	b.next(commands(c)...)
	subject := fmt.Sprintf("Parry: %s %s: %s on %s in %s", kind, w.subject, Clean(about, 60), Clean(r.Resource, 100), Clean(r.Account, 20))
	if severity != "" {
		subject = "[" + Clean(severity, 20) + "] " + subject
	}
	item := Item{
		Severity: Clean(severity, 20), Control: Clean(r.Control, 60), Playbook: Clean(r.Playbook, 100), Account: Clean(r.Account, 20), Region: Clean(r.Region, 30),
		Resource: Clean(r.Resource, maxCell), ID: argument(string(r.ID)), Reason: Clean(r.Reason, maxCell),
	}
	if r.Kind == remediation.KindRun {
		item.Title = Clean(r.Runbook, maxCell)
	}
	if c.ApprovalID != "" && c.To == remediation.AwaitingApproval {
		item.Approval = argument(c.ApprovalID)
	}
	return Message{
		Subject: subject, Body: b.String(), Content: b.content, Status: w.subject, Severity: item.Severity, Thread: thread(r), Kind: kind, Items: []Item{item},
	}, true
}

// commands are what a person can do next. Only ids that Parry made are put into
// them: a finding's id is the provider's text, and a command is pasted.
func commands(c remediation.StateChange) []string {
	id := argument(string(c.Remediation.ID))
	switch c.To {
	case remediation.AwaitingApproval:
		out := []string{"parry plan show " + id}
		if c.ApprovalID != "" {
			grant := argument(c.ApprovalID)
			out = append(out, "parry approval grant "+grant, "parry approval reject "+grant)
		}
		return out
	case remediation.Queued:
		return []string{"parry remediation watch " + id}
	case remediation.Verified:
		if c.Remediation.Kind != remediation.KindUndo {
			return []string{"parry remediation undo " + id}
		}
	case remediation.Unverified:
		if c.Remediation.Kind != remediation.KindUndo {
			return []string{"parry remediation show " + id, "parry remediation undo " + id}
		}
	}
	return []string{"parry remediation show " + id}
}

// argument gives id when it can stand in a command as it is, else a placeholder.
func argument(id string) string {
	for _, r := range id {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.') {
			return "ID"
		}
	}
	if id == "" || id[0] == '-' || len(id) > 200 {
		return "ID"
	}
	return id
}

// renderFindings tells of findings that came in.
func renderFindings(e bus.Event) (Message, error) {
	var detail struct {
		Findings []finding.Finding `json:"findings"`
	}
	if err := json.Unmarshal(e.Detail, &detail); err != nil {
		return Message{}, fmt.Errorf("read findings: %w", err)
	}
	subject := "Parry: no findings"
	var b body
	var items []Item
	for _, f := range detail.Findings {
		items = append(items, findingItem(f))
	}
	for i, f := range detail.Findings {
		if i == 0 {
			subject = fmt.Sprintf("[%s] Parry: finding in %s: %s", Clean(string(f.SeverityLabel()), 20), Clean(f.Account(), 20), Clean(f.Title(), 120))
			b.lead("A finding was imported or updated.")
		}
		if i == 10 {
			b.gap()
			b.note(fmt.Sprintf("And %d more findings.", len(detail.Findings)-i))
			break
		}
		b.gap()
		b.fact("Finding", f.Title())
		b.fact("Control", f.String("Compliance", "SecurityControlId"))
		b.fact("Severity", string(f.SeverityLabel()))
		b.fact("Workflow", string(f.Workflow()))
		b.fact("Account", f.Account())
		b.fact("Region", f.Region())
		for j, r := range f.Resources() {
			if j == 5 {
				break
			}
			b.fact("Resource", r.ID)
		}
		b.fact("Id", f.ID().Id)
	}
	b.next("parry finding list")
	return Message{Subject: subject, Body: b.String(), Content: b.content, Status: statusFinding, Kind: kindFinding, Items: items}, nil
}

func findingItem(f finding.Finding) Item {
	item := Item{
		Severity: Clean(string(f.SeverityLabel()), 20), Control: Clean(f.String("Compliance", "SecurityControlId"), 60), Account: Clean(f.Account(), 20), Region: Clean(f.Region(), 30),
		Title: Clean(f.Title(), maxCell),
	}
	for _, r := range f.Resources() {
		item.Resource = Clean(r.ID, maxCell)
		break
	}
	return item
}

// renderOther tells of an event that Parry has no words for.
func renderOther(e bus.Event) Message {
	var b body
	b.lead("An event matched a rule.")
	b.gap()
	b.fact("Type", e.DetailType)
	b.fact("Source", e.Source)
	b.fact("Account", e.Account)
	b.fact("Region", e.Region)
	b.fact("Event", e.ID)
	var detail bytes.Buffer
	if json.Compact(&detail, e.Detail) == nil && detail.Len() > 2 {
		b.detail(detail.String())
	}
	return Message{Subject: fmt.Sprintf("Parry: %s from %s", Clean(e.DetailType, 80), Clean(e.Source, 60)), Body: b.String(), Content: b.content, Status: "event"}
}
