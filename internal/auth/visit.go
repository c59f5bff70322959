package auth

import (
	"context"

	"github.com/parry-security/parry/internal/store"
)

// Visit is what is known of a request beside who makes it.
type Visit struct {
	// Address is the sender's, behind a reverse proxy that is trusted the one it names.
	Address string
	Agent   string
	// Secure says that the sender used TLS, to Parry or to a trusted proxy.
	Secure bool
	// Token is of the session cookie, "" without one.
	Token store.Secret
}

// The names of the session cookie. Browsers take one with the prefix __Host- from a
// page with TLS only, for this host only and for every path.
const (
	cookie       = "parry_session"
	secureCookie = "__Host-parry_session"
)

// CookieName gives the name of the session cookie.
func (v Visit) CookieName() string {
	if v.Secure {
		return secureCookie
	}
	return cookie
}

type visitKey struct{}

// WithVisit gives a context that carries v.
func WithVisit(ctx context.Context, v Visit) context.Context {
	return context.WithValue(ctx, visitKey{}, v)
}

// VisitFrom gives the visit of ctx, or one that says nothing.
func VisitFrom(ctx context.Context) Visit {
	v, _ := ctx.Value(visitKey{}).(Visit)
	return v
}

type signedInKey struct{}

// WithSignedIn gives a context that carries who signed in, as principal too.
func WithSignedIn(ctx context.Context, s SignedIn) context.Context {
	return WithPrincipal(context.WithValue(ctx, signedInKey{}, s), s.Principal)
}

// SignedInFrom gives who signed in, if anybody did.
func SignedInFrom(ctx context.Context) (SignedIn, bool) {
	s, ok := ctx.Value(signedInKey{}).(SignedIn)
	return s, ok
}
