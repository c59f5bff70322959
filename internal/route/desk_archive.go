package route

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// ArchiveARN gives the ARN of an archive.
func (d *Desk) ArchiveARN(name string) string { return d.arn("archive/" + name) }

// head is the row of a.
func (a StoredArchive) head() store.BusHead {
	return store.BusHead{BusKey: store.BusKey{Kind: store.BusKindArchive, Name: a.Name}, CreatedAt: a.CreatedAt, Rev: a.Rev}
}

// Archive gives an archive.
func (d *Desk) Archive(ctx context.Context, name string) (StoredArchive, error) {
	o, err := d.cfg.Store.BusObject(ctx, store.BusKey{Kind: store.BusKindArchive, Name: name})
	if errors.Is(err, store.ErrNotFound) {
		return StoredArchive{}, say(store.ErrNotFound, "Archive %s does not exist.", name)
	}
	if err != nil {
		return StoredArchive{}, err
	}
	return ReadArchive(o)
}

// ArchiveSize gives how many events an archive has, and their bytes as they are stored.
func (d *Desk) ArchiveSize(ctx context.Context, name string) (events, bytes int64, err error) {
	return d.cfg.Archives.ArchiveSize(ctx, name)
}

// ArchiveChange is what an archive is to be; nil leaves a part as it is.
type ArchiveChange struct {
	Description, Pattern *string
	RetentionDays        *int
}

// maxRetentionDays is a hundred years: beyond lies the end of time for a database.
const maxRetentionDays = 36_500

func (c ArchiveChange) apply(doc *StoredArchive) error {
	if c.Description != nil {
		doc.Description = *c.Description
	}
	if c.RetentionDays != nil {
		if *c.RetentionDays > maxRetentionDays {
			return wrong("RetentionDays is at most %d; 0 keeps events for ever.", maxRetentionDays)
		}
		doc.Days = *c.RetentionDays
	}
	if c.Pattern != nil {
		doc.Pattern = *c.Pattern
		if doc.Pattern != "" {
			return checkPattern(doc.Pattern)
		}
	}
	return nil
}

// CreateArchive makes an archive of the bus that source, an ARN, names.
func (d *Desk) CreateArchive(ctx context.Context, name, source string, c ArchiveChange, by string) (StoredArchive, error) {
	b, err := d.Bus(ctx, source)
	if err != nil {
		return StoredArchive{}, err
	}
	now := d.now()
	a := StoredArchive{Name: name, Bus: b.Name, CreatedAt: now, UpdatedAt: now, CreatedBy: by}
	if err := c.apply(&a); err != nil {
		return a, err
	}
	// What a deleted archive of this name left when a node was still filling it.
	if err := d.emptyArchive(ctx, name); err != nil {
		return a, err
	}
	eff, err := d.audit("event_archive.created", by, d.ArchiveARN(a.Name), a)
	if err != nil {
		return a, err
	}
	o, err := marshal(a.head(), a)
	if err != nil {
		return a, err
	}
	return a, created(d.cfg.Store.CreateBusObject(ctx, o, MaxArchives, eff), "Archive", name)
}

