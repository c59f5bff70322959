package awsapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/remediation"
)

// maxNotProven is how many of the table's operations may lack a proof on moto.
const maxNotProven = 0.15

// imageCases is one file of testdata/images, named after its service. The
// README of the image table explains it.
type imageCases struct {
	Cases     []imageCase `yaml:"cases"`
	NotProven []struct {
		Operation string `yaml:"operation"`
		Reason    string `yaml:"reason"`
	} `yaml:"not_proven"`
}

// imageCase is set-up calls and changes, each of which is applied and undone.
type imageCase struct {
	Name    string      `yaml:"name"`
	Setup   []caseCall  `yaml:"setup"`
	Changes []provenRow `yaml:"changes"`
}

type caseCall struct {
	Call  string            `yaml:"call"` // service:Operation
	Input map[string]any    `yaml:"input"`
	Save  map[string]string `yaml:"save"` // variable <- path in the output
}

type provenRow struct {
	caseCall `yaml:",inline"`
	// Setup is sent before the change, and is not undone.
	Setup []caseCall `yaml:"setup"`
	// Volatile members of the read's answer differ though nothing changed: times, revisions.
	Volatile []string `yaml:"volatile"`
	// Unknown is set where the table cannot tell the effect.
	Unknown bool `yaml:"unknown"`
	// Same is set where the call changes nothing, so that the undo must not either.
	Same bool `yaml:"same"`
}

func readImageCases(t *testing.T) map[string]imageCases {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "images", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	out := map[string]imageCases{}
	for _, name := range files {
		raw, err := os.ReadFile(name) //nolint:gosec // our own file
		if err != nil {
			t.Fatal(err)
		}
		dec := yaml.NewDecoder(bytes.NewReader(raw))
		dec.KnownFields(true)
		var c imageCases
		if err := dec.Decode(&c); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[strings.TrimSuffix(filepath.Base(name), ".yaml")] = c
	}
	return out
}

// TestEveryImageRowIsProvenOrSaysWhyNot holds the cases against the table.
func TestEveryImageRowIsProvenOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	table := apimodel.ImageOperations()
	proven, reasons := map[string]bool{}, map[string]string{}
	for service, file := range readImageCases(t) {
		for _, c := range file.Cases {
			for _, change := range c.Changes {
				proven[change.Call] = true
			}
		}
		for _, n := range file.NotProven {
			if n.Reason == "" || !strings.HasPrefix(n.Operation, service+":") {
				t.Errorf("%s: %q is listed as not proven without a reason, or in the wrong file", service, n.Operation)
			}
			reasons[n.Operation] = n.Reason
		}
	}
	for _, op := range table {
		if proven[op] == (reasons[op] != "") {
			t.Errorf("%s: proven %v, not proven because %q", op, proven[op], reasons[op])
		}
	}
	for op := range maps.Keys(proven) {
		if !slices.Contains(table, op) {
			t.Errorf("%s is proven and not in the table", op)
		}
	}
	if most := int(maxNotProven * float64(len(table))); len(reasons) > most {
		t.Errorf("%d of %d operations are not proven; at most %d may be", len(reasons), len(table), most)
	}
	t.Logf("%d operations in the table, %d not proven on moto", len(table), len(reasons))
}

// TestMotoImages applies and undoes every operation of the image table through
// the gate and wants the whole answer of the read to be what it was.
func TestMotoImages(t *testing.T) {
	if testing.Short() {
		t.Skip("starts moto")
	}
	t.Parallel()
	client := newClient(t, startMotoExt(t), nil)
	w := newWorld(t, func(c *awsapi.Config) {
		c.Sender = client
		c.Credentials = awsapi.NewStaticCredentials(client, testKeys)
		c.Guards = awsapi.Guards{Accounts: []string{"*"}, AllowManagement: true} // the table is proven, not the guards
		c.Clock = nil                                                            // moto's credentials end by the wall clock
		c.Observe = nil
	})
	n := 0
	files := readImageCases(t)
	for _, service := range slices.Sorted(maps.Keys(files)) {
		for _, c := range files[service].Cases {
			n++
			// An account for each case, so that none sees what another does.
			p := &prover{client: client, gate: w.gate, account: fmt.Sprintf("2%011d", n)}
			t.Run(service+"/"+c.Name, func(t *testing.T) {
				t.Parallel()
				p.prove(t, c)
			})
		}
	}
}

