package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	stdmail "net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
)

// DefaultTimeout bounds one delivery.
const DefaultTimeout = 30 * time.Second

// MaxRecipients bounds the addresses of a channel.
const MaxRecipients = 100

// again is the least wait before a mail is tried again.
const again = 30 * time.Second

// The TLS policies.
const (
	TLSRequired      = "required"      // STARTTLS, or no mail
	TLSImplicit      = "implicit"      // TLS from the first byte, port 465
	TLSOpportunistic = "opportunistic" // STARTTLS if the server offers it
	TLSNone          = "none"
)

// Config is a channel.
type Config struct {
	Server   string // host:port
	TLS      string // default: TLSRequired
	Username string // default: no authentication
	Password string // never printed
	From     string // one address, with or without a name
	To       []string
	Timeout  time.Duration  // default: DefaultTimeout
	Roots    *x509.CertPool // default: the system's
	Hello    string         // name given in EHLO; default: the host's name
}

// Sender sends mail. Safe for concurrent use: every Send is a connection of its
// own.
type Sender struct {
	cfg    Config
	host   string
	port   int
	from   *stdmail.Address
	to     []*stdmail.Address
	domain string // of Message-IDs
}

// New checks cfg; it opens no connection.
func New(cfg Config) (*Sender, error) {
	const op = "configure email"
	s := &Sender{cfg: cfg}
	host, port, err := net.SplitHostPort(cfg.Server)
	if err != nil || host == "" {
		return nil, fault.Errorf(fault.Invalid, op, "smtp server %q is not host:port", cfg.Server).WithHint("write smtp: mail.example.com:587")
	}
	s.host = host
	if s.port, err = strconv.Atoi(port); err != nil || s.port < 1 || s.port > 65535 {
		return nil, fault.Errorf(fault.Invalid, op, "smtp port %q is no port", port)
	}
	switch cfg.TLS {
	case "":
		s.cfg.TLS = TLSRequired
	case TLSRequired, TLSImplicit, TLSOpportunistic, TLSNone:
	default:
		return nil, fault.Errorf(fault.Invalid, op, "tls %q is not required, implicit, opportunistic or none", cfg.TLS)
	}
	if cfg.Username != "" && (s.cfg.TLS == TLSNone || s.cfg.TLS == TLSOpportunistic) && !loopback(host) {
		return nil, fault.Errorf(fault.Invalid, op, "tls %s would send the password in the clear", s.cfg.TLS).WithHint("set tls: required")
	}
	if s.from, err = address(cfg.From); err != nil {
		return nil, fault.Errorf(fault.Invalid, op, "from: %w", err)
	}
	if len(cfg.To) == 0 || len(cfg.To) > MaxRecipients {
		return nil, fault.Errorf(fault.Invalid, op, "to has %d addresses, it needs 1 to %d", len(cfg.To), MaxRecipients)
	}
	for i, to := range cfg.To {
		a, err := address(to)
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, op, "to[%d]: %w", i, err)
		}
		s.to = append(s.to, a)
	}
	if s.cfg.Timeout <= 0 {
		s.cfg.Timeout = DefaultTimeout
	}
	_, s.domain, _ = strings.Cut(s.from.Address, "@")
	return s, nil
}

