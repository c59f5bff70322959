package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// TryWindow is for how long tries to sign in are counted.
const TryWindow = 15 * time.Minute

// The limits of tries, right or wrong, within TryWindow. A right one begins the count
// of name and address anew.
const (
	maxTries      = 10  // of one name from one address
	maxTriesName  = 50  // of one name from everywhere
	maxTriesHost  = 100 // from one address, all names
	maxTriesAudit = 200 // by anybody, from which on unknown names are no longer audited
	// maxHashing passwords are hashed at a time, 64 MiB each, and maxQueue requests
	// wait for it, for patience at most.
	maxHashing = 2
	maxQueue   = 32
	patience   = 5 * time.Second
)

// ErrSignIn is what a wrong name, a wrong password and a disabled user have in common.
var ErrSignIn error = fault.Errorf(fault.Denied, "sign in", "name or password is wrong").
	WithHint("an administrator can let you choose a new password: Reset password on the People page, or parry people reset NAME")

// Attempt is somebody who wants to sign in.
type Attempt struct {
	Name     string
	Password store.Secret
	// Address and Agent are the browser's; Token is of a session that it has, "" if none.
	Address, Agent string
	Token          store.Secret
}

// SignIn checks an attempt and begins a session. What is wrong is not told
// (ErrSignIn), takes the same time, and is audited; a name that is nobody's is not
// written down, since people type passwords there. Too many tries answer code
// exhausted, whatever the password.
func (p *People) SignIn(ctx context.Context, a Attempt) (SignedIn, store.Secret, error) {
	const op = "sign in"
	leave, err := p.enter()
	if err != nil {
		return SignedIn{}, "", err
	}
	defer leave()
	buckets := triesOf("", a)
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
		if first && (known || counts[3] <= maxTriesAudit) {
			if err := p.refused(ctx, "session.refused", person, known, a, "too many tries"); err != nil {
				return SignedIn{}, "", err
			}
		}
		return SignedIn{}, "", tooManyTries(op)
	}
	good, err := p.hold(ctx, person, known, a.Password)
	if err != nil {
		return SignedIn{}, "", err
	}
	if good && person.DisabledAt.IsZero() {
		if err := p.cfg.Tries.ForgetTries(ctx, buckets[:1]); err != nil {
			return SignedIn{}, "", fmt.Errorf("%s: %w", op, err)
		}
		return p.begin(ctx, person, a)
	}
	if known || counts[3] <= maxTriesAudit {
		reason := "wrong password"
		switch {
		case good:
			reason = "the user is disabled"
		case person.Invitation != nil:
			reason = "the user has no password yet"
		}
		if err := p.refused(ctx, "session.refused", person, known, a, reason); err != nil {
			return SignedIn{}, "", err
		}
	}
	return SignedIn{}, "", ErrSignIn
}

// enter takes a place among those who wait for a password to be hashed; leave gives it
// back.
func (p *People) enter() (leave func(), err error) {
	select {
	case p.queue <- struct{}{}:
		return func() { <-p.queue }, nil
	default:
		return nil, busy()
	}
}

// turn waits until a password may be hashed; done lets the next.
func (p *People) turn(ctx context.Context) (done func(), err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots }, nil
	case <-timer.C:
		return nil, busy()
	case <-ctx.Done():
		return nil, fault.E(fault.Unavailable, "sign in", context.Cause(ctx))
	}
}

// hold waits for its turn and holds the password against the person's, or against
// the decoy.
func (p *People) hold(ctx context.Context, person store.Person, known bool, password store.Secret) (bool, error) {
	done, err := p.turn(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	hash := p.decoy
	if known {
		hash = person.Hash
	}
	return verify(hash, password) && known, nil
}

func tooManyTries(op string) error {
	return fault.Errorf(fault.Exhausted, op, "there were too many tries").WithHint("wait %d minutes, then try again", int(TryWindow.Minutes()))
}

func busy() error {
	return fault.Transient(fault.Errorf(fault.Unavailable, "sign in", "too many people sign in at the moment").WithHint("try again in a few seconds"), patience)
}

// refused audits an attempt that was not let in.
func (p *People) refused(ctx context.Context, action string, person store.Person, known bool, a Attempt, reason string) error {
	who := person.Name
	if !known {
		who, reason = "unknown", "unknown name"
	}
	err := p.cfg.Tries.Enqueue(ctx, store.Findings, p.record(who, action, who, map[string]string{"address": a.Address, "reason": reason}))
	if err != nil {
		return fmt.Errorf("audit a refused sign-in: %w", err)
	}
	return nil
}

// triesOf gives the buckets of an attempt at a door: name and address, name, address,
// all.
func triesOf(door string, a Attempt) [][]byte {
	host := hostOf(a.Address)
	var out [][]byte
	for _, key := range []string{"both\x00" + host + "\x00" + a.Name, "name\x00" + a.Name, "host\x00" + host, "all"} {
		sum := sha256.Sum256([]byte(door + key))
		out = append(out, sum[:])
	}
	return out
}

// hostOf gives the address by which tries count: of IPv6 the /64 that one customer
// has.
func hostOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return "unknown"
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if net, err := ip.Prefix(64); err == nil {
			return net.String()
		}
	}
	return ip.String()
}

// tooMany reports whether a count is over its limit, and whether it is so for the
// first time.
func tooMany(counts []int64) (over, first bool) {
	for i, limit := range []int64{maxTries, maxTriesName, maxTriesHost} {
		over = over || counts[i] > limit
		first = first || counts[i] == limit+1
	}
	return over, first
}
