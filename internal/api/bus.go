package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/store"
)

// Letters keeps deliveries of the bus that were given up.
type Letters interface {
	DeadDeliveries(ctx context.Context, f store.DeadFilter, limit int, cursor string) ([]store.BusDelivery, string, error)
	Redrive(ctx context.Context, f store.DeadFilter, seqs []int64, n int, eff store.Effects) (int64, error)
}

// Shelf keeps archives and replays.
type Shelf interface {
	BusARN(name string) string
	ArchiveARN(name string) string
	Archive(ctx context.Context, name string) (route.StoredArchive, error)
	Archives(ctx context.Context, source string, p route.Paging) ([]route.StoredArchive, string, error)
	ArchiveSize(ctx context.Context, name string) (events, bytes int64, err error)
	CreateArchive(ctx context.Context, name, source string, c route.ArchiveChange, by string) (route.StoredArchive, error)
	DeleteArchive(ctx context.Context, name, by string) error
	StartReplay(ctx context.Context, s route.StartReplay) (route.Replay, error)
	Replay(ctx context.Context, name string) (route.Replay, error)
	Replays(ctx context.Context, state, archive string, p route.Paging) ([]route.Replay, string, error)
	CancelReplay(ctx context.Context, name, by string) (route.Replay, error)
}

// Bus is the event bus as the API shows it.
type Bus struct {
	Letters Letters
	Shelf   Shelf
	Rules   RuleShelf
	Drops   func(bus, name string) route.Drops
	// Transformers is how input transformers fill in: parry or aws.
	Transformers string
	Backtest     func(ctx context.Context, q route.BacktestRequest) (route.Backtest, error)
	Preview      func(ctx context.Context, one route.Replay) (route.ReplayPreview, error)
	Tail         func(on string, p *pattern.Pattern) (<-chan route.Seen, func(), error)
}

// DeadLetter is a delivery of the bus that was given up. Reason and event are untrusted.
type DeadLetter struct {
	ID       string          `json:"id"`
	Bus      string          `json:"bus"`
	Rule     string          `json:"rule" doc:"The bus and the name of the rule."`
	Target   string          `json:"target" doc:"The id of the rule's target."`
	Address  string          `json:"address" doc:"Where it goes: mostly the target's ARN."`
	Code     string          `json:"code" doc:"Why, in the words of EventBridge's ERROR_CODE."`
	Reason   string          `json:"reason"`
	Attempts int             `json:"attempts"`
	Since    time.Time       `json:"since" doc:"When the event was accepted."`
	GivenUp  time.Time       `json:"given_up_at"`
	Event    json.RawMessage `json:"event"`
}

