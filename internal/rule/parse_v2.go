package rule

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/finding/ocsf"
)

// second is what a rule of version 2 has beside its patch: criteria over OCSF, and
// both as they were given.
type second struct {
	composite filter.Composite
	criteria  json.RawMessage
	actions   json.RawMessage
}

// documentV2 is a rule as CreateAutomationRuleV2 takes it and GetAutomationRuleV2
// gives it.
type documentV2 struct {
	RuleArn     string            `json:"RuleArn,omitempty"`
	RuleID      string            `json:"RuleId,omitempty"`
	RuleName    string            `json:"RuleName"`
	Description string            `json:"Description"`
	RuleOrder   *json.Number      `json:"RuleOrder"`
	RuleStatus  string            `json:"RuleStatus,omitempty"`
	Criteria    json.RawMessage   `json:"Criteria"`
	Actions     json.RawMessage   `json:"Actions"`
	CreatedAt   string            `json:"CreatedAt,omitempty"`
	UpdatedAt   string            `json:"UpdatedAt,omitempty"`
	CreatedBy   string            `json:"CreatedBy,omitempty"` // Parry's own
	ExpiresAt   string            `json:"ExpiresAt,omitempty"` // Parry's own
	Tags        map[string]string `json:"Tags,omitempty"`
}

// ParseV2 reads one rule in the form of CreateAutomationRuleV2. Criteria
// see findings in OCSF (ocsf.View); actions are turned into what they mean for ASFF.
func ParseV2(raw []byte) (Rule, error) {
	if len(raw) > MaxBytes {
		return Rule{}, refuse("rule", "%d bytes are more than the limit of %d", len(raw), MaxBytes)
	}
	var d documentV2
	if err := strict(raw, &d); err != nil {
		return Rule{}, refuse("rule", "%w", err)
	}
	r := Rule{ARN: d.RuleArn, Version: 2, Name: d.RuleName, Description: d.Description, CreatedBy: d.CreatedBy}
	for _, check := range []func() error{
		func() error { return text("RuleName", d.RuleName, maxName) },
		func() error { return text("Description", d.Description, maxText) },
		func() (err error) { r.Order, err = orderV2(d.RuleOrder); return err },
		func() (err error) { r.Enabled, err = enabled(d.RuleStatus); return err },
		func() (err error) { r.CreatedAt, err = stamp("CreatedAt", d.CreatedAt); return err },
		func() (err error) { r.UpdatedAt, err = stamp("UpdatedAt", d.UpdatedAt); return err },
		func() (err error) { r.ExpiresAt, err = stamp("ExpiresAt", d.ExpiresAt); return err },
		func() (err error) { r.Tags, err = tags(d.Tags); return err },
		func() (err error) { r.second, err = criteriaV2(d.Criteria); return err },
		func() (err error) { r.Update, err = updateV2(d.Actions, d.RuleName); return err },
	} {
		if err := check(); err != nil {
			return Rule{}, err
		}
	}
	r.second.actions = d.Actions
	return r, nil
}

func orderV2(n *json.Number) (float64, error) {
	if n == nil {
		return 0, refuse("RuleOrder", "is missing")
	}
	v, err := n.Float64()
	if err != nil || !(v >= 1 && v <= MaxOrder) {
		return 0, refuse("RuleOrder", "should be a number from 1.0 to %d.0", MaxOrder)
	}
	return v, nil
}

func criteriaV2(raw json.RawMessage) (*second, error) {
	if len(raw) == 0 {
		return nil, refuse("Criteria", "is missing")
	}
	var union struct {
		OcsfFindingCriteria json.RawMessage `json:"OcsfFindingCriteria"`
	}
	if err := strict(raw, &union); err != nil {
		return nil, refuse("Criteria", "%w", err)
	}
	if len(union.OcsfFindingCriteria) == 0 {
		return nil, refuse("Criteria", "OcsfFindingCriteria is missing")
	}
	c, err := filter.ParseOCSFCriteria(union.OcsfFindingCriteria)
	return &second{composite: c, criteria: raw}, err
}

