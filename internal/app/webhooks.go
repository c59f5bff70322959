package app

import (
	"context"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/notify/webhook"
)

// webhooks lets runbooks post to the hosts that the configuration lists.
type webhooks struct{ poster *webhook.Poster }

// newWebhooks gives nil where nothing is listed: then no document that posts is
// even planned.
func newWebhooks(cfg config.Webhooks) (automation.Webhooks, error) {
	if len(cfg.Hosts) == 0 {
		return nil, nil //nolint:nilnil // nil is the value: nowhere
	}
	p, err := webhook.NewPoster(webhook.PostConfig{Hosts: cfg.Hosts, AllowPrivate: cfg.AllowPrivate})
	if err != nil {
		return nil, err
	}
	return webhooks{p}, nil
}

// Post answers automation.Webhooks.
func (w webhooks) Post(ctx context.Context, post automation.Webhook) (automation.WebhookAnswer, error) {
	answer, err := w.poster.Do(ctx, webhook.Post(post))
	return automation.WebhookAnswer{Code: answer.Code, Body: answer.Body}, err
}
