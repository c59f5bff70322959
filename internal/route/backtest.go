package route

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/store"
)

const (
	// MaxBacktest is how many archived events one backtest looks at, and backtestTime how
	// long it looks, so that its answer reaches the caller.
	MaxBacktest  = 1_000_000
	backtestTime = 60 * time.Second
	backtestPage = 200
	// The lists of an answer name so many; the counts go on.
	maxBacktestPlans, maxBacktestEvents, maxBacktestAccounts = 200, 20, 1000
	// maxBacktestFindings bounds what is remembered to count each finding once.
	maxBacktestFindings = 200_000
)

// Archived reads archives.
type Archived interface {
	ArchivedEvents(ctx context.Context, archive string, from, to, after time.Time, afterSeq int64, n int) ([]store.BusEvent, error)
}

// BacktestRequest asks what a draft would have done. Either Pattern or Rule is given.
type BacktestRequest struct {
	Archive  string
	From, To time.Time
	// Pattern is that of a rule of the bus; Playbooks are those that it would send to.
	Pattern   []byte
	Playbooks []string
	// Rule is an automation rule.
	Rule *rule.Rule
	// Scope are the accounts whose events are looked at; "*" is all.
	Scope []string
	// Most is how many events to look at. Default and limit: MaxBacktest.
	Most int
}

// Backtest is what a draft would have done to archived events. Nothing is done.
type Backtest struct {
	Scanned int `json:"scanned" doc:"Archived events that were looked at."`
	Matched int `json:"matched"`
	// Complete says that no event was left out for their number or for time; else Until
	// is the time of the last that was looked at.
	Complete bool      `json:"complete"`
	Until    time.Time `json:"until,omitzero"`
	// Unjudged events need more work than a pattern may cause.
	Unjudged int             `json:"unjudged,omitempty"`
	Accounts map[string]int  `json:"accounts" doc:"Events that matched, by account; at most 1,000 are named."`
	Events   []BacktestEvent `json:"events" doc:"The first 20 that matched."`
	// Plans are counted once for each finding and playbook.
	Plans    int            `json:"plans" doc:"Plans that would have been asked for."`
	Planned  []BacktestPlan `json:"planned" doc:"The first 200 of them."`
	NotPlans map[string]int `json:"not_planned,omitempty" doc:"Why findings that matched lead to no plan, with how many."`
	// Changed findings and Fields are of an automation rule.
	Changed int            `json:"changed,omitempty"`
	Fields  map[string]int `json:"fields,omitempty"`
}

// BacktestEvent is an event that matched.
type BacktestEvent struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Source     string    `json:"source"`
	DetailType string    `json:"detail_type"`
	Account    string    `json:"account"`
}

// BacktestPlan is a plan that would have been asked for. Title is untrusted text.
type BacktestPlan struct {
	Finding  finding.ID `json:"finding"`
	Playbook string     `json:"playbook"`
	Account  string     `json:"account"`
	Region   string     `json:"region"`
	Control  string     `json:"control,omitempty"`
	Title    string     `json:"title"`
	Resource string     `json:"resource"`
	At       time.Time  `json:"at" doc:"The time of the first event that asks for it."`
}

// backtest is one on its way.
type backtest struct {
	BacktestRequest
	set     pattern.Set
	answers func(control string) (string, bool)
	now     time.Time
	seen    map[string]bool
	Backtest
}

// Backtest looks through an archive. It reads, and does nothing else: what the plans
// would hold depends on what AWS had then, so they are named and not made.
func (s *Stage) Backtest(ctx context.Context, archived Archived, q BacktestRequest) (Backtest, error) {
	const op = "backtest"
	if (len(q.Pattern) == 0) == (q.Rule == nil) {
		return Backtest{}, fault.Errorf(fault.Invalid, op, "either an event pattern or an automation rule is tested")
	}
	if !q.From.Before(q.To) {
		return Backtest{}, fault.Errorf(fault.Invalid, op, "the time span is empty")
	}
	if q.Most <= 0 || q.Most > MaxBacktest {
		q.Most = MaxBacktest
	}
	b := &backtest{BacktestRequest: q, answers: s.cfg.Answers, now: q.To, seen: map[string]bool{}, Backtest: Backtest{
		Accounts: map[string]int{}, Events: []BacktestEvent{}, Planned: []BacktestPlan{}, NotPlans: map[string]int{}, Fields: map[string]int{},
	}}
	if q.Rule != nil {
		r := *q.Rule
		r.Enabled, r.ExpiresAt, r.Terminal = true, time.Time{}, false
		b.Rule = &r
	} else {
		p, err := pattern.Parse(q.Pattern)
		if err != nil {
			return Backtest{}, err
		}
		if err := b.set.Add("draft", p); err != nil {
			return Backtest{}, err
		}
	}
	timed, cancel := context.WithTimeout(ctx, backtestTime)
	defer cancel()
	var at time.Time
	var seq int64
	for timed.Err() == nil {
		page, err := archived.ArchivedEvents(ctx, q.Archive, q.From, q.To, at, seq, min(backtestPage, q.Most-b.Scanned))
		if err != nil {
			return Backtest{}, err
		}
		for _, e := range page {
			b.event(e)
			at, seq = e.At, e.Seq
		}
		if len(page) < backtestPage {
			b.Complete = b.Scanned < q.Most
			break
		}
	}
	if !b.Complete {
		b.Until = at
	}
	return b.Backtest, ctx.Err()
}

