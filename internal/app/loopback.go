package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/awsfront/ssm"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/store"
)

// loopback answers, in place of AWS, what runbooks call of the services that
// Parry stands in for: automation of Parry's own documents, and Parry's own
// findings. What Parry does not have is AWS's as ever.
//
// Invariant: a runbook has no more right here than whoever started it has now,
// and only on the account on which it runs.
type loopback struct {
	models *apimodel.Catalog
	store  *store.Store
	// What follows is set before the first call comes.
	automation *ssm.Handler
	findings   *findingLoop
	// open lets a process of one person start what the person may.
	open bool
}

// locals is what Parry may answer itself, for the gate.
func (l *loopback) locals() map[string]awsapi.Local {
	out := map[string]awsapi.Local{
		"securityhub:BatchUpdateFindings": findingUpdates{l}, "securityhub:GetFindings": findingReads{l},
	}
	for _, name := range []string{
		"StartAutomationExecution", "GetAutomationExecution", "DescribeAutomationExecutions", "DescribeAutomationStepExecutions",
		"StopAutomationExecution", "SendAutomationSignal", "GetDocument", "DescribeDocument",
	} {
		out["ssm:"+name] = automationCalls{l}
	}
	return out
}

// automationCalls answers calls of Systems Manager.
type automationCalls struct{ *loopback }

// Answers reports whether the call is about a document or an execution that
// Parry has.
func (a automationCalls) Answers(ctx context.Context, c awsapi.LocalCall) (bool, error) {
	if a.automation == nil {
		return false, nil
	}
	for _, member := range []string{"DocumentName", "Name"} {
		if name, ok := c.Input[member].(string); ok {
			return a.automation.Has(ctx, name)
		}
	}
	if id, ok := c.Input["AutomationExecutionId"].(string); ok {
		return a.has(ctx, id)
	}
	return a.lists(ctx, c.Input)
}

