package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// Persons is where people and their sessions are looked up.
type Persons interface {
	Person(ctx context.Context, name string) (store.Person, error)
	Session(ctx context.Context, digest []byte) (store.Session, store.Person, error)
}

// Sessions is where sessions begin, are noted and end.
type Sessions interface {
	PutSession(ctx context.Context, digest []byte, s store.Session, most int64, eff store.Effects) error
	SeenSession(ctx context.Context, digest []byte) error
	EndSession(ctx context.Context, digest []byte, eff store.Effects) error
}

// PersonUpdater is where what a person chose is kept. It answers code conflict when the
// person was changed since they were read.
type PersonUpdater interface {
	UpdatePerson(ctx context.Context, p store.Person, signOut bool, eff store.Effects) error
}

// Tries counts tries to sign in, over all nodes, and takes audit records.
type Tries interface {
	CountTries(ctx context.Context, buckets [][]byte, window time.Duration) ([]int64, error)
	ForgetTries(ctx context.Context, buckets [][]byte) error
	Enqueue(ctx context.Context, f store.File, eff store.Effects) error
}

// The times of a session: what is not used for Idle has ended, and Longest after the
// sign-in it has ended in any case.
const (
	Idle    = 8 * time.Hour
	Longest = 24 * time.Hour
	// noteEvery is how exact the last use is.
	noteEvery = time.Minute
	// maxSessions is how many a person has at a time; the oldest end.
	maxSessions = 20
	tokenLength = 32 // bytes
)

// PeopleConfig is what NewPeople needs. Everything without a default is required.
type PeopleConfig struct {
	Persons  Persons
	Sessions Sessions
	Tries    Tries
	Updater  PersonUpdater
	// NotBefore is when a backup was restored: sessions that began earlier may have
	// been ended since, and invitations that were made earlier used. Default: no limit.
	NotBefore time.Time
	Cost      Cost          // of an unknown name and of new passwords; default DefaultCost
	Clock     service.Clock // default: the system's
	IDs       service.IDs   // default: random
	Random    io.Reader     // default: the operating system's
	Logger    *slog.Logger  // default: discard
}

// People lets people sign in and knows them by the token that they were given.
type People struct {
	cfg   PeopleConfig
	log   *slog.Logger
	decoy store.Secret // the hash that an unknown name is held against
	queue chan struct{}
	slots chan struct{}
}

