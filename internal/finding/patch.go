package finding

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// Patch is what a customer or an automation rule may change on a finding: the
// nine attributes of BatchUpdateFindings. A nil member is left alone; a list or
// map that is given replaces the old one as a whole.
type Patch struct {
	Confidence        *int              `json:"Confidence,omitempty"`
	Criticality       *int              `json:"Criticality,omitempty"`
	Note              *NoteUpdate       `json:"Note,omitempty"`
	RelatedFindings   []ID              `json:"RelatedFindings,omitzero"`
	Severity          *SeverityUpdate   `json:"Severity,omitempty"`
	Types             []string          `json:"Types,omitzero"`
	UserDefinedFields map[string]string `json:"UserDefinedFields,omitzero"`
	VerificationState string            `json:"VerificationState,omitempty"`
	Workflow          *WorkflowUpdate   `json:"Workflow,omitempty"`
	// OCSF is the customer's choice in OCSF's words, where these are finer than
	// those of Severity and Workflow beside it. No request in ASFF has it.
	OCSF *OCSFUpdate `json:"-"`
}

// OCSFUpdate sets OCSFChoice: what is nil stays as it is.
type OCSFUpdate struct{ SeverityID, StatusID *int }

// NoteUpdate is a note without its time, which the service stamps.
type NoteUpdate struct {
	Text      string `json:"Text"`
	UpdatedBy string `json:"UpdatedBy"`
}

// SeverityUpdate sets the severity: the label decides over the number.
type SeverityUpdate struct {
	Label      Label    `json:"Label,omitempty"`
	Normalized *int     `json:"Normalized,omitempty"`
	Product    *float64 `json:"Product,omitempty"`
}

// WorkflowUpdate sets the workflow state.
type WorkflowUpdate struct {
	Status Workflow `json:"Status,omitempty"`
}

// patchForm is the schema of a patch: that of a finding, of which it may set
// nothing else.
//
//nolint:gochecknoglobals // a constant
var patchForm = sync.OnceValue(func() *schema {
	of := asff().members
	s := closed(map[string]*schema{
		"Note":     closed(map[string]*schema{"Text": text(1, 512), "UpdatedBy": text(1, 512)}, "Text", "UpdatedBy"),
		"Severity": closed(map[string]*schema{"Label": of["Severity"].members["Label"], "Normalized": ratio(), "Product": {kind: kindNumber}}),
		"Workflow": closed(map[string]*schema{"Status": of["Workflow"].members["Status"]}),
	})
	for _, name := range []string{"Confidence", "Criticality", "RelatedFindings", "Types", "UserDefinedFields", "VerificationState"} {
		s.members[name] = of[name]
	}
	return s
})

func closed(members map[string]*schema, required ...string) *schema {
	return &schema{kind: kindObject, members: members, required: required, closed: true}
}

// ParsePatch reads a patch and refuses members that may not be changed. Path
// names the patch in the error: "Actions[0].FindingFieldsUpdate".
func ParsePatch(raw []byte, path string) (Patch, error) {
	doc, err := decodeObject(raw)
	if err != nil {
		return Patch{}, fault.Errorf(fault.Invalid, "", "%s: %w", path, err)
	}
	found := problems{most: maxProblems, sorted: true, root: path}
	patchForm().check(doc, &found)
	if len(found.list) > 0 {
		return Patch{}, fault.Errorf(fault.Invalid, "", "%s", strings.Join(found.list, ", "))
	}
	var p Patch
	if err := json.Unmarshal(encode(integral(doc)), &p); err != nil {
		return Patch{}, fault.Errorf(fault.Invalid, "", "%s: %w", path, err)
	}
	return p, nil
}

// integral rewrites 40.0 as 40, which the schema admits and Go's decoder does
// not. Only patches pass here, and they hold few numbers.
func integral(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = integral(e)
		}
		return out
	case json.Number:
		if n, ok := asInt(v); ok {
			return json.Number(strconv.Itoa(n))
		}
	}
	return v
}

// Check validates a patch that was made in Go rather than parsed.
func (p Patch) Check(path string) error {
	if p.Severity != nil && p.Severity.Product != nil && (math.IsNaN(*p.Severity.Product) || math.IsInf(*p.Severity.Product, 0)) {
		return fault.Errorf(fault.Invalid, "", "%s.Severity.Product should be number", path)
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return fault.Errorf(fault.Invalid, "", "%s: %w", path, err)
	}
	_, err = ParsePatch(raw, path)
	return err
}

// IsZero reports whether p changes nothing.
func (p Patch) IsZero() bool { return len(p.Attributes()) == 0 }

