package events

import (
	"context"
	"time"

	"github.com/parry-security/parry/internal/route"
)

type archiveInput struct {
	ArchiveName               string
	EventSourceARN            string `json:"EventSourceArn"`
	Description, EventPattern *string
	RetentionDays             *int
	KmsKeyIdentifier          string
}

func (in archiveInput) change() (route.ArchiveChange, error) {
	if in.KmsKeyIdentifier != "" {
		return route.ArchiveChange{}, noKey()
	}
	return route.ArchiveChange{Description: in.Description, Pattern: in.EventPattern, RetentionDays: in.RetentionDays}, nil
}

// archiveState is what every archive is: there is nothing in between.
const archiveState = "ENABLED"

type archiveOutput struct {
	ArchiveARN     string    `json:"ArchiveArn,omitempty"`
	ArchiveName    string    `json:"ArchiveName,omitempty"`
	EventSourceARN string    `json:"EventSourceArn,omitempty"`
	Description    string    `json:"Description,omitempty"`
	EventPattern   string    `json:"EventPattern,omitempty"`
	State          string    `json:"State,omitempty"`
	RetentionDays  *int      `json:"RetentionDays,omitempty"`
	SizeBytes      *int64    `json:"SizeBytes,omitempty"`
	EventCount     *int64    `json:"EventCount,omitempty"`
	CreationTime   timestamp `json:"CreationTime,omitzero"`
}

// shownArchive is an archive as lists have it.
func (h *Handler) shownArchive(a route.StoredArchive) archiveOutput {
	return archiveOutput{ArchiveName: a.Name, EventSourceARN: h.cfg.Desk.BusARN(a.Bus), State: archiveState, RetentionDays: &a.Days, CreationTime: timestamp(a.CreatedAt)}
}

// madeArchive is an archive as those who make or change it are told of it.
func (h *Handler) madeArchive(a route.StoredArchive) archiveOutput {
	return archiveOutput{ArchiveARN: h.cfg.Desk.ArchiveARN(a.Name), State: archiveState, CreationTime: timestamp(a.CreatedAt)}
}

func (h *Handler) createArchive(ctx context.Context, c Caller, in *archiveInput) (any, error) {
	change, err := in.change()
	if err != nil {
		return nil, err
	}
	a, err := h.cfg.Desk.CreateArchive(ctx, in.ArchiveName, in.EventSourceARN, change, c.Principal.Name)
	return h.madeArchive(a), err
}

func (h *Handler) updateArchive(ctx context.Context, c Caller, in *archiveInput) (any, error) {
	change, err := in.change()
	if err != nil {
		return nil, err
	}
	a, err := h.cfg.Desk.UpdateArchive(ctx, in.ArchiveName, change, c.Principal.Name)
	return h.madeArchive(a), err
}

func (h *Handler) deleteArchive(ctx context.Context, c Caller, in *archiveInput) (any, error) {
	return done(h.cfg.Desk.DeleteArchive(ctx, in.ArchiveName, c.Principal.Name))
}

func (h *Handler) describeArchive(ctx context.Context, _ Caller, in *archiveInput) (any, error) {
	a, err := h.cfg.Desk.Archive(ctx, in.ArchiveName)
	if err != nil {
		return nil, err
	}
	events, bytes, err := h.cfg.Desk.ArchiveSize(ctx, a.Name)
	out := h.shownArchive(a)
	out.ArchiveARN, out.Description, out.EventPattern, out.EventCount, out.SizeBytes = h.cfg.Desk.ArchiveARN(a.Name), a.Description, a.Pattern, &events, &bytes
	return out, err
}

type listInput struct {
	paged
	EventSourceARN string `json:"EventSourceArn"`
	State          string
}

func (h *Handler) listArchives(ctx context.Context, _ Caller, in *listInput) (any, error) {
	question := []string{"archives", in.EventSourceARN, in.State}
	p, err := in.paging(question...)
	if err != nil {
		return nil, err
	}
	out := struct {
		Archives  []archiveOutput
		NextToken string `json:",omitempty"`
	}{Archives: []archiveOutput{}}
	if in.State != "" && in.State != archiveState {
		return out, nil
	}
	all, next, err := h.cfg.Desk.Archives(ctx, in.EventSourceARN, p)
	for _, a := range all {
		out.Archives = append(out.Archives, h.shownArchive(a))
	}
	out.NextToken = in.token(next, question...)
	return out, err
}

