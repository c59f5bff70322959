package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// Persons keeps the people who may sign in.
type Persons interface {
	PutPerson(ctx context.Context, p store.Person, eff store.Effects) error
	Person(ctx context.Context, name string) (store.Person, error)
	ListPersons(ctx context.Context) ([]store.Person, error)
	UpdatePersonKeeping(ctx context.Context, p store.Person, signOut bool, keeps func(store.Person) bool, eff store.Effects) error
}

// PersonRemover forgets people.
type PersonRemover interface {
	RemovePerson(ctx context.Context, p store.Person, keeps func(store.Person) bool, eff store.Effects) error
}

// Person is somebody who may sign in at the console.
type Person struct {
	Name       string    `json:"name"`
	Role       string    `json:"role" enum:"viewer,responder,approver,administrator"`
	Accounts   []string  `json:"accounts" nullable:"false" doc:"12-digit ids, or * for all."`
	State      string    `json:"state" enum:"active,invited,expired,disabled" doc:"active: may sign in; invited: has yet to choose a password; expired: did not, and needs a new invitation; disabled: may not sign in."`
	CreatedAt  time.Time `json:"created_at"`
	DisabledAt time.Time `json:"disabled_at,omitzero" doc:"Since when the person may not sign in."`
	// InvitedBy and InvitationEnds are of who has yet to choose a password.
	InvitedBy      string    `json:"invited_by,omitempty" doc:"Who invited them, while they have no password."`
	InvitationEnds time.Time `json:"invitation_ends,omitzero" doc:"Until when the invitation can be used, or could."`
}

// PeopleList is everybody who may sign in.
type PeopleList struct {
	Items []Person `json:"items" nullable:"false"`
	Mails bool     `json:"mails" doc:"Whether the server can send invitations by mail: invitations.channel of its configuration."`
}

// NewPerson is somebody to be let in.
type NewPerson struct {
	Name     string       `json:"name" minLength:"1" maxLength:"64" doc:"Lower-case letters, digits and . _ @ + = -; a key of the same principal is the same person to a quorum."`
	Role     string       `json:"role" enum:"viewer,responder,approver,administrator"`
	Accounts []string     `json:"accounts" minItems:"1" maxItems:"5000" nullable:"false" doc:"12-digit ids, or * for all."`
	Password store.Secret `json:"password,omitempty" minLength:"1" maxLength:"512" format:"password" doc:"The first password. Without one the person is invited, and chooses it themselves."`
	Mail     string       `json:"mail,omitempty" maxLength:"254" doc:"Address that the invitation is sent to; without one the answer holds its code."`
}

// PersonChange says what is to be otherwise; what is not there stays.
type PersonChange struct {
	Role     string   `json:"role,omitempty" enum:"viewer,responder,approver,administrator"`
	Accounts []string `json:"accounts,omitempty" maxItems:"5000" nullable:"false" doc:"12-digit ids, or * for all."`
	Disabled *bool    `json:"disabled,omitempty"`
}

// NewPassword is a password to be set.
type NewPassword struct {
	Password store.Secret `json:"password" minLength:"1" maxLength:"512" format:"password"`
}

type (
	peopleOutput   struct{ Body PeopleList }
	personOutput   struct{ Body Person }
	invitedOutput  struct{ Body InvitedPerson }
	addPersonInput struct{ Body NewPerson }
	nameInput      struct {
		Name string `path:"name" maxLength:"64"`
	}
	personInput struct {
		Name string `path:"name" maxLength:"64"`
		Body PersonChange
	}
	passwordInput struct {
		Name string `path:"name" maxLength:"64"`
		Body NewPassword
	}
)

