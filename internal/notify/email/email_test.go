package email_test

import (
	"mime"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/notify/email"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var message = notify.Message{
	ID: "ntf-0011", Subject: "[HIGH] Parry: Behälter ist öffentlich", Body: "Line one.\n\n.leading dot\n  Finding: äöü\n",
	At: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
}

func sender(t *testing.T, s *server, edit func(*email.Config)) *email.Sender {
	t.Helper()
	cfg := email.Config{Server: s.addr, TLS: email.TLSNone, From: "Parry <parry@example.com>", To: []string{"team@example.com", "Ops <ops@example.com>"}, Hello: "test.example.com", Timeout: 10 * time.Second}
	if edit != nil {
		edit(&cfg)
	}
	out, err := email.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSend(t *testing.T) {
	t.Parallel()
	srv := serve(t, nil)
	s := sender(t, srv, nil)
	for range 2 {
		answer, err := s.Send(t.Context(), message)
		if err != nil || !strings.HasPrefix(answer, "SMTP ") || !strings.Contains(answer, "accepted") {
			t.Fatalf("answer %q, %v", answer, err)
		}
	}
	got := srv.received()
	if len(got) != 2 {
		t.Fatalf("%d mails, want 2", len(got))
	}
	if diff := cmp.Diff([]string{"parry@example.com", "team@example.com", "ops@example.com"}, got[0].envelope); diff != "" {
		t.Errorf("envelope (-want +got)\n%s", diff)
	}
	m, err := mail.ReadMessage(strings.NewReader(got[0].data))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != message.Subject {
		t.Errorf("subject %q, %v", subject, err)
	}
	if id := m.Header.Get("Message-Id"); id != "<ntf-0011@example.com>" {
		t.Errorf("message id %q", id)
	}
	if date, err := m.Header.Date(); err != nil || !date.Equal(message.At) {
		t.Errorf("date %s, %v", date, err)
	}
	body, _ := parts(t, got[0].data)
	if want := message.Body + "\n-- \nNotification ntf-0011\n"; body != want {
		t.Errorf("body %q, want %q", body, want)
	}
	again, err := mail.ReadMessage(strings.NewReader(got[1].data))
	if err != nil || again.Header.Get("Message-Id") != m.Header.Get("Message-Id") {
		t.Errorf("a second try has another message id: %v", err)
	}
}

func TestNoHeaderCanBeInjected(t *testing.T) {
	t.Parallel()
	srv := serve(t, nil)
	m := message
	m.Subject = "x\r\nBcc: victim@example.com\r\n\r\nbody\x00\x1b[2J"
	if _, err := sender(t, srv, nil).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := srv.received()[0]
	parsed, err := mail.ReadMessage(strings.NewReader(got.data))
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Header.Get("Bcc") != "" || len(got.envelope) != 3 {
		t.Errorf("a header was injected: %v, envelope %v", parsed.Header, got.envelope)
	}
	if s := parsed.Header.Get("Subject"); s != "x Bcc: victim@example.com body [2J" {
		t.Errorf("subject %q", s)
	}
	for _, bad := range []email.Config{
		{Server: "127.0.0.1:25", From: "a@example.com\r\nBcc: b@example.com", To: []string{"c@example.com"}},
		{Server: "127.0.0.1:25", From: "a@example.com", To: []string{"c@example.com\nX: y"}},
	} {
		if _, err := email.New(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("config %v gives %v", bad, err)
		}
	}
}

func TestTLSAndLogin(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(s *server) { s.startTLS, s.user, s.pass = true, "parry", "correct horse" })
	login := func(c *email.Config) {
		c.TLS, c.Roots, c.Username, c.Password = email.TLSRequired, srv.roots, "parry", "correct horse"
	}
	if _, err := sender(t, srv, login).Send(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	if got := srv.received(); len(got) != 1 || !got[0].encrypted || got[0].user != "parry" {
		t.Errorf("received %+v, want one encrypted mail from parry", got)
	}
	wrong := func(c *email.Config) { login(c); c.Password = "hunter2" }
	_, err := sender(t, srv, wrong).Send(t.Context(), message)
	if !fault.IsTerminal(err) || !strings.Contains(fault.HintOf(err), "password") {
		t.Errorf("a wrong password gives %v, hint %q", err, fault.HintOf(err))
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %q prints the password", err)
	}
	stranger := func(c *email.Config) { login(c); c.Roots = nil }
	if _, err := sender(t, srv, stranger).Send(t.Context(), message); !fault.IsTerminal(err) {
		t.Errorf("an unknown certificate gives %v", err)
	}
	opportunistic := func(c *email.Config) { c.TLS, c.Roots = email.TLSOpportunistic, srv.roots }
	if _, err := sender(t, srv, opportunistic).Send(t.Context(), message); !fault.IsTerminal(err) {
		t.Errorf("a server that wants a login gives %v", err)
	}
}

func TestRequiredTLSIsRequired(t *testing.T) {
	t.Parallel()
	srv := serve(t, nil)
	_, err := sender(t, srv, func(c *email.Config) { c.TLS = "" }).Send(t.Context(), message)
	if !fault.IsTerminal(err) || !strings.Contains(fault.HintOf(err), "tls") {
		t.Errorf("a server without TLS gives %v, hint %q", err, fault.HintOf(err))
	}
	if len(srv.received()) > 0 {
		t.Error("a mail went out in the clear")
	}
	if _, err := sender(t, srv, func(c *email.Config) { c.TLS = email.TLSOpportunistic }).Send(t.Context(), message); err != nil {
		t.Errorf("opportunistic TLS: %v", err)
	}
}

func TestRetryClass(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit      func(*server)
		transient bool
		delivered int
		ok        bool
	}{
		"mailbox unknown":         {edit: func(s *server) { s.replies = map[string]string{"RCPT": "550 5.1.1 no such user"} }},
		"greylisted":              {edit: func(s *server) { s.replies = map[string]string{"RCPT": "450 4.2.0 try later"} }, transient: true},
		"server too busy":         {edit: func(s *server) { s.replies = map[string]string{"MAIL": "421 4.3.2 busy"} }, transient: true},
		"content refused":         {edit: func(s *server) { s.replies = map[string]string{"END": "554 5.7.1 spam"} }},
		"storage full":            {edit: func(s *server) { s.replies = map[string]string{"END": "452 4.3.1 full"} }, transient: true},
		"hangs up at once":        {edit: func(s *server) { s.hangUpAt = "EHLO" }, transient: true},
		"hangs up during data":    {edit: func(s *server) { s.hangUpAt = "END" }, transient: true},
		"hangs up after delivery": {edit: func(s *server) { s.hangUpAt = "RSET" }, ok: true, delivered: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, tc.edit)
			_, err := sender(t, srv, nil).Send(t.Context(), message)
			if tc.ok {
				if err != nil || len(srv.received()) != tc.delivered {
					t.Errorf("a mail that was accepted gives %v", err)
				}
				return
			}
			_, transient := fault.IsTransient(err)
			if err == nil || transient != tc.transient || fault.IsTerminal(err) == tc.transient {
				t.Errorf("error %v, transient %v, want %v", err, transient, tc.transient)
			}
		})
	}
	srv := serve(t, nil)
	srv.stop()
	_, err := sender(t, srv, nil).Send(t.Context(), message)
	if _, ok := fault.IsTransient(err); !ok {
		t.Error("a server that is away is not tried again")
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*email.Config){
		"no port":             func(c *email.Config) { c.Server = "mail.example.com" },
		"bad port":            func(c *email.Config) { c.Server = "mail.example.com:smtp" },
		"unknown tls":         func(c *email.Config) { c.TLS = "yes" },
		"password in clear":   func(c *email.Config) { c.TLS, c.Username = email.TLSNone, "u" },
		"password maybe":      func(c *email.Config) { c.TLS, c.Username = email.TLSOpportunistic, "u" },
		"no sender":           func(c *email.Config) { c.From = "" },
		"no recipients":       func(c *email.Config) { c.To = nil },
		"bad recipient":       func(c *email.Config) { c.To = []string{"a@example.com", "nobody"} },
		"too many recipients": func(c *email.Config) { c.To = make([]string, email.MaxRecipients+1) },
	} {
		cfg := email.Config{Server: "mail.example.com:587", From: "a@example.com", To: []string{"b@example.com"}}
		edit(&cfg)
		if _, err := email.New(cfg); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: error is %v, want an invalid one", name, err)
		}
	}
	if s := (email.Config{Server: "s:1", Password: "hunter2"}).String(); strings.Contains(s, "hunter2") {
		t.Errorf("%q prints the password", s)
	}
}

