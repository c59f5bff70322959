// Package envtest starts the world of package testenv for a test and stops it
// after. It is apart because a program has no use for package testing.
package envtest

import (
	"os"
	"testing"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/test/testenv"
)

// For starts moto, the wall, the estate and the mail sink. Without Python and
// moto it fails where $PARRY_PYTHON says that they must be there (`make test`
// sets it), and skips elsewhere, so that a fresh clone can be tested with Go
// alone. With -short it skips.
func For(t testing.TB) *testenv.Env {
	t.Helper()
	return With(t, testenv.Options{Dir: t.TempDir()})
}

// With is For with options of the test's own.
func With(t testing.TB, o testenv.Options) *testenv.Env {
	t.Helper()
	if testing.Short() {
		t.Skip("moto and the estate take seconds to start; run without -short")
	}
	python, err := testenv.FindPython(t.Context(), o.Python)
	if err != nil {
		if os.Getenv("PARRY_PYTHON") != "" {
			t.Fatal(err)
		}
		t.Skipf("%v; %s", err, fault.HintOf(err))
	}
	o.Python = python
	env, err := testenv.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(env.Stop)
	return env
}

// Postgres starts a PostgreSQL server. Where none is installed it fails if
// $PARRY_PYTHON is set, as For does, and skips otherwise.
func Postgres(t testing.TB) *testenv.Postgres {
	t.Helper()
	p, err := testenv.StartPostgres(t.Context(), t.TempDir())
	if err != nil {
		if os.Getenv("PARRY_PYTHON") != "" {
			t.Fatal(err)
		}
		t.Skipf("%v; %s", err, fault.HintOf(err))
	}
	t.Cleanup(p.Stop)
	return p
}
