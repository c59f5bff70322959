package webhook

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"github.com/parry-security/parry/internal/fault"
)

// TestGuardAddresses: what a name leads to is looked at, not the name.
func TestGuardAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]struct{ public, private bool }{
		"93.184.216.34:443": {true, true}, "[2606:2800:220:1::1]:443": {true, true},
		"10.1.2.3:443": {false, true}, "192.168.0.1:443": {false, true}, "127.0.0.1:80": {false, true}, "[::1]:80": {false, true}, "100.64.0.1:443": {false, true}, "[fd12::1]:443": {false, true},
		"[::ffff:10.0.0.1]:443":  {false, true},
		"169.254.169.254:80":     {false, false},
		"169.254.170.2:80":       {false, false},
		"[::ffff:a9fe:a9fe]:80":  {false, false},
		"[fd00:ec2::254]:80":     {false, false},
		"[fe80::1]:80":           {false, false},
		"[fe80::1%25eth0]:80":    {false, false},
		"0.0.0.0:80":             {false, false},
		"[::]:80":                {false, false},
		"224.0.0.1:80":           {false, false},
		"no address":             {false, false},
		"example.com:443":        {false, false},
		"[2606:2800::1%25e]:443": {false, false},
	} {
		for private, want := range map[bool]bool{false: want.public, true: want.private} {
			g := &Guard{private: private}
			if got := g.address(address) == nil; got != want {
				t.Errorf("%s, private networks %v: connected %v", address, private, got)
			}
		}
	}
}

func TestGuardCheck(t *testing.T) {
	t.Parallel()
	open, err := NewGuard([]string{"hooks.example.com", "*.example.org", "127.0.0.1"}, true)
	if err != nil {
		t.Fatal(err)
	}
	closed, err := NewGuard([]string{"127.0.0.1"}, false)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"https://hooks.example.com/a": true, "https://HOOKS.example.com.:8443/a": true, "https://a.b.example.org": true, "https://127.0.0.1:1": true, "http://127.0.0.1:1": true,
		"https://example.org": false, "https://evilexample.org": false, "http://hooks.example.com": false, "http://127.0.0.2": false, "ftp://127.0.0.1": false, "https://[::1]/": false, "https://": false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := open.Check(u); (err == nil) != want || err != nil && !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", text, err)
		}
		if err := closed.Check(u); err == nil {
			t.Errorf("%s: allowed without private networks", text)
		}
	}
	if _, err := NewGuard([]string{"http://x"}, false); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

// TestFailed: an error names the host, and tells a timeout.
func TestFailed(t *testing.T) {
	t.Parallel()
	for text, err := range map[string]error{
		"h: timeout: it did not answer in time": &url.Error{Op: "Post", URL: "https://h/token", Err: context.DeadlineExceeded}, "h: broken": &url.Error{Op: "Post", URL: "https://h/token", Err: errors.New("broken")},
	} {
		if got := Failed("h", err); got.Error() != "call: "+text || !fault.Is(got, fault.Unavailable) {
			t.Errorf("%v", got)
		}
	}
	if got := Failed("h", &url.Error{Err: errPrivate}); !fault.Is(got, fault.Denied) || fault.HintOf(got) == "" {
		t.Errorf("%v", got)
	}
}
