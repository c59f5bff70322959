package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/store"
)

// Channels are those of notifications.
type Channels interface {
	Reports() []notify.Report
	Test(ctx context.Context, channel, event, by string) (notify.Trial, error)
}

// Channel is one channel, and what it did on the node that answers since it started.
type Channel struct {
	Name     string    `json:"name"`
	Kind     string    `json:"kind" enum:"email,sns,webhook,slack"`
	Sent     int64     `json:"sent" doc:"Messages that the receiver took, tests among them."`
	Failed   int64     `json:"failed" doc:"Tries that failed; a message may have several."`
	SentAt   time.Time `json:"sent_at,omitzero" doc:"When the receiver last took one."`
	Answer   string    `json:"answer,omitempty" doc:"What it answered then. Untrusted text."`
	FailedAt time.Time `json:"failed_at,omitzero" doc:"When a try last failed."`
	Problem  string    `json:"problem,omitempty" doc:"Why. Untrusted text: it may be the receiver's."`
	// What is not there is sent by itself.
	GroupBy       []string `json:"group_by,omitempty" nullable:"false" doc:"What the notifications of one message share, besides what happened and the status; nothing: each is a message."`
	GroupWait     string   `json:"group_wait,omitempty" doc:"How long the first of a group waits for others, as in 30s."`
	GroupInterval string   `json:"group_interval,omitempty" doc:"How long until the next message of the group."`
	MaxPerMessage int      `json:"max_per_message,omitempty" doc:"What a message lists at most."`
}

func channelOf(r notify.Report) Channel {
	c := Channel{Name: r.Name, Kind: r.Kind, Sent: r.Sent, Failed: r.Failed, SentAt: r.SentAt, Answer: r.Answer, FailedAt: r.FailedAt, Problem: r.Problem}
	if g := r.Grouping; len(g.By) > 0 {
		c.GroupBy, c.GroupWait, c.GroupInterval, c.MaxPerMessage = g.By, g.Wait.String(), g.Interval.String(), g.Max
	}
	return c
}

// ChannelTest is what came of a test message.
type ChannelTest struct {
	Channel      string `json:"channel"`
	Event        string `json:"event" enum:"queued,succeeded,failed,approval,group"`
	Notification string `json:"notification" doc:"Id of the message, which its receiver sees too."`
	Subject      string `json:"subject"`
	Delivered    bool   `json:"delivered" doc:"Whether the receiver took it. What becomes of it behind the receiver is not known."`
	Answer       string `json:"answer,omitempty" doc:"What the receiver answered. Untrusted text."`
	Problem      string `json:"problem,omitempty" doc:"Why it was not delivered. Untrusted text."`
	Hint         string `json:"hint,omitempty" doc:"What to do."`
}

// testPatience bounds a test: a client waits no longer than a minute.
const testPatience = 40 * time.Second

type testChannelInput struct {
	Name string `path:"name" maxLength:"200"`
	Body struct {
		Event string `json:"event,omitempty" enum:"queued,succeeded,failed,approval,group" default:"succeeded" doc:"What the message is about."`
	}
}

func (a *API) registerChannels() {
	const tag = "channels"
	register(a, operation{id: "list-channels", method: http.MethodGet, path: "/v1/channels", summary: "List channels of notifications with what they did since the node started", tag: tag}, auth.ChannelRead,
		func(_ context.Context, p auth.Principal, _ *struct{}) (*page[Channel], error) {
			if err := auth.Authorize(p, auth.ChannelRead, auth.All); err != nil {
				return nil, err
			}
			items := []Channel{}
			for _, r := range a.cfg.Channels.Reports() {
				items = append(items, channelOf(r))
			}
			return pageOf(items, ""), nil
		})
	register(a, operation{id: "test-channel", method: http.MethodPost, path: "/v1/channels/{name}/test", summary: "Send a message that says it is a test through a channel", tag: tag}, auth.ChannelTest, a.testChannel)
}

// testChannel audits that a test is asked for before it is sent.
func (a *API) testChannel(ctx context.Context, p auth.Principal, in *testChannelInput) (*struct{ Body ChannelTest }, error) {
	if err := auth.Authorize(p, auth.ChannelTest, auth.All); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(a.cfg.Channels.Reports(), func(r notify.Report) bool { return r.Name == in.Name }) {
		return nil, fault.Errorf(fault.NotFound, "test channel", "there is no channel %q", notify.Clean(in.Name, 80)).WithHint("list them: parry notify channels")
	}
	detail, err := json.Marshal(map[string]string{"event": in.Body.Event})
	if err != nil {
		return nil, err
	}
	err = a.cfg.Directory.Enqueue(ctx, store.Execution, store.Effects{Audit: []store.AuditRecord{
		{At: a.cfg.Clock.Now().UTC(), Actor: p.Name, Action: "channel.tested", Object: in.Name, Detail: detail},
	}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, testPatience)
	defer cancel()
	t, err := a.cfg.Channels.Test(ctx, in.Name, in.Body.Event, p.Name)
	if err != nil {
		return nil, err
	}
	return &struct{ Body ChannelTest }{ChannelTest{
		Channel: in.Name, Event: in.Body.Event, Notification: t.Notification, Subject: t.Subject, Delivered: t.Problem == "",
		Answer: t.Answer, Problem: t.Problem, Hint: t.Hint,
	}}, nil
}