func (a automationCalls) has(ctx context.Context, id string) (bool, error) {
	_, err := a.store.Execution(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// lists reports whether a list of executions asks for Parry's: by an execution,
// or by the name of a document, that is Parry's.
func (a automationCalls) lists(ctx context.Context, input map[string]any) (bool, error) {
	filters, _ := input["Filters"].([]any)
	for _, raw := range filters {
		f, _ := raw.(map[string]any)
		values, _ := f["Values"].([]any)
		for _, v := range values {
			text, _ := v.(string)
			var known bool
			var err error
			switch f["Key"] {
			case "ExecutionId", "ParentExecutionId":
				known, err = a.has(ctx, text)
			case "DocumentNamePrefix":
				known, err = a.automation.Has(ctx, text)
			}
			if known || err != nil {
				return known, err
			}
		}
	}
	return false, nil
}

// Answer answers one call.
func (a automationCalls) Answer(ctx context.Context, c awsapi.LocalCall) (apimodel.Reply, error) {
	caller, err := a.caller(ctx, c)
	if err != nil {
		return apimodel.Reply{}, a.refusal(c, err)
	}
	input := c.Input
	if c.Operation == "StartAutomationExecution" && input["ClientToken"] == nil && c.Change != "" {
		// The same change starts one execution, however often it is sent.
		input = c.Clone().Input
		input["ClientToken"] = ssm.DerivedUUID("start", c.Change)
	}
	raw, err := json.Marshal(input)
	if err != nil {
		return apimodel.Reply{}, a.refusal(c, fault.E(fault.Invalid, "read input", err))
	}
	value, err := a.automation.Answer(ctx, caller, c.Operation, raw)
	if err != nil {
		return apimodel.Reply{}, a.refusal(c, err)
	}
	return a.reply(c, value)
}

// caller gives who calls: the person who started the run, with the rights that
// person's keys have now, on the run's account alone. While a run over several
// accounts is planned, its reads are made on each of them, as far as the person's
// keys reach.
func (l *loopback) caller(ctx context.Context, c awsapi.LocalCall) (ssm.Caller, error) {
	parent := &ssm.Parent{}
	startedBy, own, err := l.owner(ctx, c, parent)
	if err != nil {
		return ssm.Caller{}, err
	}
	parent.Account = cmp.Or(c.Account, own)
	if parent.Account != own && c.Mode != awsapi.ModePlan {
		return ssm.Caller{}, fault.Errorf(fault.Denied, "call "+c.Operation, "the document runs on account %s and may ask Parry nothing of %s", own, c.Account)
	}
	p, err := l.principal(ctx, startedBy, parent.Account, parent.Account == own)
	return ssm.Caller{Principal: p, Region: c.Region, Parent: parent}, err
}

// owner gives who started the run that calls, and its account; what is known of
// the execution goes into parent.
func (l *loopback) owner(ctx context.Context, c awsapi.LocalCall, parent *ssm.Parent) (startedBy, account string, err error) {
	e, err := l.store.Execution(ctx, cmp.Or(c.Execution, plan.ExecutionID(c.Remediation)))
	switch {
	case err == nil:
		parent.Execution = e.ID
		if parent.Depth, err = l.depth(ctx, e); err != nil {
			return "", "", err
		}
		if e.Of.Account != "" {
			return e.Of.StartedBy, e.Of.Account, nil
		}
	case !fault.Is(err, fault.NotFound):
		return "", "", err
	}
	r, err := l.store.Remediation(ctx, c.Remediation)
	if fault.Is(err, fault.NotFound) {
		return "", c.Account, nil // a fix that is being planned: it reads, and has no person
	}
	return r.RequestedBy, r.Account, err
}

// depth counts the executions above e, those included that asked for it by this
// API.
func (l *loopback) depth(ctx context.Context, e store.ExecutionRecord) (int, error) {
	depth := e.Of.Depth
	if e.Of.Run == nil && e.Of.Root != "" && e.Of.Root != e.ID {
		root, err := l.store.Execution(ctx, e.Of.Root)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return 0, err
		}
		e = root
	}
	if e.Of.Run != nil {
		depth += e.Of.Run.Depth
	}
	return depth, nil
}

// principal gives a person's roles on account, from the keys that the person
// holds and from how the person signs in. On the run's own account everybody reads, a bus rule too.
func (l *loopback) principal(ctx context.Context, name, account string, own bool) (auth.Principal, error) {
	p := auth.Principal{Name: name, KeyName: "of " + name, Accounts: []string{account}}
	if own {
		p.Roles = []auth.Role{auth.RoleReader}
	}
	if l.open {
		p.Roles = []auth.Role{auth.RoleOperator}
		return p, nil
	}
	held, err := l.held(ctx, name)
	if err != nil {
		return auth.Principal{}, err
	}
	for _, k := range held {
		if !(auth.Principal{Accounts: k.Accounts}).Covers(account) {
			continue
		}
		roles, err := auth.ParseRoles(k.Roles)
		if err != nil {
			return auth.Principal{}, err
		}
		for _, r := range roles {
			// Documents are nothing that a runbook writes, so an administrator's is an
			// operator's.
			if r == auth.RoleAdmin {
				r = auth.RoleOperator
			}
			if !slices.Contains(p.Roles, r) {
				p.Roles = append(p.Roles, r)
			}
		}
	}
	return p, nil
}

// held gives what a person holds now: the keys that are not revoked, and one for how the
// person signs in.
func (l *loopback) held(ctx context.Context, name string) ([]store.Key, error) {
	keys, err := l.store.ListKeys(ctx)
	if err != nil {
		return nil, err
	}
	held := slices.DeleteFunc(keys, func(k store.Key) bool { return k.Principal != name || !k.RevokedAt.IsZero() })
	person, err := l.store.Person(ctx, name)
	switch {
	case err == nil && person.DisabledAt.IsZero():
		held = append(held, store.Key{Principal: name, Roles: []string{person.Role}, Accounts: person.Accounts})
	case err != nil && !fault.Is(err, fault.NotFound):
		return nil, err
	}
	return held, nil
}

// refusal gives an error as AWS's client would: what is wrong with the call is an
// API error, what is wrong here stays what it is.
func (l *loopback) refusal(c awsapi.LocalCall, err error) error {
	e := ssm.ErrorOf(err)
	var worded *protocol.Error
	if e.Status >= http.StatusInternalServerError && !errors.As(err, &worded) {
		return err
	}
	return &apimodel.APIError{Service: c.Service, Operation: c.Operation, Code: e.Code, Message: e.Message, HTTPStatus: e.Status}
}

// reply gives a value as the gate gives AWS's answers: in the types of the model.
func (l *loopback) reply(c awsapi.LocalCall, value any) (apimodel.Reply, error) {
	op, err := l.operation(c)
	if err != nil {
		return apimodel.Reply{}, err
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return apimodel.Reply{}, fault.E(fault.Internal, "answer "+c.Operation, err)
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return apimodel.Reply{}, fault.E(fault.Internal, "answer "+c.Operation, err)
	}
	out, _ := modelled(op.Output, v).(map[string]any)
	return apimodel.Reply{Output: out}, nil
}

func (l *loopback) operation(c awsapi.LocalCall) (*apimodel.Operation, error) {
	_, op, err := l.models.Find(c.Service, c.Operation)
	if err != nil {
		return nil, fmt.Errorf("answer %s: %w", c.Operation, err)
	}
	return op, nil
}

// modelled gives v the types that boto3 gives: whole numbers, times, texts.
// Members that the model does not have are left out, as boto3 leaves them out.
func modelled(shape *apimodel.Shape, v any) any {
	if shape == nil {
		return map[string]any{}
	}
	switch t := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(t))
		for name, item := range t {
			if shape.Type == apimodel.Map {
				out[name] = modelled(shape.Value.Shape, item)
			} else if m, ok := shape.Member(name); ok && item != nil {
				out[name] = modelled(m.Shape, item)
			}
		}
		return out
	case []any:
		for i, item := range t {
			t[i] = modelled(shape.Elem.Shape, item)
		}
		return t
	case json.Number:
		return number(shape, t)
	}
	return v
}

func number(shape *apimodel.Shape, n json.Number) any {
	if shape.Type == apimodel.Integer || shape.Type == apimodel.Long {
		if i, err := n.Int64(); err == nil {
			return i
		}
	}
	f, err := n.Float64()
	if err != nil {
		return n.String()
	}
	if shape.Type == apimodel.Timestamp {
		return time.UnixMilli(int64(f*1000 + 0.5)).UTC()
	}
	return f
}
