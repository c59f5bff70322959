package auth

import (
	"context"
	"fmt"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// ErrOwnPassword is what a wrong old password, a person who has none yet and a name that is
// no person's have in common.
var ErrOwnPassword error = fault.Errorf(fault.Denied, "change the password", "the old password is wrong").
	WithHint("an administrator can let you choose a new one without it: Reset password on the People page, or parry people reset NAME")

// ChangePassword gives a.Name the password next, who knows the one they have: a.Password. All
// their sessions end. Who has one now (a.Token) gets a new one: a token that somebody copied
// is worth nothing from then on. Tries are counted as those to sign in are, but apart.
//
// The caller has made sure that a.Name asks: by the session, or by the key of that name.
func (p *People) ChangePassword(ctx context.Context, a Attempt, next store.Secret) (SignedIn, store.Secret, error) {
	const op = "change the password"
	leave, err := p.enter()
	if err != nil {
		return SignedIn{}, "", err
	}
	defer leave()
	buckets := triesOf("password\x00", a)
	counts, err := p.cfg.Tries.CountTries(ctx, buckets, TryWindow)
	if err != nil {
		return SignedIn{}, "", fmt.Errorf("%s: %w", op, err)
	}
	person, err := p.cfg.Persons.Person(ctx, a.Name)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return SignedIn{}, "", fmt.Errorf("%s: %w", op, err)
	}
	known := err == nil
	if over, first := tooMany(counts); over {
		if first && known {
			if err := p.refused(ctx, "user.password_refused", person, known, a, "too many tries"); err != nil {
				return SignedIn{}, "", err
			}
		}
		return SignedIn{}, "", tooManyTries(op)
	}
	good, err := p.hold(ctx, person, known, a.Password)
	if err != nil {
		return SignedIn{}, "", err
	}
	if !good || person.Invitation != nil || !person.DisabledAt.IsZero() {
		if known {
			if err := p.refused(ctx, "user.password_refused", person, known, a, "wrong password"); err != nil {
				return SignedIn{}, "", err
			}
		}
		return SignedIn{}, "", ErrOwnPassword
	}
	if err := p.cfg.Tries.ForgetTries(ctx, buckets[:1]); err != nil {
		return SignedIn{}, "", fmt.Errorf("%s: %w", op, err)
	}
	if next == a.Password {
		return SignedIn{}, "", fault.Errorf(fault.Invalid, op, "the new password is the old one").WithHint("choose another")
	}
	hash, err := p.hash(ctx, person.Name, next)
	if err != nil {
		return SignedIn{}, "", err
	}
	GivePassword(&person, hash)
	eff := p.record(person.Name, "user.password_changed", person.Name, map[string]string{"address": a.Address})
	if err := p.cfg.Updater.UpdatePerson(ctx, person, true, eff); fault.Is(err, fault.Conflict) {
		return SignedIn{}, "", fault.Errorf(fault.Conflict, op, "%s was changed at this moment, by an administrator or in another window", person.Name).
			WithHint("sign in again, with the new password or the old one")
	} else if err != nil {
		return SignedIn{}, "", fmt.Errorf("%s: %w", op, err)
	}
	if a.Token == "" {
		return SignedIn{}, "", nil
	}
	a.Token = "" // ended with all others
	return p.begin(ctx, person, a)
}