func (a *API) registerPeople() {
	const tag = "people"
	register(a, operation{id: "list-people", method: http.MethodGet, path: "/v1/people", summary: "List the people who may sign in, for administrators", tag: tag}, auth.PersonRead,
		func(ctx context.Context, p auth.Principal, _ *struct{}) (*peopleOutput, error) {
			if err := auth.Authorize(p, auth.PersonRead, auth.All); err != nil {
				return nil, err
			}
			people, err := a.cfg.Persons.ListPersons(ctx)
			if err != nil {
				return nil, err
			}
			list := PeopleList{Items: make([]Person, 0, len(people)), Mails: a.cfg.Inviter != nil}
			for _, o := range people {
				list.Items = append(list.Items, a.personOf(o))
			}
			return &peopleOutput{list}, nil
		})
	register(a, operation{id: "add-person", method: http.MethodPost, path: "/v1/people", summary: "Invite somebody, or let them sign in with a password", tag: tag, status: http.StatusCreated, body: maxSignIn * 20}, auth.PersonWrite, a.addPerson)
	register(a, operation{id: "change-person", method: http.MethodPatch, path: "/v1/people/{name}", summary: "Change role or accounts of a person, disable or enable them; signs them out", tag: tag}, auth.PersonWrite, a.changePerson)
	register(a, operation{id: "remove-person", method: http.MethodDelete, path: "/v1/people/{name}", summary: "Forget a person; signs them out", tag: tag, status: http.StatusNoContent}, auth.PersonWrite, a.removePerson)
	register(a, operation{id: "invite-person", method: http.MethodPost, path: "/v1/people/{name}/invitation", summary: "Give a person a new invitation; the password and the invitation that they had end, and they are signed out", tag: tag, body: maxSignIn}, auth.PersonWrite, a.invitePerson)
	register(a, operation{id: "set-password", method: http.MethodPut, path: "/v1/people/{name}/password", summary: "Set a person's password; signs them out", tag: tag, body: maxSignIn}, auth.PersonWrite, a.setPassword)
}

func (a *API) personOf(p store.Person) Person {
	out := Person{Name: p.Name, Role: p.Role, Accounts: p.Accounts, CreatedAt: p.CreatedAt, DisabledAt: p.DisabledAt, State: "active"}
	if v := p.Invitation; v != nil {
		out.InvitedBy, out.InvitationEnds, out.State = v.By, v.ExpiresAt, "invited"
		if !a.cfg.Clock.Now().Before(v.ExpiresAt) {
			out.State = "expired"
		}
	}
	if !p.DisabledAt.IsZero() {
		out.State = "disabled"
	}
	return out
}

// administers is who can let others in: somebody who has yet to choose a password may
// never do so.
func administers(p store.Person) bool {
	return p.DisabledAt.IsZero() && p.Invitation == nil && auth.Administers(p)
}

func (a *API) addPerson(ctx context.Context, p auth.Principal, in *addPersonInput) (*invitedOutput, error) {
	if err := auth.Authorize(p, auth.PersonWrite, auth.All); err != nil {
		return nil, err
	}
	b := in.Body
	if err := auth.CheckPerson(b.Name, b.Role, b.Accounts); err != nil {
		return nil, err
	}
	if err := a.checkMail(b.Mail, b.Password); err != nil {
		return nil, err
	}
	person, err := auth.NewPerson(b.Name, b.Role, b.Accounts, "", a.cfg.Clock.Now())
	if err != nil {
		return nil, err
	}
	var code store.Secret
	action, detail := "user.invited", map[string]any{"role": b.Role, "accounts": b.Accounts}
	if b.Password != "" {
		action = "user.created"
		person.Hash, err = a.hash(ctx, b.Name, b.Password)
	} else {
		noteMail(detail, b.Mail)
		person, code, err = auth.Invite(person, p.Name, a.cfg.Clock.Now(), a.cfg.Random)
	}
	if err != nil {
		return nil, err
	}
	eff, err := a.audit(p, action, b.Name, detail)
	if err != nil {
		return nil, err
	}
	err = a.cfg.Persons.PutPerson(ctx, person, eff)
	if fault.Is(err, fault.Conflict) {
		return nil, fault.Errorf(fault.Conflict, "add person", "there is a person %q already", b.Name).WithHint("see them: parry people list; a new invitation: parry people reset %s", b.Name)
	}
	if err != nil {
		return nil, err
	}
	return &invitedOutput{a.invitation(ctx, person, code, b.Mail)}, nil
}

