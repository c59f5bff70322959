package remediation

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/finding"
)

// Plan is what a remediation will do, to the exact API call. It is immutable:
// an approval binds to its Hash, and execution refuses a change that it does
// not hold.
type Plan struct {
	Remediation ID         `json:"remediation"`
	Kind        Kind       `json:"kind"`
	Finding     finding.ID `json:"finding"`
	Control     string     `json:"control"`
	Playbook    string     `json:"playbook"`
	// PlaybookRevision and Runbook.Revision are SHA-256 of the files, in hexadecimal.
	PlaybookRevision string         `json:"playbook_revision"`
	Runbook          Runbook        `json:"runbook"`
	Parameters       map[string]any `json:"parameters"`
	Account          string         `json:"account"`
	Region           string         `json:"region"`
	Resource         string         `json:"resource"`
	Role             string         `json:"role"` // role name assumed in Account
	// Roles are the roles, besides Role, that calls of the plan may be made as: ARNs,
	// or patterns of them with * and ?. Whatever it does not name is refused.
	Roles []string `json:"roles,omitempty"`
	// GuardsRevision is the SHA-256 of the guards in force when planned.
	GuardsRevision string `json:"guards_revision"`
	// Violation is what the live read found, check by check.
	Violation []CheckResult `json:"violation"`
	// Standing are the checks that only belong to the fix and hold already.
	Standing []CheckResult `json:"standing,omitempty"`
	// LookedAt is before the first read of planning: no before-image is older.
	LookedAt time.Time     `json:"looked_at,omitzero"`
	Calls    []PlannedCall `json:"calls"`
	// Open says that planning could not go on to the end; such a plan always needs approval.
	Open       bool   `json:"open"`
	OpenReason string `json:"open_reason,omitempty"`
	// Beyond lists what may be called after the point where planning stopped, and in
	// any plan what ends a step that is cancelled (steps named "Step~cancel") and what
	// the steps may call to which only a failure or a cancellation leads.
	Beyond []Allowance `json:"beyond,omitempty"`
	// Run is what was asked for, for KindRun. Documents are the documents that it may
	// start as children, Attachments the files that its scripts need.
	Run         *Run         `json:"run,omitempty"`
	Documents   []Runbook    `json:"documents,omitempty"`
	Attachments []Attachment `json:"attachments,omitempty"`
	// Stored are the Parameter Store values, by name, that defaults of the documents
	// took when the plan was made.
	Stored map[string]any `json:"stored,omitempty"`
	// Targets are the targets that planning found, as the interpreter writes them, by
	// the digest of what was asked for: applying takes these and no others.
	Targets map[string]json.RawMessage `json:"targets,omitempty"`
	// Problems say why applying the plan is bound to fail; such a plan always needs
	// approval.
	Problems []string `json:"problems,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Runbook pins a Systems Manager Automation document.
type Runbook struct {
	Name     string `json:"name"`
	Revision string `json:"revision"` // SHA-256 of Content, hexadecimal
	// Version is what the document was asked for by; "" = its default.
	Version string `json:"version,omitempty"`
	Content string `json:"content"` // the document itself, so that a later edit changes nothing
}

// Allowance is a call that an open plan lets a step make although planning could
// not come so far. Everything that it names is fixed; only what FromOutputs names
// may be anything.
type Allowance struct {
	Step      string         `json:"step"` // the step's name, without the number of a pass
	Service   string         `json:"service"`
	Operation string         `json:"operation"`
	Account   string         `json:"account"`
	Region    string         `json:"region"`
	As        string         `json:"as,omitempty"`
	Class     apimodel.Class `json:"class"`
	// Input are the fixed members; nil with FromOutputs "*" where the call is made by
	// a script, whose input only running tells.
	Input       map[string]any `json:"input,omitempty"`
	FromOutputs []string       `json:"from_outputs,omitempty"`
	// Irreversible says that no inverse is known.
	Irreversible bool `json:"irreversible,omitempty"`
	// Escape says that only a failure or a cancellation leads to the step: it may make
	// the call under a plan that is not open, too.
	Escape bool `json:"escape,omitempty"`
}

// Attachment pins a file that a document's scripts need.
type Attachment struct {
	Document string `json:"document"` // the revision of the document that declares it
	Name     string `json:"name"`
	SHA256   string `json:"sha256"`
}

// PlannedCall is one call that the plan expects, in order. Reads are listed so
// that a person sees the whole; only calls for which Class.NeedsApproval are
// enforced.
type PlannedCall struct {
	Seq       int    `json:"seq"`
	Step      string `json:"step"` // runbook step that makes the call
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Account   string `json:"account"`
	Region    string `json:"region"`
	// As is apimodel.Call.As: the ARN of the role as which the call is made; "" = the
	// plan's Role.
	As    string         `json:"as,omitempty"`
	Class apimodel.Class `json:"class"`
	// Resource identifies what is changed, for people and for the before-image:
	// "arn:aws:s3:::bucket (bucket policy)".
	Resource string         `json:"resource,omitempty"`
	Input    map[string]any `json:"input"`
	// FromOutputs names the input members whose value is known only after apply
	// ("Grants", "Filters[0].Values"); every other member is fixed.
	FromOutputs []string `json:"from_outputs,omitempty"`
	// Before is the before-image that planning read; nil for reads and for
	// operations without one.
	Before *Image `json:"before,omitempty"`
	// Diff lists the members that the change touches, sorted by path.
	Diff []MemberChange `json:"diff,omitempty"`
	// Irreversible says that no inverse is known; Inverse describes it otherwise.
	Irreversible bool   `json:"irreversible"`
	Inverse      string `json:"inverse,omitempty"` // "s3:DeletePublicAccessBlock"
	// EffectUnknown says that Diff cannot tell what the change will do.
	EffectUnknown bool `json:"effect_unknown,omitempty"`
	// Permission says whether the role may make the change, where AWS can be asked
	// without making it; "" = it cannot.
	Permission       Permission `json:"permission,omitempty"`
	PermissionDetail string     `json:"permission_detail,omitempty"` // AWS's answer, for a person
}

// Permission is AWS's word, at planning, on a change to come.
type Permission string

// The permissions of a planned change.
const (
	PermissionProven     Permission = "proven"
	PermissionDenied     Permission = "denied"
	PermissionNotChecked Permission = "not_checked" // AWS answered something else; PermissionDetail says what
)

// Image is the state of what an operation changes, as a read answered it.
type Image struct {
	// Exists is false when the read answered one of the "absent" errors.
	Exists bool           `json:"exists"`
	Data   map[string]any `json:"data,omitempty"`
}

// MemberChange is one line of a plan's diff. Values are compact JSON text; ""
// means absent.
type MemberChange struct {
	Path   string `json:"path"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// CheckResult is the outcome of one check of a playbook against the live
// resource.
type CheckResult struct {
	Check  string `json:"check"`
	Passed bool   `json:"passed"`
	Detail string `json:"detail"` // what was read, one line for a person
}

// ProblemsOf lists what in calls is bound to fail when it is applied.
func ProblemsOf(calls []PlannedCall) []string {
	var out []string
	for _, c := range calls {
		if c.Permission == PermissionDenied {
			out = append(out, fmt.Sprintf("step %s: the role may not call %s:%s in account %s: %s", c.Step, c.Service, c.Operation, c.Account, c.PermissionDetail))
		}
	}
	return out
}

// Changes counts the calls that need approval.
func (p Plan) Changes() int {
	n := 0
	for _, c := range p.Calls {
		if c.Class.NeedsApproval() {
			n++
		}
	}
	return n
}

// Irreversible reports whether any call has no known inverse.
func (p Plan) Irreversible() bool {
	for _, c := range p.Calls {
		if c.Irreversible {
			return true
		}
	}
	for _, a := range p.Beyond {
		if a.Irreversible && a.Escape {
			return true
		}
	}
	return false
}

// Hash is the SHA-256 of the plan as canonical JSON: keys sorted, times in UTC.
// It covers every field, so a plan that differs in anything is another plan.
// Values must be JSON-representable; []byte counts as base64 text.
func (p Plan) Hash() (Hash, error) {
	p.CreatedAt, p.ExpiresAt, p.LookedAt = p.CreatedAt.UTC(), p.ExpiresAt.UTC(), p.LookedAt.UTC()
	raw, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("hash plan: %w", err)
	}
	sum := sha256.Sum256(raw)
	return Hash(hex.EncodeToString(sum[:])), nil
}

