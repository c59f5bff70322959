package webhook

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// Guard says which addresses outside AWS may be called by what people make through an API:
// steps of runbooks, API destinations. Its clients use no proxy, which would hide where a
// name leads to, and follow no redirect.
type Guard struct {
	hosts   []string
	private bool
}

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)

// NewGuard allows hosts, as PostConfig has them; private lets them have addresses of
// private networks.
func NewGuard(hosts []string, private bool) (*Guard, error) {
	g := &Guard{private: private}
	for _, h := range hosts {
		h = strings.ToLower(strings.TrimSuffix(h, "."))
		if !hostName.MatchString(strings.TrimPrefix(h, "*.")) {
			return nil, fault.Errorf(fault.Invalid, "configure webhooks", "%.100q is no host name", h).WithHint("write names such as hooks.example.com or *.example.com under webhooks.hosts")
		}
		g.hosts = append(g.hosts, h)
	}
	return g, nil
}

// Check refuses an address that may not be called. Plain http is for loopback addresses
// alone, as for channels. An error names the host at most.
func (g *Guard) Check(u *url.URL) error {
	const op = "check address"
	host := u.Hostname()
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(host)):
		return fault.Errorf(fault.Denied, op, "the url to %.253s has to be https", host)
	case !g.allows(host):
		return fault.Errorf(fault.Denied, op, "%.253s is not among the hosts that may be called", host).
			WithHint("list it under webhooks.hosts in parry.yaml")
	case loopback(host) && !g.private:
		return private(host)
	}
	return nil
}

func (g *Guard) allows(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(g.hosts, func(h string) bool {
		below, wild := strings.CutPrefix(h, "*")
		return h == host || wild && strings.HasSuffix(host, below) && len(host) > len(below)
	})
}

// Client gives a client that connects to allowed addresses alone. t is for tests; nil is
// settings of its own.
func (g *Guard) Client(timeout time.Duration, t *http.Transport) *http.Client {
	if t == nil {
		t = &http.Transport{
			ForceAttemptHTTP2: true, MaxIdleConns: 4, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: timeout,
			ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: 64 << 10,
		}
	}
	// Of the address that is connected to, not of one that the name had before.
	dialer := &net.Dialer{Timeout: timeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error { return g.address(address) }}
	t.DialContext = dialer.DialContext
	return &http.Client{
		Transport: t, Timeout: timeout,
		// A redirect would send the body to an address that nobody allowed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var errPrivate = errors.New("it is an address of a private network")

func private(host string) error {
	return fault.Errorf(fault.Denied, "check address", "%s: %w", host, errPrivate).WithHint("set webhooks.allow_private where that is meant")
}

var (
	// sharedSpace is the space of carrier-grade NAT, which Go does not count as
	// private; AWS uses it inside.
	sharedSpace = netip.MustParsePrefix("100.64.0.0/10")
	// metadata is where instances of EC2 have their credentials by IPv6; by IPv4 it is
	// link-local.
	metadata = netip.MustParsePrefix("fd00:ec2::/32")
)

// address refuses to connect. What is link-local or a group is nobody's private network:
// there machines have their credentials.
func (g *Guard) address(text string) error {
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		return errPrivate
	}
	ip := ap.Addr().Unmap()
	switch {
	case ip.IsUnspecified(), ip.IsLinkLocalUnicast(), ip.IsMulticast(), metadata.Contains(ip), ip.Zone() != "":
		return errPrivate
	case g.private:
		return nil
	case !ip.IsGlobalUnicast() || ip.IsPrivate() || sharedSpace.Contains(ip):
		return errPrivate
	}
	return nil
}

// Failed words an error of a client's request to a host, without the address, which may
// hold a secret.
func Failed(host string, err error) error {
	if errors.Is(err, errPrivate) {
		return private(host)
	}
	var with *url.Error
	if errors.As(err, &with) {
		if with.Timeout() {
			return fault.Errorf(fault.Unavailable, "call", "%s: timeout: it did not answer in time", host)
		}
		err = with.Err
	}
	return fault.Errorf(fault.Unavailable, "call", "%s: %w", host, err)
}

// Wait reads Retry-After: zero where it says nothing, an hour at most. date is the
// receiver's clock, by which its dates count; without one now's.
func Wait(h http.Header, now time.Time) time.Duration {
	if said, err := http.ParseTime(h.Get("Date")); err == nil {
		now = said
	}
	return retryAfter(h.Get("Retry-After"), now)
}
