package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// Overview is what is open, what is done about it, and what waits for people, within
// the caller's accounts. What the caller may not read is left out.
type Overview struct {
	At       time.Time        `json:"at"`
	Open     []OverviewNumber `json:"open" nullable:"false" doc:"Active findings that are new or notified, by severity, the worst first."`
	Overdue  OverviewNumber   `json:"overdue" doc:"Open findings past their deadline."`
	Hidden   int64            `json:"hidden,omitempty" doc:"Open findings that no number here holds because their accounts are out of use."`
	Resolved OverviewNumber   `json:"resolved_7d" doc:"Findings that were resolved or archived on the last seven days, today included; those listed are all that are resolved."`

	Waiting *OverviewNumber `json:"waiting_approvals,omitempty"`
	Failed  *OverviewNumber `json:"failed_remediations_7d,omitempty"`
	// Of the latest fixes that were verified, at most 1,000.
	Fixes *OverviewFixes `json:"fixes_30d,omitempty"`

	TopAccounts  []OverviewNumber `json:"top_accounts" nullable:"false" doc:"Those with the most open findings, at most 5."`
	TopControls  []OverviewNumber `json:"top_controls" nullable:"false" doc:"Those with the most open findings, at most 5."`
	TopResources []Resource       `json:"top_resources" nullable:"false" doc:"Those with the most urgent open findings, at most 5."`
	Trend        []DayPoint       `json:"trend" nullable:"false" doc:"The last 30 days, as far as recorded."`
	Stop         *StopSwitch      `json:"stop,omitempty"`
	NeedsYou     []OverviewTask   `json:"needs_you" nullable:"false" doc:"Approvals that the caller may decide on and did not ask for, the latest first, at most 10."`
}

// OverviewNumber is a number, and what lists the things that it counts.
type OverviewNumber struct {
	Label string `json:"label" doc:"Severity, account or control; empty when the place says it."`
	Count int64  `json:"count"`
	More  bool   `json:"more,omitempty" doc:"There are more than were counted."`
	// List is a page of the console and its filters; several values of one are an or.
	List OverviewList `json:"list"`
}

// OverviewList is a list and its filters.
type OverviewList struct {
	Page   string              `json:"page" enum:"findings,remediations,approvals"`
	Filter map[string][]string `json:"filter"`
}

// OverviewFixes are the fixes that were verified in the last 30 days.
type OverviewFixes struct {
	OverviewNumber
	MedianSeconds float64 `json:"median_seconds" doc:"From the request to the verdict; 0 without fixes."`
	AutoShare     float64 `json:"auto_share" doc:"The part that rules asked for, 0 to 1."`
}

// OverviewTask is something that waits for the caller.
type OverviewTask struct {
	Kind        string         `json:"kind" enum:"approval"`
	ID          string         `json:"id"`
	Remediation remediation.ID `json:"remediation"`
	Title       string         `json:"title" doc:"Control or document; untrusted text."`
	Account     string         `json:"account"`
	Resource    string         `json:"resource,omitempty"`
	Since       time.Time      `json:"since"`
	ExpiresAt   time.Time      `json:"expires_at,omitzero"`
}

type overviewOutput struct{ Body Overview }

const (
	maxTop       = 5
	maxTasks     = 10
	maxFixPages  = 5 // of MaxLimit remediations
	overviewDays = 30
	week         = 7 * 24 * time.Hour
)

func (a *API) registerOverview() {
	register(a, operation{id: "get-overview", method: http.MethodGet, path: "/v1/overview", summary: "What is open, what is done about it, and what waits for people", tag: "findings"}, auth.FindingRead,
		func(ctx context.Context, p auth.Principal, _ *struct{}) (*overviewOutput, error) {
			out := Overview{At: a.cfg.Clock.Now().UTC()}
			for _, part := range []struct {
				needs auth.Action
				fill  func(context.Context, auth.Principal, *Overview) error
			}{
				{auth.FindingRead, a.openFindings},
				{auth.FindingRead, a.tops},
				{auth.FindingRead, a.trend},
				{auth.ApprovalRead, a.waiting},
				{auth.RemediationRead, a.failed},
				{auth.RemediationRead, a.fixes},
				{auth.SwitchRead, a.stopped},
			} {
				if !p.May(part.needs) {
					continue
				}
				if err := part.fill(ctx, p, &out); err != nil {
					return nil, err
				}
			}
			if out.NeedsYou == nil {
				out.NeedsYou = []OverviewTask{}
			}
			return &overviewOutput{out}, nil
		})
	register(a, operation{id: "get-finding-facets", method: http.MethodGet, path: "/v1/findings/facets", summary: "The values of an attribute of findings, with their numbers", tag: "findings"}, auth.FindingRead, a.facets)
}

