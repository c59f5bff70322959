package notify

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/pattern"
)

// renderCase tells of one of Parry's cases, false for events about something else.
func renderCase(e bus.Event) (Message, bool, error) {
	if e.Source != pattern.SourceSecurityIR {
		return Message{}, false, nil
	}
	var d struct {
		CaseID      string   `json:"caseId"`
		Title       string   `json:"title"`
		Status      string   `json:"caseStatus"`
		Severity    string   `json:"severity"`
		Engagement  string   `json:"engagementType"`
		Accounts    []string `json:"impactedAccounts"`
		ClosureCode string   `json:"closureCode"`
		By          string   `json:"by"`
		Text        string   `json:"text"`
	}
	var subject, sentence string
	switch e.DetailType {
	case pattern.CaseCreated:
		subject, sentence = "opened", "A case was opened."
	case pattern.CaseUpdated:
		subject, sentence = "updated", "Something was added to a case."
	case pattern.CaseClosed:
		subject, sentence = "closed", "A case was closed."
	default:
		return Message{}, false, nil
	}
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return Message{}, false, fmt.Errorf("read case: %w", err)
	}
	if d.Title == "" { // AWS's own, of which the id is all that it says
		return Message{}, false, nil
	}
	var b body
	b.lead(sentence)
	b.gap()
	b.fact("Case", d.CaseID)
	b.fact("Title", d.Title)
	b.fact("Type", d.Engagement)
	b.fact("Status", d.Status)
	b.fact("Severity", d.Severity)
	b.fact("Accounts", strings.Join(d.Accounts[:min(len(d.Accounts), 10)], ", "))
	b.fact("Closed as", d.ClosureCode)
	b.fact("By", d.By)
	if d.Text != d.Title {
		b.reason(d.Text)
	}
	b.next("parry case show " + argument(d.CaseID))
	return Message{
		Subject: fmt.Sprintf("[%s] Parry: case %s: %s", Clean(d.Severity, 20), subject, Clean(d.Title, 100)), Body: b.String(), Content: b.content, Status: "case " + subject,
	}, true, nil
}
