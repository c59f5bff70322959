package awsfront

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/sigv4"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// People knows who signed in.
type People interface {
	// Who answers not_found for a token that is good for nothing.
	Who(ctx context.Context, token store.Secret) (auth.SignedIn, error)
	// Still is Who for a look that is no use of the session.
	Still(ctx context.Context, token store.Secret) (auth.SignedIn, error)
}

// Pages is the console: files, no data.
type Pages interface {
	http.Handler
	// Serves reports whether r asks for a page or a file of one.
	Serves(r *http.Request) bool
}

// The paths that browsers use with the session cookie.
const (
	restPrefix     = "/v1/"
	sessionPath    = "/v1/session"
	invitationPath = "/v1/invitation"
	streamPath     = "/v1/stream"
	restService    = "parry"
)

// browse answers a request without a signature that a browser may have sent: for a
// page, to sign in or out, to use an invitation, or with the cookie of a session. It reports whether it
// did; everything else is answered as a request that should have been signed.
//
// Invariant: a request that changes something is let through only when it does not
// come from another site (Sec-Fetch-Site, or Origin against Host), sign-in,
// sign-out and invitations included. The cookie being SameSite=Strict is the second line.
func (f *front) browse(w http.ResponseWriter, r *http.Request, v auth.Visit, log *slog.Logger) bool {
	if len(r.Header.Values("Authorization")) > 0 || strings.Contains(r.URL.RawQuery, "X-Amz-Signature=") {
		return false
	}
	if !strings.HasPrefix(r.URL.Path, restPrefix) {
		if f.cfg.Pages == nil || !f.cfg.Pages.Serves(r) {
			return false
		}
		f.cfg.Pages.ServeHTTP(w, r)
		return true
	}
	svc := f.cfg.Services[restService]
	door := r.URL.Path == sessionPath || r.URL.Path == invitationPath || r.URL.Path == invitationPath+"/look"
	if f.cfg.People == nil || svc == nil || v.Token == "" && !door {
		return false
	}
	if err := f.origin.Check(r); err != nil {
		f.refuse(w, r, svc, &sigv4.Failure{Kind: sigv4.CrossOrigin, Message: "The request comes from another site.", Err: err}, log)
		return true
	}
	ctx := auth.WithVisit(r.Context(), v)
	if v.Token != "" {
		look := f.cfg.People.Who
		if r.URL.Path == streamPath {
			look = f.cfg.People.Still // a browser opens it again by itself
		}
		who, err := look(ctx, v.Token)
		switch {
		case err == nil:
			ctx = auth.WithSignedIn(ctx, who)
			log = log.With("principal", who.Name)
		case !fault.Is(err, fault.NotFound):
			f.refuse(w, r, svc, &sigv4.Failure{Kind: sigv4.Unavailable, Message: "The server cannot read sessions at the moment.", Err: err}, log)
			return true
		case !door:
			f.refuse(w, r, svc, &sigv4.Failure{Kind: sigv4.SignedOut, Message: "The session has ended."}, log)
			return true
		}
	}
	log.DebugContext(ctx, "request accepted")
	// One more byte than is taken, so that the service says itself what is too much.
	r.Body = http.MaxBytesReader(w, r.Body, svc.MaxBody()+1)
	svc.ServeHTTP(w, r.WithContext(ctx))
	return true
}

// visit reads what a request says about its sender. Of the headers of a proxy only
// those are believed that a trusted one set: the last address that is not a proxy's.
func (f *front) visit(r *http.Request) auth.Visit {
	v := auth.Visit{Agent: r.UserAgent(), Secure: r.TLS != nil}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil {
		v.Address = peer.Addr().Unmap().String()
		if f.proxy(peer.Addr()) {
			f.forwarded(r, &v)
		}
	}
	if c, err := r.Cookie(v.CookieName()); err == nil {
		v.Token = store.Secret(c.Value)
	}
	return v
}

func (f *front) forwarded(r *http.Request, v *auth.Visit) {
	if last := r.Header.Values("X-Forwarded-Proto"); len(last) == 1 && last[0] == "https" {
		v.Secure = true
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return
		}
		v.Address = hop.Unmap().String()
		if !f.proxy(hop) {
			return
		}
	}
}

func (f *front) proxy(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range f.cfg.Proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
