package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/sweep"
)

// Sweeper looks for resources that fail a control.
type Sweeper interface {
	Sweep(ctx context.Context, r sweep.Request, tell func(sweep.Place) error) error
}

// SweepRequest says what is looked for, and where.
type SweepRequest struct {
	Control      string   `json:"control" minLength:"1" maxLength:"64" doc:"A control that a playbook answers."`
	Organization bool     `json:"organization,omitempty" doc:"Every account within the caller's."`
	Accounts     []string `json:"accounts,omitempty" maxItems:"10000" doc:"Instead: these accounts."`
	Regions      []string `json:"regions,omitempty" maxItems:"100" doc:"Default: the Regions that should be covered. A control about whole accounts is looked at in the first that is on there."`
}

// SweepLine is a line of the answer: exactly one of its members. The first line has
// begin; a line with end is the last, and an answer without it is not whole.
type SweepLine struct {
	Begin *SweepBegin `json:"begin,omitempty"`
	Place *SweepPlace `json:"place,omitempty"`
	End   *SweepEnd   `json:"end,omitempty"`
}

// SweepBegin says what is swept.
type SweepBegin struct {
	Playbook string   `json:"playbook"`
	Controls []string `json:"controls" nullable:"false"`
	Accounts int      `json:"accounts"`
	Regions  []string `json:"regions" nullable:"false"`
}

// SweepPlace is what was found in an account and Region.
type SweepPlace struct {
	Account string          `json:"account"`
	Name    string          `json:"name,omitempty"`
	Region  string          `json:"region"`
	Checked int             `json:"checked" doc:"Resources that the control is about and that could be read."`
	Outside int             `json:"outside,omitempty" doc:"Resources that the control is not about."`
	Failing []SweepResource `json:"failing" nullable:"false"`
	Unread  []SweepUnread   `json:"unread" nullable:"false" doc:"Resources of which it is not known whether they fail."`
	Off     bool            `json:"off,omitempty" doc:"The Region is turned off in the account: it was not swept."`
	Problem string          `json:"problem,omitempty" doc:"Why the place was not swept, or not to its end. Untrusted text."`
	Hint    string          `json:"hint,omitempty"`
	More    bool            `json:"more,omitempty" doc:"There are more failing or unread resources than are listed."`
}

// SweepResource is a resource that fails.
type SweepResource struct {
	ARN      string         `json:"arn"`
	Reported bool           `json:"reported" doc:"Whether an active finding says that it fails."`
	Findings []SweepFinding `json:"findings" nullable:"false" doc:"Active findings of the control about it, at most 10."`
	Checks   []SweepCheck   `json:"checks" nullable:"false" doc:"The checks that fail."`
}

// SweepFinding is a finding about a resource.
type SweepFinding struct {
	Key        string `json:"key"`
	Workflow   string `json:"workflow"`
	Compliance string `json:"compliance,omitempty"`
}

// SweepCheck is a check with what was seen.
type SweepCheck struct {
	Check  string `json:"check"`
	Detail string `json:"detail" doc:"Untrusted text."`
}

// SweepUnread is a resource that could not be read.
type SweepUnread struct {
	ARN     string `json:"arn"`
	Problem string `json:"problem" doc:"Untrusted text."`
	Hint    string `json:"hint,omitempty"`
}

// SweepEnd sums up.
type SweepEnd struct {
	Places      int `json:"places"`
	Unreachable int `json:"unreachable" doc:"Places that were not swept, or not to their end."`
	Off         int `json:"off" doc:"Places that are Regions that are turned off in the account."`
	Checked     int `json:"checked"`
	Failing     int `json:"failing"`
	Unreported  int `json:"unreported" doc:"Failing resources that no finding reports."`
	Unread      int `json:"unread"`
}

type sweepInput struct{ Body SweepRequest }

func (a *API) registerSweep() {
	register(a, operation{
		id: "sweep-control", method: http.MethodPost, path: "/v1/sweeps", tag: "sweeps",
		summary: "Look for resources that fail a control, read-only; the answer is JSON lines, each place as soon as it is done",
	}, auth.RemediationRequest, a.sweep)
}

func (a *API) sweep(ctx context.Context, p auth.Principal, in *sweepInput) (*huma.StreamResponse, error) {
	r, err := a.sweepRequest(p, in.Body)
	if err != nil {
		return nil, err
	}
	detail, err := json.Marshal(in.Body)
	if err != nil {
		return nil, err
	}
	err = a.cfg.Directory.Enqueue(ctx, store.Execution, store.Effects{Audit: []store.AuditRecord{
		{At: a.cfg.Clock.Now().UTC(), Actor: p.Name, Action: "sweep.started", Object: r.Playbook.ID, Detail: detail},
	}})
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(w huma.Context) { a.streamSweep(w, r) }}, nil
}

