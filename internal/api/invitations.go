package api

import (
	"context"
	"net/http"
	"net/mail"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// Inviter sends an invitation to a mail address.
type Inviter interface {
	SendInvitation(ctx context.Context, to string, v InvitationMail) error
}

// InvitationMail is what an invitation by mail says.
type InvitationMail struct {
	Name, Role, By, Link string
	Ends                 time.Time
}

// Joiner lets people in who were invited.
type Joiner interface {
	// Invited gives whom an invitation is for, and leaves it as it is.
	Invited(ctx context.Context, code store.Secret, a auth.Attempt) (store.Person, error)
	Join(ctx context.Context, code store.Secret, a auth.Attempt) (auth.SignedIn, store.Secret, error)
}

// InvitationPath is asked by who has an invitation and nothing else.
const InvitationPath = "/v1/invitation"

// InvitationPage is the console's page of an invitation; the code stands behind it, where
// browsers keep it from servers and their logs.
const InvitationPage = "/invitation#"

// InvitedPerson is a person, with the invitation that was made for them.
type InvitedPerson struct {
	Person
	Code        string `json:"code,omitempty" doc:"The code of the invitation: the one time it is shown. Behind /invitation# of the console it is the link. Not there when it went out by mail, or when the person has a password."`
	Link        string `json:"link,omitempty" doc:"The link, where invitations.url of the configuration says where the console is."`
	MailedTo    string `json:"mailed_to,omitempty" doc:"The address that the mail server took the invitation for."`
	MailProblem string `json:"mail_problem,omitempty" doc:"Why it could not be sent; hand over the code another way. Untrusted text: it may be the mail server's."`
}

// NewInvitation says where an invitation goes.
type NewInvitation struct {
	Mail string `json:"mail,omitempty" maxLength:"254" doc:"Address that the invitation is sent to; without one the answer holds its code."`
}

// InvitationCode is an invitation to be looked at.
type InvitationCode struct {
	Code store.Secret `json:"code" minLength:"1" maxLength:"128" format:"password"`
}

// InvitationUse is an invitation and the password that was chosen.
type InvitationUse struct {
	Code     store.Secret `json:"code" minLength:"1" maxLength:"128" format:"password"`
	Password store.Secret `json:"password" minLength:"1" maxLength:"512" format:"password" doc:"12 to 128 characters."`
}

// Invitation is whom an invitation is for.
type Invitation struct {
	Name string    `json:"name"`
	Role string    `json:"role" enum:"viewer,responder,approver,administrator"`
	By   string    `json:"by" doc:"Who made it."`
	Ends time.Time `json:"ends"`
}

type (
	inviteInput struct {
		Name string `path:"name" maxLength:"64"`
		Body NewInvitation
	}
	invitationOutput struct{ Body Invitation }
	lookInput        struct{ Body InvitationCode }
	joinInput        struct{ Body InvitationUse }
)

func (a *API) registerInvitation() {
	const tag = "session"
	registerOpen(a, operation{id: "get-invitation", method: http.MethodPost, path: InvitationPath + "/look", summary: "Whom an invitation is for; it stays as it is", tag: tag, body: maxSignIn},
		func(ctx context.Context, in *lookInput) (*invitationOutput, error) {
			v := auth.VisitFrom(ctx)
			p, err := a.cfg.Joiner.Invited(ctx, in.Body.Code, auth.Attempt{Address: v.Address, Agent: v.Agent})
			if err != nil {
				return nil, a.notNow(ctx, err)
			}
			return &invitationOutput{Invitation{p.Name, p.Role, p.Invitation.By, p.Invitation.ExpiresAt}}, nil
		})
	registerOpen(a, operation{id: "use-invitation", method: http.MethodPost, path: InvitationPath, summary: "Choose a password by an invitation, once; the answer sets the session cookie", tag: tag, body: maxSignIn},
		func(ctx context.Context, in *joinInput) (*sessionOutput, error) {
			v := auth.VisitFrom(ctx)
			s, token, err := a.cfg.Joiner.Join(ctx, in.Body.Code, auth.Attempt{Password: in.Body.Password, Address: v.Address, Agent: v.Agent, Token: v.Token})
			if err != nil {
				return nil, a.notNow(ctx, err)
			}
			return &sessionOutput{SetCookie: cookieOf(v, token.Reveal()), Body: sessionOf(s)}, nil
		})
}

// invitePerson takes the password of a person and gives them an invitation instead.
func (a *API) invitePerson(ctx context.Context, p auth.Principal, in *inviteInput) (*invitedOutput, error) {
	if err := auth.Authorize(p, auth.PersonWrite, auth.All); err != nil {
		return nil, err
	}
	if err := a.checkMail(in.Body.Mail, ""); err != nil {
		return nil, err
	}
	var invited store.Person
	var code store.Secret
	_, err := a.updatePerson(ctx, p, in.Name, func(o *store.Person) (string, map[string]any, error) {
		if !o.DisabledAt.IsZero() {
			return "", nil, fault.Errorf(fault.Conflict, "invite person", "%s is disabled", o.Name).WithHint("enable them first: parry people enable %s", o.Name)
		}
		detail := map[string]any{}
		noteMail(detail, in.Body.Mail)
		var err error
		invited, code, err = auth.Invite(*o, p.Name, a.cfg.Clock.Now(), a.cfg.Random)
		*o = invited
		return "user.reset", detail, err
	})
	if err != nil {
		return nil, err
	}
	return &invitedOutput{a.invitation(ctx, invited, code, in.Body.Mail)}, nil
}

// checkMail checks where an invitation is to go, before anything is changed.
func (a *API) checkMail(to string, password store.Secret) error {
	const op = "send invitation"
	if to == "" {
		return nil
	}
	v, err := mail.ParseAddress(to)
	switch {
	case password != "":
		return fault.Errorf(fault.Invalid, op, "whoever is given a password is not invited").WithHint("leave out password or mail")
	case a.cfg.Inviter == nil:
		return fault.Errorf(fault.Invalid, op, "this server sends no invitations by mail").WithHint("leave out the address and hand over the link, or set invitations.url and invitations.channel in parry.yaml")
	case err != nil || v.Address != to:
		return fault.Errorf(fault.Invalid, op, "this is not one mail address").WithHint("write it as name@example.com")
	}
	return nil
}

func noteMail(detail map[string]any, to string) {
	if to != "" {
		detail["mail"] = to
	}
}

// invitation sends an invitation, or gives what its maker hands over. It is made already:
// one that cannot be sent is handed over too.
func (a *API) invitation(ctx context.Context, p store.Person, code store.Secret, to string) InvitedPerson {
	out := InvitedPerson{Person: a.personOf(p)}
	if code == "" {
		return out
	}
	link := ""
	if a.cfg.ConsoleURL != "" {
		link = a.cfg.ConsoleURL + InvitationPage + code.Reveal()
	}
	if to != "" {
		err := a.cfg.Inviter.SendInvitation(ctx, to, InvitationMail{Name: p.Name, Role: p.Role, By: p.Invitation.By, Link: link, Ends: p.Invitation.ExpiresAt})
		if err == nil {
			out.MailedTo = to
			return out
		}
		a.log.WarnContext(ctx, "an invitation was not mailed", "error", err)
		out.MailProblem = err.Error()
	}
	out.Code, out.Link = code.Reveal(), link
	return out
}
