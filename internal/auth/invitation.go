package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// InvitationLasts is for how long an invitation can be used.
const InvitationLasts = 72 * time.Hour

// ErrInvitation is what an unknown, used, expired or replaced invitation, and one of
// somebody who is disabled, have in common.
var ErrInvitation error = fault.Errorf(fault.Denied, "use the invitation", "this invitation is not valid: it was used, it has expired, or there is a newer one").
	WithHint("ask an administrator for a new one: Reset password on the People page, or parry people reset NAME")

// Invite gives p an invitation by somebody and its code. The password that p had ends
// with it: Invite is also how one that was forgotten or is known to others is reset.
func Invite(p store.Person, by string, now time.Time, random io.Reader) (store.Person, store.Secret, error) {
	if random == nil {
		random = rand.Reader
	}
	var raw [tokenLength + saltLength + hashLength]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return store.Person{}, "", fault.E(fault.Internal, "invite", fmt.Errorf("read random source: %w", err))
	}
	token := store.Secret(base64.RawURLEncoding.EncodeToString(raw[:tokenLength]))
	digest, _ := digestOf(token)
	// A hash of nothing that anybody can type, at the cost of a real one: to try to sign in
	// as somebody who was invited takes as long as any other try.
	p.Hash = phc(DefaultCost(), raw[tokenLength:tokenLength+saltLength], raw[tokenLength+saltLength:])
	now = now.UTC().Truncate(time.Microsecond)
	p.Invitation = &store.Invitation{Digest: digest, By: by, CreatedAt: now, ExpiresAt: now.Add(InvitationLasts)}
	return p, store.Secret(p.Name + "." + token.Reveal()), nil
}

// GivePassword gives p a password by its hash. An invitation ends with it.
func GivePassword(p *store.Person, hash store.Secret) {
	p.Hash, p.Invitation = hash, nil
}

// Disable lets p in no more. An invitation ends with it, and stays ended when p is enabled
// again.
func Disable(p *store.Person, now time.Time) {
	now = now.UTC().Truncate(time.Microsecond)
	if p.DisabledAt.IsZero() {
		p.DisabledAt = now
	}
	if p.Invitation != nil && now.Before(p.Invitation.ExpiresAt) {
		ended := *p.Invitation
		ended.ExpiresAt = now
		p.Invitation = &ended
	}
}

// readCode reads NAME.TOKEN. What reads as none has a digest that no invitation has.
func readCode(code store.Secret) (name string, digest []byte) {
	text := code.Reveal()
	dot := strings.LastIndexByte(text, '.')
	if dot < 0 {
		return "", nil
	}
	digest, ok := digestOf(store.Secret(text[dot+1:]))
	if name = text[:dot]; !ok || !isPersonName(name) {
		return "", nil
	}
	return name, digest
}

// Invited gives whom the invitation of an attempt is for, without using it up. Tries are
// counted as those to sign in are, but apart: whoever guesses at invitations keeps nobody
// from signing in.
func (p *People) Invited(ctx context.Context, code store.Secret, a Attempt) (store.Person, error) {
	const op = "use the invitation"
	name, digest := readCode(code)
	a.Name = name
	buckets := triesOf("invitation\x00", a)
	counts, err := p.cfg.Tries.CountTries(ctx, buckets, TryWindow)
	if err != nil {
		return store.Person{}, fmt.Errorf("%s: %w", op, err)
	}
	person, err := p.cfg.Persons.Person(ctx, name)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return store.Person{}, fmt.Errorf("%s: %w", op, err)
	}
	known := err == nil
	over, first := tooMany(counts)
	if !over && known && p.open(person, digest) {
		return person, p.cfg.Tries.ForgetTries(ctx, buckets[:1])
	}
	reason := "no such invitation, or it has ended"
	if over {
		reason = "too many tries"
	}
	if (!over || first) && (known || counts[3] <= maxTriesAudit) {
		if err := p.refused(ctx, "invitation.refused", person, known, a, reason); err != nil {
			return store.Person{}, err
		}
	}
	if over {
		return store.Person{}, tooManyTries(op)
	}
	return store.Person{}, ErrInvitation
}

// open reports whether digest is of the invitation that person has and may use now. One
// from before a restore may have been used since.
func (p *People) open(person store.Person, digest []byte) bool {
	v := person.Invitation
	return v != nil && len(digest) > 0 && subtle.ConstantTimeCompare(v.Digest, digest) == 1 && person.DisabledAt.IsZero() &&
		p.cfg.Clock.Now().Before(v.ExpiresAt) && !v.CreatedAt.Before(p.cfg.NotBefore)
}

// Join uses an invitation up: the person has the password of a from then on, and is
// signed in. A password that cannot be one leaves the invitation as it is.
//
// Invariant: of several that use one invitation at the same time one joins, since password
// and invitation are one row that is written at the Rev that was read.
func (p *People) Join(ctx context.Context, code store.Secret, a Attempt) (SignedIn, store.Secret, error) {
	leave, err := p.enter()
	if err != nil {
		return SignedIn{}, "", err
	}
	defer leave()
	person, err := p.Invited(ctx, code, a)
	if err != nil {
		return SignedIn{}, "", err
	}
	hash, err := p.hash(ctx, person.Name, a.Password)
	if err != nil {
		return SignedIn{}, "", err
	}
	used := person.Invitation.Digest
	GivePassword(&person, hash)
	eff := p.record(person.Name, "invitation.used", person.Name, map[string]string{"address": a.Address})
	if err := p.cfg.Updater.UpdatePerson(ctx, person, true, eff); fault.Is(err, fault.Conflict) {
		return SignedIn{}, "", p.overtaken(ctx, person.Name, used)
	} else if err != nil {
		return SignedIn{}, "", fmt.Errorf("use the invitation: %w", err)
	}
	return p.begin(ctx, person, a)
}

// overtaken tells why a person was changed while they joined: another used the invitation
// or ended it, or somebody changed role or accounts, and then it can be used again.
func (p *People) overtaken(ctx context.Context, name string, digest []byte) error {
	now, err := p.cfg.Persons.Person(ctx, name)
	if err == nil && p.open(now, digest) {
		return fault.Errorf(fault.Conflict, "use the invitation", "an administrator changed what %s may do at this moment", name).WithHint("send the password again")
	}
	return ErrInvitation
}

// hash waits for its turn and hashes a new password.
func (p *People) hash(ctx context.Context, name string, password store.Secret) (store.Secret, error) {
	done, err := p.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return NewPassword(name, password, p.cfg.Cost, p.cfg.Random)
}
