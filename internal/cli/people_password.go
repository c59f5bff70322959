package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func (s *shared) peoplePasswordCommand() *cobra.Command {
	var stdin bool
	c := &cobra.Command{
		Use: "password", Short: "Change your own password; the old one is asked for", Args: cobra.NoArgs,
		Long: "Changes the password of the person that your key is of, who has to know the old one. All their sessions at the console end.\n" +
			"Who has forgotten it asks an administrator: parry people reset NAME.",
		Example: "  parry people password\n  parry people password --password-stdin < TWO-LINES",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			who, err := c.Session(cmd.Context())
			if err != nil {
				return err
			}
			old, next, err := s.twoPasswords(who.Name, stdin)
			if err != nil {
				return err
			}
			if err := c.ChangePassword(cmd.Context(), old, next); err != nil {
				return err
			}
			fmt.Fprintf(s.Err, "%s has a new password and is signed out everywhere\n", printable(who.Name))
			return nil
		},
	}
	c.Flags().BoolVar(&stdin, "password-stdin", false, "read both from standard input: the old password on the first line, the new one on the second")
	return c
}

// twoPasswords reads the old and the new password, never from the command line. The server
// checks the new one; asking twice keeps a typing error from locking somebody out.
func (s *shared) twoPasswords(name string, stdin bool) (old, next store.Secret, err error) {
	if stdin {
		return s.passwordLines()
	}
	in, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", "", exit(ExitUsage, fault.Errorf(fault.Invalid, "", "there is no terminal to ask for the passwords").WithHint("pipe both in, a line each: --password-stdin < FILE"))
	}
	fmt.Fprintf(s.Err, "Old password of %s: ", printable(name))
	raw, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(s.Err)
	if err != nil {
		return "", "", err
	}
	next, err = s.askTwice(name)
	return store.Secret(raw), next, err
}

func (s *shared) passwordLines() (old, next store.Secret, err error) {
	raw, err := io.ReadAll(io.LimitReader(s.In, 2*maxPasswordLine+1))
	if err != nil {
		return "", "", err
	}
	lines := bytes.Split(bytes.TrimSuffix(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\n")), []byte("\n"))
	if len(raw) > 2*maxPasswordLine || len(lines) != 2 || len(lines[0]) == 0 || len(lines[1]) == 0 {
		return "", "", usage("standard input should hold two lines: the old password and the new one, of %d to %d characters", auth.MinPassword, auth.MaxPassword)
	}
	return store.Secret(lines[0]), store.Secret(lines[1]), nil
}
