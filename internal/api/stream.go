package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

const (
	// beat is how often a stream shows that it is alive, and looks whether whoever
	// follows it still may.
	beat = 15 * time.Second
	// gather is how long what comes is gathered: one fix changes a dozen things.
	gather = 200 * time.Millisecond
	// maxFlush hints go out at once; more are one per kind.
	maxFlush = 100
	// streamPatience is how long a client may take for one write.
	streamPatience = 30 * time.Second
	// longestStream ends a stream, which the browser begins anew.
	longestStream = time.Hour
)

// ChangeHint says that something changed: read it again.
type ChangeHint struct {
	Type string `json:"type" enum:"finding,remediation,approval,exception,stop,ready,reset"`
	ID   string `json:"id,omitempty" doc:"Of what changed; none means several, or the list."`
	Rev  int64  `json:"rev,omitempty" doc:"Its version now, where it has one."`
}

type streamInput struct {
	Last string `header:"Last-Event-ID" maxLength:"64" doc:"The id of the last event that was seen: what came since is sent, or reset."`
}

func (a *API) registerStream() {
	op := operation{
		id: "follow-changes", method: http.MethodGet, path: "/v1/stream", tag: "server",
		summary: "Follow what changes, as server-sent events: data is a ChangeHint; after the event reset, read everything again",
	}
	described := a.describe(op, "")
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[ChangeHint](), true, "ChangeHint")
	described.Responses["200"] = &huma.Response{Description: "Events", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: schema}}}
	huma.Register(a.huma, described, func(ctx context.Context, in *streamInput) (*huma.StreamResponse, error) {
		p := auth.PrincipalFrom(ctx)
		if len(p.Allowed()) == 0 {
			return nil, a.problem(ctx, fault.Errorf(fault.Denied, "follow changes", "nothing is visible to the caller"))
		}
		leave, err := a.cfg.Streams.enter(p.Name)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		// huma runs the body whenever it got this far.
		return &huma.StreamResponse{Body: func(w huma.Context) {
			defer leave()
			a.follow(w, p, in.Last)
		}}, nil
	})
}

// stream is one answer that does not end.
type stream struct {
	w   http.ResponseWriter
	ctl *http.ResponseController
	now func() time.Time
}

// write sends text within streamPatience. The server's limit is for one answer; this
// one lasts.
func (s *stream) write(text string) error {
	// A writer without deadlines needs no longer one.
	_ = s.ctl.SetWriteDeadline(s.now().Add(streamPatience))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.ctl.Flush()
}

func (a *API) follow(c huma.Context, p auth.Principal, last string) {
	_, w := humago.Unwrap(c)
	ctx := c.Context()
	s := &stream{w: w, ctl: http.NewResponseController(w), now: a.cfg.Clock.Now}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // or nginx keeps the events for itself
	w.WriteHeader(http.StatusOK)
	at, whole := a.cfg.Streams.place(last)
	first := "retry: 2000\n" + sse(a.cfg.Streams.id(at), "ready", ChangeHint{Type: "ready"})
	if !whole {
		first += sse(a.cfg.Streams.id(at), "reset", ChangeHint{Type: "reset"})
	}
	if s.write(first) != nil {
		return // The client is gone.
	}
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	end := time.NewTimer(longestStream)
	defer end.Stop()
	for {
		events, next, news, whole, open := a.cfg.Streams.since(at)
		if text := a.tell(p, events, next, whole); text != "" && s.write(text) != nil {
			return
		}
		at = next
		if !open {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-ticker.C:
			var text string
			if p, text = a.still(ctx, p); text != "" {
				_ = s.write(text) // It is the last.
				return
			}
			if s.write(": beat\n\n") != nil {
				return
			}
		case <-news:
			if !pause(ctx, gather) {
				return
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// still looks whether a person is still signed in, and as what: a session that ended,
// a user who is disabled or has another role must not go on following. The look is no
// use of the session. A text says that this was all.
func (a *API) still(ctx context.Context, p auth.Principal) (auth.Principal, string) {
	if p.Session == "" {
		return p, "" // a key: it signs again within longestStream
	}
	who, err := a.cfg.People.Still(ctx, auth.VisitFrom(ctx).Token)
	switch {
	case err == nil:
		return who.Principal, ""
	case fault.Is(err, fault.NotFound):
		return p, "event: signed-out\ndata: {}\n\n"
	}
	// Sessions cannot be read: nothing may be told. The browser tries again.
	return p, ": the server cannot read sessions\n\n"
}

// tell words events as p may see them, each thing once.
func (a *API) tell(p auth.Principal, events []event, next uint64, whole bool) string {
	id := a.cfg.Streams.id(next)
	var hints []store.Hint
	said := map[[2]string]int{}
	for _, e := range events {
		if e.gap {
			whole = false
			break
		}
		h, ok := visible(p, e.Hint)
		if !ok {
			continue
		}
		key := [2]string{string(h.Kind), h.ID}
		if i, again := said[key]; again {
			hints[i].Rev = max(hints[i].Rev, h.Rev)
			continue
		}
		said[key] = len(hints)
		hints = append(hints, h)
	}
	if !whole {
		return sse(id, "reset", ChangeHint{Type: "reset"})
	}
	if len(hints) > maxFlush {
		hints = kindsOf(hints)
	}
	var b strings.Builder
	for i, h := range hints {
		// All but the last have no id of their own: who loses the connection between them
		// gets all of them again.
		eventID := ""
		if i == len(hints)-1 {
			eventID = id
		}
		b.WriteString(sse(eventID, "", ChangeHint{Type: string(h.Kind), ID: h.ID, Rev: h.Rev}))
	}
	return b.String()
}

func kindsOf(hints []store.Hint) []store.Hint {
	var out []store.Hint
	said := map[store.HintKind]bool{}
	for _, h := range hints {
		if !said[h.Kind] {
			said[h.Kind] = true
			out = append(out, store.Hint{Kind: h.Kind})
		}
	}
	return out
}

// sse words one server-sent event. Its data is JSON, which has no line ends.
//
// https://html.spec.whatwg.org/multipage/server-sent-events.html
func sse(id, name string, hint ChangeHint) string {
	raw, err := json.Marshal(hint)
	if err != nil {
		return ""
	}
	var b strings.Builder
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	if name != "" {
		fmt.Fprintf(&b, "event: %s\n", name)
	}
	fmt.Fprintf(&b, "data: %s\n\n", raw)
	return b.String()
}
