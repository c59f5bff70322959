package api

import (
	"context"
	"net/http"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/route"
)

// Archive is an archive of a bus.
type Archive struct {
	Name        string    `json:"name"`
	Bus         string    `json:"bus"`
	Pattern     string    `json:"pattern,omitempty" doc:"Only events that match are kept; absent takes all."`
	Days        int       `json:"days,omitempty" doc:"How long events are kept; absent is for ever."`
	Description string    `json:"description,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	Events      *int64    `json:"events,omitempty" doc:"Of one archive: how many events it has."`
	Bytes       *int64    `json:"bytes,omitempty" doc:"And the bytes that they take."`
}

// ArchiveRequest is an archive that is to be made.
type ArchiveRequest struct {
	Name        string `json:"name" minLength:"1" maxLength:"48" pattern:"^[.\\-_A-Za-z0-9]+$"`
	Bus         string `json:"bus,omitempty" maxLength:"256" default:"default"`
	Pattern     string `json:"pattern,omitempty" maxLength:"4096"`
	Days        int    `json:"days,omitempty" minimum:"0" maximum:"36500"`
	Description string `json:"description,omitempty" maxLength:"512"`
}

// Replay sends archived events again.
type Replay struct {
	Name      string    `json:"name"`
	Archive   string    `json:"archive"`
	Bus       string    `json:"bus"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Rules     []string  `json:"rules,omitempty" doc:"ARNs of the only rules that get the events."`
	State     string    `json:"state" enum:"STARTING,RUNNING,CANCELLING,COMPLETED,CANCELLED,FAILED"`
	Reason    string    `json:"reason,omitempty"`
	LastAt    time.Time `json:"last_event_at,omitzero" doc:"The time of the last event that was sent."`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	By        string    `json:"by,omitempty"`
}

// ReplayRequest is a replay that is to begin.
type ReplayRequest struct {
	Name    string    `json:"name" minLength:"1" maxLength:"64" pattern:"^[.\\-_A-Za-z0-9]+$"`
	Archive string    `json:"archive" minLength:"1" maxLength:"48"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Rules   []string  `json:"rules,omitempty" maxItems:"5" doc:"ARNs of the only rules that get the events."`
}

type namedPage struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"100"`
	Cursor string `query:"cursor" maxLength:"64" doc:"The name behind which the page begins."`
}

type (
	archiveName struct {
		Name string `path:"name" maxLength:"48"`
	}
	replayName struct {
		Name string `path:"name" maxLength:"64"`
	}
	archiveOutput struct{ Body Archive }
	replayOutput  struct{ Body Replay }
)

func archiveOf(a route.StoredArchive) Archive {
	return Archive{Name: a.Name, Bus: a.Bus, Pattern: a.Pattern, Days: a.Days, Description: a.Description, CreatedAt: a.CreatedAt}
}

func replayOf(r route.Replay) Replay {
	return Replay{
		Name: r.Name, Archive: r.Archive, Bus: r.Bus, From: r.From, To: r.To, Rules: r.Rules, State: r.State, Reason: r.Reason, LastAt: r.LastAt,
		StartedAt: r.StartedAt, EndedAt: r.EndedAt, By: r.By,
	}
}

