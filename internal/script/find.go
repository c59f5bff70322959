package script

import (
	"context"
	"os"
	"path/filepath"
)

// Find gives the interpreter that scripts run in: the one asked for; else the
// python3 of the PATH, else that of a .venv beside this program or beside its
// folder, whichever has what scripts need first. Neither the working directory nor
// folders further up are looked at: whoever owns those would choose what runs.
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
	dir := filepath.Dir(program)
	venv := filepath.Join(".venv", "bin", "python")
	return []string{filepath.Join(dir, venv), filepath.Join(filepath.Dir(dir), venv)}
}
