package script_test

import (
	"os"
	"testing"

	"github.com/parry-security/parry/internal/script"
)

func TestMain(m *testing.M) {
	if code, helper := script.MaybeChild(); helper {
		os.Exit(code)
	}
	code := m.Run()
	stopRunners()
	os.Exit(code)
}
