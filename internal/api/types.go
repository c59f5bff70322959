package api

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/parry-security/parry/internal/audit"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

func problemType() reflect.Type { return reflect.TypeFor[Problem]() }

// Paging is how lists are paged.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Size of the page."`
	Cursor string `query:"cursor" maxLength:"32768" doc:"The next of the page before."`
}

// page is the answer of a list.
type page[T any] struct{ Body Page[T] }

// Page is one page of a list; Next is empty on the last.
type Page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"The cursor of the page that follows; absent on the last."`
}

// FindingList is a page of findings.
type FindingList struct {
	Items  []Finding `json:"items" nullable:"false"`
	Next   string    `json:"next,omitempty" doc:"The cursor of the page that follows; absent on the last."`
	Hidden int64     `json:"hidden,omitempty" doc:"On the first page: how many findings are not listed because their accounts are out of use; all_accounts=true lists them."`
	// HiddenMore is of searches.
	HiddenMore bool `json:"hidden_more,omitempty" doc:"Findings are hidden, and too many would have to be read to count them."`
}

// Finding is a finding as it is listed.
type Finding struct {
	Key          string    `json:"key" doc:"Names the finding in paths: base64url of product ARN, a zero byte and id."`
	ProductArn   string    `json:"product_arn"`
	ID           string    `json:"id"`
	Account      string    `json:"account"`
	Region       string    `json:"region"`
	Control      string    `json:"control"`
	Severity     string    `json:"severity"`
	Workflow     string    `json:"workflow"`
	RecordState  string    `json:"record_state"`
	Compliance   string    `json:"compliance"`
	ResourceID   string    `json:"resource_id"`
	ResourceType string    `json:"resource_type"`
	Title        string    `json:"title" doc:"Untrusted text."`
	Source       string    `json:"source" doc:"The key that brought it."`
	Trusted      bool      `json:"trusted" doc:"Whether the source may start automatic remediation."`
	Priority     int       `json:"priority" doc:"How urgent it is, 0 to 100; 0 needs no work."`
	DueAt        time.Time `json:"due_at,omitzero" doc:"Until when it should be dealt with; absent without a deadline."`
	Overdue      bool      `json:"overdue" doc:"Whether that has passed."`
	Exception    string    `json:"exception,omitempty" doc:"The exception that suppresses it."`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// FindingDetail is a finding with its document.
type FindingDetail struct {
	Finding
	ExceptedBy *FindingException `json:"excepted_by,omitempty" doc:"The exception that suppresses it."`
	Remedy     Remedy            `json:"remedy" doc:"What would fix it, and why it is not fixed."`
	Reasons    []triage.Reason   `json:"reasons" nullable:"false" doc:"Why it has its priority: the points add up."`
	Document   json.RawMessage   `json:"document" doc:"The finding in AWS Security Finding Format."`
	OCSF       json.RawMessage   `json:"ocsf" doc:"The finding in OCSF: as it came, where it came so, with what was changed since."`
	Links      []finding.Link    `json:"links" nullable:"false" doc:"Pages elsewhere about the finding and what it names: those of Amazon Detective, where sources.detective has its region."`
	Linked     []LinkedFinding   `json:"linked" nullable:"false" doc:"Other findings of the same control on the same resource."`
}

// LinkedFinding is one about the same control and resource, of another standard
// or region.
type LinkedFinding struct {
	Key        string `json:"key"`
	ID         string `json:"id"`
	ProductArn string `json:"product_arn"`
	Main       bool   `json:"main" doc:"Whether it stands for all of them."`
}

// Resource is a resource with the findings that are open on it.
type Resource struct {
	ID         string           `json:"id"`
	Type       string           `json:"type"`
	Account    string           `json:"account"`
	Region     string           `json:"region"`
	Priority   int              `json:"priority" doc:"That of its most urgent finding."`
	Open       int64            `json:"open" doc:"Findings that are active, and new or notified."`
	Overdue    int64            `json:"overdue"`
	BySeverity map[string]int64 `json:"by_severity"`
}

// FindingKey names a finding in a path.
func FindingKey(id finding.ID) string { return id.Key() }

func findingOf(r store.FindingRecord) Finding {
	return Finding{
		Key: FindingKey(r.ID), ProductArn: r.ID.ProductArn, ID: r.ID.Id, Account: r.Account, Region: r.Region, Control: r.Control,
		Severity: r.SeverityLabel, Workflow: r.Workflow, RecordState: r.RecordState, Compliance: r.Compliance, ResourceID: r.ResourceID,
		ResourceType: r.ResourceType, Title: r.Title, Source: r.Source, Trusted: r.Trusted,
		Priority: r.Priority, DueAt: r.DueAt, Overdue: r.Overdue, Exception: r.Exception, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

// RemediationDetail is a remediation with what was decided and done.
type RemediationDetail struct {
	Remediation remediation.Remediation `json:"remediation"`
	Approval    *remediation.Approval   `json:"approval,omitempty" doc:"Absent until its plan is made."`
	Changes     []Change                `json:"changes" nullable:"false" doc:"The changing calls, in order."`
	Steps       []Step                  `json:"steps" nullable:"false" doc:"The steps of the runbook, in order."`
}

// Change is one changing call, without the values that it carried.
type Change struct {
	ID        string                     `json:"id,omitempty" doc:"Absent of a change that was not sent."`
	State     remediation.SentState      `json:"state" enum:"not sent,maybe sent,done,refused" doc:"Whether AWS may have seen it; refused by AWS means that nothing was changed."`
	Step      string                     `json:"step"`
	Service   string                     `json:"service"`
	Operation string                     `json:"operation"`
	Resource  string                     `json:"resource"`
	Diff      []remediation.MemberChange `json:"diff" nullable:"false"`
	Inverse   string                     `json:"inverse,omitempty"`
	Outcome   remediation.Outcome        `json:"outcome,omitempty" enum:"intended,applied,refused,uncertain"`
	RequestID string                     `json:"request_id,omitempty"`
	Error     string                     `json:"error,omitempty"`
	IntentAt  time.Time                  `json:"intent_at,omitzero"`
	OutcomeAt time.Time                  `json:"outcome_at,omitzero"`
}

func changeOf(c remediation.Change) Change {
	out := plannedChange(c.Call)
	out.ID, out.State, out.Outcome, out.RequestID, out.Error = c.ID, c.State(), c.Outcome, c.RequestID, c.Error
	out.IntentAt, out.OutcomeAt = c.IntentAt, c.OutcomeAt
	return out
}

// plannedChange is a change of the plan that nothing was recorded of.
func plannedChange(c remediation.PlannedCall) Change {
	diff := c.Diff
	if diff == nil {
		diff = []remediation.MemberChange{}
	}
	return Change{
		State: remediation.NotSent, Step: c.Step, Service: c.Service, Operation: c.Operation, Resource: c.Resource, Diff: diff, Inverse: c.Inverse,
	}
}

// Step is one step of an execution, without its inputs and outputs.
type Step struct {
	Seq       int       `json:"seq"`
	Name      string    `json:"name"`
	Action    string    `json:"action"`
	Attempt   int       `json:"attempt"`
	Status    string    `json:"status"`
	Failure   string    `json:"failure,omitempty"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

