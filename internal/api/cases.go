package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/respond"
	"github.com/parry-security/parry/internal/store"
)

// Cases open and move cases. A case that the person may not see is not there for them.
type Cases interface {
	CaseReader
	Open(ctx context.Context, n respond.NewCase, who respond.Who) (casefile.Case, error)
	Note(ctx context.Context, id, text string, who respond.Who) (casefile.Case, error)
	Move(ctx context.Context, id string, to casefile.Status, reason string, who respond.Who) (casefile.Case, error)
	Close(ctx context.Context, id string, code casefile.ClosureCode, reason string, who respond.Who) (casefile.Case, error)
}

// CaseReader reads cases.
type CaseReader interface {
	Case(ctx context.Context, id string, who respond.Who) (casefile.Case, error)
	Cases(ctx context.Context, f store.CaseFilter, who respond.Who, limit int, cursor string) ([]casefile.Case, string, error)
	Timeline(ctx context.Context, id string, who respond.Who, limit int, cursor string) ([]casefile.Entry, string, error)
	ARN(id string) string
}

// Case is a case. Its texts are what people wrote or what events claim.
type Case struct {
	ID             string               `json:"id" doc:"Ten digits."`
	ARN            string               `json:"arn"`
	Title          string               `json:"title"`
	Description    string               `json:"description"`
	EngagementType casefile.Engagement  `json:"engagement_type" enum:"Security Incident,Investigation"`
	Status         casefile.Status      `json:"status"`
	Severity       finding.Label        `json:"severity" enum:"INFORMATIONAL,LOW,MEDIUM,HIGH,CRITICAL"`
	Accounts       []string             `json:"impacted_accounts" nullable:"false" doc:"Whoever has all of them sees the case."`
	Regions        []string             `json:"impacted_regions" nullable:"false"`
	Resources      []string             `json:"resources" nullable:"false" doc:"The first 500; the timeline has all."`
	Findings       []CaseFinding        `json:"findings" nullable:"false" doc:"The first 500."`
	Remediations   []remediation.ID     `json:"remediations" nullable:"false" doc:"The first 500."`
	ReportedAt     time.Time            `json:"reported_at" doc:"When what the case is about was first told of."`
	CreatedAt      time.Time            `json:"created_at"`
	CreatedBy      string               `json:"created_by" doc:"A person, or rule/NAME."`
	UpdatedAt      time.Time            `json:"updated_at"`
	ClosedAt       time.Time            `json:"closed_at,omitzero"`
	ClosedBy       string               `json:"closed_by,omitempty"`
	ClosureCode    casefile.ClosureCode `json:"closure_code,omitempty" enum:"Investigation Completed,Not Resolved,False Positive,Duplicate"`
	Template       string               `json:"template,omitempty" doc:"By which events opened it; absent for people."`
	Follows        string               `json:"follows,omitempty" doc:"The case that this one goes on from."`
	Entries        int64                `json:"entries" doc:"Entries of the timeline."`
	Events         int64                `json:"events" doc:"Events among them."`
}

// CaseFinding names a finding.
type CaseFinding struct {
	Key        string `json:"key"`
	ProductArn string `json:"product_arn"`
	ID         string `json:"id"`
}

func findingRef(id finding.ID) CaseFinding {
	return CaseFinding{Key: id.Key(), ProductArn: id.ProductArn, ID: id.Id}
}

func (a *API) caseOf(c casefile.Case) Case {
	out := Case{
		ID: c.ID, ARN: a.cfg.Cases.ARN(c.ID), Title: c.Title, Description: c.Description, EngagementType: c.Engagement, Status: c.Status, Severity: c.Severity,
		Accounts: listed(c.Accounts), Regions: listed(c.Regions), Resources: listed(c.Resources), Findings: []CaseFinding{}, Remediations: listed(c.Remediations),
		ReportedAt: c.ReportedAt, CreatedAt: c.CreatedAt, CreatedBy: c.CreatedBy, UpdatedAt: c.UpdatedAt, ClosedAt: c.ClosedAt, ClosedBy: c.ClosedBy,
		ClosureCode: c.Closure, Template: c.Template, Follows: c.Follows, Entries: c.Entries, Events: c.Events,
	}
	for _, id := range c.Findings {
		out.Findings = append(out.Findings, findingRef(id))
	}
	return out
}

// listed is a list that is [] in JSON where it is empty.
func listed[T any](v []T) []T { return append([]T{}, v...) }