// isOpen selects what openList lists.
func isOpen() []store.Condition {
	return []store.Condition{
		{Column: "record_state", Op: store.OpEqual, Values: []string{"ACTIVE"}},
		{Column: "workflow", Op: store.OpEqual, Values: []string{"NEW", "NOTIFIED"}},
	}
}

func openList(attribute, value string) OverviewList {
	return OverviewList{Page: "findings", Filter: map[string][]string{"record_state": {"ACTIVE"}, "workflow": {"NEW", "NOTIFIED"}, attribute: {value}}}
}

func (a *API) openFindings(ctx context.Context, p auth.Principal, out *Overview) error {
	without, err := a.hides(ctx, p, hiding{})
	if err != nil {
		return err
	}
	q := store.CountQuery{Accounts: auth.Scope(p), WithoutAccounts: without, Where: isOpen(), GroupBy: []string{"severity"}}
	counts, err := a.cfg.Counter.CountFindings(ctx, q)
	if err != nil {
		return err
	}
	if out.Hidden, err = a.hidden(ctx, q); err != nil {
		return err
	}
	for _, severity := range []string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL"} {
		n := OverviewNumber{Label: severity, List: openList("severity", severity)}
		for _, c := range counts {
			if c.Group[0] == severity {
				n.Count = c.N
			}
		}
		out.Open = append(out.Open, n)
	}
	late, err := a.cfg.Counter.CountFindings(ctx, store.CountQuery{Accounts: auth.Scope(p), WithoutAccounts: without, Where: append(isOpen(), store.Condition{Column: "overdue", Op: store.OpEqual, Values: []string{"1"}})})
	if err != nil {
		return err
	}
	out.Overdue = OverviewNumber{List: openList("overdue", "true")}
	for _, c := range late {
		out.Overdue.Count += c.N
	}
	return nil
}

func (a *API) tops(ctx context.Context, p auth.Principal, out *Overview) error {
	without, err := a.hides(ctx, p, hiding{})
	if err != nil {
		return err
	}
	for _, top := range []struct {
		by string
		to *[]OverviewNumber
	}{{"account", &out.TopAccounts}, {"control", &out.TopControls}} {
		*top.to = []OverviewNumber{}
		counts, err := a.cfg.Counter.CountFindings(ctx, store.CountQuery{Accounts: auth.Scope(p), WithoutAccounts: without, Where: isOpen(), GroupBy: []string{top.by}})
		if err != nil {
			return err
		}
		for _, c := range counts {
			if c.Group[0] != "" && len(*top.to) < maxTop { // findings of no control are many and of many kinds
				*top.to = append(*top.to, OverviewNumber{Label: c.Group[0], Count: c.N, List: openList(top.by, c.Group[0])})
			}
		}
	}
	out.TopResources = []Resource{}
	found, err := a.cfg.Findings.TopResources(ctx, auth.Scope(p), maxTop)
	for _, r := range found {
		out.TopResources = append(out.TopResources, Resource(r))
	}
	return err
}

func (a *API) trend(ctx context.Context, p auth.Principal, out *Overview) error {
	t, err := a.findingTrends(ctx, p, &trendsInput{Days: overviewDays, Limit: 1})
	if err != nil {
		return err
	}
	out.Trend = []DayPoint{}
	for _, s := range t.Body.Series {
		out.Trend = s.Points
	}
	out.Resolved = OverviewNumber{List: OverviewList{Page: "findings", Filter: map[string][]string{"workflow": {"RESOLVED"}}}}
	for _, d := range out.Trend[max(0, len(out.Trend)-7):] {
		out.Resolved.Count += d.Resolved
	}
	return nil
}

func (a *API) waiting(ctx context.Context, p auth.Principal, out *Overview) error {
	items, next, err := a.cfg.Approvals.ListApprovals(ctx, remediation.ApprovalPending, auth.Scope(p), MaxLimit, "")
	if err != nil {
		return err
	}
	out.Waiting = &OverviewNumber{Count: int64(len(items)), More: next != "", List: OverviewList{Page: "approvals", Filter: map[string][]string{"state": {string(remediation.ApprovalPending)}}}}
	if !p.May(auth.ApprovalDecide) || !p.May(auth.RemediationRead) {
		return nil
	}
	for _, approval := range items[:min(len(items), 2*maxTasks)] {
		if len(out.NeedsYou) == maxTasks {
			break
		}
		decided := slices.ContainsFunc(approval.Decisions, func(d remediation.Decision) bool { return d.Principal == p.Name })
		r, err := a.cfg.Remediations.Remediation(ctx, approval.Remediation)
		if err != nil {
			return err
		}
		if decided || r.RequestedBy == p.Name {
			continue
		}
		out.NeedsYou = append(out.NeedsYou, OverviewTask{
			Kind: "approval", ID: approval.ID, Remediation: r.ID, Title: r.Title(), Account: approval.Account, Resource: r.Resource,
			Since: approval.CreatedAt, ExpiresAt: approval.ExpiresAt,
		})
	}
	return nil
}

