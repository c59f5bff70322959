package app

import (
	"context"
	"fmt"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/notify/email"
	"github.com/parry-security/parry/internal/service"
)

// invitationMail sends invitations by the server of an e-mail channel, to an address that
// an administrator gave.
type invitationMail struct {
	sender *email.Sender
	clock  service.Clock
	ids    service.IDs
}

// inviter gives what sends invitations by mail, nil where none is configured.
func (s *Server) inviter() (api.Inviter, error) {
	for _, c := range s.cfg.Channels {
		if c.Name != s.cfg.Invitations.Channel || c.Kind != "email" {
			continue
		}
		sender, err := mailer(c)
		if err != nil {
			return nil, fmt.Errorf("channel %s: %w", c.Name, err)
		}
		return invitationMail{sender, s.clock, s.ids}, nil
	}
	return nil, nil //nolint:nilnil // No inviter is what most installations have.
}

// SendInvitation sends one mail, at once and once: who asked for it is waiting, and has
// the link to hand over when it fails.
func (m invitationMail) SendInvitation(ctx context.Context, to string, v api.InvitationMail) error {
	_, err := m.sender.SendTo(ctx, to, notify.RenderInvitation(notify.Invitation{
		ID: m.ids.NewID("inv"), Name: v.Name, Role: v.Role, By: v.By, Link: v.Link, At: m.clock.Now(), Ends: v.Ends,
	}))
	return err
}
