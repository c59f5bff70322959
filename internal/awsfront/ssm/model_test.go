package ssm_test

import (
	"testing"

	"github.com/parry-security/parry/internal/awsfront/protocol/protocoltest"
)

// conform holds an answer against AWS's model of the operation, see protocoltest.
func conform(t testing.TB, operation string, value any) object {
	t.Helper()
	catalog, err := models()
	if err != nil {
		t.Fatal(err)
	}
	return protocoltest.Conform(t, catalog, "ssm", operation, value)
}