func (a *API) failed(ctx context.Context, p auth.Principal, out *Overview) error {
	items, next, err := a.cfg.Remediations.ListRemediations(ctx, store.RemediationFilter{Accounts: auth.Scope(p), State: remediation.Failed}, MaxLimit, "")
	if err != nil {
		return err
	}
	out.Failed = &OverviewNumber{List: OverviewList{Page: "remediations", Filter: map[string][]string{"state": {string(remediation.Failed)}}}}
	for _, r := range items {
		if out.At.Sub(r.UpdatedAt) < week {
			out.Failed.Count++
		}
	}
	// The list is by when they were asked for: the last of a page tells whether more may
	// be as young.
	out.Failed.More = next != "" && out.At.Sub(items[len(items)-1].CreatedAt) < week
	return nil
}

func (a *API) fixes(ctx context.Context, p auth.Principal, out *Overview) error {
	out.Fixes = &OverviewFixes{OverviewNumber: OverviewNumber{List: OverviewList{Page: "remediations", Filter: map[string][]string{"state": {string(remediation.Verified)}}}}}
	var took []float64
	auto, cursor := 0, ""
	for page := range maxFixPages {
		items, next, err := a.cfg.Remediations.ListRemediations(ctx, store.RemediationFilter{Accounts: auth.Scope(p), State: remediation.Verified}, MaxLimit, cursor)
		if err != nil {
			return err
		}
		for _, r := range items {
			if r.Kind != remediation.KindFix || out.At.Sub(r.CreatedAt) > overviewDays*24*time.Hour {
				continue
			}
			took = append(took, r.UpdatedAt.Sub(r.CreatedAt).Seconds())
			if strings.HasPrefix(r.RequestedBy, "rule/") {
				auto++
			}
		}
		if cursor = next; cursor == "" || out.At.Sub(items[len(items)-1].CreatedAt) > overviewDays*24*time.Hour {
			break
		}
		out.Fixes.More = page == maxFixPages-1
	}
	if n := len(took); n > 0 {
		slices.Sort(took)
		out.Fixes.Count, out.Fixes.MedianSeconds, out.Fixes.AutoShare = int64(n), (took[(n-1)/2]+took[n/2])/2, float64(auto)/float64(n)
	}
	return nil
}

func (a *API) stopped(ctx context.Context, _ auth.Principal, out *Overview) error {
	on, reason, err := a.cfg.Switch.StopSwitch(ctx)
	out.Stop = &StopSwitch{on, reason}
	return err
}

// maxFacets is how many values an answer has.
const maxFacets = 50

type facetsInput struct {
	AccountsOutOfUse
	Field  string `query:"field" required:"true" enum:"severity,account,region,control,workflow,record_state,compliance,product,resource_type,resource" doc:"The attribute."`
	Prefix string `query:"prefix" maxLength:"256" doc:"What the values begin with, upper and lower case apart."`
}

// facets gives the values that people choose from in a filter. Severity, account,
// region, control, workflow and record state are read from the counters.
func (a *API) facets(ctx context.Context, p auth.Principal, in *facetsInput) (*groupsOutput, error) {
	by, column := in.Field, in.Field
	if by == "resource" {
		by, column = "ResourceId", "resource_id"
	}
	without, err := a.hides(ctx, p, hiding{show: in.AccountsOutOfUse})
	if err != nil {
		return nil, err
	}
	q := store.GroupQuery{Accounts: auth.Scope(p), WithoutAccounts: without, By: by, Limit: maxFacets + 1}
	if in.Prefix != "" {
		q.Where = []store.Condition{{Column: column, Op: store.OpPrefix, Values: []string{in.Prefix}}}
	}
	counts, err := a.cfg.Counter.GroupFindings(ctx, q)
	if err != nil {
		return nil, err
	}
	out := FindingGroups{Groups: []FindingGroupCount{}}
	for _, c := range counts {
		// A finding of several resources counts for each of them, whatever its first is.
		if !strings.HasPrefix(c.Value, in.Prefix) {
			continue
		}
		if len(out.Groups) == maxFacets {
			out.More = true
			break
		}
		out.Groups = append(out.Groups, FindingGroupCount{c.Value, c.N})
	}
	return &groupsOutput{out}, nil
}
