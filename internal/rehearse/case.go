package rehearse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/runbook"
)

// RoleName is the role that every world has: documents that are told to assume
// one are given it.
const RoleName = "parry-runbook-test"

// rehearsal is one case under way.
type rehearsal struct {
	*Runner
	subject
	Case
	names    map[string]any
	problems []string
}

// one runs one case.
func (r *Runner) one(ctx context.Context, s subject, c Case) CaseReport {
	ctx, cancel := context.WithTimeoutCause(ctx, r.cfg.Timeout, fmt.Errorf("the case took longer than %s", r.cfg.Timeout))
	defer cancel()
	x := &rehearsal{Runner: r, subject: s, Case: c, names: map[string]any{
		"account": c.Account, "region": c.Region, "partition": "aws",
		"unique": r.cfg.IDs.NewID("t")[2:10], "role": "arn:aws:iam::" + c.Account + ":role/" + RoleName,
	}}
	if c.Answers != nil {
		return x.report(x.answered(ctx))
	}
	if r.cfg.World == nil || r.cfg.Engine == nil {
		return CaseReport{Problems: []string{"the case needs an emulator, and there is none"}}
	}
	if err := x.prepare(ctx); err != nil {
		return CaseReport{Problems: []string{err.Error()}}
	}
	held := x.holds(ctx)
	parameters, err := x.resolve(c.Parameters)
	if err != nil {
		return CaseReport{Problems: []string{fmt.Sprintf("parameters: %v", err)}}
	}
	x.giveRole(parameters)
	result, err := r.cfg.Engine.Run(ctx, Request{
		Document: s.document, Children: s.children, Attachments: x.attachments(), Account: c.Account, Region: c.Region, Parameters: parameters,
	})
	if err == nil && held && !c.Unchanged && c.Status == string(automation.Success) {
		x.problem("the state holds before the run: it does not show that the document did anything (unchanged: true, if that is so)")
	}
	if err == nil {
		x.state(ctx)
	}
	return x.report(result, err)
}

// report holds the result against what the case expects.
func (x *rehearsal) report(result Result, err error) CaseReport {
	if err != nil {
		x.problem("%v", err)
		return CaseReport{Problems: x.problems, Status: result.Status, Open: result.Open}
	}
	if result.Status != x.Status {
		x.problems = append([]string{strings.TrimSuffix(fmt.Sprintf("it ended %s, want %s: %s", result.Status, x.Status, result.Failure), ": ")}, x.problems...)
	}
	if !strings.Contains(result.Failure, x.Failure) {
		x.problem("the failure %q does not contain %q", result.Failure, x.Failure)
	}
	outputs, err := x.resolve(x.Outputs)
	if err != nil {
		x.problem("outputs: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		for _, d := range matchOutput(outputs[name], result.Outputs[name]) {
			x.problem("output %s: %s", name, d)
		}
	}
	if x.Calls != nil {
		x.calls(*x.Calls, result.Changes)
	}
	return CaseReport{Problems: x.problems, Status: result.Status, Open: result.Open}
}

func (x *rehearsal) problem(format string, args ...any) {
	x.problems = append(x.problems, fmt.Sprintf(format, args...))
}

