package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store/seal"
)

func open(t *testing.T) (*seal.Keyring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys", "data.key")
	k, err := seal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return k, path
}

func TestSealedValuesOpenInTheirPlaceOnly(t *testing.T) {
	t.Parallel()
	k, path := open(t)
	for _, plain := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("secret "), 10_000)} {
		sealed, err := k.Seal(plain, []byte("plan\x00a"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := seal.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.Open(sealed, []byte("plan\x00a"))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("opened %q, %v; want %q", got, err, plain)
		}
		if _, err := k.Open(sealed, []byte("plan\x00b")); err == nil {
			t.Error("opened in another row")
		}
		if len(plain) > 8 && bytes.Contains(sealed, plain) {
			t.Error("the sealed value shows the plain one")
		}
	}
}

func TestEveryChangeIsNoticed(t *testing.T) {
	t.Parallel()
	k, _ := open(t)
	sealed, err := k.Seal([]byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open(bad, nil); err == nil || fault.HintOf(err) == "" {
			t.Errorf("byte %d changed: %v, want an error with a hint", i, err)
		}
	}
	for n := range sealed {
		if _, err := k.Open(sealed[:n], nil); err == nil {
			t.Errorf("opened %d of %d bytes", n, len(sealed))
		}
	}
}

func TestNoncesDoNotRepeat(t *testing.T) {
	t.Parallel()
	k, _ := open(t)
	seen := map[string]bool{}
	for range 1000 {
		sealed, err := k.Seal([]byte("same"), nil)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(sealed)] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different of 1000", len(seen))
	}
}

func TestTheKeyFileIsMadeOnceAndForItsOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data.key")
	var mu sync.Mutex
	var sealed [][]byte
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			k, err := seal.Open(path)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			s, err := k.Seal([]byte("x"), nil)
			if err != nil {
				t.Errorf("seal: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			sealed = append(sealed, s)
		})
	}
	wg.Wait()
	k, err := seal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sealed {
		if _, err := k.Open(s, nil); err != nil {
			t.Errorf("two keys were made: %v", err)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestAKeyFileThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o601} {
		_, path := open(t)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := seal.Open(path)
		if !fault.Is(err, fault.Denied) || fault.HintOf(err) != "run: chmod 600 "+path {
			t.Errorf("mode %o: %v, hint %q", mode, err, fault.HintOf(err))
		}
	}
	if _, err := seal.Open(t.TempDir()); err == nil {
		t.Error("opened a folder")
	}
}

func key(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }

func TestKeysAreReplacedByAddingALine(t *testing.T) {
	t.Parallel()
	parse := func(text string) *seal.Keyring {
		k, err := seal.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := parse("1 " + key(1))
	sealed, err := first.Seal([]byte("old"), nil)
	if err != nil {
		t.Fatal(err)
	}
	both := parse("# replaced in March\n\n1 " + key(1) + "\n2 " + key(2) + "\n")
	if got, err := both.Open(sealed, nil); err != nil || string(got) != "old" {
		t.Errorf("old value: %q, %v", got, err)
	}
	fresh, err := both.Seal([]byte("new"), nil)
	if err != nil || fresh[0] != 2 {
		t.Errorf("sealed with key %d, %v; want 2", fresh[0], err)
	}
	if _, err := first.Open(fresh, nil); err == nil || fault.HintOf(err) == "" {
		t.Errorf("opened without its key: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing": "", "no id": key(1), "id 0": "0 " + key(1), "id 256": "256 " + key(1), "a short key": "1 c2hvcnQ=",
		"no base64": "1 ***", "twice": "1 " + key(1) + "\n1 " + key(2), "too long": "#" + strings.Repeat("x", 40<<10),
	} {
		_, err := seal.Parse([]byte(text))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), key(1)) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "data.key")
	if err := os.WriteFile(path, []byte("1 broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Open(path); !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
		t.Errorf("broken file: %v", err)
	}
}

func TestAKeyringDoesNotPrint(t *testing.T) {
	t.Parallel()
	k, err := seal.Parse([]byte("1 " + key('A')))
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{fmt.Sprintf("%v", k), k.String(), fmt.Sprintf("%+v", k)} {
		if printed != "[redacted]" {
			t.Errorf("printed %q", printed)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "1 " + key(1), "# x\n2 " + key(2) + "\n", "1 x\n", "300 " + key(3)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		k, err := seal.Parse(raw)
		if err != nil {
			return
		}
		sealed, err := k.Seal([]byte("x"), raw)
		got, operr := k.Open(sealed, raw)
		if errors.Join(err, operr) != nil || string(got) != "x" {
			t.Fatalf("a ring that parsed does not seal: %v, %v", err, operr)
		}
	})
}