type deadLettersInput struct {
	Bus    string `query:"bus" maxLength:"256"`
	Rule   string `query:"rule" maxLength:"400" doc:"Bus and name: default/orders."`
	Target string `query:"target" maxLength:"64"`
	Code   string `query:"code" maxLength:"64"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor string `query:"cursor" maxLength:"1024"`
}

// RedriveRequest says which dead letters are delivered again: those named, or those that
// all of the other members select.
type RedriveRequest struct {
	IDs    []string `json:"ids,omitempty" maxItems:"1000"`
	All    bool     `json:"all,omitempty" doc:"Every one, as far as the members below do not narrow it."`
	Bus    string   `json:"bus,omitempty" maxLength:"256"`
	Rule   string   `json:"rule,omitempty" maxLength:"400"`
	Target string   `json:"target,omitempty" maxLength:"64"`
	Code   string   `json:"code,omitempty" maxLength:"64"`
}

// Redriven says how many dead letters are being delivered again.
type Redriven struct {
	Redriven int64 `json:"redriven"`
	More     bool  `json:"more,omitempty" doc:"There may be more: ask again."`
}

// maxRedrive is how many dead letters one request sends again.
const maxRedrive = 10_000

func (a *API) registerBus() {
	const tag = "bus"
	register(a, operation{id: "list-dead-letters", method: http.MethodGet, path: "/v1/bus/dead-letters", summary: "List deliveries of the event bus that were given up, the latest first", tag: tag}, auth.EventRuleRead, a.deadLetters)
	register(a, operation{id: "redrive-dead-letters", method: http.MethodPost, path: "/v1/bus/dead-letters/redrive", summary: "Deliver again what was given up", tag: tag}, auth.EventRuleWrite, a.redrive)
	register(a, operation{id: "backtest-rule", method: http.MethodPost, path: "/v1/bus/backtests", summary: "Tell what a draft rule would have done to archived events; nothing is done", tag: tag}, auth.EventRuleRead, a.backtest)
	register(a, operation{id: "tail-bus", method: http.MethodGet, path: "/v1/bus/events", summary: "Follow the events that this node puts on its buses, as JSON lines", tag: tag}, auth.EventRuleRead, a.tail)
	a.registerArchives(tag)
	a.registerBusRules(tag)
}

func (a *API) deadLetters(ctx context.Context, p auth.Principal, in *deadLettersInput) (*page[DeadLetter], error) {
	if err := auth.Authorize(p, auth.EventRuleRead, auth.All); err != nil {
		return nil, err
	}
	dead, next, err := a.cfg.Bus.Letters.DeadDeliveries(ctx, store.DeadFilter{Bus: in.Bus, Rule: in.Rule, Target: in.Target, Code: in.Code}, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	items := make([]DeadLetter, len(dead))
	for i, d := range dead {
		items[i] = DeadLetter{
			ID: strconv.FormatInt(d.Seq, 10), Bus: d.Bus, Rule: d.Rule, Target: d.Target, Address: d.Address, Code: d.Code, Reason: d.Reason, Attempts: d.Attempts,
			Since: d.Since, GivenUp: d.Died, Event: d.Doc,
		}
	}
	return pageOf(items, next), nil
}

func (a *API) redrive(ctx context.Context, p auth.Principal, in *struct{ Body RedriveRequest }) (*struct{ Body Redriven }, error) {
	const op = "deliver again"
	q := in.Body
	if err := auth.Authorize(p, auth.EventRuleWrite, auth.All); err != nil {
		return nil, err
	}
	narrowed := q.Bus+q.Rule+q.Target+q.Code != ""
	if len(q.IDs) > 0 == (narrowed || q.All) {
		return nil, fault.Errorf(fault.Invalid, op, "it is not clear what is meant").WithHint("name ids, or a bus, rule, target or code, or all")
	}
	var seqs []int64
	for _, id := range q.IDs {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, op, "%.40q is no id of a dead letter", id).WithHint("run: parry dlq list")
		}
		seqs = append(seqs, n)
	}
	detail, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	n, err := a.cfg.Bus.Letters.Redrive(ctx, store.DeadFilter{Bus: q.Bus, Rule: q.Rule, Target: q.Target, Code: q.Code}, seqs, maxRedrive, store.Effects{Audit: []store.AuditRecord{
		{At: a.cfg.Clock.Now().UTC(), Actor: p.Name, Action: "dead_letters.redriven", Object: "bus", Detail: detail},
	}})
	if err != nil {
		return nil, err
	}
	return &struct{ Body Redriven }{Redriven{n, n == maxRedrive}}, nil
}

// BacktestQuestion asks what a draft would have done. Either pattern or rule is given.
type BacktestQuestion struct {
	Archive   string         `json:"archive" minLength:"1" maxLength:"48"`
	Days      int            `json:"days,omitempty" minimum:"1" maximum:"3650" default:"7" doc:"So many days back from now."`
	Pattern   map[string]any `json:"pattern,omitempty" doc:"The event pattern of a rule of the bus."`
	Playbooks []string       `json:"playbooks,omitempty" maxItems:"100" doc:"To which the rule would send; * is what answers each finding's control."`
	Rule      map[string]any `json:"rule,omitempty" doc:"Instead: an automation rule in AWS's form."`
	Version   int            `json:"version,omitempty" enum:"1,2" default:"1" doc:"Of the automation rule."`
	Most      int            `json:"most,omitempty" minimum:"1" maximum:"1000000" doc:"How many events to look at."`
}

func (a *API) backtest(ctx context.Context, p auth.Principal, in *struct{ Body BacktestQuestion }) (*struct{ Body route.Backtest }, error) {
	if err := auth.Authorize(p, auth.EventRuleRead, auth.All); err != nil {
		return nil, err
	}
	q := in.Body
	if _, err := a.cfg.Bus.Shelf.Archive(ctx, q.Archive); err != nil {
		return nil, err
	}
	now := a.cfg.Clock.Now()
	request := route.BacktestRequest{Archive: q.Archive, From: now.AddDate(0, 0, -q.Days), To: now, Playbooks: q.Playbooks, Scope: []string{"*"}, Most: q.Most}
	var err error
	if q.Pattern != nil {
		if request.Pattern, err = json.Marshal(q.Pattern); err != nil {
			return nil, err
		}
	}
	if q.Rule != nil {
		raw, err := json.Marshal(q.Rule)
		if err != nil {
			return nil, err
		}
		r, err := rule.ParseVersion(q.Version, raw)
		if err != nil {
			return nil, err
		}
		request.Rule = &r
	}
	out, err := a.cfg.Bus.Backtest(ctx, request)
	if err != nil {
		return nil, err
	}
	return &struct{ Body route.Backtest }{out}, nil
}

type tailInput struct {
	Bus     string `query:"bus" maxLength:"256" doc:"Default: all."`
	Pattern string `query:"pattern" maxLength:"16384" doc:"An event pattern; only what matches is shown."`
}

// TailLine is a line of the answer.
type TailLine struct {
	Bus    string          `json:"bus,omitempty"`
	Event  json.RawMessage `json:"event,omitempty"`
	Missed int             `json:"missed,omitempty" doc:"So many events before it were left out, because the reader was slow."`
	Alive  bool            `json:"alive,omitempty" doc:"Nothing has happened for a while."`
}

func (a *API) tail(_ context.Context, p auth.Principal, in *tailInput) (*huma.StreamResponse, error) {
	if err := auth.Authorize(p, auth.EventRuleRead, auth.All); err != nil {
		return nil, err
	}
	var filter *pattern.Pattern
	if in.Pattern != "" {
		var err error
		if filter, err = pattern.Parse([]byte(in.Pattern)); err != nil {
			return nil, err
		}
	}
	events, stop, err := a.cfg.Bus.Tail(in.Bus, filter)
	if err != nil {
		return nil, err
	}
	// huma runs the body whenever it got this far.
	return &huma.StreamResponse{Body: func(w huma.Context) {
		defer stop()
		a.streamTail(w, events)
	}}, nil
}

// streamTail writes events as they come, until the client is gone or the stream is old.
func (a *API) streamTail(w huma.Context, events <-chan route.Seen) {
	ctx, cancel := context.WithTimeout(w.Context(), longestStream)
	defer cancel()
	_, writer := humago.Unwrap(w)
	control := http.NewResponseController(writer)
	w.SetHeader("Content-Type", "application/jsonl")
	w.SetStatus(http.StatusOK)
	enc := json.NewEncoder(w.BodyWriter())
	enc.SetEscapeHTML(false)
	alive := time.NewTicker(beat)
	defer alive.Stop()
	line := TailLine{Alive: true} // so that the client knows that it follows
	for {
		_ = control.SetWriteDeadline(a.cfg.Clock.Now().Add(streamPatience))
		if err := enc.Encode(line); err != nil {
			return
		}
		if err := control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-a.cfg.Streams.ended():
			return
		case seen := <-events:
			line = TailLine{Bus: seen.Bus, Event: seen.Text, Missed: seen.Missed}
		case <-alive.C:
			line = TailLine{Alive: true}
		}
	}
}