func address(s string) (*stdmail.Address, error) {
	if strings.ContainsAny(s, "\r\n\x00") {
		return nil, errors.New("the address has a line break in it")
	}
	a, err := stdmail.ParseAddress(s)
	if err != nil {
		return nil, fmt.Errorf("%q is no mail address", s)
	}
	return a, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Send delivers m to all recipients, or fails for all. The error says whether
// another try is worth it; what was accepted by the server is a success even
// when the connection breaks right after.
func (s *Sender) Send(ctx context.Context, m notify.Message) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	msg, err := s.message(m)
	if err != nil {
		return "", fault.Terminal(fault.E(fault.Internal, "lay out mail", err))
	}
	client, err := s.client()
	if err != nil {
		return "", fault.Terminal(fault.E(fault.Invalid, "send mail", err))
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if err == nil || msg.IsDelivered() {
		return strings.TrimSpace("SMTP " + msg.ServerResponse()), nil
	}
	return "", s.classify("send mail", err)
}

// SendTo is Send to one address instead of the channel's.
func (s *Sender) SendTo(ctx context.Context, to string, m notify.Message) (string, error) {
	a, err := address(to)
	if err != nil {
		return "", fault.Terminal(fault.Errorf(fault.Invalid, "send mail", "to: %w", err))
	}
	one := *s
	one.to = []*stdmail.Address{a}
	return one.Send(ctx, m)
}

// Check connects to the server, with TLS and login as mail is sent with, and sends
// nothing.
func (s *Sender) Check(ctx context.Context) error {
	const op = "reach the mail server"
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	client, err := s.client()
	if err != nil {
		return fault.E(fault.Invalid, op, err)
	}
	if err := client.DialWithContext(ctx); err != nil {
		return s.classify(op, err)
	}
	if err := client.Close(); err != nil {
		return s.classify(op, err)
	}
	return nil
}

// message is multipart/alternative: text, then HTML. What concerns one remediation refers
// to a message that was never sent, so that mail readers put it into one thread whichever
// comes first. There is no List-Unsubscribe: who gets mail is in the configuration.
func (s *Sender) message(m notify.Message) (*mail.Msg, error) {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.from)
	msg.ToMailAddress(s.to...)
	// Clean again: this is the place where a line break would be a header.
	msg.Subject(notify.Clean(m.Subject, 200))
	msg.SetMessageIDWithValue(m.ID + "@" + s.domain)
	msg.SetDateWithValue(m.At)
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	if m.Thread != "" {
		root := "<" + m.Thread + ".thread@" + s.domain + ">"
		msg.SetGenHeader(mail.HeaderInReplyTo, root)
		msg.SetGenHeader(mail.HeaderReferences, root)
	}
	laid, err := html(m)
	if err != nil {
		return nil, err
	}
	msg.SetBodyString(mail.TypeTextPlain, m.Body+"\n-- \nNotification "+m.ID+"\n")
	msg.AddAlternativeString(mail.TypeTextHTML, laid)
	return msg, nil
}

func (s *Sender) client() (*mail.Client, error) {
	options := []mail.Option{
		mail.WithPort(s.port), mail.WithTimeout(s.cfg.Timeout),
		mail.WithTLSConfig(&tls.Config{ServerName: s.host, RootCAs: s.cfg.Roots, MinVersion: tls.VersionTLS12}),
	}
	switch s.cfg.TLS {
	case TLSImplicit:
		options = append(options, mail.WithSSL())
	case TLSOpportunistic:
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	case TLSNone:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.cfg.Hello != "" {
		options = append(options, mail.WithHELO(s.cfg.Hello))
	}
	if s.cfg.Username != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.cfg.Username), mail.WithPassword(s.cfg.Password))
	}
	return mail.NewClient(s.host, options...)
}

// classify tells what another try may mend from what it cannot: a server that
// says no for good (5xx), or that offers no TLS or no login where it must.
func (s *Sender) classify(op string, err error) error {
	where := fmt.Errorf("server %s: %w", s.cfg.Server, err)
	if code := replyCode(err); code >= 500 {
		return fault.Terminal(fault.E(fault.Denied, op, where).WithHint("check from, to, username and password of the channel in parry.yaml, then run: parry notify test"))
	} else if code >= 400 {
		return fault.Transient(fault.E(fault.Unavailable, op, where), again)
	}
	if unfit(err) {
		return fault.Terminal(fault.E(fault.Denied, op, where).WithHint("check tls, username and password of the channel in parry.yaml, then run: parry notify test"))
	}
	return fault.Transient(fault.E(fault.Unavailable, op, where), again)
}

// unfit reports whether the server lacks what the configuration asks for. go-mail
// has no error values for some of it, so its texts are looked at.
func unfit(err error) bool {
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) || errors.Is(err, mail.ErrNoSupportedAuthDiscovered) {
		return true
	}
	text := err.Error()
	return strings.Contains(text, "does not support STARTTLS") || strings.Contains(text, "does not support SMTP AUTH")
}

// replyCode gives the server's reply code, 0 when there was none.
func replyCode(err error) int {
	var sent *mail.SendError
	if errors.As(err, &sent) && sent.ErrorCode() != 0 {
		return sent.ErrorCode()
	}
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code
	}
	return 0
}

// String names the channel without its secret.
func (c Config) String() string {
	return fmt.Sprintf("smtp://%s (%s) from %s", c.Server, c.TLS, c.From)
}
