package app

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/ssm"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/target"
)

// regionParameter is the member of a target's input that says in which Region the document
// runs: a target's ARN has one, events come from many.
const regionParameter = "parry:region"

// ruleRun is a document that a rule of the bus starts, for one event.
type ruleRun struct {
	document, version, region string
	// owner is who put the target: the run has that person's rights, as they are now.
	owner                      string
	rule, target, event, input string // input is "" where the document gets its defaults
}

// document opens an automation document as a target.
func (o *outlets) document(r route.BusRule, t target.Target, arn target.ARN) (route.Outlet, error) {
	name, version, ok := arn.Document()
	if !ok {
		return route.Outlet{}, fault.Errorf(fault.Invalid, "open target", "%s names no automation document", t.ARN)
	}
	shaped := t.Input != "" || t.InputPath != "" || t.InputTransformer != nil
	return route.Outlet{Changes: true, Send: func(ctx context.Context, p route.Parcel) error {
		run := ruleRun{document: name, version: version, region: arn.Region, owner: r.Owners[t.ID], rule: p.Ref.Rule, target: p.Ref.Target, event: p.ID()}
		if shaped {
			run.input = string(p.Input)
		}
		return lasting(o.start(ctx, run))
	}}, nil
}

// start asks for the plan that a rule's target stands for, once for each event. It goes
// the way of StartAutomationExecution, so whatever that refuses is refused.
func (l *loopback) start(ctx context.Context, run ruleRun) error {
	const op = "start document"
	if l.automation == nil {
		return fault.Transient(fault.Errorf(fault.Unavailable, op, "the server is starting"), 0)
	}
	switch _, err := l.store.ExecutionByToken(ctx, plan.Token(run.owner, run.token())); {
	case err == nil:
		return nil // it is delivered again, and the target may have changed since
	case !fault.Is(err, fault.NotFound):
		return err
	}
	body, region, err := run.request()
	if err != nil {
		return err
	}
	p, err := l.starter(ctx, run.owner)
	if err != nil {
		return err
	}
	_, err = l.automation.Answer(ctx, ssm.Caller{Principal: p, Region: region, Rule: run.rule, Event: run.event}, "StartAutomationExecution", body)
	return startFault(err)
}

// token makes the event's run one, however often it is delivered.
func (run ruleRun) token() string { return ssm.DerivedUUID("rule", run.rule, run.target, run.event) }

// request is the run as StartAutomationExecution takes it.
func (run ruleRun) request() (body []byte, region string, err error) {
	const op = "read the input of the document"
	region = run.region
	in := map[string]any{"DocumentName": run.document, "ClientToken": run.token()}
	if run.version != "" {
		in["DocumentVersion"] = run.version
	}
	given := map[string]any{}
	if run.input != "" {
		dec := json.NewDecoder(bytes.NewReader([]byte(run.input)))
		dec.UseNumber()
		if err := dec.Decode(&given); err != nil || given == nil {
			return nil, "", fault.Errorf(fault.Invalid, op, "it is no JSON object of parameters").WithHint(`give the target an Input or an InputTransformer such as {"Bucket": <bucket>}`)
		}
	}
	for name, value := range given {
		if value == nil {
			return nil, "", fault.Errorf(fault.Invalid, op, "the parameter %.100q is null: the event has nothing where the target looks for it", name)
		}
	}
	parameters := runbook.ToWire(given)
	for name, set := range map[string]func(string){
		regionParameter: func(v string) { region = v },
		ssm.AccountTag:  func(v string) { in["Tags"] = []map[string]string{{"Key": ssm.AccountTag, "Value": v}} },
	} {
		values, ok := parameters[name]
		if !ok {
			continue
		}
		if len(values) != 1 {
			return nil, "", fault.Errorf(fault.Invalid, op, "%s has %d values instead of one", name, len(values))
		}
		set(values[0])
		delete(parameters, name)
	}
	if len(parameters) > 0 {
		in["Parameters"] = parameters
	}
	body, err = json.Marshal(in)
	return body, region, err
}

// startFault gives what a start was refused with as what it means for a delivery.
func startFault(err error) error {
	if err == nil {
		return nil
	}
	e := ssm.ErrorOf(err)
	code := fault.Invalid
	switch {
	case e.Status >= http.StatusInternalServerError:
		return fault.Transient(fault.E(fault.Unavailable, "start document", err), 0)
	case e.Code == "AutomationExecutionLimitExceededException" || e.Code == "ThrottlingException":
		return fault.Transient(fault.E(fault.Exhausted, "start document", err), 0)
	case e.Code == "AccessDeniedException":
		code = fault.Denied
	case strings.Contains(e.Code, "NotFound"):
		code = fault.NotFound
	}
	return fault.Errorf(code, "", "%s", e.Message)
}

// starter is a person with what the person may do on all accounts now: whose rights for
// single accounts are left lets rules start nothing, since events choose the account.
func (l *loopback) starter(ctx context.Context, name string) (auth.Principal, error) {
	p := auth.Principal{Name: name, KeyName: "of " + name}
	if name == "" {
		return p, fault.Errorf(fault.Denied, "start document", "nobody is known to have put the target").WithHint("put it again: aws events put-targets")
	}
	held, err := l.held(ctx, name)
	if err != nil {
		return p, fault.E(fault.Unavailable, "read the rights of "+name, err)
	}
	for _, k := range held {
		if !slices.Contains(k.Accounts, auth.All) {
			continue
		}
		roles, err := auth.ParseRoles(k.Roles)
		if err != nil {
			return p, err
		}
		p.Roles, p.Accounts = append(p.Roles, roles...), []string{auth.All}
	}
	return p, nil
}

// mayHaveStarted says why a principal may not have a rule start the document that a target
// is. What is not known before an event comes is looked at then.
func (l *loopback) mayHaveStarted(ctx context.Context, p auth.Principal, t target.Target) error {
	const op = "put target"
	if err := auth.Authorize(p, auth.ExecutionStart, auth.All); err != nil {
		return err
	}
	if l.automation == nil {
		return fault.Errorf(fault.Unavailable, op, "the server is starting")
	}
	if p, err := l.starter(ctx, p.Name); err != nil || !p.May(auth.ExecutionStart) {
		return fault.Errorf(fault.Denied, op, "no key or account of %s lets it start documents on all accounts", p.Name)
	}
	arn, _ := target.ParseARN(t.ARN)
	name, version, _ := arn.Document()
	constant := t.InputPath == "" && t.InputTransformer == nil
	if !constant {
		return l.automation.MayStart(p, name)
	}
	body, region, err := ruleRun{document: name, version: version, region: arn.Region, input: t.Input}.request()
	if err != nil {
		return err
	}
	_, err = l.automation.Answer(ctx, ssm.Caller{Principal: p, Region: region, Check: true}, "StartAutomationExecution", body)
	return startFault(err)
}