func (b *backtest) event(stored store.BusEvent) {
	b.Scanned++
	var e bus.Event
	if err := json.Unmarshal(stored.Doc, &e); err != nil {
		b.Unjudged++
		return
	}
	if !slices.Contains(b.Scope, "*") && !slices.Contains(b.Scope, e.Account) {
		return
	}
	if b.Rule != nil {
		b.automation(e)
		return
	}
	matches, unjudged := b.matches(stored.Doc)
	if unjudged {
		b.Unjudged++
	}
	if !matches {
		return
	}
	b.matched(e)
	if len(b.Playbooks) == 0 {
		return
	}
	findings, err := findingsOf(e)
	if err != nil {
		b.NotPlans[err.Error()]++
		return
	}
	for _, f := range findings {
		if len(findings) > 1 {
			alone, err := aloneIn(e, f.raw)
			if err != nil {
				b.NotPlans[err.Error()]++
				continue
			}
			if matches, _ := b.matches(alone); !matches {
				continue // only its neighbour was meant
			}
		}
		for _, playbook := range b.Playbooks {
			b.plan(e, f.finding, playbook)
		}
	}
}

func (b *backtest) matches(raw []byte) (matched, unjudged bool) {
	text, err := pattern.Validate(raw)
	if err != nil {
		return false, true
	}
	names, err := b.set.Match(text, nil)
	return len(names) > 0, err != nil
}

func (b *backtest) matched(e bus.Event) {
	b.Matched++
	if _, ok := b.Accounts[e.Account]; ok || len(b.Accounts) < maxBacktestAccounts {
		b.Accounts[e.Account]++
	}
	if len(b.Events) < maxBacktestEvents {
		b.Events = append(b.Events, BacktestEvent{ID: e.ID, Time: e.Time, Source: e.Source, DetailType: e.DetailType, Account: e.Account})
	}
}

// plan counts the plan that a finding would have led to, once.
func (b *backtest) plan(e bus.Event, f finding.Finding, playbook string) {
	if playbook == Answering {
		var ok bool
		if playbook, ok = b.answers(f.Control()); !ok {
			b.NotPlans["no playbook answers its control"]++
			return
		}
	}
	if why := unfit(f); why != "" {
		b.NotPlans[why]++
		return
	}
	if e.ReplayName != "" || e.Source == bus.SourceParry || e.Parry != nil {
		b.NotPlans["the event was replayed or caused by Parry"]++
		return
	}
	key := f.ID().String() + "\x00" + playbook
	if b.seen[key] {
		return
	}
	if len(b.seen) < maxBacktestFindings {
		b.seen[key] = true
	}
	b.Plans++
	if len(b.Planned) < maxBacktestPlans {
		p := BacktestPlan{Finding: f.ID(), Playbook: playbook, Account: f.Account(), Region: f.Region(), Control: f.Control(), Title: f.Title(), At: e.Time}
		if resources := f.Resources(); len(resources) > 0 {
			p.Resource = resources[0].ID
		}
		b.Planned = append(b.Planned, p)
	}
}

// automation applies the automation rule to the findings of an event.
func (b *backtest) automation(e bus.Event) {
	if e.DetailType != pattern.FindingsImported {
		return
	}
	findings, err := findingsOf(e)
	if err != nil {
		b.Unjudged++
		return
	}
	hit := false
	for _, f := range findings {
		if !b.Rule.Matches(f.finding, e.Time) {
			continue
		}
		hit = true
		after, _ := rule.Apply([]rule.Rule{*b.Rule}, f.finding, f.finding, e.Time)
		updates := finding.Diff(f.finding, after)
		if len(updates) > 0 {
			b.Changed++
		}
		for _, u := range updates {
			b.Fields[u.UpdatedField]++
		}
	}
	if hit {
		b.matched(e)
	}
}

// found is one finding of an event.
type found struct {
	raw     json.RawMessage
	finding finding.Finding
}

// findingsOf reads the findings of an event; an event of something else has none.
func findingsOf(e bus.Event) ([]found, error) {
	var detail struct {
		Findings []json.RawMessage `json:"findings"`
	}
	if err := json.Unmarshal(e.Detail, &detail); err != nil {
		return nil, errors.New("the event's detail cannot be read")
	}
	out := make([]found, 0, len(detail.Findings))
	for _, raw := range detail.Findings {
		f, err := finding.Reopen(raw)
		if err != nil {
			return nil, errors.New("a finding of the event cannot be read")
		}
		out = append(out, found{raw, f})
	}
	return out, nil
}

// Top gives the accounts with the most events first.
func (b Backtest) Top() []string {
	return slices.SortedFunc(maps.Keys(b.Accounts), func(x, y string) int {
		return cmp.Or(cmp.Compare(b.Accounts[y], b.Accounts[x]), cmp.Compare(x, y))
	})
}
