package awsfront

import (
	"net/http/httptest"
	"net/netip"
	"testing"
)

// TestOnlyATrustedProxyIsBelieved: the address that tries to sign in are counted by is
// the last one that no proxy of ours wrote of itself.
func TestOnlyATrustedProxyIsBelieved(t *testing.T) {
	t.Parallel()
	f := &front{cfg: Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}}}
	for name, c := range map[string]struct {
		peer, forwarded, proto string
		address                string
		secure                 bool
	}{
		"direct":            {"203.0.113.7:5", "", "", "203.0.113.7", false},
		"liar":              {"203.0.113.7:5", "198.51.100.1", "https", "203.0.113.7", false},
		"proxy":             {"10.1.2.3:5", "198.51.100.1", "https", "198.51.100.1", true},
		"liar before proxy": {"10.1.2.3:5", "192.0.2.66, 198.51.100.1", "https", "198.51.100.1", true},
		"two proxies":       {"[::1]:5", "198.51.100.1, 10.9.9.9", "", "198.51.100.1", false},
		"proxy alone":       {"10.1.2.3:5", "", "http", "10.1.2.3", false},
		"nonsense":          {"10.1.2.3:5", "198.51.100.1, x\ty", "https,http", "10.1.2.3", false},
		"mapped":            {"[::ffff:10.1.2.3]:5", "::ffff:198.51.100.1", "https", "198.51.100.1", true},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if c.proto != "" {
			r.Header.Set("X-Forwarded-Proto", c.proto)
		}
		r.Header.Set("Cookie", "parry_session=plain; __Host-parry_session=safe")
		want := "plain"
		if c.secure {
			want = "safe"
		}
		if v := f.visit(r); v.Address != c.address || v.Secure != c.secure || v.Token.Reveal() != want {
			t.Errorf("%s: %s, secure %v, token %s", name, v.Address, v.Secure, v.Token.Reveal())
		}
	}
}