// TestCheckSendsNothing connects as a mail is sent, and says what is in the way.
func TestCheckSendsNothing(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(s *server) { s.startTLS, s.user, s.pass = true, "parry", "correct horse" })
	login := func(c *email.Config) {
		c.TLS, c.Roots, c.Username, c.Password = email.TLSRequired, srv.roots, "parry", "correct horse"
	}
	if err := sender(t, srv, login).Check(t.Context()); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*email.Config){
		"password":    func(c *email.Config) { login(c); c.Password = "hunter2" },
		"certificate": func(c *email.Config) { login(c); c.Roots = nil },
	} {
		err := sender(t, srv, edit).Check(t.Context())
		if !fault.IsTerminal(err) || !strings.Contains(fault.HintOf(err), "parry notify test") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, hint %q", name, err, fault.HintOf(err))
		}
	}
	plain := serve(t, nil)
	if err := sender(t, plain, func(c *email.Config) { c.TLS = "" }).Check(t.Context()); !fault.IsTerminal(err) || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("a server without TLS: %v", err)
	}
	if err := sender(t, srv, func(c *email.Config) { c.Server = "127.0.0.1:1" }).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody listens: %v", err)
	}
	if len(srv.received())+len(plain.received()) > 0 {
		t.Error("a mail was sent")
	}
}