// startMotoExt runs moto with what test/motoext adds until the test ends.
func startMotoExt(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(python(t), "-m", "motoext.server", "--until-eof") //nolint:gosec,noctx // ended in Cleanup
	cmd.Dir = filepath.Join("..", "..", "test")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "MOTO_EC2_LOAD_DEFAULT_AMIS=false")
	var log bytes.Buffer
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	port, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if err != nil || !ok {
		t.Fatalf("moto did not start: %v, %q", err, line)
	}
	return "http://127.0.0.1:" + port
}

// prover carries one case out in an account of its own.
type prover struct {
	client  *awsapi.Client
	gate    *awsapi.Gate
	account string
	creds   awsapi.Credentials
	vars    map[string]any
}

const proofRegion = "us-east-1"

func (p *prover) prove(t *testing.T, c imageCase) {
	t.Helper()
	var err error
	p.creds, _, err = awsapi.NewStaticCredentials(p.client, testKeys).AssumeRole(t.Context(), awsapi.RoleRequest{
		RoleARN: "arn:aws:iam::" + p.account + ":role/" + role, SessionName: "set-up", Region: proofRegion,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.vars = map[string]any{"account": p.account, "region": proofRegion}
	for _, call := range c.Setup {
		p.send(t, call)
	}
	for i, change := range c.Changes {
		for _, call := range change.Setup {
			p.send(t, call)
		}
		p.change(t, fmt.Sprintf("%d/%s", i+1, change.Call), change)
	}
}

// call fills the variables of a call in.
func (p *prover) call(c caseCall) apimodel.Call {
	service, op, _ := strings.Cut(c.Call, ":")
	in, _ := p.fill(c.Input).(map[string]any)
	return apimodel.Call{Service: service, Operation: op, Account: p.account, Region: proofRegion, Input: in}
}

// send makes a set-up call past the gate.
func (p *prover) send(t *testing.T, c caseCall) {
	t.Helper()
	reply, err := p.client.Send(t.Context(), p.creds, p.call(c))
	if err != nil {
		t.Fatalf("set-up %s: %v", c.Call, err)
	}
	for name, path := range c.Save {
		if p.vars[name] = at(reply.Output, path); p.vars[name] == nil {
			t.Fatalf("set-up %s: no %s in %v", c.Call, path, reply.Output)
		}
	}
}

// change plans, applies, checks and undoes one change.
func (p *prover) change(t *testing.T, name string, row provenRow) {
	t.Helper()
	call := p.call(row.caseCall)
	spec, ok := apimodel.ImageOf(call)
	if !ok {
		t.Fatalf("%s: no row for this call", name)
	}
	before, wholeBefore := p.look(t, name, spec, row.Volatile)
	planned, rec, err := p.apply(t, name, []apimodel.InverseCall{{Call: call}})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if planned[0].Irreversible {
		t.Errorf("%s: planned as irreversible", name)
	}
	after, _ := p.look(t, name, spec, row.Volatile)
	expected, known := spec.Expected(before)
	if known == row.Unknown {
		t.Errorf("%s: effect known %v, unknown wanted %v", name, known, row.Unknown)
	}
	if diff := spec.Diff(expected, after); known && len(diff) > 0 {
		t.Errorf("%s: not as expected (expected, found): %+v", name, diff)
	}
	if changed := len(spec.Diff(before, after)) > 0; changed == row.Same {
		t.Errorf("%s: changed something: %v", name, changed)
	}
	done := rec.changes[rec.order[0]]
	calls, without := apimodel.Undo([]apimodel.Done{{Call: done.Call.APICall(), Before: apimodel.Image(*done.Before)}})
	if len(without) > 0 {
		t.Fatalf("%s: no way back", name)
	}
	var back []apimodel.InverseCall
	for _, c := range calls {
		back = append(back, c.InverseCall)
	}
	if _, _, err := p.apply(t, "undo of "+name, back); err != nil {
		t.Fatalf("undo of %s: %v", name, err)
	}
	restored, wholeAfter := p.look(t, name, spec, row.Volatile)
	if diff := spec.Diff(before, restored); len(diff) > 0 {
		t.Errorf("%s: image not restored: %+v", name, diff)
	}
	if diff := cmp.Diff(wholeBefore, wholeAfter); diff != "" {
		t.Errorf("%s: the read answers otherwise after undo:\n%s", name, diff)
	}
}

// apply takes calls through the gate: planned, approved, applied.
func (p *prover) apply(t *testing.T, name string, calls []apimodel.InverseCall) ([]remediation.PlannedCall, *fakeRecorder, error) {
	t.Helper()
	rec := newFakeRecorder()
	if len(calls) == 0 {
		return nil, rec, nil
	}
	planner := p.gate.Planning(as, awsapi.PlanOptions{})
	if err := p.make(t, planner, calls); err != nil {
		return nil, rec, fmt.Errorf("plan: %w", err)
	}
	plan := &remediation.Plan{Remediation: "rem-1", Role: role, Account: p.account, Region: proofRegion, GuardsRevision: p.gate.GuardsRevision(), Calls: planner.Calls()}
	hash, err := plan.Hash()
	if err != nil {
		return nil, rec, err
	}
	w := &world{t: t, recorder: rec, gate: p.gate, fence: nil}
	a := w.authority(plan)
	a.Hash, a.Execution, a.Fence = hash, name, noFence
	if err := p.make(t, p.gate.Applying(as, a), calls); err != nil {
		return nil, rec, fmt.Errorf("apply: %w", err)
	}
	return plan.Calls, rec, nil
}

// make makes calls one after another, each after the read that it needs afresh.
func (p *prover) make(t *testing.T, s caller, calls []apimodel.InverseCall) error {
	t.Helper()
	for i, c := range calls {
		step := fmt.Sprintf("Step%d", i+1)
		if len(c.Fresh) > 0 {
			reply, err := s.Call(t.Context(), "Read"+step, c.FreshRead)
			if err != nil {
				return err
			}
			c.Call = c.Clone()
			for member, from := range c.Fresh {
				c.Input[member] = reply.Output[from]
			}
		}
		if _, err := s.Call(t.Context(), step, c.Call); err != nil {
			return fmt.Errorf("%s %v: %w", c.Call, c.Input, err)
		}
	}
	return nil
}

// look reads what the call changes: the image, and all that the read answers.
func (p *prover) look(t *testing.T, name string, spec apimodel.ImageSpec, volatile []string) (apimodel.Image, any) {
	t.Helper()
	session := p.gate.ReadOnly(as)
	reply, err := spec.Read(func(c apimodel.Call) (apimodel.Reply, error) { return session.Call(t.Context(), "", c) })
	img, unread := spec.ImageFrom(reply, err)
	if unread != nil {
		t.Fatalf("%s: read %v: %v", name, spec.ReadCall().Input, unread)
	}
	var api *apimodel.APIError
	if errors.As(err, &api) {
		return img, api.Code
	}
	return img, sorted(reply.Output, append([]string{"ResponseMetadata"}, volatile...))
}

// sorted drops volatile members, reads text that is JSON and sorts lists: AWS
// promises no order. What is empty counts as absent.
func sorted(v any, volatile []string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			x = sorted(x, volatile)
			if text := printed(x); !slices.Contains(volatile, k) && text != "[]" && text != "{}" && text != `""` && text != "null" {
				out[k] = x
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, x := range v {
			out = append(out, sorted(x, volatile))
		}
		slices.SortFunc(out, func(a, b any) int { return strings.Compare(printed(a), printed(b)) })
		return out
	case string:
		var doc map[string]any
		if json.Unmarshal([]byte(v), &doc) == nil {
			return sorted(doc, volatile)
		}
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	}
	return v
}

func printed(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}

// fill puts variables into an input: "$name" is the value, "${name}" its text
// within a longer one; {$json: value} is its JSON text, {$bytes: text} its bytes.
func (p *prover) fill(v any) any {
	switch v := v.(type) {
	case string:
		if got, ok := p.vars[strings.TrimPrefix(v, "$")]; ok && strings.HasPrefix(v, "$") {
			return got
		}
		for name, x := range p.vars {
			v = strings.ReplaceAll(v, "${"+name+"}", fmt.Sprint(x))
		}
		return v
	case map[string]any:
		if x, ok := v["$json"]; ok {
			return printed(p.fill(x))
		}
		if x, ok := v["$bytes"].(string); ok {
			return []byte(x)
		}
		out := map[string]any{}
		for k, x := range v {
			name, _ := p.fill(k).(string)
			out[name] = p.fill(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = p.fill(x)
		}
		return out
	}
	return v
}

// at follows "Reservations.0.Instances.0.InstanceId".
func at(v any, path string) any {
	for part := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i := 0
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// caller is a planner or a session.
type caller interface {
	Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error)
}

func noFence(context.Context) error { return nil }