// CaseEntry is one line of a case's timeline.
type CaseEntry struct {
	Seq        int64         `json:"seq"`
	At         time.Time     `json:"at"`
	OccurredAt time.Time     `json:"occurred_at"`
	By         string        `json:"by"`
	Kind       casefile.Kind `json:"kind" enum:"opened,event,note,status,closed"`
	Text       string        `json:"text"`
	Event      string        `json:"event,omitempty" doc:"The id of the event that it came with."`
	Source     string        `json:"source,omitempty"`
	DetailType string        `json:"detail_type,omitempty"`
	Account    string        `json:"account,omitempty"`
	Severity   finding.Label `json:"severity,omitempty"`
	Resource   string        `json:"resource,omitempty"`
	Finding    *CaseFinding  `json:"finding,omitempty"`
}

func entryOf(e casefile.Entry) CaseEntry {
	out := CaseEntry{
		Seq: e.Seq, At: e.At, OccurredAt: e.OccurredAt, By: e.By, Kind: e.Kind, Text: e.Text, Event: e.Event, Source: e.Source,
		DetailType: e.DetailType, Account: e.Account, Severity: e.Severity, Resource: e.Resource,
	}
	if e.Finding != nil {
		ref := findingRef(*e.Finding)
		out.Finding = &ref
	}
	return out
}

// CaseRequest is a case that a person opens.
type CaseRequest struct {
	Title          string              `json:"title" minLength:"1" maxLength:"300"`
	Description    string              `json:"description" minLength:"1" maxLength:"8000"`
	EngagementType casefile.Engagement `json:"engagement_type,omitempty" enum:"Security Incident,Investigation" doc:"Security Incident unless said."`
	Severity       finding.Label       `json:"severity,omitempty" enum:"INFORMATIONAL,LOW,MEDIUM,HIGH,CRITICAL" doc:"MEDIUM unless said."`
	Accounts       []string            `json:"impacted_accounts,omitempty" maxItems:"200" doc:"Those of findings and remediations are added."`
	Regions        []string            `json:"impacted_regions,omitempty" maxItems:"50"`
	Resources      []string            `json:"resources,omitempty" maxItems:"100"`
	Findings       []string            `json:"findings,omitempty" maxItems:"50" doc:"Keys of findings."`
	Remediations   []string            `json:"remediations,omitempty" maxItems:"50"`
	ReportedAt     time.Time           `json:"reported_at,omitzero" doc:"Now unless said."`
}

// CaseNote is what a person writes into a timeline.
type CaseNote struct {
	Text string `json:"text" minLength:"1" maxLength:"12000"`
}

// CaseMove brings a case into another status.
type CaseMove struct {
	Status casefile.Status `json:"status" maxLength:"64" doc:"Acknowledged; Detection and Analysis; Containment, Eradication and Recovery; Post-incident Activities; or Ready to Close."`
	Reason string          `json:"reason,omitempty" maxLength:"2000"`
}

// CaseClosure closes a case.
type CaseClosure struct {
	ClosureCode casefile.ClosureCode `json:"closure_code" enum:"Investigation Completed,Not Resolved,False Positive,Duplicate"`
	Reason      string               `json:"reason,omitempty" maxLength:"2000"`
}

// CasePath names a case.
type CasePath struct {
	ID string `path:"id" maxLength:"32"`
}

type (
	casesInput struct {
		Paging
		Status  string `query:"status" maxLength:"64" doc:"One of the statuses, or open for those that are not closed."`
		Account string `query:"account" maxLength:"12"`
	}
	caseOutput    struct{ Body Case }
	newCaseInput  struct{ Body CaseRequest }
	timelineInput struct {
		CasePath
		Paging
	}
	caseNoteInput struct {
		CasePath
		Body CaseNote
	}
	caseMoveInput struct {
		CasePath
		Body CaseMove
	}
	caseCloseInput struct {
		CasePath
		Body CaseClosure
	}
)