// APICall gives the call as the gate takes it.
func (c PlannedCall) APICall() apimodel.Call {
	return apimodel.Call{Service: c.Service, Operation: c.Operation, Account: c.Account, Region: c.Region, Input: c.Input, As: c.As}
}

// UnmarshalJSON reads a stored plan with whole numbers as int64, so that its
// hash is the one that was approved: float64 would round above 2^53.
func (p *Plan) UnmarshalJSON(raw []byte) error {
	type plain Plan
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode((*plain)(p)); err != nil {
		return err
	}
	p.Parameters, _ = Exact(p.Parameters).(map[string]any)
	for i := range p.Beyond {
		p.Beyond[i].Input, _ = Exact(p.Beyond[i].Input).(map[string]any)
	}
	if p.Run != nil {
		p.Run.Parameters, _ = Exact(p.Run.Parameters).(map[string]any)
		for _, list := range [][]map[string]any{p.Run.Targets, p.Run.TargetMaps, p.Run.TargetLocations} {
			for i := range list {
				list[i], _ = Exact(list[i]).(map[string]any)
			}
		}
	}
	for i := range p.Calls {
		c := &p.Calls[i]
		c.Input, _ = Exact(c.Input).(map[string]any)
		if c.Before != nil {
			c.Before.Data, _ = Exact(c.Before.Data).(map[string]any)
		}
	}
	return nil
}

// Exact replaces every json.Number in v by int64 where it fits, else float64.
func Exact(v any) any {
	switch t := v.(type) {
	case map[string]any:
		for k, item := range t {
			t[k] = Exact(item)
		}
	case []any:
		for i, item := range t {
			t[i] = Exact(item)
		}
	case json.Number:
		// -0 as a whole number would lose its sign, and the plan its hash.
		if n, err := t.Int64(); err == nil && t != "-0" {
			return n
		}
		f, _ := t.Float64()
		return f
	}
	return v
}