// updateV2 turns an action into a patch of ASFF. What ASFF cannot say is refused,
// since a rule that does nothing looks like one that works.
func updateV2(raw json.RawMessage, name string) (finding.Patch, error) {
	var actions []json.RawMessage
	if err := json.Unmarshal(raw, &actions); err != nil || len(actions) != 1 {
		return finding.Patch{}, refuse("Actions", "a list of exactly one action is needed")
	}
	var a struct {
		Type                             string          `json:"Type"`
		FindingFieldsUpdate              json.RawMessage `json:"FindingFieldsUpdate"`
		ExternalIntegrationConfiguration json.RawMessage `json:"ExternalIntegrationConfiguration"`
	}
	if err := strict(actions[0], &a); err != nil {
		return finding.Patch{}, refuse("Actions[0]", "%w", err)
	}
	switch {
	case a.Type == "EXTERNAL_INTEGRATION":
		return finding.Patch{}, refuse("Actions[0].Type", "Parry has no connectors; send findings on with bus_rules and channels")
	case a.Type != FindingFieldsUpdate:
		return finding.Patch{}, refuse("Actions[0].Type", "should be %s or EXTERNAL_INTEGRATION", FindingFieldsUpdate)
	case len(a.ExternalIntegrationConfiguration) > 0:
		return finding.Patch{}, refuse("Actions[0].ExternalIntegrationConfiguration", "does not belong to %s", FindingFieldsUpdate)
	}
	const path = "Actions[0].FindingFieldsUpdate"
	if len(a.FindingFieldsUpdate) == 0 {
		return finding.Patch{}, refuse(path, "is missing")
	}
	var u struct {
		SeverityID *int    `json:"SeverityId"`
		StatusID   *int    `json:"StatusId"`
		Comment    *string `json:"Comment"`
	}
	if err := strict(a.FindingFieldsUpdate, &u); err != nil {
		return finding.Patch{}, refuse(path, "%w", err)
	}
	return patchV2(u.SeverityID, u.StatusID, u.Comment, name, path)
}

func patchV2(severity, status *int, comment *string, name, path string) (finding.Patch, error) {
	var p finding.Patch
	if severity != nil {
		if *severity < 1 || *severity > 6 {
			return p, refuse(path+".SeverityId", "should be 1 (Informational), 2, 3, 4, 5 (Critical) or 6 (Fatal)")
		}
		p.Severity = &finding.SeverityUpdate{Label: ocsf.Label(*severity)}
	}
	if status != nil {
		if *status < 1 || *status > 4 {
			return p, refuse(path+".StatusId", "should be 1 (New), 2 (In Progress), 3 (Suppressed) or 4 (Resolved)")
		}
		p.Workflow = &finding.WorkflowUpdate{Status: ocsf.Workflow(*status)}
	}
	if comment != nil {
		if n := utf8.RuneCountInString(*comment); n < 1 || n > 512 {
			return p, refuse(path+".Comment", "should have 1 to 512 characters")
		}
		p.Note = &finding.NoteUpdate{Text: *comment, UpdatedBy: name}
	}
	if p.IsZero() {
		return p, refuse(path, "changes nothing")
	}
	return p, p.Check(path)
}

// marshalV2 writes the rule in AWS's form.
func (r Rule) marshalV2() ([]byte, error) {
	number := json.Number(strconv.FormatFloat(r.Order, 'f', -1, 64))
	return json.Marshal(documentV2{
		RuleArn: r.ARN, RuleName: r.Name, Description: r.Description, RuleOrder: &number, RuleStatus: r.status(), Criteria: r.second.criteria, Actions: r.second.actions,
		CreatedAt: written(r.CreatedAt), UpdatedAt: written(r.UpdatedAt), CreatedBy: r.CreatedBy, ExpiresAt: written(r.ExpiresAt), Tags: r.Tags,
	})
}
