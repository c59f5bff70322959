package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/parry-security/parry/test/motoext"
)

// Moto is moto's server with motoext, and nothing around it: no wall, no
// organization, no accounts that are kept apart.
type Moto struct {
	URL  string
	Logs string // file

	process *process
}

// StartMoto starts moto with python ("" = find one, see FindPython) and keeps
// its programs and logs in dir, which has to exist.
func StartMoto(ctx context.Context, dir, python string) (*Moto, error) {
	python, err := FindPython(ctx, python)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	programs := filepath.Join(dir, "python")
	if err := unpackTo(programs, map[string]fs.FS{"motoext": motoext.FS}); err != nil {
		return nil, fmt.Errorf("unpack the Python programs: %w", err)
	}
	m := &Moto{Logs: filepath.Join(dir, "moto.log")}
	if m.process, err = startPython(ctx, python, programs, m.Logs, "-m", "motoext.server", "--until-eof", "--port", "0"); err != nil {
		return nil, fmt.Errorf("start moto: %w", err)
	}
	m.URL = fmt.Sprintf("http://127.0.0.1:%d", m.process.port)
	return m, nil
}

// Reset makes moto forget everything.
func (m *Moto) Reset(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL+"/moto-api/reset", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("moto answered %s to a reset", res.Status)
	}
	return nil
}

// Stop ends moto and waits for it. It may be repeated.
func (m *Moto) Stop() { m.process.stop() }

// unpackTo writes embedded Python packages below dir, by name.
func unpackTo(dir string, packages map[string]fs.FS) error {
	for name, files := range packages {
		to := filepath.Join(dir, name)
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.CopyFS(to, files); err != nil {
			return err
		}
	}
	return nil
}
