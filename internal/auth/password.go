package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// The limits of a password, in characters.
const (
	MinPassword = 12
	MaxPassword = 128
	// minDistinct is how many different characters a password has at least.
	minDistinct = 5
	// maxPasswordBytes bounds what is normalized at all.
	maxPasswordBytes = 4 * MaxPassword
)

// Cost is what the hash of a password costs: argon2id's parameters.
type Cost struct {
	Memory  uint32 // KiB
	Passes  uint32
	Threads uint8
}

// DefaultCost is above what OWASP's password storage cheat sheet asks for: 64 MiB,
// three passes, two threads; about a tenth of a second.
func DefaultCost() Cost { return Cost{Memory: 64 << 10, Passes: 3, Threads: 2} }

const (
	saltLength = 16
	hashLength = 32
)

// NewPassword checks a password of a person and gives its hash as PHC string. The
// password is normalized first (RFC 8265), so that it is the same from every
// keyboard.
func NewPassword(name string, password store.Secret, cost Cost, random io.Reader) (store.Secret, error) {
	const op = "set the password"
	if random == nil {
		random = rand.Reader
	}
	normal, err := normalize(password)
	if err != nil {
		return "", fault.Errorf(fault.Invalid, op, "the password has characters that a password cannot have").WithHint("use letters, digits, signs and blanks, %d to %d of them", MinPassword, MaxPassword)
	}
	distinct := map[rune]bool{}
	for _, r := range normal {
		distinct[r] = true
	}
	switch n := utf8.RuneCountInString(normal); {
	case n < MinPassword || n > MaxPassword:
		return "", fault.Errorf(fault.Invalid, op, "the password has %d characters, outside %d to %d", n, MinPassword, MaxPassword).WithHint("several words in a row make a good one")
	case len(distinct) < minDistinct:
		return "", fault.Errorf(fault.Invalid, op, "the password has fewer than %d different characters", minDistinct).WithHint("several words in a row make a good one")
	case name != "" && strings.Contains(strings.ToLower(normal), strings.ToLower(name)) && n < MinPassword+utf8.RuneCountInString(name):
		return "", fault.Errorf(fault.Invalid, op, "the password is little more than the name").WithHint("several words in a row make a good one")
	}
	salt := make([]byte, saltLength)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", fault.E(fault.Internal, op, fmt.Errorf("read random source: %w", err))
	}
	return phc(cost, salt, argon2.IDKey([]byte(normal), salt, cost.Passes, cost.Memory, cost.Threads, hashLength)), nil
}

func normalize(password store.Secret) (string, error) {
	raw := password.Reveal()
	if len(raw) > maxPasswordBytes || !utf8.ValidString(raw) {
		return "", fault.Errorf(fault.Invalid, "", "no text of at most %d bytes", maxPasswordBytes)
	}
	return precis.OpaqueString.String(raw)
}

func phc(c Cost, salt, hash []byte) store.Secret {
	b := base64.RawStdEncoding
	return store.Secret(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.Memory, c.Passes, c.Threads, b.EncodeToString(salt), b.EncodeToString(hash)))
}

// The limits of what a stored hash may ask for: one that was tampered with must not
// take the memory of the machine.
const (
	maxMemory = 1 << 20 // KiB
	maxPasses = 100
)

// verify reports whether password is the one that hash was made of. What does not
// read as a hash is nobody's password, and costs as much.
func verify(hash, password store.Secret) bool {
	normal, err := normalize(password)
	good := err == nil
	var c Cost
	var version int
	parts := strings.Split(hash.Reveal(), "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return false
	}
	_, err1 := fmt.Sscanf(parts[2], "v=%d", &version)
	_, err2 := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.Memory, &c.Passes, &c.Threads)
	salt, err3 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err4 := base64.RawStdEncoding.DecodeString(parts[5])
	if err := errors.Join(err1, err2, err3, err4); err != nil || version != argon2.Version || len(want) != hashLength ||
		c.Memory == 0 || c.Memory > maxMemory || c.Passes == 0 || c.Passes > maxPasses || c.Threads == 0 {
		return false
	}
	got := argon2.IDKey([]byte(normal), salt, c.Passes, c.Memory, c.Threads, hashLength)
	return subtle.ConstantTimeCompare(got, want) == 1 && good
}