func (a *API) registerCases() {
	const tag, path = "cases", "/v1/cases"
	register(a, operation{id: "list-cases", method: http.MethodGet, path: path, summary: "List cases, the latest first", tag: tag}, auth.CaseRead, a.listCases)
	register(a, operation{id: "open-case", method: http.MethodPost, path: path, summary: "Open a case", tag: tag, status: http.StatusCreated}, auth.CaseWrite, a.openCase)
	register(a, operation{id: "get-case", method: http.MethodGet, path: path + "/{id}", summary: "Show a case", tag: tag}, auth.CaseRead,
		func(ctx context.Context, p auth.Principal, in *CasePath) (*caseOutput, error) {
			c, err := a.cfg.Cases.Case(ctx, in.ID, person(p))
			return &caseOutput{a.caseOf(c)}, err
		})
	register(a, operation{id: "list-case-entries", method: http.MethodGet, path: path + "/{id}/timeline", summary: "Show the timeline of a case, the first entry first", tag: tag}, auth.CaseRead,
		func(ctx context.Context, p auth.Principal, in *timelineInput) (*page[CaseEntry], error) {
			entries, next, err := a.cfg.Cases.Timeline(ctx, in.ID, person(p), in.Limit, in.Cursor)
			out := make([]CaseEntry, 0, len(entries))
			for _, e := range entries {
				out = append(out, entryOf(e))
			}
			return pageOf(out, next), err
		})
	register(a, operation{id: "note-case", method: http.MethodPost, path: path + "/{id}/note", summary: "Write a note to the timeline of an open case", tag: tag}, auth.CaseWrite,
		func(ctx context.Context, p auth.Principal, in *caseNoteInput) (*caseOutput, error) {
			c, err := a.cfg.Cases.Note(ctx, in.ID, in.Body.Text, person(p))
			return &caseOutput{a.caseOf(c)}, err
		})
	register(a, operation{id: "move-case", method: http.MethodPost, path: path + "/{id}/status", summary: "Bring an open case into another status", tag: tag}, auth.CaseWrite,
		func(ctx context.Context, p auth.Principal, in *caseMoveInput) (*caseOutput, error) {
			c, err := a.cfg.Cases.Move(ctx, in.ID, in.Body.Status, in.Body.Reason, person(p))
			return &caseOutput{a.caseOf(c)}, err
		})
	register(a, operation{id: "close-case", method: http.MethodPost, path: path + "/{id}/close", summary: "Close a case for good", tag: tag}, auth.CaseWrite,
		func(ctx context.Context, p auth.Principal, in *caseCloseInput) (*caseOutput, error) {
			c, err := a.cfg.Cases.Close(ctx, in.ID, in.Body.ClosureCode, in.Body.Reason, person(p))
			return &caseOutput{a.caseOf(c)}, err
		})
}

// person is p at the case desk.
func person(p auth.Principal) respond.Who {
	return respond.Who{Name: p.Name, Accounts: auth.Scope(p)}
}

func (a *API) listCases(ctx context.Context, p auth.Principal, in *casesInput) (*page[Case], error) {
	f := store.CaseFilter{Account: in.Account}
	switch s := casefile.Status(in.Status); {
	case in.Status == "open":
		f.Open = true
	case in.Status != "" && !s.Valid():
		return nil, fault.Errorf(fault.Invalid, "list cases", "there is no status %q", casefile.Plain(in.Status, 64))
	default:
		f.Status = s
	}
	found, next, err := a.cfg.Cases.Cases(ctx, f, person(p), in.Limit, in.Cursor)
	out := make([]Case, 0, len(found))
	for _, c := range found {
		out = append(out, a.caseOf(c))
	}
	return pageOf(out, next), err
}

// openCase looks up what the case is linked to, each within the caller's accounts.
func (a *API) openCase(ctx context.Context, p auth.Principal, in *newCaseInput) (*caseOutput, error) {
	b := in.Body
	n := respond.NewCase{
		Title: b.Title, Description: b.Description, Engagement: b.EngagementType, Severity: b.Severity, Accounts: b.Accounts, Regions: b.Regions, Resources: b.Resources, ReportedAt: b.ReportedAt,
	}
	link := func(account, region, resource string) {
		n.Accounts, n.Regions, n.Resources = append(n.Accounts, account), append(n.Regions, region), append(n.Resources, resource)
	}
	for _, key := range b.Findings {
		f, err := a.finding(ctx, p, key)
		if err != nil {
			return nil, err
		}
		n.Findings = append(n.Findings, f.ID)
		link(f.Account, f.Region, f.ResourceID)
	}
	for _, id := range b.Remediations {
		r, err := a.remediation(ctx, p, id)
		if err != nil {
			return nil, err
		}
		n.Remediations = append(n.Remediations, r.ID)
		link(r.Account, r.Region, r.Resource)
	}
	n.Accounts, n.Regions, n.Resources = given(n.Accounts), given(n.Regions), given(n.Resources)
	for _, account := range n.Accounts {
		if err := auth.Authorize(p, auth.CaseWrite, account); err != nil {
			return nil, err
		}
	}
	c, err := a.cfg.Cases.Open(ctx, n, person(p))
	return &caseOutput{a.caseOf(c)}, err
}

// given gives texts once each, without those that are empty.
func given(texts []string) []string {
	return slices.DeleteFunc(distinct(texts), func(s string) bool { return s == "" })
}
