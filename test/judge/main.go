// The program judge has Prowler look at the world of the demo before the fixes and after
// them, and compares what it says with what Parry says: each bad resource fails Prowler's
// checks before, passes after if Parry fixed it and fails still if not, and the good twins
// pass both times. `make judge` runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// verdict is what Prowler's checks say, by resource and check: PASS, FAIL or nothing.
type verdict map[string]map[string]string

func run(ctx context.Context, out io.Writer) error {
	program, python, err := programs()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "parry-judge-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var before, after verdict
	var resources map[string]struct{ Control string }
	look := func(ctx context.Context, w demo.World) (err error) {
		fmt.Fprintf(out, "Prowler looks at six accounts (after the fixes: %v)\n", w.Fixed)
		raw, err := os.ReadFile(w.Resources)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &resources); err != nil {
			return err
		}
		said, err := prowler(ctx, python, w, filepath.Join(dir, fmt.Sprintf("prowler-%v", w.Fixed)))
		if w.Fixed {
			after = said
		} else {
			before = said
		}
		return err
	}
	summary, err := demo.Run(ctx, demo.Options{Program: program, Dir: filepath.Join(dir, "demo"), Python: os.Getenv("PARRY_PYTHON"), Pause: look, Progress: progress{out}})
	if err != nil {
		return err
	}
	return compare(out, resources, before, after, summary.Fixed)
}

// programs gives the parry program and the Python that has Prowler.
func programs() (program, python string, err error) {
	if program, err = filepath.Abs(filepath.Join("bin", "parry")); err != nil {
		return "", "", err
	}
	if python, err = filepath.Abs(filepath.Join(".prowler", "bin", "python")); err != nil {
		return "", "", err
	}
	for _, name := range []string{program, python} {
		if _, err := os.Stat(name); err != nil {
			return "", "", fmt.Errorf("%w; run: make judge", err)
		}
	}
	return program, python, nil
}

func prowler(ctx context.Context, python string, w demo.World, folder string) (verdict, error) {
	cmd := exec.CommandContext(ctx, python, filepath.Join("test", "judge", "prowler_look.py"), w.Estate, w.Resources, folder) //nolint:gosec // a program of this tree
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("have Prowler look: %w", err)
	}
	var said verdict
	if err := json.Unmarshal(raw, &said); err != nil {
		return nil, fmt.Errorf("read what Prowler said: %w", err)
	}
	return said, nil
}

// compare prints a line for each resource and check, and says whether all is as it should
// be.
func compare(out io.Writer, resources map[string]struct{ Control string }, before, after verdict, fixed []string) error {
	wrong := 0
	fmt.Fprintf(out, "\n%-34s %-66s %-8s %-8s %s\n", "RESOURCE", "PROWLER'S CHECK", "BEFORE", "AFTER", "PARRY")
	for _, k := range slices.Sorted(maps.Keys(resources)) {
		first, then, parry := "FAIL", "FAIL", "left"
		switch {
		case strings.HasSuffix(k, "/good"):
			first, then, parry = "PASS", "PASS", "good twin"
		case slices.Contains(fixed, k):
			then, parry = "PASS", "fixed"
		}
		checks := slices.Sorted(maps.Keys(before[k]))
		if len(checks) == 0 {
			checks = []string{"(none)"}
		}
		for _, check := range checks {
			mark := ""
			if before[k][check] != first || after[k][check] != then {
				mark = "  WRONG: expected " + first + ", " + then
				wrong++
			}
			fmt.Fprintf(out, "%-34s %-66s %-8s %-8s %s%s\n", k, check, before[k][check], after[k][check], parry, mark)
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d of Prowler's verdicts are not as they should be", wrong)
	}
	if len(resources) == 0 || len(fixed) == 0 {
		return errors.New("nothing was judged")
	}
	fmt.Fprintf(out, "\nProwler agrees: what fails before passes after where Parry fixed it, and nothing else changed.\n")
	return nil
}

// progress shows the story in a line for each step.
type progress struct{ out io.Writer }

func (progress) Step(int, int, string) {}

func (p progress) Done(n, of int, title, _ string, took time.Duration) {
	fmt.Fprintf(p.out, "%2d/%d %s (%.1f s)\n", n, of, title, took.Seconds())
}

func (progress) Text(string) {}
