package auth

import (
	"encoding/base32"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// KeyPrefix begins every access key id that Parry issues, so that people and
// secret scanners tell it from one of AWS.
const KeyPrefix = "PARRY"

const (
	keyIDLength  = 20 // as long as AWS's
	secretLength = 40 // as long as AWS's
	// The limits of what a key says about itself.
	maxName     = 128
	maxAccounts = 5000
	maxProducts = 200
)

// Grant is what a new key is to be for.
type Grant struct {
	// Name labels the key; findings imported with it carry the name as source.
	Name string
	// Principal is the person or program; default Name.
	Principal string
	Roles     []string
	// Accounts are 12-digit ids, or All.
	Accounts []string
	// Products may be reported with the key: product ARNs, company/product, or
	// All. Needed for a source only.
	Products []string
	Trusted  bool
}

// NewKey makes a key with an id and a secret from random. It checks the grant;
// storing the key is up to the caller.
func NewKey(g Grant, random io.Reader, now time.Time) (store.Key, error) {
	if g.Principal == "" {
		g.Principal = g.Name
	}
	if err := g.check(); err != nil {
		return store.Key{}, err
	}
	id, secret, err := credentials(random)
	if err != nil {
		return store.Key{}, fault.E(fault.Internal, "make key", err)
	}
	return store.Key{
		AccessKeyID: id, Secret: store.Secret(secret), Name: g.Name, Principal: g.Principal, Roles: slices.Clone(g.Roles),
		Accounts: slices.Clone(g.Accounts), Products: slices.Clone(g.Products), Trusted: g.Trusted, CreatedAt: now.UTC(),
	}, nil
}

// A name ends up in logs, ARNs, notes and session names.
const namePattern = `^[A-Za-z0-9][A-Za-z0-9._@+=-]*$`

func (g Grant) check() error {
	const op = "make key"
	good := regexp.MustCompile(namePattern)
	for _, v := range [][2]string{{"name", g.Name}, {"principal", g.Principal}} {
		if !good.MatchString(v[1]) || len(v[1]) > maxName {
			return fault.Errorf(fault.Invalid, op, "%s %q should be 1 to %d letters, digits or . _ @ + = -", v[0], clip(v[1]), maxName)
		}
	}
	roles, err := ParseRoles(g.Roles)
	switch {
	case err != nil:
		return err
	case len(roles) == 0:
		return fault.Errorf(fault.Invalid, op, "the key has no role").WithHint("name one of admin, operator, approver, reader, source")
	case len(g.Accounts) == 0:
		return fault.Errorf(fault.Invalid, op, "the key has no account").WithHint("name 12-digit account ids, or * for all")
	case len(g.Accounts) > maxAccounts || len(g.Products) > maxProducts:
		return fault.Errorf(fault.Invalid, op, "a key holds at most %d accounts and %d products", maxAccounts, maxProducts)
	case slices.Contains(roles, RoleSource) && len(g.Products) == 0:
		return fault.Errorf(fault.Invalid, op, "a source needs the products it may report as").
			WithHint("name product ARNs, company/product such as aws/securityhub, or * for all")
	case g.Trusted && !slices.ContainsFunc(roles, func(r Role) bool { return r.May(FindingImport) }):
		return fault.Errorf(fault.Invalid, op, "only a key that may import findings can be trusted")
	}
	return g.checkLists()
}

func (g Grant) checkLists() error {
	const op = "make key"
	for i, a := range g.Accounts {
		if a != All && !isAccount(a) {
			return fault.Errorf(fault.Invalid, op, "accounts[%d] %q is not a 12-digit account id and not *", i, clip(a))
		}
	}
	for i, p := range g.Products {
		if p != All && !isProduct(p) {
			return fault.Errorf(fault.Invalid, op, "products[%d] %q is not a product ARN, not company/product and not *", i, clip(p))
		}
	}
	return nil
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

func isProduct(s string) bool {
	if len(s) > 512 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return false
	}
	company, product, ok := strings.Cut(s, "/")
	return ok && company != "" && product != ""
}

func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

// credentials takes 75 bits for the id and 238 for the secret. The secret has
// letters and digits only, so that no shell or file format trips over it.
func credentials(random io.Reader) (id, secret string, err error) {
	var raw [10]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return "", "", fmt.Errorf("read random source: %w", err)
	}
	id = KeyPrefix + base32.StdEncoding.EncodeToString(raw[:])[:keyIDLength-len(KeyPrefix)]
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	out := make([]byte, 0, secretLength)
	for len(out) < secretLength {
		var b [1]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", "", fmt.Errorf("read random source: %w", err)
		}
		// What lies beyond the last whole alphabet is thrown away; taking it
		// modulo would favour the first letters.
		if n := int(b[0]); n < 256/len(alphabet)*len(alphabet) {
			out = append(out, alphabet[n%len(alphabet)])
		}
	}
	return id, string(out), nil
}
