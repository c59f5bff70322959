package auth

import (
	"context"
	"fmt"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// Keys is where keys are looked up.
type Keys interface {
	Key(ctx context.Context, accessKeyID string) (store.Key, error)
}

// Keyring finds the principal and the secret behind an access key id.
type Keyring struct{ keys Keys }

// NewKeyring makes a keyring over keys.
func NewKeyring(keys Keys) (*Keyring, error) {
	if keys == nil {
		return nil, fault.Errorf(fault.Internal, "make keyring", "keys are required")
	}
	return &Keyring{keys}, nil
}

// Find gives the principal and secret of a key that is in force. A key that is
// unknown, revoked or says nonsense is not found; any other error means that
// the keys could not be read, and nothing may be let through.
func (k *Keyring) Find(ctx context.Context, accessKeyID string) (Principal, store.Secret, error) {
	key, err := k.keys.Key(ctx, accessKeyID)
	if err != nil {
		return Principal{}, "", fmt.Errorf("find access key: %w", err)
	}
	if !key.RevokedAt.IsZero() || key.Secret == "" || key.AccessKeyID != accessKeyID {
		return Principal{}, "", fault.Errorf(fault.NotFound, "find access key", "the key is not in force")
	}
	return PrincipalOf(key), key.Secret, nil
}

// PrincipalOf gives the principal that a key stands for. Roles that do not
// exist give nothing, so they are left out.
func PrincipalOf(key store.Key) Principal {
	p := Principal{
		Name: key.Principal, KeyID: key.AccessKeyID, KeyName: key.Name,
		Accounts: key.Accounts, Products: key.Products, Trusted: key.Trusted,
	}
	for _, name := range key.Roles {
		if r := Role(name); r.Valid() {
			p.Roles = append(p.Roles, r)
		}
	}
	return p
}
