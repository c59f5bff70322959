package awsapi

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
)

// TestTheCataloguesServicesAreCompared holds wireAlways against the runbooks
// that are shipped, and against the names that there are.
func TestTheCataloguesServicesAreCompared(t *testing.T) {
	t.Parallel()
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range wireAlways {
		if !slices.Contains(models.Services(), name) {
			t.Errorf("there is no service %s", name)
		}
	}
	runbooks, err := filepath.Glob(filepath.Join("..", "..", "catalog", "runbooks", "*", "runbook.yaml"))
	if err != nil || len(runbooks) == 0 {
		t.Fatalf("no runbooks: %v", err)
	}
	service := regexp.MustCompile(`(?m)^\s*Service: *["']?([a-zA-Z0-9-]+)|\.client\(["']([a-z0-9-]+)`)
	for _, name := range runbooks {
		text, err := os.ReadFile(name) //nolint:gosec // our own file
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range service.FindAllStringSubmatch(string(text), -1) {
			used, err := models.Service(m[1] + m[2])
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if !slices.Contains(wireAlways, used.Name) {
				t.Errorf("%s calls %s, of which not every operation is compared with boto3", name, used.Name)
			}
		}
	}
}
