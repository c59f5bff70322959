package catalog_test

import (
	"context"
	"path"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/runbook"
)

// cases is a runbook's test.yaml.
type cases struct {
	Runbook string
	Cases   []struct {
		Name       string
		Parameters map[string]any
		AWS        map[string]map[string]any `yaml:"aws"` // answers by "service:Operation"
		Status     string
		Calls      []made
	}
}

type made struct {
	Call  string
	Input map[string]any
}

// aws answers with a case's answers and writes down what it was asked.
type aws struct {
	answers map[string]map[string]any
	calls   []made
}

func (a *aws) Call(_ context.Context, _ string, c apimodel.Call) (apimodel.Reply, error) {
	name := c.Service + ":" + c.Operation
	a.calls = append(a.calls, made{Call: name, Input: c.Input})
	out := a.answers[name]
	if out == nil {
		out = map[string]any{}
	}
	return apimodel.Reply{Output: out}, nil
}

// plain gives calls with numbers of one type.
func plain(calls []made) []made {
	out := []made{}
	for _, c := range calls {
		input, _ := runbook.Normalize(c.Input).(map[string]any)
		out = append(out, made{c.Call, input})
	}
	return out
}

// still is a clock that nothing has to wait for.
type still struct{}

func (still) Now() time.Time                            { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
func (still) Wait(context.Context, time.Duration) error { return nil }

func TestEveryRunbookDoesWhatItsCasesSay(t *testing.T) {
	t.Parallel()
	interpreter, err := automation.New(automation.Config{Clock: still{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range glob(t, "runbooks/*") {
		doc, err := runbook.Parse(read(t, dir+"/runbook.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var file cases
		if err := yaml.Unmarshal(read(t, dir+"/test.yaml"), &file); err != nil {
			t.Fatal(err)
		}
		for _, c := range file.Cases {
			if c.AWS == nil {
				continue // for an emulator: test/corpus
			}
			t.Run(path.Base(dir)+"/"+c.Name, func(t *testing.T) {
				t.Parallel()
				parameters, err := doc.ResolveParameters(c.Parameters, nil)
				if err != nil {
					t.Fatal(err)
				}
				calls := &aws{answers: c.AWS}
				got, err := interpreter.Run(t.Context(), automation.Run{
					Document: doc, Parameters: parameters, Caller: calls, ExecutionID: "exec-1", Account: "111122223333", Region: "us-east-1",
				})
				if err != nil {
					t.Fatal(err)
				}
				if string(got.Status) != c.Status {
					t.Errorf("status is %s, want %s: %+v", got.Status, c.Status, got.Failure)
				}
				if diff := cmp.Diff(plain(c.Calls), plain(calls.calls)); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		}
	}
}