// NewPeople makes the door for people.
func NewPeople(cfg PeopleConfig) (*People, error) {
	if cfg.Persons == nil || cfg.Sessions == nil || cfg.Tries == nil || cfg.Updater == nil {
		return nil, fault.Errorf(fault.Internal, "make people", "persons, sessions, tries and an updater are required")
	}
	if cfg.Cost == (Cost{}) {
		cfg.Cost = DefaultCost()
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.IDs == nil {
		cfg.IDs = service.RandomIDs{}
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &People{cfg: cfg, log: cfg.Logger.With("component", "auth"), queue: make(chan struct{}, maxQueue), slots: make(chan struct{}, maxHashing)}
	var raw [tokenLength]byte
	if _, err := io.ReadFull(cfg.Random, raw[:]); err != nil {
		return nil, fault.E(fault.Internal, "make people", fmt.Errorf("read random source: %w", err))
	}
	// A hash of nothing that anybody can type, at the cost of a real one.
	p.decoy = phc(cfg.Cost, raw[:saltLength], raw[:hashLength])
	return p, nil
}

// SignedIn is who a session is of.
type SignedIn struct {
	Principal
	// Role is the name by which people know the one role.
	Role string
	// ExpiresAt is when the session ends in any case.
	ExpiresAt time.Time
}

// Who gives the person behind a token. A session that is unknown, over, idle for too
// long, or of somebody who is disabled is not found; any other error means that
// sessions could not be read, and nothing may be let through.
func (p *People) Who(ctx context.Context, token store.Secret) (SignedIn, error) {
	return p.who(ctx, token, true)
}

// Still is Who for a look that is no use of the session: one that is open all day long
// would otherwise never be idle.
func (p *People) Still(ctx context.Context, token store.Secret) (SignedIn, error) {
	return p.who(ctx, token, false)
}

func (p *People) who(ctx context.Context, token store.Secret, use bool) (SignedIn, error) {
	const op = "find session"
	digest, ok := digestOf(token)
	if !ok {
		return SignedIn{}, fault.Errorf(fault.NotFound, op, "the token is none of ours")
	}
	s, person, err := p.cfg.Persons.Session(ctx, digest)
	if err != nil {
		return SignedIn{}, fmt.Errorf("%s: %w", op, err)
	}
	now := p.cfg.Clock.Now()
	if !person.DisabledAt.IsZero() || !now.Before(s.ExpiresAt) || now.Sub(s.SeenAt) >= Idle || s.CreatedAt.Before(p.cfg.NotBefore) {
		return SignedIn{}, fault.Errorf(fault.NotFound, op, "the session has ended")
	}
	if use && now.Sub(s.SeenAt) >= noteEvery {
		// Without the note the session ends earlier than it should; the request need
		// not fail for it.
		if err := p.cfg.Sessions.SeenSession(ctx, digest); err != nil {
			p.log.WarnContext(ctx, "the use of a session was not noted", "error", err)
		}
	}
	return SignedIn{Principal: principalOfPerson(person, s.ID), Role: person.Role, ExpiresAt: s.ExpiresAt}, nil
}

// SignOut ends the session of a token, whether it is there or not.
func (p *People) SignOut(ctx context.Context, token store.Secret) error {
	digest, ok := digestOf(token)
	if !ok {
		return nil
	}
	s, person, err := p.cfg.Persons.Session(ctx, digest)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sign out: %w", err)
	}
	return p.cfg.Sessions.EndSession(ctx, digest, p.record(person.Name, "session.ended", s.ID, nil))
}

// begin starts a session of person and gives its token. A session that the browser
// had ends.
func (p *People) begin(ctx context.Context, person store.Person, a Attempt) (SignedIn, store.Secret, error) {
	const op = "sign in"
	var raw [tokenLength]byte
	if _, err := io.ReadFull(p.cfg.Random, raw[:]); err != nil {
		return SignedIn{}, "", fault.E(fault.Internal, op, fmt.Errorf("read random source: %w", err))
	}
	token := store.Secret(base64.RawURLEncoding.EncodeToString(raw[:]))
	digest, _ := digestOf(token)
	now := p.cfg.Clock.Now().Truncate(time.Microsecond) // as it is stored
	s := store.Session{ID: p.cfg.IDs.NewID("ses"), Name: person.Name, CreatedAt: now, ExpiresAt: now.Add(Longest), SeenAt: now, Address: a.Address, Agent: a.Agent}
	eff := p.record(person.Name, "session.started", s.ID, map[string]string{"address": a.Address})
	if err := p.cfg.Sessions.PutSession(ctx, digest, s, maxSessions, eff); err != nil {
		return SignedIn{}, "", fmt.Errorf("%s: %w", op, err)
	}
	if err := p.SignOut(ctx, a.Token); err != nil {
		return SignedIn{}, "", err
	}
	return SignedIn{Principal: principalOfPerson(person, s.ID), Role: person.Role, ExpiresAt: s.ExpiresAt}, token, nil
}

func (p *People) record(actor, action, object string, detail map[string]string) store.Effects {
	raw, _ := json.Marshal(detail) // A map of texts has a JSON form.
	if detail == nil {
		raw = nil
	}
	return store.Effects{Audit: []store.AuditRecord{{At: p.cfg.Clock.Now().UTC(), Actor: actor, Action: action, Object: object, Detail: raw}}}
}

// digestOf gives what is stored of a token, if it can be one.
func digestOf(token store.Secret) ([]byte, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token.Reveal())
	if err != nil || len(raw) != tokenLength {
		return nil, false
	}
	sum := sha256.Sum256(raw)
	return sum[:], true
}
