package route

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/target"
)

// Allowance says which targets rules may have. Parry's own need to be there; what is in
// AWS needs to stand in the configuration, since calling it is approved by that alone.
type Allowance struct {
	Account, Partition string
	// Listed are the exact ARNs in AWS that may be called: event_targets of parry.yaml.
	Listed []string
	Known  Known
	// Webhook says whether there is a channel of the kind webhook. Default: there is none.
	Webhook func(name string) bool
	// Runbook fails where there is no such version of an automation document; "" is the
	// default version. Default: there is none.
	Runbook func(ctx context.Context, name, version string) error
	// Bus fails where there is no such bus. Required.
	Bus func(ctx context.Context, name string) error
	// Destination fails where there is no API destination of the target's ARN, or the target
	// does not go with it. Default: there is none.
	Destination func(ctx context.Context, t target.Target) error
}

// KindLog and KindWebhook are targets of rules that are made by the API: the program's
// log, and a channel of the kind webhook that is sent what the target's input says.
const (
	KindLog     Kind = "log"
	KindWebhook Kind = "webhook"
)

// logName is what a log may be called: it stands in the program's log.
var logName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$`)

// TargetServices are the services in AWS whose resources are called as targets.
func TargetServices() []string { return []string{"events", "lambda", "sns", "sqs", "states"} }

// Check refuses a target that a rule on a bus may not have.
func (a Allowance) Check(ctx context.Context, bus string, t target.Target) error {
	arn, ok := target.ParseARN(t.ARN)
	if !ok {
		return wrong("%s is no ARN", t.ARN)
	}
	if t.DeadLetterConfig != nil && t.DeadLetterConfig.ARN != "" {
		if err := a.listed(t.DeadLetterConfig.ARN); err != nil {
			return err
		}
	}
	own := arn.Partition == a.Partition && arn.Account == a.Account
	kind, name, _ := strings.Cut(arn.Resource, "/")
	switch {
	case own && arn.Service == "parry":
		return a.ours(t, Kind(kind), name)
	case own && arn.EventBus() && name == bus:
		return wrong("%s is the bus of the rule itself", t.ARN)
	case own && arn.EventBus():
		return a.Bus(ctx, name)
	case own && arn.Service == "ssm":
		name, version, ok := arn.Document()
		if !ok || a.Runbook == nil {
			return noTarget(t.ARN)
		}
		return a.Runbook(ctx, name, version)
	case own && arn.Service == "events" && kind == "api-destination":
		if a.Destination == nil {
			return noTarget(t.ARN)
		}
		return a.Destination(ctx, t)
	case !slices.Contains(TargetServices(), arn.Service):
		return wrong("Parry does not call %s as a target", arn.Service).
			WithHint("targets are Parry's own, event buses, API destinations, runbooks, and queues, topics, functions and state machines in AWS")
	}
	return a.listed(t.ARN)
}

func noTarget(arn string) error {
	return fault.Errorf(fault.NotFound, "", "target %s does not exist", arn)
}

func (a Allowance) listed(arn string) error {
	if slices.Contains(a.Listed, arn) {
		return nil
	}
	return fault.Errorf(fault.Denied, "", "%s is not among the targets in AWS that the configuration lists", arn).
		WithHint("add it to event_targets in parry.yaml and start the server again")
}

// ours checks a target of Parry's own.
func (a Allowance) ours(t target.Target, kind Kind, name string) error {
	shaped := t.Input != "" || t.InputPath != "" || t.InputTransformer != nil
	switch kind {
	case Playbook, Channel, Case:
		if shaped {
			return wrong("a %s takes the event as it is", kind).WithHint("leave Input, InputPath and InputTransformer out")
		}
		if !a.Known.has(Target{kind, name}) {
			return noTarget(t.ARN)
		}
		return nil
	case KindWebhook:
		if a.Webhook == nil || !a.Webhook(name) {
			return noTarget(t.ARN)
		}
		return nil
	case KindLog:
		if !logName.MatchString(name) {
			return wrong("a log's name has 1 to 128 letters, digits, dots, dashes, slashes and underscores")
		}
		return nil
	}
	return wrong("Parry has no targets of the kind %q", kind).WithHint("its kinds are playbook, channel, case, webhook and log")
}
