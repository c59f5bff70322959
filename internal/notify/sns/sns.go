package sns

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
)

// The limits of SNS.
const (
	maxSubject = 100       // ASCII characters
	maxMessage = 240 << 10 // of 256 KiB
)

// again is the least wait before a message is published again.
const again = 5 * time.Second

// Publisher publishes one message; the gate's own traffic in production.
type Publisher interface {
	Publish(ctx context.Context, topicARN, subject, message string) (messageID string, err error)
}

// Config is a channel.
type Config struct {
	Publisher Publisher
	Topic     string // ARN
	Format    string // default: FormatPlain
}

// The formats of a message.
const (
	FormatPlain = "plain" // text, for people who get it by mail
	// FormatChatbot is the custom notification that Amazon Q Developer in chat
	// applications (AWS Chatbot) posts to Slack and Teams.
	FormatChatbot = "chatbot"
)

// Sender publishes.
type Sender struct{ cfg Config }

// New checks cfg.
func New(cfg Config) (*Sender, error) {
	const op = "configure sns"
	if cfg.Publisher == nil {
		return nil, fault.Errorf(fault.Internal, op, "publisher is required")
	}
	if cfg.Format != "" && cfg.Format != FormatPlain && cfg.Format != FormatChatbot {
		return nil, fault.Errorf(fault.Invalid, op, "format %q is not plain or chatbot", notify.Clean(cfg.Format, 40))
	}
	arn := regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)
	if !arn.MatchString(cfg.Topic) {
		return nil, fault.Errorf(fault.Invalid, op, "topic %q is no ARN of a standard topic", notify.Clean(cfg.Topic, 300)).
			WithHint("write topic: arn:aws:sns:us-east-1:111122223333:name")
	}
	return &Sender{cfg}, nil
}

// MaxItems is how many things one message lists: of a custom notification as many as are
// sure to fit into its description.
func (s *Sender) MaxItems() int {
	if s.cfg.Format == FormatChatbot {
		return maxRows
	}
	return notify.MaxItems
}

// Send publishes m. SNS has no idempotency for standard topics; the message ends
// with the notification's ID, by which a repetition can be told.
func (s *Sender) Send(ctx context.Context, m notify.Message) (string, error) {
	body := m.Body + "\nNotification " + m.ID + "\n"
	if len(body) > maxMessage {
		body = notify.Clean(body, maxMessage/4)
	}
	if s.cfg.Format == FormatChatbot {
		var err error
		if body, err = custom(m); err != nil {
			return "", fault.Terminal(fault.E(fault.Invalid, "publish notification", err))
		}
	}
	id, err := s.cfg.Publisher.Publish(ctx, s.cfg.Topic, subject(m.Subject), body)
	if err != nil {
		return "", classify(s.cfg.Topic, err)
	}
	return "SNS message " + id, nil
}

// subject gives s as SNS takes it: ASCII, one line, at most 100 characters,
// beginning with a letter, digit or punctuation mark.
func subject(s string) string {
	out := []byte{}
	for _, r := range notify.Clean(s, 0) {
		switch {
		case r == '…':
			out = append(out, "..."...)
		case r < ' ' || r > '~':
			out = append(out, '?')
		default:
			out = append(out, byte(r))
		}
	}
	if len(out) > maxSubject {
		out = append(out[:maxSubject-3], "..."...)
	}
	if len(out) == 0 {
		return "Parry"
	}
	return string(out)
}

// classify keeps a class that is set. Throttling, AWS's own errors and broken
// connections are worth another try; what AWS refuses is not.
func classify(topic string, err error) error {
	if _, transient := fault.IsTransient(err); transient || fault.IsTerminal(err) {
		return err
	}
	err = fmt.Errorf("publish to %s: %w", topic, err)
	var api *apimodel.APIError
	switch {
	case errors.As(err, &api) && !api.Throttled && !api.Uncertain && api.HTTPStatus < 500:
		return fault.Terminal(fault.E(fault.Denied, "", err).WithHint("check that the topic exists and that Parry's role may publish to it, then run: parry notify test"))
	case fault.Is(err, fault.Denied) || fault.Is(err, fault.Invalid):
		return fault.Terminal(err)
	}
	return fault.Transient(err, again)
}
