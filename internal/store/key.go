package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"time"
)

// Secret is a text that prints as "[redacted]". Reveal is the only way to it.
type Secret string

const redacted = "[redacted]"

// Reveal gives the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (Secret) String() string { return redacted }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return redacted }

// MarshalJSON hides the secret.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Key is an access key that Parry issued.
type Key struct {
	AccessKeyID string
	// Secret is sealed in the table; lists leave it out.
	Secret    Secret
	Name      string
	Principal string
	Roles     []string
	// Accounts may be spoken for and read; "*" is all.
	Accounts []string
	// Products are the product ARNs that may be imported; "*" is all.
	Products []string
	// Trusted findings may start automatic remediation.
	Trusted   bool
	CreatedAt time.Time
	RevokedAt time.Time // zero while the key is good
}

// keyDoc is what the table keeps in the open.
type keyDoc struct {
	Name      string   `json:"name"`
	Principal string   `json:"principal"`
	Roles     []string `json:"roles"`
	Accounts  []string `json:"accounts"`
	Products  []string `json:"products"`
	Trusted   bool     `json:"trusted"`
}

const keyTable = "api_key"

// PutKey stores a new key and sends eff. An id that is taken answers ErrExists.
func (s *Store) PutKey(ctx context.Context, k Key, eff Effects) error {
	const op = "store key"
	if err := checkID(op, "access key id", k.AccessKeyID); err != nil {
		return err
	}
	if k.Secret == "" {
		return invalid(op, "the key has no secret")
	}
	// What a key may do is bound to it as well, so that a change of the row in
	// the table makes the secret unreadable instead of the key mightier.
	doc, err := json.Marshal(keyDoc{k.Name, k.Principal, k.Roles, k.Accounts, k.Products, k.Trusted})
	if err != nil {
		return s.fail(op, err)
	}
	sealed, err := s.sealer.Seal([]byte(k.Secret), aad(keyTable, k.AccessKeyID, string(doc)))
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		n, err := t.changed(ctx, s.q.KeyInsert, k.AccessKeyID, sealed, doc, micros(k.CreatedAt), micros(k.RevokedAt))
		if err != nil {
			return err
		}
		if n == 0 {
			return exists("store key %s", k.AccessKeyID)
		}
		return t.send(ctx, eff)
	})
}

// Key gives a key with its secret, revoked or not: the caller looks at RevokedAt.
func (s *Store) Key(ctx context.Context, accessKeyID string) (Key, error) {
	k, err := one(ctx, s.findings.Read, s.q.KeyRead, []any{text(accessKeyID, maxID)}, func(r scanner) (Key, error) {
		var k Key
		var sealed, doc []byte
		var created, revoked int64
		if err := r.Scan(&k.AccessKeyID, &sealed, &doc, &created, &revoked); err != nil {
			return k, err
		}
		secret, err := s.sealer.Open(sealed, aad(keyTable, k.AccessKeyID, string(doc)))
		if err != nil {
			return k, err
		}
		k.Secret = Secret(secret)
		return k, k.fill(doc, created, revoked)
	})
	if err != nil {
		return Key{}, s.fail("read key", err)
	}
	return k, nil
}

func (k *Key) fill(doc []byte, created, revoked int64) error {
	var d keyDoc
	if err := json.Unmarshal(doc, &d); err != nil {
		return err
	}
	k.Name, k.Principal, k.Roles, k.Accounts, k.Products, k.Trusted = d.Name, d.Principal, d.Roles, d.Accounts, d.Products, d.Trusted
	k.CreatedAt, k.RevokedAt = fromMicros(created), fromMicros(revoked)
	return nil
}

// ListKeys gives all keys, the oldest first, without their secrets.
func (s *Store) ListKeys(ctx context.Context) ([]Key, error) {
	keys, err := collect(ctx, s.findings.Read, s.q.KeyList, nil, func(r scanner) (Key, error) {
		var k Key
		var doc []byte
		var created, revoked int64
		if err := r.Scan(&k.AccessKeyID, &doc, &created, &revoked); err != nil {
			return k, err
		}
		return k, k.fill(doc, created, revoked)
	})
	return keys, s.fail("list keys", err)
}

// RevokeKey ends a key now and sends eff. Revoking it again changes and sends
// nothing.
func (s *Store) RevokeKey(ctx context.Context, accessKeyID string, eff Effects) error {
	return s.write(ctx, Findings, "revoke key", func(t *tx) error {
		n, err := t.changed(ctx, s.q.KeyRevoke, accessKeyID, micros(s.now()))
		if err != nil {
			return err
		}
		if n > 0 {
			return t.send(ctx, eff)
		}
		known, err := collect(ctx, t, s.q.KeyRead, []any{accessKeyID}, func(r scanner) (struct{}, error) { return struct{}{}, nil })
		if err == nil && len(known) == 0 {
			err = notFound("find key %s", accessKeyID)
		}
		return err
	})
}

// signaturePrune is how often signatures that are no longer valid are removed, which costs
// as much as remembering one.
const signaturePrune = 10 * time.Second

// SeenSignature remembers a request signature until its validity ends and
// reports whether it was seen before. What has expired is forgotten.
func (s *Store) SeenSignature(ctx context.Context, sig string, until time.Time) (bool, error) {
	digest := sha256.Sum256([]byte(sig))
	var seen bool
	err := s.write(ctx, Findings, "remember signature", func(t *tx) error {
		now := micros(s.now())
		n, err := t.changed(ctx, s.q.SignatureSee, digest[:], micros(until), now)
		if err != nil {
			return err
		}
		seen = n == 0
		if now-s.pruned.Load() < signaturePrune.Microseconds() {
			return nil
		}
		s.pruned.Store(now)
		_, err = t.changed(ctx, s.q.SignaturePrune, now)
		return err
	})
	return seen || err != nil, err
}
