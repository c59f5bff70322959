package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/control"
	"github.com/parry-security/parry/internal/store"
)

// Controls reads the counters of controls.
type Controls interface {
	ControlCounts(ctx context.Context, q store.ControlQuery, yield func(control.Count) error) error
}

// Control is a security control and how it stands.
type Control struct {
	ID       string         `json:"id"`
	Title    string         `json:"title" doc:"Empty for a control that is in no catalogue."`
	Severity string         `json:"severity" doc:"LOW, MEDIUM, HIGH or CRITICAL; empty where it is not known."`
	Status   control.Status `json:"status" enum:"PASSED,FAILED,UNKNOWN,NO_DATA,DISABLED"`
	Findings control.Tally  `json:"findings" doc:"Active findings of the control, by what they say."`
	// Standards are keys, such as fsbp.
	Standards []string `json:"standards" nullable:"false" doc:"The standards that it belongs to, by their short names."`
}

// ControlDetail is a control with all that is known of it.
type ControlDetail struct {
	Control
	Schedule       string              `json:"schedule" doc:"When Security Hub checks it."`
	Parameters     bool                `json:"parameters" doc:"Whether the check takes parameters."`
	Takes          []ControlParameter  `json:"takes" nullable:"false" doc:"The parameters that it takes, as far as the catalogue knows them."`
	RemediationURL string              `json:"remediation_url"`
	In             []ControlInStandard `json:"in" nullable:"false" doc:"How it stands in each standard."`
	Accounts       []ControlInAccount  `json:"accounts" nullable:"false" doc:"Accounts with failed findings, the most first; at most 100."`
}

// ControlParameter is a parameter of a control's check.
type ControlParameter struct {
	Name    string   `json:"name"`
	Type    string   `json:"type" enum:"Integer,IntegerList,Double,String,StringList,Boolean,Enum,EnumList"`
	Min     *float64 `json:"min,omitempty" doc:"The least number; absent where there is none or it is not known."`
	Max     *float64 `json:"max,omitempty" doc:"The greatest number; absent where there is none or it is not known."`
	Items   int      `json:"items,omitempty" doc:"How many items a list may have; absent where that is not known."`
	Allowed []string `json:"allowed,omitempty" doc:"The values that it may have; absent where they are not listed or not known."`
	Default []string `json:"default,omitempty" doc:"What Security Hub takes when nothing is set, several for a list; absent where it then passes over the parameter."`
}

func parametersOf(d control.Definition) []ControlParameter {
	out := make([]ControlParameter, len(d.Parameters))
	for i, p := range d.Parameters {
		out[i] = ControlParameter(p)
	}
	return out
}

// ControlInStandard is a control's place in a standard.
type ControlInStandard struct {
	Standard     string         `json:"standard"`
	Name         string         `json:"name"`
	Rule         string         `json:"rule" doc:"What the standard calls it."`
	Requirements []string       `json:"requirements" nullable:"false"`
	Status       control.Status `json:"status" enum:"PASSED,FAILED,UNKNOWN,NO_DATA,DISABLED"`
	Findings     control.Tally  `json:"findings"`
}

// ControlInAccount is how a control stands in an account.
type ControlInAccount struct {
	Account  string         `json:"account"`
	Status   control.Status `json:"status" enum:"PASSED,FAILED,UNKNOWN,NO_DATA,DISABLED"`
	Findings control.Tally  `json:"findings"`
}

// maxFailing bounds the accounts of a control's detail.
const maxFailing = 100

type controlsInput struct {
	Paging
	Standard string `query:"standard" maxLength:"64" doc:"Short name of a standard: only its controls, with their status in it."`
	Severity string `query:"severity" enum:"LOW,MEDIUM,HIGH,CRITICAL"`
	Status   string `query:"status" enum:"PASSED,FAILED,UNKNOWN,NO_DATA"`
	Service  string `query:"service" maxLength:"64" doc:"The part of the id before the dot: S3."`
	Account  string `query:"account" maxLength:"64"`
}

type controlInput struct {
	ID      string `path:"id" maxLength:"128" doc:"The control's id: S3.8, in any case."`
	Account string `query:"account" maxLength:"64"`
}

type controlOutput struct{ Body ControlDetail }

func (a *API) registerControls() {
	register(a, operation{id: "list-controls", method: http.MethodGet, path: "/v1/controls", summary: "List security controls with their status, by id", tag: "controls"}, auth.FindingRead, a.listControls)
	register(a, operation{id: "get-control", method: http.MethodGet, path: "/v1/controls/{id}", summary: "Show a security control and where it fails", tag: "controls"}, auth.FindingRead, a.getControl)
	register(a, operation{id: "list-scores", method: http.MethodGet, path: "/v1/scores", summary: "Security scores of the organization, its accounts, its units or the standards", tag: "controls"}, auth.FindingRead, a.listScores)
}

