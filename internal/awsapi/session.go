package awsapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// Session is the right to call AWS as one identity in one mode. Safe for
// concurrent use; changes of one session are sent one after another.
type Session struct {
	g    *Gate
	id   Identity
	mode Mode
	// lenient turns text into what the model asks for, as Systems Manager does.
	lenient bool
	// execution is the one that the session carries out, in the record of calls.
	execution string
	roles     *roles // as which calls may be made besides the session's own
	applying  *applying

	do func(ctx context.Context, step string, r request) (apimodel.Reply, error)
}

// ReadOnly gives a session that sends reads, as id or as one of roles: ARNs, or
// patterns of them with * and ?. A change or a sensitive read is refused as
// denied.
func (g *Gate) ReadOnly(id Identity, roles ...string) *Session {
	s := &Session{g: g, id: id, mode: ModeRead, roles: newRoles(roles, "")}
	s.do = func(ctx context.Context, _ string, r request) (apimodel.Reply, error) {
		if r.class != apimodel.Read {
			return apimodel.Reply{}, fault.Errorf(fault.Denied, "call "+r.Service+":"+r.Operation, "a read-only session sends no %s", classWord(r.class)).
				WithHint("%s needs an approved plan", r.Service+":"+r.Operation)
		}
		return g.read(ctx, r.id, r)
	}
	return s
}

// Identity gives the identity of the session.
func (s *Session) Identity() Identity { return s.id }

// Call makes one call for the named step of a runbook ("" outside one). Errors:
// *apimodel.APIError from AWS, the client's validation error, or a fault.
func (s *Session) Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error) {
	start := s.g.cfg.Clock.Now()
	r, err := s.request(ctx, step, c)
	if err != nil {
		s.observe(r, start, err)
		s.g.noteRefused(r, start, err)
		return apimodel.Reply{}, s.marked(err)
	}
	reply, err := s.do(ctx, step, r)
	s.observe(r, start, err)
	s.g.noteRefused(r, start, err)
	return reply, s.marked(err)
}

// request resolves a call as the session makes it: by whom, in which spelling,
// with which right. With an error it is what the record says of the call.
func (s *Session) request(ctx context.Context, step string, c apimodel.Call) (request, error) {
	by := &origin{mode: s.mode, remediation: s.id.Remediation, execution: s.execution, step: step}
	id, c, err := s.identify(c)
	var r request
	if err == nil {
		r, err = s.g.resolve(ctx, id, s.mode, c)
	}
	if err != nil {
		c.Input = nil
		return request{Call: c, class: apimodel.Change, by: by}, err
	}
	r.by = by
	if err := s.takesCredentials(&r); err != nil {
		return r, err
	}
	if s.lenient && r.op.Input != nil {
		// Before anything is compared, so that plan, image and request agree.
		if in, ok := coerce(apimodel.Member{Shape: r.op.Input}, r.Input, 0).(map[string]any); ok {
			r.Input = in
		}
	}
	return r, nil
}

// read sends a read that the guards let pass.
func (g *Gate) read(ctx context.Context, id Identity, r request) (apimodel.Reply, error) {
	if err := g.check(id, r); err != nil {
		return apimodel.Reply{}, err
	}
	return g.send(ctx, id, r)
}

func classWord(c apimodel.Class) string {
	if c == apimodel.SensitiveRead {
		return "read of secret values"
	}
	return "change"
}

// codeOf gives an error from AWS the code that fits its status.
func codeOf(err error) fault.Code {
	var api *apimodel.APIError
	switch {
	case !errors.As(err, &api):
		return fault.CodeOf(err)
	case api.Throttled:
		return fault.Exhausted
	case api.Uncertain, api.HTTPStatus >= http.StatusInternalServerError, api.HTTPStatus == 0:
		return fault.Unavailable
	case api.HTTPStatus == http.StatusForbidden, api.HTTPStatus == http.StatusUnauthorized:
		return fault.Denied
	case api.HTTPStatus == http.StatusNotFound:
		return fault.NotFound
	default:
		return fault.Invalid
	}
}

// outcomeOf names an error for metrics.
func outcomeOf(err error) string {
	var api *apimodel.APIError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrSuperseded):
		return "superseded"
	case errors.Is(err, ErrUncertain):
		return "uncertain"
	case errors.As(err, &api):
		return "aws_error"
	case fault.Is(err, fault.Denied):
		return "denied"
	default:
		return "error"
	}
}

func (s *Session) observe(r request, start time.Time, err error) {
	outcome := outcomeOf(err)
	if s.g.cfg.Observe != nil {
		s.g.cfg.Observe(Event{
			Mode: s.mode, Service: r.Service, Operation: r.Operation, Class: r.class,
			Outcome: outcome, Duration: s.g.cfg.Clock.Now().Sub(start),
		})
	}
	if r.class.NeedsApproval() && s.mode != ModePlan {
		level := slog.LevelInfo
		if s.mode == ModeOwn {
			level = slog.LevelDebug // A queue is asked all day; the record of calls has it.
		}
		s.g.log.Log(context.Background(), level, "call that needs approval", "mode", s.mode, "service", r.Service, "operation", r.Operation,
			"account", r.Account, "region", r.Region, "session", s.id.SessionName, "outcome", outcome)
	}
}
