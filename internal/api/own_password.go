package api

import (
	"context"
	"net/http"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/store"
)

// PasswordChanger lets people change their own password.
type PasswordChanger interface {
	ChangePassword(ctx context.Context, a auth.Attempt, next store.Secret) (auth.SignedIn, store.Secret, error)
}

// OwnPasswordPath is where whoever asks changes their own password.
const OwnPasswordPath = SignInPath + "/password"

// PasswordChange is the password that somebody has, and the one to come.
type PasswordChange struct {
	Old store.Secret `json:"old" minLength:"1" maxLength:"512" format:"password" doc:"The password that you have."`
	New store.Secret `json:"new" minLength:"1" maxLength:"512" format:"password" doc:"12 to 128 characters."`
}

type (
	changePasswordInput  struct{ Body PasswordChange }
	changePasswordOutput struct {
		SetCookie string `header:"Set-Cookie"`
	}
)

func (a *API) registerOwnPassword() {
	registerOpen(a, operation{
		id: "change-own-password", method: http.MethodPut, path: OwnPasswordPath, summary: "Change your own password; all your sessions end, and who is signed in gets a new cookie",
		tag: "session", body: maxSignIn, status: http.StatusNoContent,
	}, a.changeOwnPassword)
}

// changeOwnPassword is for who signed in, and for a key: of the person of its name. Nobody
// else is reached, so that it needs no right.
func (a *API) changeOwnPassword(ctx context.Context, in *changePasswordInput) (*changePasswordOutput, error) {
	v, p := auth.VisitFrom(ctx), auth.PrincipalFrom(ctx)
	if p.Name == "" {
		return nil, unknownVisitor()
	}
	token := v.Token
	if _, ok := auth.SignedInFrom(ctx); !ok {
		token = "" // a key's request has no session, whatever cookie it carries
	}
	_, token, err := a.cfg.Passwords.ChangePassword(ctx, auth.Attempt{Name: p.Name, Password: in.Body.Old, Address: v.Address, Agent: v.Agent, Token: token}, in.Body.New)
	if err != nil {
		return nil, a.notNow(ctx, err)
	}
	if token == "" {
		return &changePasswordOutput{}, nil
	}
	return &changePasswordOutput{cookieOf(v, token.Reveal())}, nil
}
