package api

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/control"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/store"
)

// SecurityScore is a security score: passed controls in percent of those with data.
type SecurityScore struct {
	// Name is an account, a unit's path, a standard's short name, or "organization".
	Name   string         `json:"name"`
	Title  string         `json:"title" doc:"The account's or the standard's name, where it is known."`
	Status control.Status `json:"status" enum:"PASSED,FAILED,UNKNOWN,NO_DATA,DISABLED"`
	Score  *int           `json:"score" doc:"Percent; null when no control has data."`
	// Controls counts them by their status.
	Controls control.Score `json:"controls"`
}

func scoreOf(name, title string, b *control.Board) SecurityScore {
	s := b.Score()
	out := SecurityScore{Name: name, Title: title, Status: s.Status(), Controls: s}
	if percent, ok := s.Percent(); ok {
		out.Score = &percent
	}
	return out
}

// maxUnits bounds the units that are added up at once; AWS Organizations has
// 2,000 by default.
const maxUnits = 2000

type scoresInput struct {
	Paging
	By       string `query:"by" enum:"organization,account,unit,standard" default:"organization"`
	Standard string `query:"standard" maxLength:"64" doc:"Short name of a standard: only its controls."`
	Account  string `query:"account" maxLength:"64" doc:"Only this account."`
}

func checkStandard(key string) error {
	if _, ok := control.StandardByKey(key); key == "" || ok {
		return nil
	}
	keys := make([]string, 0, len(control.Standards()))
	for _, s := range control.Standards() {
		keys = append(keys, s.Key)
	}
	return fault.Errorf(fault.Invalid, "", "there is no standard %q", key).WithHint("the standards are %s", strings.Join(keys, ", "))
}

func (a *API) listScores(ctx context.Context, p auth.Principal, in *scoresInput) (*page[SecurityScore], error) {
	if err := checkStandard(in.Standard); err != nil {
		return nil, err
	}
	q := store.ControlQuery{Accounts: auth.Scope(p), Account: in.Account}
	switch in.By {
	case "account":
		return a.accountScores(ctx, q, in)
	case "unit":
		return a.unitScores(ctx, q, in)
	case "standard":
		return a.standardScores(ctx, q, in)
	}
	b, err := a.board(ctx, in.Standard, q)
	if err != nil {
		return nil, err
	}
	return pageOf([]SecurityScore{scoreOf("organization", "", b)}, ""), nil
}

// errEnough ends the reading of counters when the page is full.
var errEnough = errors.New("enough")

// accountScores adds up account by account, in their order, so that it holds one
// at a time.
func (a *API) accountScores(ctx context.Context, q store.ControlQuery, in *scoresInput) (*page[SecurityScore], error) {
	names := map[string]string{}
	for _, o := range a.cfg.Accounts() {
		names[o.ID] = o.Name
	}
	q.ByAccount, q.After = true, in.Cursor
	items, next, current := []SecurityScore{}, "", ""
	var b *control.Board
	flush := func() {
		if b != nil {
			items = append(items, scoreOf(current, names[current], b))
		}
	}
	err := a.cfg.Controls.ControlCounts(ctx, q, func(c control.Count) error {
		if b == nil || c.Account != current {
			flush()
			if len(items) == in.Limit {
				b, next = nil, current
				return errEnough
			}
			b, current = control.NewBoard(in.Standard), c.Account
		}
		b.Add(c)
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	flush()
	return pageOf(items, next), nil
}

// noUnit names the accounts that stand in no unit that Parry knows.
const noUnit = "(no unit)"

// unitScores adds each account to its unit and to those above it.
func (a *API) unitScores(ctx context.Context, q store.ControlQuery, in *scoresInput) (*page[SecurityScore], error) {
	paths := map[string][]string{}
	for _, o := range a.cfg.Accounts() {
		paths[o.ID] = org.UnitPath(o.Unit)
	}
	q.ByAccount = true
	boards := map[string]*control.Board{}
	err := a.cfg.Controls.ControlCounts(ctx, q, func(c control.Count) error {
		units := paths[c.Account]
		if len(units) == 0 {
			units = []string{noUnit}
		}
		for _, u := range units {
			if boards[u] == nil {
				if len(boards) == maxUnits {
					return fault.Errorf(fault.Exhausted, "", "there are more than %d units", maxUnits).WithHint("ask for the score of one account: account=ID")
				}
				boards[u] = control.NewBoard(in.Standard)
			}
			boards[u].Add(c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pageOfNames(slices.Sorted(maps.Keys(boards)), in, func(u string) SecurityScore { return scoreOf(u, "", boards[u]) }), nil
}

// standardScores gives the standards that there are findings of, in the
// catalogue's order.
func (a *API) standardScores(ctx context.Context, q store.ControlQuery, in *scoresInput) (*page[SecurityScore], error) {
	boards := map[string]*control.Board{}
	for _, s := range control.Standards() {
		if in.Standard == "" || in.Standard == s.Key {
			boards[s.Key] = control.NewBoard(s.Key)
		}
	}
	err := a.cfg.Controls.ControlCounts(ctx, q, func(c control.Count) error {
		for _, b := range boards {
			b.Add(c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	items := []SecurityScore{}
	for _, s := range control.Standards() {
		if b := boards[s.Key]; b != nil && (len(b.Seen()) > 0 || in.Standard != "") {
			items = append(items, scoreOf(s.Key, s.Name, b))
		}
	}
	return pageOf(items, ""), nil
}

// pageOfNames gives the page of sorted names that follows the cursor.
func pageOfNames(names []string, in *scoresInput, of func(string) SecurityScore) *page[SecurityScore] {
	items := []SecurityScore{}
	for _, n := range names {
		if in.Cursor != "" && n <= in.Cursor {
			continue
		}
		if len(items) == in.Limit {
			return pageOf(items, items[len(items)-1].Name)
		}
		items = append(items, of(n))
	}
	return pageOf(items, "")
}
