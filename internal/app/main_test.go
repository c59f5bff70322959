package app_test

import (
	"os"
	"testing"

	"github.com/parry-security/parry/internal/script"
)

// TestMain lets the test binary stand in for the helper that shuts scripts in.
func TestMain(m *testing.M) {
	if code, helper := script.MaybeChild(); helper {
		os.Exit(code)
	}
	os.Exit(m.Run())
}