// hash hashes one password at a time: each takes 64 MiB.
func (a *API) hash(ctx context.Context, name string, password store.Secret) (store.Secret, error) {
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
	case <-ctx.Done():
		return "", fault.E(fault.Unavailable, "set the password", context.Cause(ctx))
	}
	return auth.NewPassword(name, password, auth.DefaultCost(), a.cfg.Random)
}

func (a *API) changePerson(ctx context.Context, p auth.Principal, in *personInput) (*personOutput, error) {
	b := in.Body
	return a.updatePerson(ctx, p, in.Name, func(o *store.Person) (string, map[string]any, error) {
		action, detail := "user.role_set", map[string]any{"before": map[string]any{"role": o.Role, "accounts": o.Accounts}}
		if b.Role == "" && b.Accounts == nil && b.Disabled == nil {
			return "", nil, fault.Errorf(fault.Invalid, "change person", "nothing is to be changed").WithHint("name role, accounts or disabled")
		}
		if b.Role != "" {
			o.Role = b.Role
		}
		if b.Accounts != nil {
			o.Accounts = b.Accounts
		}
		detail["role"], detail["accounts"] = o.Role, o.Accounts
		switch {
		case b.Disabled == nil:
		case !*b.Disabled:
			o.DisabledAt, action = time.Time{}, "user.enabled"
		case o.DisabledAt.IsZero():
			action = "user.disabled"
			auth.Disable(o, a.cfg.Clock.Now())
		}
		return action, detail, auth.CheckPerson(o.Name, o.Role, o.Accounts)
	})
}

func (a *API) setPassword(ctx context.Context, p auth.Principal, in *passwordInput) (*personOutput, error) {
	return a.updatePerson(ctx, p, in.Name, func(o *store.Person) (string, map[string]any, error) {
		hash, err := a.hash(ctx, o.Name, in.Body.Password)
		auth.GivePassword(o, hash)
		return "user.password_set", map[string]any{}, err
	})
}

// updatePerson reads a person, lets change alter them, and signs them out. The last
// administrator of all accounts stays one: nobody could let anybody in.
func (a *API) updatePerson(ctx context.Context, p auth.Principal, name string, change func(*store.Person) (string, map[string]any, error)) (*personOutput, error) {
	if err := auth.Authorize(p, auth.PersonWrite, auth.All); err != nil {
		return nil, err
	}
	person, err := a.person(ctx, name)
	if err != nil {
		return nil, err
	}
	action, detail, err := change(&person)
	if err != nil {
		return nil, err
	}
	eff, err := a.audit(p, action, name, detail)
	if err != nil {
		return nil, err
	}
	if err := a.cfg.Persons.UpdatePersonKeeping(ctx, person, true, administers, eff); err != nil {
		return nil, lastOf(name, err)
	}
	return &personOutput{a.personOf(person)}, nil
}

func (a *API) removePerson(ctx context.Context, p auth.Principal, in *nameInput) (*struct{}, error) {
	if err := auth.Authorize(p, auth.PersonWrite, auth.All); err != nil {
		return nil, err
	}
	person, err := a.person(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	eff, err := a.audit(p, "user.removed", person.Name, map[string]any{"role": person.Role, "accounts": person.Accounts})
	if err != nil {
		return nil, err
	}
	return nil, lastOf(person.Name, a.cfg.Remover.RemovePerson(ctx, person, administers, eff))
}

func (a *API) person(ctx context.Context, name string) (store.Person, error) {
	person, err := a.cfg.Persons.Person(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return store.Person{}, fault.Errorf(fault.NotFound, "change person", "there is no person %q", name).WithHint("see who there is: parry people list")
	}
	return person, err
}

// lastOf words that a person is the last who can let others in.
func lastOf(name string, err error) error {
	if errors.Is(err, store.ErrLast) {
		return fault.Errorf(fault.Conflict, "change person", "%s is the last administrator of all accounts who can sign in", name).
			WithHint("make somebody else administrator first; on the server itself: parry user role NAME administrator --account '*'")
	}
	return err
}
