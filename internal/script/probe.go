package script

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

//go:embed python/probe.py
var probeProgram string

const (
	probeLimit = 30 * time.Second
	probeSize  = 1 << 20
	opProbe    = "look at Python for scripts"
	pythonHint = "install Python 3.9 or newer with boto3 (python3 -m venv /opt/parry-python && /opt/parry-python/bin/pip install boto3), and set scripts.python to it"
)

// Report is what an interpreter has.
type Report struct {
	Python         string            `json:"python"` // absolute path
	Version        []int             `json:"version"`
	Implementation string            `json:"implementation"`
	Executable     string            `json:"executable"`
	Prefix         string            `json:"prefix"`
	BasePrefix     string            `json:"base_prefix"`
	Modules        map[string]string `json:"modules"` // name: version, "" = not said
	Missing        map[string]string `json:"missing"` // name: why it cannot be imported
	Paths          []string          `json:"paths"`   // where modules are looked for
	Libraries      []string          `json:"libraries"`
}

// VersionText gives "3.11.7".
func (r Report) VersionText() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(r.Version), " ", "."), "[]")
}

func unable(format string, args ...any) error {
	return fault.Errorf(fault.Unavailable, opProbe, format, args...).WithHint("%s", pythonHint)
}

// Err says what keeps the interpreter from running scripts; nil = nothing.
func (r Report) Err() error {
	if err := r.able(); err != nil {
		return err
	}
	for _, name := range []string{"boto3", "botocore"} {
		if why := r.Missing[name]; why != "" {
			return unable("%s has no %s: %s", r.Python, name, clip(why, 300))
		}
	}
	return nil
}

// able says what keeps the interpreter from being shut in.
func (r Report) able() error {
	switch {
	case r.Implementation != "cpython":
		return unable("%s is %q, scripts need CPython", r.Python, clip(r.Implementation, 50))
	case len(r.Version) < 2 || slices.Compare(r.Version, []int{3, 9}) < 0:
		return unable("%s is Python %s, scripts need 3.9 or newer", r.Python, r.VersionText())
	case r.Missing["ctypes"] != "":
		return unable("%s has no ctypes, which sets up the sandbox: %s", r.Python, clip(r.Missing["ctypes"], 300))
	}
	return nil
}

// Probe asks an interpreter what it has. Python is a path, or a name on the PATH.
// It takes at most 30 seconds.
func Probe(ctx context.Context, python string) (Report, error) {
	return probe(ctx, python, "ctypes", "ssl", "_decimal", "_json", "zlib", "sqlite3", "boto3", "botocore", "dateutil")
}

func probe(ctx context.Context, python string, modules ...string) (Report, error) {
	path, err := exec.LookPath(python)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return Report{}, fault.E(fault.Unavailable, opProbe, err).WithHint("%s", pythonHint)
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, append([]string{"-I", "-B", "-c", probeProgram}, modules...)...)
	// A launcher, such as pyenv's, needs the PATH to find the interpreter itself.
	cmd.Env = append(cleanEnvironment(os.Getenv("HOME"))[1:], "PATH="+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = &limitedWriter{w: &stdout, left: probeSize}, &limitedWriter{w: &stderr, left: 4096}
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(stderr.String())
		if text != "" {
			err = fmt.Errorf("%w: %s", err, text[strings.LastIndexByte(text, '\n')+1:])
		}
		return Report{}, fault.E(fault.Unavailable, opProbe, fmt.Errorf("%s: %w", path, err)).WithHint("%s", pythonHint)
	}
	var r Report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		return Report{}, fault.E(fault.Unavailable, opProbe, fmt.Errorf("%s answered what is no report: %w", path, err)).WithHint("%s", pythonHint)
	}
	if r.Python = r.Executable; !filepath.IsAbs(r.Python) {
		return Report{}, fault.Errorf(fault.Unavailable, opProbe, "%s does not say where it is", path).WithHint("%s", pythonHint)
	}
	return r, nil
}

// cleanEnvironment is all that an interpreter is given: nothing of the host's.
// The keys are no credentials; boto3 would look for some otherwise.
func cleanEnvironment(home string) []string {
	return []string{
		"PATH=/nonexistent", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=" + home, "MALLOC_ARENA_MAX=2",
		"AWS_ACCESS_KEY_ID=PARRYSANDBOX", "AWS_SECRET_ACCESS_KEY=PARRYSANDBOX", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_MAX_ATTEMPTS=1",
	}
}

// limitedWriter keeps what fits and swallows the rest.
type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	part := p[:min(len(p), l.left)]
	l.left -= len(part)
	if _, err := l.w.Write(part); err != nil {
		return 0, err
	}
	return len(p), nil
}
