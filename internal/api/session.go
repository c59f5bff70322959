package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// People lets people in and out.
type People interface {
	SignIn(ctx context.Context, a auth.Attempt) (auth.SignedIn, store.Secret, error)
	SignOut(ctx context.Context, token store.Secret) error
	// Still gives who signed in without taking the look for a use of the session.
	Still(ctx context.Context, token store.Secret) (auth.SignedIn, error)
}

// SignInPath is asked for by who is not known yet.
const SignInPath = "/v1/session"

// maxSignIn bounds the body of a sign-in, in bytes.
const maxSignIn = 4 << 10

// SignInRequest is a name and a password.
type SignInRequest struct {
	Name     string       `json:"name" minLength:"1" maxLength:"128"`
	Password store.Secret `json:"password" minLength:"1" maxLength:"512" format:"password"`
}

// Session says who asks, and what they may do.
type Session struct {
	Name     string   `json:"name"`
	Role     string   `json:"role" doc:"viewer, responder, approver or administrator; of a key the first of its roles."`
	Accounts []string `json:"accounts" nullable:"false" doc:"12-digit ids, or * for all."`
	May      []string `json:"may" nullable:"false" doc:"The actions that the role has; those that concern the installation only with all accounts. The server checks each again."`
	// ExpiresAt is zero for a key.
	ExpiresAt time.Time `json:"expires_at,omitzero" doc:"When the session ends in any case; one that is not used ends after 8 hours."`
}

type signInInput struct{ Body SignInRequest }

type sessionOutput struct {
	SetCookie string `header:"Set-Cookie"`
	Body      Session
}

type signOutOutput struct {
	SetCookie string `header:"Set-Cookie"`
}

func (a *API) registerSession() {
	const tag = "session"
	registerOpen(a, operation{id: "sign-in", method: http.MethodPost, path: SignInPath, summary: "Sign in; the answer sets the session cookie", tag: tag, body: maxSignIn}, a.signIn)
	registerOpen(a, operation{id: "get-session", method: http.MethodGet, path: SignInPath, summary: "Who asks, and what they may do", tag: tag},
		func(ctx context.Context, in *struct{}) (*sessionOutput, error) {
			if s, ok := auth.SignedInFrom(ctx); ok {
				return &sessionOutput{Body: sessionOf(s)}, nil
			}
			p := auth.PrincipalFrom(ctx)
			if p.Name == "" {
				return nil, unknownVisitor()
			}
			s := auth.SignedIn{Principal: p}
			if len(p.Roles) > 0 {
				s.Role = p.Roles[0].Title()
			}
			return &sessionOutput{Body: sessionOf(s)}, nil
		})
	registerOpen(a, operation{id: "sign-out", method: http.MethodDelete, path: SignInPath, summary: "Sign out", tag: tag, status: http.StatusNoContent},
		func(ctx context.Context, in *struct{}) (*signOutOutput, error) {
			v := auth.VisitFrom(ctx)
			if err := a.cfg.People.SignOut(ctx, v.Token); err != nil {
				return nil, err
			}
			return &signOutOutput{cookieOf(v, "")}, nil
		})
}

func (a *API) signIn(ctx context.Context, in *signInInput) (*sessionOutput, error) {
	v := auth.VisitFrom(ctx)
	s, token, err := a.cfg.People.SignIn(ctx, auth.Attempt{Name: in.Body.Name, Password: in.Body.Password, Address: v.Address, Agent: v.Agent, Token: v.Token})
	switch {
	case fault.Is(err, fault.Denied):
		return nil, a.problem(ctx, err).with(http.StatusUnauthorized, nil)
	case err != nil:
		return nil, a.notNow(ctx, err)
	}
	return &sessionOutput{SetCookie: cookieOf(v, token.Reveal()), Body: sessionOf(s)}, nil
}

// notNow says after how long to try again, where that may help.
func (a *API) notNow(ctx context.Context, err error) error {
	if !fault.Is(err, fault.Exhausted) && !fault.Is(err, fault.Unavailable) {
		return err
	}
	p := a.problem(ctx, err)
	after := 5 * time.Second
	if p.Status == http.StatusTooManyRequests {
		after = auth.TryWindow
	}
	return p.with(p.Status, http.Header{"Retry-After": {strconv.Itoa(int(after.Seconds()))}})
}

func unknownVisitor() *Problem {
	return &Problem{Status: http.StatusUnauthorized, Title: http.StatusText(http.StatusUnauthorized), Code: string(fault.Denied), Detail: "nobody is signed in", Hint: "sign in, or sign the request with a key"}
}

func sessionOf(s auth.SignedIn) Session {
	out := Session{Name: s.Name, Role: s.Role, Accounts: auth.Scope(s.Principal), May: []string{}, ExpiresAt: s.ExpiresAt}
	for _, action := range s.Allowed() {
		out.May = append(out.May, string(action))
	}
	return out
}

// cookieOf words the session cookie. It is the browser's until it is closed: how long
// it is good is the server's business. Without a token it is taken back.
func cookieOf(v auth.Visit, token string) string {
	c := http.Cookie{Name: v.CookieName(), Value: token, Path: "/", HttpOnly: true, Secure: v.Secure, SameSite: http.SameSiteStrictMode}
	if token == "" {
		c.MaxAge = -1
	}
	return c.String()
}

// registerOpen adds an endpoint that anybody may ask, and that looks itself at who
// does.
func registerOpen[I, O any](a *API, op operation, handle func(ctx context.Context, in *I) (*O, error)) {
	described := a.describe(op, "")
	described.Security = []map[string][]string{{}}
	huma.Register(a.huma, described, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
}
