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

// Person is somebody who may sign in at the console.
type Person struct {
	Name       string    `json:"name"`
	Role       string    `json:"role" enum:"viewer,responder,approver,administrator"`
	Accounts   []string  `json:"accounts" nullable:"false" doc:"12-digit ids, or * for all."`
	CreatedAt  time.Time `json:"created_at"`
	DisabledAt time.Time `json:"disabled_at,omitzero" doc:"Since when the person may not sign in."`
}

// NewPerson is somebody to be let in.
type NewPerson struct {
	Name     string       `json:"name" minLength:"1" maxLength:"64" doc:"Lower-case letters, digits and . _ @ + = -; a key of the same principal is the same person to a quorum."`
	Role     string       `json:"role" enum:"viewer,responder,approver,administrator"`
	Accounts []string     `json:"accounts" minItems:"1" maxItems:"5000" nullable:"false" doc:"12-digit ids, or * for all."`
	Password store.Secret `json:"password" minLength:"1" maxLength:"512" format:"password" doc:"The first password; tell it by another way than mail."`
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
	personOutput   struct{ Body Person }
	addPersonInput struct{ Body NewPerson }
	personInput    struct {
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
		func(ctx context.Context, p auth.Principal, _ *struct{}) (*page[Person], error) {
			if err := auth.Authorize(p, auth.PersonRead, auth.All); err != nil {
				return nil, err
			}
			people, err := a.cfg.Persons.ListPersons(ctx)
			if err != nil {
				return nil, err
			}
			items := make([]Person, 0, len(people))
			for _, o := range people {
				items = append(items, personOf(o))
			}
			return pageOf(items, ""), nil
		})
	register(a, operation{id: "add-person", method: http.MethodPost, path: "/v1/people", summary: "Let somebody sign in", tag: tag, status: http.StatusCreated, body: maxSignIn * 20}, auth.PersonWrite, a.addPerson)
	register(a, operation{id: "change-person", method: http.MethodPatch, path: "/v1/people/{name}", summary: "Change role or accounts of a person, disable or enable them; signs them out", tag: tag}, auth.PersonWrite, a.changePerson)
	register(a, operation{id: "set-password", method: http.MethodPut, path: "/v1/people/{name}/password", summary: "Set a person's password; signs them out", tag: tag, body: maxSignIn}, auth.PersonWrite, a.setPassword)
}

func personOf(p store.Person) Person {
	return Person{Name: p.Name, Role: p.Role, Accounts: p.Accounts, CreatedAt: p.CreatedAt, DisabledAt: p.DisabledAt}
}

// administers is who can let others in.
func administers(p store.Person) bool {
	return p.DisabledAt.IsZero() && auth.Administers(p)
}

func (a *API) addPerson(ctx context.Context, p auth.Principal, in *addPersonInput) (*personOutput, error) {
	if err := auth.Authorize(p, auth.PersonWrite, auth.All); err != nil {
		return nil, err
	}
	b := in.Body
	if err := auth.CheckPerson(b.Name, b.Role, b.Accounts); err != nil {
		return nil, err
	}
	hash, err := a.hash(ctx, b.Name, b.Password)
	if err != nil {
		return nil, err
	}
	person, err := auth.NewPerson(b.Name, b.Role, b.Accounts, hash, a.cfg.Clock.Now())
	if err != nil {
		return nil, err
	}
	eff, err := a.audit(p, "user.created", b.Name, map[string]any{"role": b.Role, "accounts": b.Accounts})
	if err != nil {
		return nil, err
	}
	err = a.cfg.Persons.PutPerson(ctx, person, eff)
	if fault.Is(err, fault.Conflict) {
		return nil, fault.Errorf(fault.Conflict, "add person", "there is a person %q already", b.Name).WithHint("list them: GET /v1/people; or on the server: parry user list")
	}
	return &personOutput{personOf(person)}, err
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
			o.DisabledAt, action = a.cfg.Clock.Now().UTC(), "user.disabled"
		}
		return action, detail, auth.CheckPerson(o.Name, o.Role, o.Accounts)
	})
}

func (a *API) setPassword(ctx context.Context, p auth.Principal, in *passwordInput) (*personOutput, error) {
	return a.updatePerson(ctx, p, in.Name, func(o *store.Person) (string, map[string]any, error) {
		hash, err := a.hash(ctx, o.Name, in.Body.Password)
		o.Hash = hash
		return "user.password_set", map[string]any{}, err
	})
}

// updatePerson reads a person, lets change alter them, and signs them out. The last
// administrator of all accounts stays one: nobody could let anybody in.
func (a *API) updatePerson(ctx context.Context, p auth.Principal, name string, change func(*store.Person) (string, map[string]any, error)) (*personOutput, error) {
	if err := auth.Authorize(p, auth.PersonWrite, auth.All); err != nil {
		return nil, err
	}
	person, err := a.cfg.Persons.Person(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.Errorf(fault.NotFound, "change person", "there is no person %q", name).WithHint("list them: GET /v1/people; or on the server: parry user list")
	}
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
	err = a.cfg.Persons.UpdatePersonKeeping(ctx, person, true, administers, eff)
	if errors.Is(err, store.ErrLast) {
		return nil, fault.Errorf(fault.Conflict, "change person", "%s is the last administrator of all accounts", name).
			WithHint("make somebody else administrator first; on the server itself: parry user role NAME administrator --account '*'")
	}
	return &personOutput{personOf(person)}, err
}
