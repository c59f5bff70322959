// Package envtest starts the world of package testenv for a test and stops it
// after. It is apart because a program has no use for package testing.
package envtest

import (
	"os"
	"testing"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/test/testenv"
)

// For starts moto, the wall, the estate and the mail sink.
func For(t testing.TB) *testenv.Env {
	t.Helper()
	return With(t, testenv.Options{Dir: t.TempDir()})
}

// With is For with options of the test's own.
func With(t testing.TB, o testenv.Options) *testenv.Env {
	t.Helper()
	o.Python = Needs(t)
	env, err := testenv.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(env.Stop)
	return env
}

// Needs gives a Python with moto. Without one it fails where $PARRY_PYTHON says
// that it must be there (`make test` sets it) and skips elsewhere, so that a
// fresh clone can be tested with Go alone. With -short it skips.
func Needs(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("moto and the estate take seconds to start; run without -short")
	}
	python, err := testenv.FindPython(t.Context(), "")
	if err != nil {
		if os.Getenv("PARRY_PYTHON") != "" {
			t.Fatal(err)
		}
		t.Skipf("%v; %s", err, fault.HintOf(err))
	}
	return python
}

// Postgres starts a PostgreSQL server. Where none is installed it fails if
// $PARRY_TEST_POSTGRES is "require", as `make test` says, and skips otherwise.
func Postgres(t testing.TB) *testenv.Postgres {
	t.Helper()
	if testing.Short() {
		t.Skip("PostgreSQL takes seconds to start; run without -short")
	}
	p, err := testenv.StartPostgres(t.Context(), t.TempDir())
	if err != nil {
		if os.Getenv("PARRY_TEST_POSTGRES") == "require" || fault.HintOf(err) == "" {
			t.Fatal(err)
		}
		t.Skipf("%v; %s", err, fault.HintOf(err))
	}
	t.Cleanup(p.Stop)
	return p
}
