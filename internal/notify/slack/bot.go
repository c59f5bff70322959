package slack

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/notify/webhook"
)

// APIHost is where Slack's Web API is.
const APIHost = "slack.com"

// method is the one of the Web API that a Bot calls:
// https://docs.slack.dev/reference/methods/chat.postMessage
const method = "/api/chat.postMessage"

// Threads keeps what Slack calls the threads that Parry has.
type Threads interface {
	NotificationThread(ctx context.Context, channel, thread string) (string, error)
	PutNotificationThread(ctx context.Context, channel, thread, ref string) error
}

// BotConfig is a channel of an app with a bot token, which can answer in threads.
type BotConfig struct {
	Token   string // a secret, never printed; needs the scope chat:write
	Channel string // id of a conversation, as C0123ABCD
	Name    string // of Parry's channel, under which Threads keeps its own
	Threads Threads
	// Host is posted to, in place of APIHost; it may have a private address.
	Host      string
	Timeout   time.Duration   // default: webhook.DefaultTimeout
	Transport *http.Transport // for tests, as in webhook.PostConfig
}

// Bot posts as an app. All messages about one remediation are one thread.
type Bot struct {
	cfg       BotConfig
	url, host string
	poster    *webhook.Poster
}

var conversation = regexp.MustCompile(`^[CDG][A-Z0-9]{2,30}$`)

// NewBot checks cfg; it opens no connection.
func NewBot(cfg BotConfig) (*Bot, error) {
	const op = "configure slack"
	own := cfg.Host != ""
	if !own {
		cfg.Host = APIHost
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = webhook.DefaultTimeout
	}
	u, err := url.Parse("https://" + cfg.Host + method)
	switch {
	case cfg.Token == "":
		return nil, fault.Errorf(fault.Invalid, op, "the bot token is empty").WithHint("set the environment variable that token_env of the channel names")
	case !conversation.MatchString(cfg.Channel):
		return nil, fault.Errorf(fault.Invalid, op, "%q is no id of a Slack channel", notify.Clean(cfg.Channel, 40)).WithHint("copy the id, such as C0123ABCD, from the channel's details in Slack")
	case err != nil || u.Path != method || u.User != nil:
		return nil, fault.Errorf(fault.Invalid, op, "%q is no host name", notify.Clean(cfg.Host, 100))
	case cfg.Name == "" || cfg.Threads == nil:
		return nil, fault.Errorf(fault.Internal, op, "name and threads are required")
	}
	allowed := u.Hostname()
	poster, err := webhook.NewPoster(webhook.PostConfig{Hosts: []string{allowed}, AllowPrivate: own, Timeout: cfg.Timeout, Transport: cfg.Transport})
	if err != nil {
		return nil, err
	}
	return &Bot{cfg: cfg, url: u.String(), host: u.Hostname(), poster: poster}, nil
}

// MaxItems is how many rows of a table fit into one message.
func (b *Bot) MaxItems() int { return maxRows }

// post is the body of a call.
type post struct {
	Channel string `json:"channel"`
	message
	ThreadTS string `json:"thread_ts,omitempty"`
	// Broadcast shows an answer in the channel too: what asks a person to act must not
	// be hidden in a thread.
	Broadcast bool     `json:"reply_broadcast,omitempty"`
	Unfurl    bool     `json:"unfurl_links"`
	Metadata  metadata `json:"metadata"`
}

// metadata is for programs; people see the id in the last line.
type metadata struct {
	Type    string            `json:"event_type"`
	Payload map[string]string `json:"event_payload"`
}

// Send posts m into the thread of its remediation, which the first message begins. Two
// first messages at the same moment begin two; what follows goes to the first noted.
func (b *Bot) Send(ctx context.Context, m notify.Message) (string, error) {
	const op = "post to slack"
	ref := ""
	if m.Thread != "" && !m.Test {
		var err error
		if ref, err = b.cfg.Threads.NotificationThread(ctx, b.cfg.Name, m.Thread); err != nil {
			return "", fault.Transient(err, again)
		}
	}
	raw, err := json.Marshal(post{
		Channel: b.cfg.Channel, message: layout(m), ThreadTS: ref, Broadcast: ref != "" && m.Urgent(),
		Metadata: metadata{Type: "parry_notification", Payload: map[string]string{"id": m.ID}},
	})
	if err != nil {
		return "", fault.Terminal(fault.E(fault.Invalid, op, err))
	}
	headers := map[string]string{"Authorization": "Bearer " + b.cfg.Token}
	answer, err := b.poster.Do(ctx, webhook.Post{ID: m.ID, URL: b.url, Headers: headers, Body: string(raw)})
	if fault.Is(err, fault.Denied) || fault.Is(err, fault.Invalid) {
		return "", fault.Terminal(err)
	}
	if err != nil {
		return "", fault.Transient(err, again)
	}
	ts, err := b.judge(answer)
	if err != nil {
		return "", err
	}
	if ref == "" && m.Thread != "" && !m.Test {
		// Without it the next message begins another thread, which harms less than
		// sending this one twice.
		_ = b.cfg.Threads.PutNotificationThread(ctx, b.cfg.Name, m.Thread, ts)
	}
	return "HTTP " + strconv.Itoa(answer.Code) + ", Slack message " + ts, nil
}

var timestamp = regexp.MustCompile(`^[0-9]{1,12}\.[0-9]{1,8}$`)

// passing are Slack's words for what may mend itself.
var passing = []string{"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}

// judge gives the message's timestamp. Slack says no with 200 and a word.
func (b *Bot) judge(a webhook.Answer) (string, error) {
	const op = "post to slack"
	var said struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
		TS    string `json:"ts"`
	}
	broken := json.Unmarshal([]byte(a.Body), &said) != nil
	word := notify.Clean(said.Error, 100)
	switch {
	case a.Code == http.StatusRequestTimeout || a.Code == http.StatusTooManyRequests || a.Code >= 500 || slices.Contains(passing, said.Error):
		return "", fault.Transient(fault.Errorf(fault.Unavailable, op, "%s answered %d %s", b.host, a.Code, word), max(again, a.Again))
	case a.Code < 200 || a.Code >= 300:
		return "", fault.Terminal(fault.Errorf(fault.Denied, op, "%s answered %d %s", b.host, a.Code, word))
	case broken:
		return "", fault.Terminal(fault.E(fault.Denied, op, errors.New(b.host+" answered what is not JSON")))
	case said.OK && timestamp.MatchString(said.TS):
		return said.TS, nil
	}
	return "", fault.Terminal(fault.Errorf(fault.Denied, op, "%s says %s", b.host, word).WithHint("%s", hint(said.Error)))
}

func hint(word string) string {
	switch word {
	case "not_in_channel":
		return "invite the app to the channel in Slack: /invite @app"
	case "channel_not_found":
		return "check slack_channel, and invite the app if the channel is private"
	case "missing_scope":
		return "give the app the scope chat:write, install it again, and set the new token"
	case "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive":
		return "set the app's bot token where token_env of the channel says, then restart and run: parry notify test"
	}
	return "look the word up at https://docs.slack.dev/reference/methods/chat.postMessage"
}
