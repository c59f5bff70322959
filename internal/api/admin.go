package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

type switchOutput struct{ Body StopSwitch }

type switchInput struct{ Body StopSwitch }

func (a *API) registerSwitch() {
	const tag = "server"
	register(a, operation{id: "get-stop-switch", method: http.MethodGet, path: "/v1/stop-switch", summary: "Whether all changes are stopped", tag: tag}, auth.SwitchRead,
		func(ctx context.Context, _ auth.Principal, _ *struct{}) (*switchOutput, error) {
			on, reason, err := a.cfg.Switch.StopSwitch(ctx)
			return &switchOutput{StopSwitch{on, reason}}, err
		})
	register(a, operation{id: "set-stop-switch", method: http.MethodPut, path: "/v1/stop-switch", summary: "Stop all changes, or let them go on", tag: tag}, auth.SwitchRead, a.setSwitch)
}

// setSwitch asks for more to let changes go on than to stop them.
func (a *API) setSwitch(ctx context.Context, p auth.Principal, in *switchInput) (*switchOutput, error) {
	action := auth.SwitchOff
	if in.Body.On {
		action = auth.SwitchOn
	}
	if err := auth.Authorize(p, action, auth.All); err != nil {
		return nil, err
	}
	if strings.TrimSpace(in.Body.Reason) == "" {
		return nil, fault.Errorf(fault.Invalid, "set the stop switch", "the reason is empty").WithHint("say why; it goes into the audit log")
	}
	eff, err := a.audit(p, "stop_switch."+map[bool]string{true: "on", false: "off"}[in.Body.On], "stop-switch", map[string]any{"reason": in.Body.Reason})
	if err != nil {
		return nil, err
	}
	if err := a.cfg.Switch.SetStopSwitch(ctx, in.Body.On, in.Body.Reason, eff); err != nil {
		return nil, err
	}
	return &switchOutput{in.Body}, nil
}

// audit makes the audit record of an action of p.
func (a *API) audit(p auth.Principal, action, object string, detail any) (store.Effects, error) {
	raw, err := json.Marshal(detail)
	if err != nil {
		return store.Effects{}, fault.E(fault.Internal, "audit "+action, err)
	}
	return store.Effects{Audit: []store.AuditRecord{{At: a.cfg.Clock.Now().UTC(), Actor: p.Name, Action: action, Object: object, Detail: raw}}}, nil
}

type keysOutput struct{ Body Page[Key] }

type createKeyInput struct{ Body KeyRequest }

// KeyRequest says what a new key is to be for.
type KeyRequest struct {
	Name      string   `json:"name" minLength:"1" maxLength:"128" doc:"Label of the key; findings imported with it carry the name as source."`
	Principal string   `json:"principal,omitempty" maxLength:"128" doc:"The person or program; default the name. A quorum counts principals."`
	Roles     []string `json:"roles" minItems:"1" maxItems:"5" nullable:"false" enum:"admin,operator,approver,reader,source"`
	Accounts  []string `json:"accounts" minItems:"1" maxItems:"5000" nullable:"false" doc:"12-digit ids, or * for all."`
	Products  []string `json:"products,omitempty" maxItems:"200" nullable:"false" doc:"What a source may report as: product ARNs, company/product, or *."`
	Trusted   bool     `json:"trusted,omitempty" doc:"Whether its findings may start automatic remediation."`
}

type createKeyOutput struct{ Body NewKey }

type keyInput struct {
	ID string `path:"id" maxLength:"128" doc:"Access key id."`
}

func (a *API) registerKeys() {
	const tag = "keys"
	register(a, operation{id: "list-keys", method: http.MethodGet, path: "/v1/keys", summary: "List access keys, without their secrets", tag: tag}, auth.KeyRead,
		func(ctx context.Context, p auth.Principal, _ *struct{}) (*keysOutput, error) {
			if err := auth.Authorize(p, auth.KeyRead, auth.All); err != nil {
				return nil, err
			}
			keys, err := a.cfg.Keys.ListKeys(ctx)
			if err != nil {
				return nil, err
			}
			out := &keysOutput{Page[Key]{Items: make([]Key, 0, len(keys))}}
			for _, k := range keys {
				out.Body.Items = append(out.Body.Items, keyOf(k))
			}
			return out, nil
		})
	register(a, operation{id: "create-key", method: http.MethodPost, path: "/v1/keys", summary: "Issue an access key; its secret is shown once", tag: tag, status: http.StatusCreated}, auth.KeyWrite, a.createKey)
	register(a, operation{id: "revoke-key", method: http.MethodDelete, path: "/v1/keys/{id}", summary: "Revoke an access key at once", tag: tag, status: http.StatusNoContent}, auth.KeyWrite, a.revokeKey)
}

func (a *API) createKey(ctx context.Context, p auth.Principal, in *createKeyInput) (*createKeyOutput, error) {
	if err := auth.Authorize(p, auth.KeyWrite, auth.All); err != nil {
		return nil, err
	}
	b := in.Body
	key, err := auth.NewKey(auth.Grant{
		Name: b.Name, Principal: b.Principal, Roles: b.Roles, Accounts: b.Accounts, Products: b.Products, Trusted: b.Trusted,
	}, a.cfg.Random, a.cfg.Clock.Now())
	if err != nil {
		return nil, err
	}
	eff, err := a.audit(p, "key.created", key.AccessKeyID, keyOf(key))
	if err != nil {
		return nil, err
	}
	if err := a.cfg.Keys.PutKey(ctx, key, eff); err != nil {
		return nil, err
	}
	return &createKeyOutput{NewKey{keyOf(key), key.Secret.Reveal()}}, nil
}

// revokeKey refuses the caller's own key, so that nobody locks everybody out.
func (a *API) revokeKey(ctx context.Context, p auth.Principal, in *keyInput) (*struct{}, error) {
	if err := auth.Authorize(p, auth.KeyWrite, auth.All); err != nil {
		return nil, err
	}
	if in.ID == p.KeyID {
		return nil, fault.Errorf(fault.Conflict, "revoke key", "this is the key that signs the request").WithHint("revoke it with another administrator's key, or on the server: parry key revoke %s", in.ID)
	}
	eff, err := a.audit(p, "key.revoked", in.ID, struct{}{})
	if err != nil {
		return nil, err
	}
	err = a.cfg.Keys.RevokeKey(ctx, in.ID, eff)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.Errorf(fault.NotFound, "", "there is no key %q", in.ID).WithHint("list them: parry key list")
	}
	return nil, err
}