// Attributes names what p sets, in alphabetical order.
func (p Patch) Attributes() []string {
	var out []string
	add := func(name string, set bool) {
		if set {
			out = append(out, name)
		}
	}
	add("Confidence", p.Confidence != nil)
	add("Criticality", p.Criticality != nil)
	add("Note", p.Note != nil)
	add(OCSFChoice, p.OCSF != nil && (p.OCSF.SeverityID != nil || p.OCSF.StatusID != nil))
	add("RelatedFindings", p.RelatedFindings != nil)
	add("Severity", p.Severity != nil && (p.Severity.Label != "" || p.Severity.Normalized != nil || p.Severity.Product != nil))
	add("Types", p.Types != nil)
	add("UserDefinedFields", p.UserDefinedFields != nil)
	add("VerificationState", p.VerificationState != "")
	add("Workflow", p.Workflow != nil && p.Workflow.Status != "")
	return out
}

// Apply gives f with p applied at time now, which stamps the note. UpdatedAt
// is the provider's and does not change. A note with the text and author that
// it already has keeps its time, so that applying twice changes nothing.
func (p Patch) Apply(f Finding, now time.Time) Finding {
	for _, name := range p.Attributes() {
		f = f.With(name, p.value(name, f, now))
	}
	return f
}

func (p Patch) value(name string, f Finding, now time.Time) any {
	switch name {
	case "Confidence":
		return json.Number(strconv.Itoa(*p.Confidence))
	case "Criticality":
		return json.Number(strconv.Itoa(*p.Criticality))
	case "Note":
		return p.note(f, now)
	case OCSFChoice:
		return p.OCSF.over(f.doc[OCSFChoice])
	case "RelatedFindings":
		out := make([]any, len(p.RelatedFindings))
		for i, id := range p.RelatedFindings {
			out[i] = map[string]any{"ProductArn": id.ProductArn, "Id": id.Id}
		}
		return out
	case "Severity":
		return p.severity(f)
	case "Types":
		out := make([]any, len(p.Types))
		for i, t := range p.Types {
			out[i] = t
		}
		return out
	case "UserDefinedFields":
		out := make(map[string]any, len(p.UserDefinedFields))
		for k, v := range p.UserDefinedFields {
			out[k] = v
		}
		return out
	case "VerificationState":
		return p.VerificationState
	default: // Workflow
		return f.WithWorkflow(p.Workflow.Status).doc["Workflow"]
	}
}

// over gives the choice that was old with u's over it.
func (u OCSFUpdate) over(old any) any {
	out := map[string]any{}
	if m, ok := old.(map[string]any); ok {
		for k, v := range m {
			out[k] = v
		}
	}
	for name, id := range map[string]*int{"severity_id": u.SeverityID, "status_id": u.StatusID} {
		if id != nil {
			out[name] = json.Number(strconv.Itoa(*id))
		}
	}
	return out
}

func (p Patch) note(f Finding, now time.Time) any {
	if f.String("Note", "Text") == p.Note.Text && f.String("Note", "UpdatedBy") == p.Note.UpdatedBy && f.Has("Note", "UpdatedAt") {
		return f.doc["Note"]
	}
	return map[string]any{"Text": p.Note.Text, "UpdatedBy": p.Note.UpdatedBy, "UpdatedAt": FormatTime(now)}
}

// SameNote gives f with the note of before where the two say the same, so that
// rules which overwrite each other's notes do not move its time for nothing.
func (f Finding) SameNote(before Finding) Finding {
	old := before.doc["Note"]
	if old == nil || member(old, "Text") != f.String("Note", "Text") || member(old, "UpdatedBy") != f.String("Note", "UpdatedBy") {
		return f
	}
	return f.With("Note", old)
}

// severity keeps the provider's Original and sets label and number together.
func (p Patch) severity(f Finding) any {
	old, _ := f.doc["Severity"].(map[string]any)
	out := make(map[string]any, len(old)+2)
	for k, v := range old {
		out[k] = v
	}
	if p.Severity.Product != nil {
		out["Product"] = json.Number(strconv.FormatFloat(*p.Severity.Product, 'g', -1, 64))
	}
	if p.Severity.Label != "" || p.Severity.Normalized != nil {
		delete(out, "Label")
		delete(out, "Normalized")
	}
	if p.Severity.Label != "" {
		out["Label"] = string(p.Severity.Label)
	}
	if p.Severity.Normalized != nil {
		out["Normalized"] = json.Number(strconv.Itoa(*p.Severity.Normalized))
	}
	return complete("Severity", out)
}

// String lists what p sets, for traces: "Severity.Label=CRITICAL".
func (p Patch) String() string {
	raw, err := json.Marshal(p)
	if err != nil {
		return fmt.Sprint(p.Attributes())
	}
	return string(raw)
}