type destination struct {
	ARN        string   `json:"Arn"`
	FilterARNs []string `json:"FilterArns,omitempty"`
}

type replayInput struct {
	ReplayName, Description string
	EventSourceARN          string `json:"EventSourceArn"`
	EventStartTime          timestamp
	EventEndTime            timestamp
	Destination             destination
}

type replayOutput struct {
	ReplayARN             string       `json:"ReplayArn,omitempty"`
	ReplayName            string       `json:"ReplayName,omitempty"`
	Description           string       `json:"Description,omitempty"`
	State                 string       `json:"State,omitempty"`
	StateReason           string       `json:"StateReason,omitempty"`
	EventSourceARN        string       `json:"EventSourceArn,omitempty"`
	Destination           *destination `json:"Destination,omitempty"`
	EventStartTime        timestamp    `json:"EventStartTime,omitzero"`
	EventEndTime          timestamp    `json:"EventEndTime,omitzero"`
	EventLastReplayedTime timestamp    `json:"EventLastReplayedTime,omitzero"`
	ReplayStartTime       timestamp    `json:"ReplayStartTime,omitzero"`
	ReplayEndTime         timestamp    `json:"ReplayEndTime,omitzero"`
}

// shownReplay is a replay as lists have it.
func (h *Handler) shownReplay(r route.Replay) replayOutput {
	return replayOutput{
		ReplayName: r.Name, State: r.State, StateReason: r.Reason, EventSourceARN: h.cfg.Desk.ArchiveARN(r.Archive), EventStartTime: timestamp(r.From), EventEndTime: timestamp(r.To),
		EventLastReplayedTime: timestamp(r.LastAt), ReplayStartTime: timestamp(r.StartedAt), ReplayEndTime: timestamp(r.EndedAt),
	}
}

func (h *Handler) startReplay(ctx context.Context, c Caller, in *replayInput) (any, error) {
	r, err := h.cfg.Desk.StartReplay(ctx, route.StartReplay{
		Name: in.ReplayName, Description: in.Description, Archive: in.EventSourceARN, Destination: in.Destination.ARN, Rules: in.Destination.FilterARNs,
		From: time.Time(in.EventStartTime), To: time.Time(in.EventEndTime), By: c.Principal.Name,
	})
	return replayOutput{ReplayARN: r.ARN, State: r.State, ReplayStartTime: timestamp(r.StartedAt)}, err
}

func (h *Handler) cancelReplay(ctx context.Context, c Caller, in *replayInput) (any, error) {
	r, err := h.cfg.Desk.CancelReplay(ctx, in.ReplayName, c.Principal.Name)
	return replayOutput{ReplayARN: r.ARN, State: r.State, StateReason: r.Reason}, err
}

func (h *Handler) describeReplay(ctx context.Context, _ Caller, in *replayInput) (any, error) {
	r, err := h.cfg.Desk.Replay(ctx, in.ReplayName)
	if err != nil {
		return nil, err
	}
	out := h.shownReplay(r)
	out.ReplayARN, out.Description, out.Destination = r.ARN, r.Description, &destination{h.cfg.Desk.BusARN(r.Bus), r.Rules}
	return out, nil
}

func (h *Handler) listReplays(ctx context.Context, _ Caller, in *listInput) (any, error) {
	question := []string{"replays", in.EventSourceARN, in.State}
	p, err := in.paging(question...)
	if err != nil {
		return nil, err
	}
	all, next, err := h.cfg.Desk.Replays(ctx, in.State, in.EventSourceARN, p)
	out := struct {
		Replays   []replayOutput
		NextToken string `json:",omitempty"`
	}{Replays: []replayOutput{}, NextToken: in.token(next, question...)}
	for _, r := range all {
		out.Replays = append(out.Replays, h.shownReplay(r))
	}
	return out, err
}
