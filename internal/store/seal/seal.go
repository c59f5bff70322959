// Package seal encrypts what must not stand readable in a table, with a data key
// that is kept in a file of its own: XChaCha20-Poly1305, a random nonce for each
// value, and the value's place as additional data, so that a sealed text moved
// to another row does not open.
package seal

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/parry-security/parry/internal/fault"
)

// maxKeyFile bounds the data key file: 255 lines of one key each.
const maxKeyFile = 32 << 10

// Keyring seals with its newest key and opens with the one that sealed.
type Keyring struct {
	keys   map[byte]cipher.AEAD
	newest byte
	oldest byte
	root   []byte // the oldest key: what is derived from it outlives a new key
}

// Open reads the data key file, making it first when there is none. The file
// holds one line per key, "<id> <32 bytes in base64>", ids from 1 to 255; the
// greatest id seals. It must be readable by its owner only.
func Open(path string) (*Keyring, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fault.E(fault.Internal, "make the data key", err).
				WithHint("check that %s can be written by this user", filepath.Dir(path))
		}
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, fault.E(fault.Internal, "open the data key", err).WithHint("check who owns %s", path)
	}
	k, err := read(f, path)
	return k, errors.Join(err, f.Close())
}

func read(f *os.File, path string) (*Keyring, error) {
	const op = "read the data key"
	info, err := f.Stat()
	if err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.Errorf(fault.Invalid, op, "%s is not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fault.Errorf(fault.Denied, op, "%s can be read by others (mode %04o)", path, info.Mode().Perm()).
			WithHint("run: chmod 600 %s", path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	k, err := Parse(raw)
	if err != nil {
		return nil, fault.E(fault.Invalid, op+" "+path, err).
			WithHint("restore the data key from its backup: without it nothing sealed can be opened")
	}
	return k, nil
}

// Parse reads the text of a data key file. Its errors never show key material.
func Parse(raw []byte) (*Keyring, error) {
	if len(raw) > maxKeyFile {
		return nil, fmt.Errorf("longer than %d bytes", maxKeyFile)
	}
	k := &Keyring{keys: map[byte]cipher.AEAD{}}
	for i, line := range strings.Split(string(raw), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, text, _ := strings.Cut(line, " ")
		n, err := strconv.ParseUint(id, 10, 8)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("line %d does not begin with a key id from 1 to 255", i+1)
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil || len(key) != chacha20poly1305.KeySize {
			return nil, fmt.Errorf("line %d is not a key of %d bytes in base64", i+1, chacha20poly1305.KeySize)
		}
		aead, err := chacha20poly1305.NewX(key)
		if err != nil {
			return nil, fmt.Errorf("line %d: the key cannot be used", i+1)
		}
		if k.keys[byte(n)] != nil {
			return nil, fmt.Errorf("line %d: key id %d is there twice", i+1, n)
		}
		k.keys[byte(n)] = aead
		k.newest = max(k.newest, byte(n))
		if k.oldest == 0 || byte(n) < k.oldest {
			k.oldest, k.root = byte(n), key
		}
	}
	if k.newest == 0 {
		return nil, errors.New("no key in it")
	}
	return k, nil
}

// create writes a new key so that the file is never seen half written: under a
// name of its own first, then linked into place. Whoever comes second leaves the
// first one's key alone.
func create(path string) error {
	var key [chacha20poly1305.KeySize]byte
	if _, err := rand.Read(key[:]); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	var name [8]byte
	if _, err := rand.Read(name[:]); err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%x", path, name)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("1 " + base64.StdEncoding.EncodeToString(key[:]) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		if err = os.Link(tmp, path); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	return errors.Join(err, os.Remove(tmp), syncDir(filepath.Dir(path)))
}

// syncDir makes the new name durable: a key lost in a power cut would take
// everything sealed with it.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Seal gives the key id, the nonce and the encrypted text.
func (k *Keyring) Seal(plain, aad []byte) ([]byte, error) {
	aead := k.keys[k.newest]
	out := make([]byte, 1+aead.NonceSize(), 1+aead.NonceSize()+len(plain)+aead.Overhead())
	out[0] = k.newest
	if _, err := rand.Read(out[1:]); err != nil {
		return nil, fault.E(fault.Internal, "seal", err)
	}
	return aead.Seal(out, out[1:], plain, bind(k.newest, aad)), nil
}

// Open gives the plain text. It fails for another aad, another key and any change.
func (k *Keyring) Open(sealed, aad []byte) ([]byte, error) {
	const op = "open a sealed value"
	if len(sealed) == 0 || k.keys[sealed[0]] == nil {
		return nil, fault.Errorf(fault.Internal, op, "the key that sealed it is not in the data key file").
			WithHint("restore the data key file that belongs to this database")
	}
	aead := k.keys[sealed[0]]
	if len(sealed) < 1+aead.NonceSize()+aead.Overhead() {
		return nil, fault.Errorf(fault.Internal, op, "it is cut short")
	}
	nonce, text := sealed[1:1+aead.NonceSize()], sealed[1+aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, text, bind(sealed[0], aad))
	if err != nil {
		return nil, fault.Errorf(fault.Internal, op, "it was changed, moved, or sealed under another data key").
			WithHint("check that database and data key file belong together")
	}
	return plain, nil
}

// bind puts the key id under the seal too.
func bind(id byte, aad []byte) []byte {
	return append([]byte{id}, aad...)
}

// Derive gives a key for another purpose than sealing, 32 bytes. It stays the same
// when a newer data key is added.
func (k *Keyring) Derive(purpose string) []byte {
	h := hmac.New(sha256.New, k.root)
	h.Write([]byte("parry/derive/" + purpose))
	return h.Sum(nil)
}

// String hides the keys from logs.
func (k *Keyring) String() string { return "[redacted]" }