func (a *API) registerArchives(tag string) {
	const archives, replays = "/v1/bus/archives", "/v1/bus/replays"
	shelf := a.cfg.Bus.Shelf // nil where only the document is written
	register(a, operation{id: "list-archives", method: http.MethodGet, path: archives, summary: "List archives by name", tag: tag}, auth.EventRuleRead,
		forAll(auth.EventRuleRead, func(ctx context.Context, _ auth.Principal, in *namedPage) (*page[Archive], error) {
			found, next, err := shelf.Archives(ctx, "", route.Paging{After: in.Cursor, Limit: in.Limit})
			items := make([]Archive, len(found))
			for i, f := range found {
				items[i] = archiveOf(f)
			}
			return pageOf(items, next), err
		}))
	register(a, operation{id: "create-archive", method: http.MethodPost, path: archives, summary: "Keep the events of a bus from now on", tag: tag, status: http.StatusCreated}, auth.EventRuleWrite,
		forAll(auth.EventRuleWrite, func(ctx context.Context, p auth.Principal, in *struct{ Body ArchiveRequest }) (*archiveOutput, error) {
			r := in.Body
			made, err := shelf.CreateArchive(ctx, r.Name, shelf.BusARN(r.Bus), route.ArchiveChange{Description: &r.Description, Pattern: &r.Pattern, RetentionDays: &r.Days}, p.Name)
			return &archiveOutput{archiveOf(made)}, err
		}))
	register(a, operation{id: "get-archive", method: http.MethodGet, path: archives + "/{name}", summary: "Show an archive with what it holds", tag: tag}, auth.EventRuleRead,
		forAll(auth.EventRuleRead, func(ctx context.Context, _ auth.Principal, in *archiveName) (*archiveOutput, error) {
			found, err := shelf.Archive(ctx, in.Name)
			if err != nil {
				return nil, err
			}
			out := archiveOf(found)
			events, bytes, err := shelf.ArchiveSize(ctx, in.Name)
			out.Events, out.Bytes = &events, &bytes
			return &archiveOutput{out}, err
		}))
	register(a, operation{id: "delete-archive", method: http.MethodDelete, path: archives + "/{name}", summary: "Delete an archive with its events", tag: tag, status: http.StatusNoContent}, auth.EventRuleWrite,
		forAll(auth.EventRuleWrite, func(ctx context.Context, p auth.Principal, in *archiveName) (*struct{}, error) {
			return nil, shelf.DeleteArchive(ctx, in.Name, p.Name)
		}))
	register(a, operation{id: "list-replays", method: http.MethodGet, path: replays, summary: "List replays by name", tag: tag}, auth.EventRuleRead,
		forAll(auth.EventRuleRead, func(ctx context.Context, _ auth.Principal, in *namedPage) (*page[Replay], error) {
			found, next, err := shelf.Replays(ctx, "", "", route.Paging{After: in.Cursor, Limit: in.Limit})
			items := make([]Replay, len(found))
			for i, f := range found {
				items[i] = replayOf(f)
			}
			return pageOf(items, next), err
		}))
	register(a, operation{id: "start-replay", method: http.MethodPost, path: replays, summary: "Send archived events to rules again; nothing is remediated by it", tag: tag, status: http.StatusAccepted}, auth.EventRuleWrite,
		forAll(auth.EventRuleWrite, a.startReplay))
	register(a, operation{id: "preview-replay", method: http.MethodPost, path: replays + "/preview", summary: "Tell which rules a replay would send how many events; nothing is sent", tag: tag}, auth.EventRuleRead,
		forAll(auth.EventRuleRead, func(ctx context.Context, _ auth.Principal, in *struct{ Body ReplayRequest }) (*struct{ Body route.ReplayPreview }, error) {
			r := in.Body
			archive, err := shelf.Archive(ctx, r.Archive)
			if err != nil {
				return nil, err
			}
			out, err := a.cfg.Bus.Preview(ctx, route.Replay{Name: r.Name, ReplayState: route.ReplayState{Archive: archive.Name, Bus: archive.Bus, From: r.From, To: r.To, Rules: r.Rules}})
			return &struct{ Body route.ReplayPreview }{out}, err
		}))
	register(a, operation{id: "get-replay", method: http.MethodGet, path: replays + "/{name}", summary: "Show a replay", tag: tag}, auth.EventRuleRead,
		forAll(auth.EventRuleRead, func(ctx context.Context, _ auth.Principal, in *replayName) (*replayOutput, error) {
			found, err := shelf.Replay(ctx, in.Name)
			return &replayOutput{replayOf(found)}, err
		}))
	register(a, operation{id: "cancel-replay", method: http.MethodPost, path: replays + "/{name}/cancel", summary: "End a replay; what it sent stays sent", tag: tag}, auth.EventRuleWrite,
		forAll(auth.EventRuleWrite, func(ctx context.Context, p auth.Principal, in *replayName) (*replayOutput, error) {
			found, err := shelf.CancelReplay(ctx, in.Name, p.Name)
			return &replayOutput{replayOf(found)}, err
		}))
}

func (a *API) startReplay(ctx context.Context, p auth.Principal, in *struct{ Body ReplayRequest }) (*replayOutput, error) {
	r, shelf := in.Body, a.cfg.Bus.Shelf
	archive, err := shelf.Archive(ctx, r.Archive)
	if err != nil {
		return nil, err
	}
	begun, err := shelf.StartReplay(ctx, route.StartReplay{
		Name: r.Name, Archive: shelf.ArchiveARN(archive.Name), Destination: shelf.BusARN(archive.Bus), From: r.From, To: r.To, Rules: r.Rules, By: p.Name,
	})
	return &replayOutput{replayOf(begun)}, err
}
