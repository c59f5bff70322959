package slack

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/notify/webhook"
)

// Host is where Slack's incoming webhooks are:
// https://api.slack.com/messaging/webhooks
const Host = "hooks.slack.com"

// again is the least wait before a message is posted again; Slack takes about one a
// second.
const again = 30 * time.Second

// Config is a channel.
type Config struct {
	URL string // https; a secret, never printed
	// Hosts may be posted to, in place of Host; these may have private addresses.
	Hosts     []string
	Timeout   time.Duration   // default: webhook.DefaultTimeout
	Transport *http.Transport // for tests, as in webhook.PostConfig
}

// Sender posts.
type Sender struct {
	url, host string
	poster    *webhook.Poster
}

// New checks cfg; it opens no connection.
func New(cfg Config) (*Sender, error) {
	const op = "configure slack"
	own := len(cfg.Hosts) > 0
	if !own {
		cfg.Hosts = []string{Host}
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = webhook.DefaultTimeout
	}
	u, err := url.Parse(cfg.URL)
	switch {
	case cfg.URL == "":
		return nil, fault.Errorf(fault.Invalid, op, "the webhook's url is empty").WithHint("set the environment variable that url_env of the channel names")
	case err != nil || u.Hostname() == "" || u.Scheme != "https" || u.User != nil:
		return nil, fault.Errorf(fault.Invalid, op, "the webhook's url is no https address") // its text is a secret
	case !slices.ContainsFunc(cfg.Hosts, func(h string) bool { return allows(h, u.Hostname()) }):
		return nil, fault.Errorf(fault.Invalid, op, "the webhook's url does not lead to %s", strings.Join(cfg.Hosts, ", ")).
			WithHint("list another host under hosts of the channel where that is meant")
	}
	poster, err := webhook.NewPoster(webhook.PostConfig{Hosts: cfg.Hosts, AllowPrivate: own, Timeout: cfg.Timeout, Transport: cfg.Transport})
	if err != nil {
		return nil, err
	}
	return &Sender{url: cfg.URL, host: u.Hostname(), poster: poster}, nil
}

// allows is what a webhook.Poster takes for one of its hosts.
func allows(pattern, host string) bool {
	pattern, host = strings.ToLower(strings.TrimSuffix(pattern, ".")), strings.ToLower(strings.TrimSuffix(host, "."))
	below, wild := strings.CutPrefix(pattern, "*")
	return pattern == host || wild && strings.HasSuffix(host, below) && len(host) > len(below)
}

// MaxItems is how many rows of a table fit into one message.
func (s *Sender) MaxItems() int { return maxRows }

// Send posts m and gives Slack's status and word. 408, 429 and 5xx are tried again,
// not before Retry-After.
func (s *Sender) Send(ctx context.Context, m notify.Message) (string, error) {
	const op = "post to slack"
	raw, err := json.Marshal(layout(m))
	if err != nil {
		return "", fault.Terminal(fault.E(fault.Invalid, op, err))
	}
	answer, err := s.poster.Do(ctx, webhook.Post{ID: m.ID, URL: s.url, Body: string(raw)})
	if fault.Is(err, fault.Denied) || fault.Is(err, fault.Invalid) {
		return "", fault.Terminal(err)
	}
	if err != nil {
		return "", fault.Transient(err, again)
	}
	said := strings.TrimSpace("HTTP " + strconv.Itoa(answer.Code) + " " + notify.Clean(answer.Body, 200))
	switch {
	case answer.Code >= 200 && answer.Code < 300:
		return said, nil
	case answer.Code == http.StatusRequestTimeout || answer.Code == http.StatusTooManyRequests || answer.Code >= 500:
		return "", fault.Transient(fault.Errorf(fault.Unavailable, op, "%s answered %d: %s", s.host, answer.Code, notify.Clean(answer.Body, 200)), max(again, answer.Again))
	}
	return "", fault.Terminal(fault.Errorf(fault.Denied, op, "%s answered %d: %s", s.host, answer.Code, notify.Clean(answer.Body, 200)).
		WithHint("make the webhook anew in Slack and set its url where url_env of the channel says, then restart and run: parry notify test"))
}