// emptyArchive removes what is archived under a name that no archive has.
func (d *Desk) emptyArchive(ctx context.Context, name string) error {
	if _, err := d.Archive(ctx, name); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	for {
		n, err := d.cfg.Archives.PruneArchive(ctx, name, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
		if err != nil || n == 0 {
			return err
		}
	}
}

// UpdateArchive changes an archive; what it has stays.
func (d *Desk) UpdateArchive(ctx context.Context, name string, c ArchiveChange, by string) (a StoredArchive, err error) {
	err = again(func() error {
		if a, err = d.Archive(ctx, name); err != nil {
			return err
		}
		if err := c.apply(&a); err != nil {
			return err
		}
		a.UpdatedAt = d.now()
		eff, err := d.audit("event_archive.updated", by, d.ArchiveARN(a.Name), a)
		if err != nil {
			return err
		}
		o, err := marshal(a.head(), a)
		if err != nil {
			return err
		}
		return d.cfg.Store.UpdateBusObject(ctx, o, eff)
	})
	return a, err
}

// DeleteArchive deletes an archive with its events.
func (d *Desk) DeleteArchive(ctx context.Context, name, by string) error {
	err := again(func() error {
		a, err := d.Archive(ctx, name)
		if err != nil {
			return err
		}
		eff, err := d.audit("event_archive.deleted", by, d.ArchiveARN(a.Name), a)
		if err != nil {
			return err
		}
		return d.cfg.Store.DeleteBusObject(ctx, a.head().BusKey, a.Rev, eff)
	})
	if err != nil {
		return err
	}
	return d.emptyArchive(ctx, name)
}

// Archives gives a page of the archives by name, of one bus when source names it.
func (d *Desk) Archives(ctx context.Context, source string, p Paging) ([]StoredArchive, string, error) {
	bus := ""
	if source != "" {
		b, err := d.Bus(ctx, source)
		if err != nil {
			return nil, "", err
		}
		bus = b.Name
	}
	return everyPage(ctx, d, store.BusKindArchive, "", p, func(o store.BusObject) (StoredArchive, bool, error) {
		a, err := ReadArchive(o)
		return a, bus == "" || a.Bus == bus, err
	})
}

// The states of a replay, AWS's own.
const (
	ReplayStarting   = "STARTING"
	ReplayRunning    = "RUNNING"
	ReplayCancelling = "CANCELLING"
	ReplayCompleted  = "COMPLETED"
	ReplayCancelled  = "CANCELLED"
	ReplayFailed     = "FAILED"
)

// Replay sends archived events again.
type Replay struct {
	Name, ARN string
	ReplayState
	head store.BusHead
}

// ReplayState is what is kept of a replay.
type ReplayState struct {
	Archive     string `json:"archive"`
	Bus         string `json:"bus"`
	Description string `json:"description,omitempty"`
	// From and To bound the times of the events; To is not included.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Rules are the ARNs of the only rules that get the events; none is all.
	Rules  []string `json:"rules,omitempty"`
	State  string   `json:"state"`
	Reason string   `json:"reason,omitempty"`
	// LastAt and LastSeq are of the last event that was sent.
	LastAt    time.Time `json:"last_at,omitzero"`
	LastSeq   int64     `json:"last_seq,omitempty"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	By        string    `json:"by"`
}

// Ended reports whether nothing will become of the replay any more.
func (r ReplayState) Ended() bool {
	return slices.Contains([]string{ReplayCompleted, ReplayCancelled, ReplayFailed}, r.State)
}

func (d *Desk) replay(o store.BusObject) (Replay, error) {
	r := Replay{Name: o.Name, ARN: d.arn("replay/" + o.Name), head: o.BusHead}
	return r, unmarshal(o, &r.ReplayState)
}

// Replay gives a replay.
func (d *Desk) Replay(ctx context.Context, name string) (Replay, error) {
	o, err := d.cfg.Store.BusObject(ctx, store.BusKey{Kind: store.BusKindReplay, Name: name})
	if errors.Is(err, store.ErrNotFound) {
		return Replay{}, say(store.ErrNotFound, "Replay %s does not exist.", name)
	}
	if err != nil {
		return Replay{}, err
	}
	return d.replay(o)
}

// StartReplay is what a replay is to do. Archive and Destination are ARNs.
type StartReplay struct {
	Name, Description, Archive, Destination string
	From, To                                time.Time
	Rules                                   []string
	By                                      string
}

// StartReplay enters a replay; whoever runs replays finds it.
func (d *Desk) StartReplay(ctx context.Context, s StartReplay) (Replay, error) {
	r, err := d.newReplay(ctx, s)
	if err != nil {
		return r, err
	}
	if err := d.makeRoom(ctx); err != nil {
		return r, err
	}
	eff, err := d.audit("event_replay.started", s.By, r.ARN, r.ReplayState)
	if err != nil {
		return r, err
	}
	o, err := marshal(r.head, r.ReplayState)
	if err != nil {
		return r, err
	}
	return r, created(d.cfg.Store.CreateBusObject(ctx, o, MaxReplays, eff), "Replay", s.Name)
}

func (d *Desk) newReplay(ctx context.Context, s StartReplay) (Replay, error) {
	const sourceWrong = "Parameter EventSourceArn is not valid. Reason: "
	name, ok := d.ours(s.Archive)
	name, isArchive := strings.CutPrefix(name, "archive/")
	if !ok || !isArchive {
		return Replay{}, wrong(sourceWrong + "Must contain an archive ARN.")
	}
	a, err := d.Archive(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return Replay{}, wrong(sourceWrong+"Archive %s does not exist.", name)
	}
	if err != nil {
		return Replay{}, err
	}
	if s.Destination != d.BusARN(a.Bus) {
		return Replay{}, wrong("Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted.")
	}
	if !s.From.Before(s.To) {
		return Replay{}, wrong("Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.")
	}
	if err := d.checkReplayed(ctx, a.Bus, s.Rules); err != nil {
		return Replay{}, err
	}
	now := d.now()
	return Replay{
		Name: s.Name, ARN: d.arn("replay/" + s.Name), head: store.BusHead{BusKey: store.BusKey{Kind: store.BusKindReplay, Name: s.Name}, CreatedAt: now},
		ReplayState: ReplayState{
			Archive: a.Name, Bus: a.Bus, Description: s.Description, From: s.From.UTC(), To: s.To.UTC(), Rules: s.Rules, State: ReplayStarting, StartedAt: now, By: s.By,
		},
	}, nil
}

// maxReplayRules bounds the rules that a replay is for: each event is held against them.
const maxReplayRules = 100

// checkReplayed refuses what would be replayed to nobody.
func (d *Desk) checkReplayed(ctx context.Context, on string, rules []string) error {
	const filterWrong = "Parameter Destination.FilterArns is not valid. Reason: "
	if len(rules) > maxReplayRules {
		return wrong(filterWrong+"it names %d rules, and a replay is for at most %d, or for all.", len(rules), maxReplayRules)
	}
	for _, arn := range rules {
		bus, name, err := d.tagged(arn)
		if err != nil || name == "" || bus != on {
			return wrong(filterWrong+"%s is not a rule of event bus %s.", arn, on)
		}
		switch r, err := d.Rule(ctx, bus, name); {
		case errors.Is(err, store.ErrNotFound):
			return wrong(filterWrong+"Rule %s does not exist on EventBus %s.", name, on)
		case err != nil:
			return err
		case r.Configured:
			return wrong(filterWrong+"Rule %s is managed by %s; such rules get replayed events only when no rules are named.", name, ManagedBy)
		}
	}
	return nil
}

// makeRoom forgets replays that ended long ago, and refuses another where as many as may
// be are under way.
func (d *Desk) makeRoom(ctx context.Context) error {
	running, old := 0, []Replay{}
	err := d.cfg.Pages.AllBusObjects(ctx, store.BusKindReplay, func(o store.BusObject) error {
		r, err := d.replay(o)
		switch {
		case err != nil:
		case !r.Ended():
			running++
		case d.now().Sub(r.EndedAt) > ReplaysKept:
			old = append(old, r)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range old {
		// Whoever else forgets it meanwhile has done the work.
		if err := d.cfg.Store.DeleteBusObject(ctx, r.head.BusKey, r.head.Rev, store.Effects{}); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	if running >= MaxRunning {
		return full("The requested resource exceeds the maximum number allowed: %d replays are under way.", running)
	}
	return nil
}

// SaveReplay stores what became of a replay that was read before. It answers
// store.ErrConflict when somebody, such as who cancels it, changed it meanwhile.
func (d *Desk) SaveReplay(ctx context.Context, r Replay) (Replay, error) {
	o, err := marshal(r.head, r.ReplayState)
	if err != nil {
		return r, err
	}
	var eff store.Effects
	if r.Ended() {
		if eff, err = d.audit("event_replay.ended", r.By, r.ARN, r.ReplayState); err != nil {
			return r, err
		}
	}
	if err := d.cfg.Store.UpdateBusObject(ctx, o, eff); err != nil {
		return r, err
	}
	r.head.Rev++
	return r, nil
}

// CancelReplay asks for the end of a replay that is under way.
func (d *Desk) CancelReplay(ctx context.Context, name, by string) (r Replay, err error) {
	err = again(func() error {
		if r, err = d.Replay(ctx, name); err != nil {
			return err
		}
		if r.State != ReplayStarting && r.State != ReplayRunning {
			return say(fault.E(fault.Conflict, "", ErrStatus), "Replay %s is not in a valid state for this operation.", name)
		}
		r.State = ReplayCancelling
		eff, err := d.audit("event_replay.cancelled", by, r.ARN, map[string]string{"archive": r.Archive})
		if err != nil {
			return err
		}
		o, err := marshal(r.head, r.ReplayState)
		if err != nil {
			return err
		}
		return d.cfg.Store.UpdateBusObject(ctx, o, eff)
	})
	return r, err
}

// Replays gives a page of the replays by name: those in a state, of an archive by its
// ARN; "" is all.
func (d *Desk) Replays(ctx context.Context, state, archive string, p Paging) ([]Replay, string, error) {
	return everyPage(ctx, d, store.BusKindReplay, "", p, func(o store.BusObject) (Replay, bool, error) {
		r, err := d.replay(o)
		return r, (state == "" || r.State == state) && (archive == "" || d.ArchiveARN(r.Archive) == archive), err
	})
}

// Running gives the replays that are under way.
func (d *Desk) Running(ctx context.Context) (out []Replay, err error) {
	err = d.cfg.Pages.AllBusObjects(ctx, store.BusKindReplay, func(o store.BusObject) error {
		r, err := d.replay(o)
		if err == nil && !r.Ended() {
			out = append(out, r)
		}
		return err
	})
	return out, err
}
