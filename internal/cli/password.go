package cli

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// maxPasswordLine bounds what is read for a password, in bytes.
const maxPasswordLine = 4 << 10

// newPassword asks for a new password twice at the terminal, or reads it from standard
// input, and gives its hash. It never takes one from the command line, which others
// see.
func (s *shared) newPassword(name string, stdin bool) (store.Secret, error) {
	var password store.Secret
	var err error
	if stdin {
		password, err = s.passwordLine()
	} else {
		password, err = s.askTwice(name)
	}
	if err != nil {
		return "", err
	}
	hash, err := auth.NewPassword(name, password, auth.DefaultCost(), rand.Reader)
	if fault.Is(err, fault.Invalid) {
		return "", exit(ExitUsage, err)
	}
	return hash, err
}

// passwordLine reads the one line of standard input, without its end.
func (s *shared) passwordLine() (store.Secret, error) {
	raw, err := io.ReadAll(io.LimitReader(s.In, maxPasswordLine+1))
	if err != nil {
		return "", err
	}
	raw = bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r"))
	switch {
	case len(raw) == 0:
		return "", usage("there is no password on standard input")
	case len(raw) > maxPasswordLine || bytes.ContainsAny(raw, "\r\n"):
		return "", usage("standard input holds more than one line")
	}
	return store.Secret(raw), nil
}

func (s *shared) askTwice(name string) (store.Secret, error) {
	in, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", exit(ExitUsage, fault.Errorf(fault.Invalid, "", "there is no terminal to ask for the password").WithHint("pipe it in: --password-stdin < FILE"))
	}
	var typed [2]store.Secret
	for i, prompt := range []string{"New password for %s: ", "Once more: "} {
		if i == 0 {
			prompt = fmt.Sprintf(prompt, printable(name))
		}
		fmt.Fprint(s.Err, prompt)
		raw, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(s.Err)
		if err != nil {
			return "", err
		}
		typed[i] = store.Secret(raw)
	}
	if typed[0] != typed[1] {
		return "", usage("the two passwords differ")
	}
	return typed[0], nil
}
