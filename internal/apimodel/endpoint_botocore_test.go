package apimodel_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"testing"

	"github.com/parry-security/parry/test/testenv"
)

// TestEndpointCasesAsBotocoreSees asks botocore's own engine, with its own rules,
// for each of AWS's cases: it must say what we say, word for word.
func TestEndpointCasesAsBotocoreSees(t *testing.T) {
	if testing.Short() {
		t.Skip("runs botocore; run `make test`")
	}
	t.Parallel()
	c := load(t)
	partitions, err := c.Partitions()
	if err != nil {
		t.Fatal(err)
	}
	services := readCases(t)
	names := map[string]string{}
	for _, cases := range services {
		if s, err := c.Service(cases.ID); err == nil {
			names[cases.ID] = s.Name
		}
	}
	compared := 0
	for i, want := range botocoreOutcomes(t, names) {
		if len(want) == 0 {
			continue
		}
		s, err := c.Service(services[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		rules, err := s.Rules()
		if err != nil {
			t.Fatal(err)
		}
		for n, tc := range services[i].Cases {
			compared++
			if diff := diffOutcome(want[n], resolve(rules, partitions, tc.Params)); diff != "" {
				t.Errorf("%s %d %v (-botocore +ours)\n%s", s.Name, n, tc.Params, diff)
			}
		}
	}
	if compared < 12_000 {
		t.Errorf("compared %d cases, want over 12,000", compared)
	}
}

func botocoreOutcomes(t *testing.T, names map[string]string) (outcomes [][]outcome) {
	t.Helper()
	python, err := testenv.FindPython(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/endpoint_cases.py", caseFile, string(text)).Output() //nolint:gosec // our own program
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("botocore: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("botocore: %v", err)
	}
	if err := json.Unmarshal(out, &outcomes); err != nil {
		t.Fatal(err)
	}
	return outcomes
}