func (a *API) listControls(ctx context.Context, p auth.Principal, in *controlsInput) (*page[Control], error) {
	if err := checkStandard(in.Standard); err != nil {
		return nil, err
	}
	b, err := a.board(ctx, in.Standard, store.ControlQuery{Accounts: auth.Scope(p), Account: in.Account})
	if err != nil {
		return nil, err
	}
	items := []Control{}
	for _, id := range known(b, in.Standard) {
		if in.Cursor != "" && control.Compare(id, in.Cursor) <= 0 {
			continue
		}
		c := controlOf(id, b)
		if in.Severity != "" && c.Severity != in.Severity || in.Status != "" && string(c.Status) != in.Status ||
			in.Service != "" && !strings.HasPrefix(strings.ToLower(id), strings.ToLower(in.Service)+".") {
			continue
		}
		if len(items) == in.Limit {
			return pageOf(items, items[len(items)-1].ID), nil
		}
		items = append(items, c)
	}
	return pageOf(items, ""), nil
}

// board adds up the counters of a query.
func (a *API) board(ctx context.Context, standard string, q store.ControlQuery) (*control.Board, error) {
	b := control.NewBoard(standard)
	err := a.cfg.Controls.ControlCounts(ctx, q, func(c control.Count) error {
		b.Add(c)
		return nil
	})
	return b, err
}

// known gives the ids of the catalogue and of what there are findings of, in order.
func known(b *control.Board, standard string) []string {
	ids := b.Seen()
	for _, d := range control.All() {
		if _, in := d.In(standard); in || standard == "" {
			ids = append(ids, d.ID)
		}
	}
	slices.SortFunc(ids, control.Compare)
	return slices.Compact(ids)
}

func controlOf(id string, b *control.Board) Control {
	d, _ := control.Lookup(id)
	t := b.Tally(id)
	c := Control{ID: id, Title: d.Title, Severity: d.Severity, Status: t.Status(), Findings: t, Standards: []string{}}
	for _, m := range d.Standards {
		c.Standards = append(c.Standards, m.Standard)
	}
	return c
}

func (a *API) getControl(ctx context.Context, p auth.Principal, in *controlInput) (*controlOutput, error) {
	id := control.Canonical(in.ID)
	d, catalogued := control.Lookup(id)
	all, by := control.NewBoard(""), map[string]*control.Board{}
	for _, s := range control.Standards() {
		by[s.Key] = control.NewBoard(s.Key)
	}
	accounts := map[string]*control.Tally{}
	found := false
	q := store.ControlQuery{Accounts: auth.Scope(p), Account: in.Account, Control: id, ByAccount: true}
	err := a.cfg.Controls.ControlCounts(ctx, q, func(c control.Count) error {
		found = true
		all.Add(c)
		for _, b := range by {
			b.Add(c)
		}
		t := accounts[c.Account]
		if t == nil {
			t = &control.Tally{}
			accounts[c.Account] = t
		}
		t.Add(c.State, c.N)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !catalogued && !found {
		return nil, notFound("control", in.ID, "list the controls: parry control list")
	}
	out := ControlDetail{Control: controlOf(id, all), Schedule: d.Schedule, Parameters: d.Customizable, Takes: parametersOf(d), In: []ControlInStandard{}, Accounts: failing(accounts)}
	if catalogued {
		out.RemediationURL = d.RemediationURL()
	}
	for _, s := range control.Standards() {
		m, in := d.In(s.Key)
		t := by[s.Key].Tally(id)
		if !in && t == (control.Tally{}) {
			continue
		}
		if m.Requirements == nil {
			m.Requirements = []string{}
		}
		out.In = append(out.In, ControlInStandard{Standard: s.Key, Name: s.Name, Rule: s.Rule(id), Requirements: m.Requirements, Status: t.Status(), Findings: t})
	}
	return &controlOutput{out}, nil
}

// failing gives the accounts with failed findings, the most first.
func failing(accounts map[string]*control.Tally) []ControlInAccount {
	out := []ControlInAccount{}
	for account, t := range accounts {
		if t.Failed > 0 {
			out = append(out, ControlInAccount{Account: account, Status: t.Status(), Findings: *t})
		}
	}
	slices.SortFunc(out, func(x, y ControlInAccount) int {
		if x.Findings.Failed != y.Findings.Failed {
			return int(min(max(y.Findings.Failed-x.Findings.Failed, -1), 1))
		}
		return strings.Compare(x.Account, y.Account)
	})
	return out[:min(len(out), maxFailing)]
}