// sweepRequest holds what is asked against what the caller may see.
func (a *API) sweepRequest(p auth.Principal, in SweepRequest) (sweep.Request, error) {
	const op = "sweep"
	r := sweep.Request{Regions: in.Regions, By: p.Name}
	var ok bool
	if r.Playbook, ok = a.cfg.Work.PlaybookFor(in.Control); !ok {
		return r, fault.Errorf(fault.NotFound, op, "Parry cannot check control %q: no playbook is written for it", in.Control).WithHint("see what has one: parry playbook list")
	}
	if in.Organization != (len(in.Accounts) == 0) {
		return r, fault.Errorf(fault.Invalid, op, "give either accounts or organization").WithHint("name accounts, or the whole organization: --org")
	}
	if len(r.Regions) == 0 {
		r.Regions = a.cfg.Regions
	}
	r.Regions = distinct(r.Regions)
	for _, region := range r.Regions {
		if !regionName(region) {
			return r, fault.Errorf(fault.Invalid, op, "%.40q is no Region", region).WithHint("write one such as eu-central-1")
		}
	}
	asked := make(map[string]bool, len(in.Accounts)) // whether it is still to be found
	for _, id := range in.Accounts {
		asked[id] = true
	}
	for _, account := range a.cfg.Accounts() {
		if len(account.ID) != 12 || !p.Covers(account.ID) {
			continue
		}
		if in.Organization && account.State != org.Left || asked[account.ID] {
			r.Accounts = append(r.Accounts, account)
			asked[account.ID] = false
		}
	}
	for _, id := range in.Accounts {
		if asked[id] {
			return r, notFound("account", id, "run: parry org list")
		}
	}
	return r, r.Check()
}

func distinct(list []string) []string {
	var out []string
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// regionName reports whether text has the form of a Region's name.
func regionName(text string) bool {
	if len(text) < 9 || len(text) > 32 {
		return false
	}
	for _, r := range text {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return true
}

// sweepPatience is how long a client may take for one line.
const sweepPatience = time.Minute

// streamSweep writes lines while the sweep goes on. A sweep that breaks off breaks the
// connection, so that a client cannot take a part for the whole; one whose client is
// gone ends.
func (a *API) streamSweep(w huma.Context, r sweep.Request) {
	ctx := w.Context()
	_, writer := humago.Unwrap(w)
	control := http.NewResponseController(writer)
	w.SetHeader("Content-Type", "application/jsonl")
	w.SetStatus(http.StatusOK)
	enc := json.NewEncoder(w.BodyWriter())
	enc.SetEscapeHTML(false)
	write := func(line SweepLine) error {
		// The server's limit is for one answer; a sweep may take longer as long as it
		// gets on. A writer without deadlines needs none.
		_ = control.SetWriteDeadline(a.cfg.Clock.Now().Add(sweepPatience))
		if err := enc.Encode(line); err != nil {
			return err
		}
		if err := control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		_ = control.SetWriteDeadline(time.Time{})
		return nil
	}
	var end SweepEnd
	err := write(SweepLine{Begin: &SweepBegin{Playbook: r.Playbook.ID, Controls: r.Playbook.Controls, Accounts: len(r.Accounts), Regions: r.Regions}})
	if err == nil {
		err = a.cfg.Sweeper.Sweep(ctx, r, func(p sweep.Place) error {
			shown := placeOf(p)
			end.add(shown)
			return write(SweepLine{Place: &shown})
		})
	}
	if err == nil {
		err = write(SweepLine{End: &end})
	}
	if err != nil {
		a.log.WarnContext(ctx, "sweep broken off", "playbook", r.Playbook.ID, "error", err)
		panic(http.ErrAbortHandler)
	}
}

func (e *SweepEnd) add(p SweepPlace) {
	e.Places++
	e.Checked += p.Checked
	e.Failing += len(p.Failing)
	e.Unread += len(p.Unread)
	if p.Problem != "" {
		e.Unreachable++
	}
	if p.Off {
		e.Off++
	}
	for _, r := range p.Failing {
		if !r.Reported {
			e.Unreported++
		}
	}
}

func placeOf(p sweep.Place) SweepPlace {
	out := SweepPlace{
		Account: p.Account, Name: p.Name, Region: p.Region, Checked: p.Checked, Outside: p.Outside, Off: p.Off, Problem: p.Problem, Hint: p.Hint, More: p.More,
		Failing: []SweepResource{}, Unread: []SweepUnread{},
	}
	for _, r := range p.Failing {
		shown := SweepResource{ARN: r.ARN, Reported: r.Reported(), Findings: []SweepFinding{}, Checks: []SweepCheck{}}
		for _, f := range r.Findings {
			shown.Findings = append(shown.Findings, SweepFinding(f))
		}
		for _, c := range r.Checks {
			shown.Checks = append(shown.Checks, SweepCheck{c.Check, c.Detail})
		}
		out.Failing = append(out.Failing, shown)
	}
	for _, u := range p.Unread {
		out.Unread = append(out.Unread, SweepUnread(u))
	}
	return out
}
