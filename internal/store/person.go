package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// Person is somebody who signs in with a password.
type Person struct {
	Name string
	// Hash is of the password, as PHC string; it is sealed in the table, and lists
	// leave it out.
	Hash     Secret
	Role     string
	Accounts []string // "*" is all
	// DisabledAt is since when the person may not sign in; zero while they may.
	DisabledAt           time.Time
	CreatedAt, UpdatedAt time.Time
	// Invitation lets the person choose a password, once; nil when they have one. Until
	// then Hash is of a password that nobody knows.
	Invitation *Invitation
	// Rev counts the writes; 1 is the first.
	Rev int64
}

// Invitation is a way for one person to choose a password. It stands with the person, so
// that it is used up by the same write, at the same Rev, that stores the password.
type Invitation struct {
	Digest    []byte    `json:"digest"` // SHA-256 of the code, which is stored nowhere
	By        string    `json:"by"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// personDoc is what the table keeps in the open, bound to the hash.
type personDoc struct {
	Role       string      `json:"role"`
	Accounts   []string    `json:"accounts"`
	DisabledAt time.Time   `json:"disabled_at,omitzero"`
	Invitation *Invitation `json:"invitation,omitempty"`
}

const (
	personTable = "person"
	// maxPeople bounds a list of people.
	maxPeople = 10_000
)

// sealPerson gives the columns hash and doc of p.
func (s *Store) sealPerson(p Person) (sealed, doc []byte, err error) {
	const op = "store person"
	if err := checkID(op, "name", p.Name); err != nil {
		return nil, nil, err
	}
	if p.Hash == "" {
		return nil, nil, invalid(op, "the person has no password")
	}
	if doc, err = json.Marshal(personDoc{p.Role, p.Accounts, p.DisabledAt, p.Invitation}); err != nil {
		return nil, nil, s.fail(op, err)
	}
	sealed, err = s.sealer.Seal([]byte(p.Hash), aad(personTable, p.Name, string(doc)))
	return sealed, doc, s.fail(op, err)
}

func (p *Person) fill(doc []byte, created, updated int64) error {
	var d personDoc
	if err := json.Unmarshal(doc, &d); err != nil {
		return err
	}
	p.Role, p.Accounts, p.DisabledAt, p.Invitation = d.Role, d.Accounts, d.DisabledAt, d.Invitation
	p.CreatedAt, p.UpdatedAt = fromMicros(created), fromMicros(updated)
	return nil
}

// open gives p what its columns say; a row that was changed by hand does not open.
func (s *Store) openPerson(p *Person, sealed, doc []byte, created, updated int64) error {
	hash, err := s.sealer.Open(sealed, aad(personTable, p.Name, string(doc)))
	if err != nil {
		return err
	}
	p.Hash = Secret(hash)
	return p.fill(doc, created, updated)
}

// PutPerson stores a new person and sends eff. A name that is taken answers
// ErrExists.
func (s *Store) PutPerson(ctx context.Context, p Person, eff Effects) error {
	sealed, doc, err := s.sealPerson(p)
	if err != nil {
		return err
	}
	return s.write(ctx, Findings, "store person", func(t *tx) error {
		n, err := t.changed(ctx, s.q.PersonInsert, p.Name, sealed, doc, micros(p.CreatedAt))
		if err != nil {
			return err
		}
		if n == 0 {
			return exists("store person %s", p.Name)
		}
		return t.send(ctx, eff)
	})
}

// Person gives a person, disabled or not, with the hash of the password.
func (s *Store) Person(ctx context.Context, name string) (Person, error) {
	p, err := one(ctx, s.findings.Read, s.q.PersonRead, []any{text(name, maxID)}, func(r scanner) (Person, error) {
		var p Person
		var sealed, doc []byte
		var created, updated int64
		if err := r.Scan(&p.Name, &sealed, &doc, &created, &updated, &p.Rev); err != nil {
			return p, err
		}
		return p, s.openPerson(&p, sealed, doc, created, updated)
	})
	if err != nil {
		return Person{}, s.fail("read person", err)
	}
	return p, nil
}

// ListPersons gives at most 10,000 people by name, without the hashes.
func (s *Store) ListPersons(ctx context.Context) ([]Person, error) {
	people, err := collect(ctx, s.findings.Read, s.q.PersonList, []any{int64(maxPeople)}, scanPerson)
	return people, s.fail("list people", err)
}

// scanPerson reads a person without the hash.
func scanPerson(r scanner) (Person, error) {
	var p Person
	var doc []byte
	var created, updated int64
	if err := r.Scan(&p.Name, &doc, &created, &updated, &p.Rev); err != nil {
		return p, err
	}
	return p, p.fill(doc, created, updated)
}

// UpdatePerson replaces a person at the Rev that was read, ends their sessions if
// signOut says so, and sends eff. It answers ErrConflict when Rev is not the latest.
func (s *Store) UpdatePerson(ctx context.Context, p Person, signOut bool, eff Effects) error {
	return s.updatePerson(ctx, p, signOut, nil, eff)
}

// UpdatePersonKeeping is UpdatePerson that answers ErrLast, and changes nothing, where
// keeps held for somebody before and would hold for nobody after. No two of them decide at
// the same time, on any node.
func (s *Store) UpdatePersonKeeping(ctx context.Context, p Person, signOut bool, keeps func(Person) bool, eff Effects) error {
	return s.updatePerson(ctx, p, signOut, keeps, eff)
}

// ErrLast is that a person is the last of their kind.
var ErrLast error = fault.Errorf(fault.Conflict, "update person", "nobody else could do what this person may")

func (s *Store) updatePerson(ctx context.Context, p Person, signOut bool, keeps func(Person) bool, eff Effects) error {
	sealed, doc, err := s.sealPerson(p)
	if err != nil {
		return err
	}
	return s.write(ctx, Findings, "update person", func(t *tx) error {
		if err := t.keepOne(ctx, p, keeps); err != nil {
			return err
		}
		n, err := t.changed(ctx, s.q.PersonUpdate, p.Name, p.Rev, sealed, doc, micros(s.now()))
		if err != nil {
			return err
		}
		if n == 0 {
			return conflict("update person %s", p.Name)
		}
		if signOut {
			if _, err := t.changed(ctx, s.q.SessionEndAll, p.Name); err != nil {
				return err
			}
		}
		return t.send(ctx, eff)
	})
}

// RemovePerson forgets a person at the Rev that was read, with their sessions, and sends
// eff. It answers as UpdatePersonKeeping does.
func (s *Store) RemovePerson(ctx context.Context, p Person, keeps func(Person) bool, eff Effects) error {
	return s.write(ctx, Findings, "remove person", func(t *tx) error {
		if err := t.keepOne(ctx, Person{Name: p.Name}, keeps); err != nil {
			return err
		}
		n, err := t.changed(ctx, s.q.PersonDelete, text(p.Name, maxID), p.Rev)
		if err != nil {
			return err
		}
		if n == 0 {
			return conflict("remove person %s", p.Name)
		}
		if _, err := t.changed(ctx, s.q.SessionEndAll, p.Name); err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

// keepOne answers ErrLast when keeps holds for somebody now and would for nobody once p
// is what was given; nil keeps nothing.
func (t *tx) keepOne(ctx context.Context, p Person, keeps func(Person) bool) error {
	if keeps == nil {
		return nil
	}
	all, err := collect(ctx, t, t.s.q.PersonHeld, nil, scanPerson)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(all), func(o Person) bool { return o.Name == p.Name })
	if slices.ContainsFunc(all, keeps) && !keeps(p) && !slices.ContainsFunc(others, keeps) {
		return ErrLast
	}
	return nil
}

// Session is that a person is signed in somewhere.
type Session struct {
	// ID names the session to people; the token cannot be told from it.
	ID   string
	Name string // of the person
	// CreatedAt is when the person signed in, ExpiresAt the end in any case, SeenAt
	// the last use as far as it was written down.
	CreatedAt, ExpiresAt, SeenAt time.Time
	// Address and Agent are what the browser was known by when it signed in.
	Address, Agent string
}

const (
	sessionTable = "person_session"
	maxAgent     = 256
	maxSessions  = 1000 // that a list shows
)

// bound is what a session's seal binds.
func (o Session) bound(digest []byte) []byte {
	return aad(sessionTable, string(digest), o.ID, o.Name, o.CreatedAt.UTC().Format(time.RFC3339Nano), o.ExpiresAt.UTC().Format(time.RFC3339Nano))
}

// PutSession stores a new session under the digest of its token, ends the person's
// oldest beyond most, and sends eff.
func (s *Store) PutSession(ctx context.Context, digest []byte, o Session, most int64, eff Effects) error {
	const op = "store session"
	if err := errors.Join(checkID(op, "session id", o.ID), checkID(op, "name", o.Name)); err != nil {
		return err
	}
	if len(digest) != 32 || most < 1 || most > maxSessions {
		return invalid(op, "a digest of %d bytes, or a limit of %d", len(digest), most)
	}
	o.CreatedAt, o.ExpiresAt = fromMicros(micros(o.CreatedAt)), fromMicros(micros(o.ExpiresAt))
	sealed, err := s.sealer.Seal(nil, o.bound(digest))
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		_, err := t.changed(ctx, s.q.SessionInsert, digest, o.ID, o.Name, micros(o.CreatedAt), micros(o.ExpiresAt), text(o.Address, maxID), text(o.Agent, maxAgent), sealed)
		if err != nil {
			return err
		}
		if _, err := t.changed(ctx, s.q.SessionTrim, o.Name, most); err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

// Session gives the session behind a digest and its person, whatever their state:
// the caller looks at times and DisabledAt.
func (s *Store) Session(ctx context.Context, digest []byte) (Session, Person, error) {
	type pair struct {
		o Session
		p Person
	}
	found, err := one(ctx, s.findings.Read, s.q.SessionRead, []any{digest}, func(r scanner) (pair, error) {
		var v pair
		var key, seal, hash, doc []byte
		var made, expires, seen, created, updated int64
		if err := r.Scan(&key, &v.o.ID, &v.o.Name, &made, &expires, &seen, &v.o.Address, &v.o.Agent, &seal, &hash, &doc, &created, &updated, &v.p.Rev); err != nil {
			return v, err
		}
		v.o.CreatedAt, v.o.ExpiresAt, v.o.SeenAt = fromMicros(made), fromMicros(expires), fromMicros(seen)
		if _, err := s.sealer.Open(seal, v.o.bound(key)); err != nil {
			return v, err
		}
		v.p.Name = v.o.Name
		return v, s.openPerson(&v.p, hash, doc, created, updated)
	})
	if err != nil {
		return Session{}, Person{}, s.fail("read session", err)
	}
	return found.o, found.p, nil
}

// SeenSession writes down that a session was used now.
func (s *Store) SeenSession(ctx context.Context, digest []byte) error {
	return s.write(ctx, Findings, "note session", func(t *tx) error {
		_, err := t.changed(ctx, s.q.SessionSeen, digest, micros(s.now()))
		return err
	})
}

// EndSession ends the session behind a digest and sends eff; one that is not there
// changes and sends nothing.
func (s *Store) EndSession(ctx context.Context, digest []byte, eff Effects) error {
	return s.endSessions(ctx, "end session", eff, s.q.SessionEnd, digest)
}

// EndSessionOf ends one session of a person by its id, and sends eff; ErrNotFound
// when there is none.
func (s *Store) EndSessionOf(ctx context.Context, name, id string, eff Effects) error {
	return s.write(ctx, Findings, "end session", func(t *tx) error {
		n, err := t.changed(ctx, s.q.SessionEndID, text(name, maxID), text(id, maxID))
		if err != nil {
			return err
		}
		if n == 0 {
			return notFound("find session %s", id)
		}
		return t.send(ctx, eff)
	})
}

// EndSessions ends all sessions of a person and sends eff, if there are any.
func (s *Store) EndSessions(ctx context.Context, name string, eff Effects) error {
	return s.endSessions(ctx, "end sessions", eff, s.q.SessionEndAll, text(name, maxID))
}

func (s *Store) endSessions(ctx context.Context, op string, eff Effects, query string, arg any) error {
	return s.write(ctx, Findings, op, func(t *tx) error {
		n, err := t.changed(ctx, query, arg)
		if err != nil || n == 0 {
			return err
		}
		return t.send(ctx, eff)
	})
}

// ListSessions gives the sessions of a person that have not expired and were used
// after idle, the latest first, at most 1000.
func (s *Store) ListSessions(ctx context.Context, name string, idle time.Time) ([]Session, error) {
	args := []any{text(name, maxID), micros(s.now()), micros(idle), int64(maxSessions)}
	out, err := collect(ctx, s.findings.Read, s.q.SessionList, args, func(r scanner) (Session, error) {
		var o Session
		var made, expires, seen int64
		err := r.Scan(&o.ID, &o.Name, &made, &expires, &seen, &o.Address, &o.Agent)
		o.CreatedAt, o.ExpiresAt, o.SeenAt = fromMicros(made), fromMicros(expires), fromMicros(seen)
		return o, err
	})
	return out, s.fail("list sessions", err)
}

// CountTries counts one more in each bucket and gives the numbers, this one
// included. A bucket begins anew when its window has passed.
func (s *Store) CountTries(ctx context.Context, buckets [][]byte, window time.Duration) ([]int64, error) {
	out := make([]int64, len(buckets))
	err := s.write(ctx, Findings, "count tries", func(t *tx) error {
		now := s.now()
		for i, b := range buckets {
			n, err := one(ctx, t, s.q.TryAdd, []any{b, micros(now.Add(window)), micros(now)}, func(r scanner) (n int64, err error) {
				var until int64
				err = r.Scan(&n, &until)
				return n, err
			})
			if err != nil {
				return err
			}
			out[i] = n
		}
		return nil
	})
	return out, err
}

// ForgetTries begins buckets anew.
func (s *Store) ForgetTries(ctx context.Context, buckets [][]byte) error {
	return s.write(ctx, Findings, "forget tries", func(t *tx) error {
		for _, b := range buckets {
			if _, err := t.changed(ctx, s.q.TryForget, b); err != nil {
				return err
			}
		}
		return nil
	})
}

// pruneSessions removes sessions and counters of tries that have expired.
func (s *Store) pruneSessions(ctx context.Context) (sessions, tries int64, err error) {
	if sessions, err = s.pruneRows(ctx, Findings, s.q.SessionPrune, micros(s.now()), int64(pruneChunk)); err != nil {
		return sessions, 0, err
	}
	tries, err = s.pruneRows(ctx, Findings, s.q.TryPrune, micros(s.now()), int64(pruneChunk))
	return sessions, tries, err
}
