package testenv

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

const installHint = "run `make venv` in a checkout, or: python3 -m venv .venv && .venv/bin/pip install 'moto[server]==5.2.1' boto3==1.43.11 awscli==1.45.11"

// FindPython gives a Python that has moto and boto3: the one asked for, else
// $PARRY_PYTHON, else .venv in the working directory or above it, or above the
// program's own, else python3. One that is named and does not serve is an error
// and not a reason to look further.
func FindPython(ctx context.Context, asked string) (string, error) {
	const op = "find Python with moto"
	if asked == "" {
		asked = os.Getenv("PARRY_PYTHON")
	}
	if asked != "" {
		path, err := checkPython(ctx, asked)
		if err != nil {
			return "", fault.E(fault.Unavailable, op, err).WithHint(installHint)
		}
		return path, nil
	}
	var seen []string
	for _, candidate := range candidates() {
		path, err := checkPython(ctx, candidate)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, os.ErrNotExist) {
			seen = append(seen, err.Error())
		}
	}
	if len(seen) == 0 {
		return "", fault.Errorf(fault.Unavailable, op, "there is no .venv here and no python3 on the PATH").
			WithHint("install Python 3.10 or newer (Debian: apt-get install -y python3-venv), then " + installHint)
	}
	return "", fault.Errorf(fault.Unavailable, op, "%s", strings.Join(seen, "; ")).WithHint(installHint)
}

func candidates() []string {
	var out []string
	var starts []string
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	inVenv := filepath.Join(".venv", "bin", "python")
	if runtime.GOOS == "windows" {
		inVenv = filepath.Join(".venv", "Scripts", "python.exe")
	}
	for _, dir := range starts {
		for {
			out = append(out, filepath.Join(dir, inVenv))
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	return append(out, "python3")
}

// findModules looks for the packages without importing them, which takes a second.
const findModules = `
import importlib.util, sys
for name in ("moto", "flask", "boto3"):
    if importlib.util.find_spec(name) is None:
        sys.exit(f"ModuleNotFoundError: No module named '{name}'")
`

// checkPython gives the absolute path of a Python that can import what is needed.
func checkPython(ctx context.Context, name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, "-c", findModules)
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return "", fault.Errorf(fault.Unavailable, path, "%s", lastLine(stderr.String(), err))
	}
	return path, nil
}

// lastLine of a Python traceback is what went wrong.
func lastLine(text string, err error) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return last
	}
	return err.Error()
}

// AWS gives the AWS CLI that belongs to the Python, else the one on the PATH.
func (e *Env) AWS() (string, error) {
	path := filepath.Join(filepath.Dir(e.Python), "aws")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	path, err := exec.LookPath("aws")
	if err != nil {
		return "", fault.E(fault.Unavailable, "find the AWS CLI", err).WithHint(installHint)
	}
	return path, nil
}

// Environ is the environment for an AWS client that is to use key through the
// wall and nothing else of this machine.
func (e *Env) Environ(key Key) []string { return e.environ(key) }

func (e *Env) environ(key Key) []string {
	var out []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") && !strings.HasPrefix(kv, "PYTHON") {
			out = append(out, kv)
		}
	}
	out = append(out,
		"AWS_ENDPOINT_URL="+e.WallURL, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
		"PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1",
	)
	if key.AccessKeyID != "" {
		out = append(out, "AWS_ACCESS_KEY_ID="+key.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+key.Secret)
	}
	return out
}

// Run runs one of the programs of test/py and gives its standard output. An
// exit status other than zero is a *ScriptError.
func (e *Env) Run(ctx context.Context, script string, args ...string) ([]byte, error) {
	return e.run(ctx, e.environ(Key{}), script, args...)
}

// ScriptError is a Python program that ended with an exit status.
type ScriptError struct {
	Script string
	Status int
	Stdout []byte
	Stderr string
}

func (e *ScriptError) Error() string {
	text := strings.TrimSpace(e.Stderr)
	if text == "" {
		text = strings.TrimSpace(string(e.Stdout))
	}
	return e.Script + ": " + text
}

func (e *Env) run(ctx context.Context, env []string, script string, args ...string) ([]byte, error) {
	path := filepath.Join(e.Dir, "python", "py", script)
	cmd := exec.CommandContext(ctx, e.Python, append([]string{path}, args...)...)
	cmd.Env = env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return stdout.Bytes(), &ScriptError{Script: script, Status: exit.ExitCode(), Stdout: stdout.Bytes(), Stderr: stderr.String()}
	}
	return stdout.Bytes(), err
}