func stepOf(s store.Step) Step {
	return Step{Seq: s.Seq, Name: s.Name, Action: s.Action, Attempt: s.Attempt, Status: s.Status, Failure: s.Failure, StartedAt: s.StartedAt, EndedAt: s.EndedAt}
}

// PlanDocument is a plan with the hash that an approval must name.
type PlanDocument struct {
	Hash remediation.Hash `json:"hash"`
	// State and ApprovalID say what may be done about the plan now.
	State      remediation.State `json:"state"`
	ApprovalID string            `json:"approval_id,omitempty"`
	Plan       remediation.Plan  `json:"plan"`
	Alike      []AlikePlan       `json:"alike,omitempty" nullable:"false" doc:"While it waits for approval: other plans for the resource that wait too and make some of the same changes."`
}

// Requested is a remediation that was asked for; its plan is made next.
type Requested struct {
	Remediation remediation.ID `json:"remediation"`
}

// AuditReport is the result of recomputing the audit log's hash chain.
type AuditReport struct {
	OK      bool   `json:"ok"`
	Entries int64  `json:"entries" doc:"Entries that are in order, from the first."`
	Head    string `json:"head,omitempty" doc:"Hash of the last of them."`
	Problem string `json:"problem,omitempty" doc:"What is wrong with the entry after them."`
	// Restored are the restores that the log tells of.
	Restored []audit.Restored `json:"restored,omitempty" doc:"Where the log goes on behind a restored backup: what was chained in between is lost."`
}

// AuditLine is one line of the audit log's export.
type AuditLine struct {
	Index    int64           `json:"index"`
	PrevHash string          `json:"prev_hash"`
	Hash     string          `json:"hash"`
	File     store.File      `json:"file"`
	Seq      int64           `json:"seq"`
	At       time.Time       `json:"at"`
	Actor    string          `json:"actor"`
	Action   string          `json:"action"`
	Object   string          `json:"object"`
	Detail   json.RawMessage `json:"detail,omitempty"`
}

// StopSwitch stops every change that Parry would make.
type StopSwitch struct {
	On     bool   `json:"on"`
	Reason string `json:"reason" maxLength:"1000" doc:"Why; required to turn it on or off."`
}

// Key is an access key without its secret.
type Key struct {
	AccessKeyID string    `json:"access_key_id"`
	Name        string    `json:"name"`
	Principal   string    `json:"principal"`
	Roles       []string  `json:"roles" nullable:"false"`
	Accounts    []string  `json:"accounts" nullable:"false"`
	Products    []string  `json:"products" nullable:"false"`
	Trusted     bool      `json:"trusted"`
	CreatedAt   time.Time `json:"created_at"`
	RevokedAt   time.Time `json:"revoked_at,omitzero" doc:"Absent while the key is in force."`
}

// NewKey is a key with its secret, which is shown this once.
type NewKey struct {
	Key
	SecretAccessKey string `json:"secret_access_key"`
}

func keyOf(k store.Key) Key {
	some := func(s []string) []string {
		if s == nil {
			return []string{}
		}
		return s
	}
	return Key{
		AccessKeyID: k.AccessKeyID, Name: k.Name, Principal: k.Principal, Roles: some(k.Roles), Accounts: some(k.Accounts),
		Products: some(k.Products), Trusted: k.Trusted, CreatedAt: k.CreatedAt, RevokedAt: k.RevokedAt,
	}
}
