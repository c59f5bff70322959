package script

import (
	"context"
	"os"
	"path/filepath"
)

// Find gives the interpreter that scripts run in: the one asked for; else the
// python3 of the PATH, else that of a .venv beside this program or in a folder
// above it, whichever has what scripts need first. The working directory is not
// looked at: whoever owns it would choose what runs.
func Find(ctx context.Context, asked string) (Report, error) {
	if asked != "" {
		r, err := Probe(ctx, asked)
		if err == nil {
			err = r.Err()
		}
		return r, err
	}
	first, err := Probe(ctx, "python3")
	if err == nil {
		err = first.Err()
	}
	if err == nil {
		return first, nil
	}
	for _, path := range besideProgram() {
		if _, missing := os.Stat(path); missing != nil {
			continue
		}
		if r, unfit := Probe(ctx, path); unfit == nil && r.Err() == nil {
			return r, nil
		}
	}
	return first, err
}

// besideProgram gives where a virtual environment may be, nearest first.
func besideProgram() []string {
	program, err := os.Executable()
	if err != nil {
		return nil
	}
	var out []string
	for dir := filepath.Dir(program); ; dir = filepath.Dir(dir) {
		out = append(out, filepath.Join(dir, ".venv", "bin", "python"))
		if dir == filepath.Dir(dir) {
			return out
		}
	}
}