// prepare makes the world that the case is about.
func (x *rehearsal) prepare(ctx context.Context) error {
	if err := x.cfg.World.Reset(ctx); err != nil {
		return fmt.Errorf("reset the emulator: %w", err)
	}
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`
	role := Call{Call: "iam:CreateRole", Input: Input{"RoleName": RoleName, "AssumeRolePolicyDocument": trust}}
	if _, err := x.call(ctx, role); err != nil && codeOf(err) != "EntityAlreadyExists" {
		return fmt.Errorf("make role %s: %w", RoleName, err)
	}
	for i, f := range x.Fixtures {
		if err := x.do(ctx, f); err != nil {
			return fmt.Errorf("fixtures[%d] %s: %w", i, f.Call, err)
		}
	}
	return nil
}

// holds reports whether the state that is expected after the run is there now.
func (x *rehearsal) holds(ctx context.Context) bool {
	if len(x.State) == 0 {
		return false
	}
	names := maps.Clone(x.names)
	defer func() { x.names = names }()
	for _, c := range x.State {
		if x.do(ctx, c) != nil {
			return false
		}
	}
	return true
}

// state reads the world after the run.
func (x *rehearsal) state(ctx context.Context) {
	for i, c := range x.State {
		if err := x.do(ctx, c); err != nil {
			x.problem("state[%d] %s: %v", i, c.Call, err)
		}
	}
}

// do makes a call and holds the answer against what the call expects.
func (x *rehearsal) do(ctx context.Context, c Call) error {
	reply, err := x.call(ctx, c)
	if c.Error != "" {
		switch code := codeOf(err); {
		case err == nil:
			return fmt.Errorf("it was answered, want error %s", c.Error)
		case code != c.Error:
			return fmt.Errorf("want error %s: %w", c.Error, err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	answer := runbook.Normalize(reply.Output)
	for _, name := range slices.Sorted(maps.Keys(c.Save)) {
		v, ok := pick(c.Save[name], answer)
		if !ok {
			return fmt.Errorf("save %s: there is nothing at %s", name, c.Save[name])
		}
		x.names[name] = v
	}
	return x.expected(c, answer)
}

func (x *rehearsal) expected(c Call, answer any) error {
	got, there := answer, true
	if c.Select != "" {
		got, there = pick(c.Select, answer)
	}
	if c.Present && !there {
		return fmt.Errorf("there is nothing at %s", c.Select)
	}
	if !c.expects {
		return nil
	}
	want, err := runbook.Resolve(runbook.Normalize(c.Expect), x)
	if err != nil {
		return err
	}
	if !there {
		got = nil
	}
	if differences := match(want, got); len(differences) > 0 {
		return errors.New(strings.Join(differences, "; "))
	}
	return nil
}

func pick(selector string, v any) (any, bool) {
	s, err := runbook.ParseSelector(selector)
	if err != nil {
		return nil, false // Parse refused it
	}
	got, ok := s.Select(v)
	return got, ok && got != nil
}

func (x *rehearsal) call(ctx context.Context, c Call) (apimodel.Reply, error) {
	input, err := x.resolve(c.Input)
	if err != nil {
		return apimodel.Reply{}, err
	}
	name, operation, _ := strings.Cut(c.Call, ":")
	region := c.Region
	if region == "" {
		region = x.Region
	}
	return x.cfg.World.Call(ctx, apimodel.Call{Service: name, Operation: operation, Account: x.Account, Region: region, Input: input})
}

// Lookup gives the value of a name.
func (x *rehearsal) Lookup(r runbook.Ref) (any, error) {
	if v, ok := x.names[r.String()]; ok {
		return v, nil
	}
	return nil, errors.New("there is no such name")
}

func (x *rehearsal) resolve(in Input) (map[string]any, error) {
	plain, _ := runbook.Normalize(map[string]any(in)).(map[string]any)
	v, err := runbook.Resolve(plain, x)
	if err != nil {
		return nil, err
	}
	out, _ := v.(map[string]any)
	if out == nil {
		out = map[string]any{}
	}
	return out, nil
}

// giveRole names the world's role where the document takes one and the case names none.
func (x *rehearsal) giveRole(parameters map[string]any) {
	if _, given := parameters["AutomationAssumeRole"]; given {
		return
	}
	for _, p := range x.parsed.Parameters {
		if p.Name == "AutomationAssumeRole" {
			parameters["AutomationAssumeRole"] = x.names["role"]
		}
	}
}

func (x *rehearsal) attachments() string {
	if x.suite.Attachments != "" {
		return filepath.Join(x.dir, x.suite.Attachments)
	}
	if len(x.parsed.Files) > 0 {
		return x.dir
	}
	return ""
}

// calls holds the calls that were made against those that are expected.
func (x *rehearsal) calls(want []Call, got []apimodel.Call) {
	var made []string
	for _, c := range got {
		made = append(made, c.Service+":"+c.Operation)
	}
	if len(want) != len(got) {
		x.problem("it made %d calls, want %d: %s", len(got), len(want), strings.Join(made, ", "))
		return
	}
	for i, w := range want {
		if w.Call != made[i] {
			x.problem("calls[%d] is %s, want %s", i, made[i], w.Call)
			continue
		}
		input, err := x.resolve(w.Input)
		if err != nil {
			x.problem("calls[%d]: %v", i, err)
			continue
		}
		for _, d := range match(input, got[i].Input) {
			x.problem("calls[%d] %s: %s", i, w.Call, d)
		}
	}
}

func codeOf(err error) string {
	var refused *apimodel.APIError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}
