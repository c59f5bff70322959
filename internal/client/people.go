package client

import (
	"context"
	"net/http"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/store"
)

// People lists who may sign in at the console.
func (c *Client) People(ctx context.Context) (api.PeopleList, error) {
	var out api.PeopleList
	err := c.call(ctx, http.MethodGet, "/v1/people", nil, nil, &out)
	return out, err
}

// AddPerson lets somebody sign in.
func (c *Client) AddPerson(ctx context.Context, name, role string, accounts []string, password store.Secret) (api.Person, error) {
	var out api.Person
	body := map[string]any{"name": name, "role": role, "accounts": accounts, "password": password.Reveal()}
	err := c.call(ctx, http.MethodPost, "/v1/people", nil, body, &out)
	return out, err
}

// InvitePerson invites somebody who is not there yet. Without a mail address the answer
// holds the code.
func (c *Client) InvitePerson(ctx context.Context, name, role string, accounts []string, mail string) (api.InvitedPerson, error) {
	var out api.InvitedPerson
	err := c.call(ctx, http.MethodPost, "/v1/people", nil, api.NewPerson{Name: name, Role: role, Accounts: accounts, Mail: mail}, &out)
	return out, err
}

// ResetPerson takes a person's password and gives them an invitation instead.
func (c *Client) ResetPerson(ctx context.Context, name, mail string) (api.InvitedPerson, error) {
	var out api.InvitedPerson
	err := c.on(ctx, http.MethodPost, "/v1/people/", name, "/invitation", api.NewInvitation{Mail: mail}, &out)
	return out, err
}

// RemovePerson forgets a person.
func (c *Client) RemovePerson(ctx context.Context, name string) error {
	return c.on(ctx, http.MethodDelete, "/v1/people/", name, "", nil, nil)
}

// ChangePerson changes role or accounts of a person, or disables or enables them.
func (c *Client) ChangePerson(ctx context.Context, name string, change api.PersonChange) (api.Person, error) {
	var out api.Person
	err := c.on(ctx, http.MethodPatch, "/v1/people/", name, "", change, &out)
	return out, err
}

// Session says who the key is of, and what they may do.
func (c *Client) Session(ctx context.Context) (api.Session, error) {
	var out api.Session
	err := c.call(ctx, http.MethodGet, api.SignInPath, nil, nil, &out)
	return out, err
}

// ChangePassword gives the person that the key is of another password.
func (c *Client) ChangePassword(ctx context.Context, old, next store.Secret) error {
	return c.call(ctx, http.MethodPut, api.OwnPasswordPath, nil, map[string]any{"old": old.Reveal(), "new": next.Reveal()}, nil)
}

// SetPassword sets a person's password.
func (c *Client) SetPassword(ctx context.Context, name string, password store.Secret) error {
	return c.on(ctx, http.MethodPut, "/v1/people/", name, "/password", map[string]any{"password": password.Reveal()}, nil)
}
