package service_test

import (
	"crypto/sha256"
	"testing"

	"github.com/parry-security/parry/internal/service"
)

func TestUUID(t *testing.T) {
	t.Parallel()
	// Stored messages and executions are found by these: they may not change.
	const want = "ba7816bf-8f01-8fea-8141-40de5dae2223"
	if got := service.UUID(sha256.Sum256([]byte("abc"))); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
