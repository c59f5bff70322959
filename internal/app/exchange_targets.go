package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify/webhook"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/target"
)

// outlets makes what delivers to the targets of rules.
type outlets struct {
	account  string
	allowed  []string              // ARNs in AWS that parry.yaml lists as targets
	limits   map[string]bus.Limits // by ARN
	session  *awsapi.Session
	route    *route.Stage
	known    route.Known
	webhooks map[string]*webhook.Sender // of channels, by name
	exchange func() *route.Exchange
	start    func(context.Context, ruleRun) error
	outside  *outside // API destinations
	log      *slog.Logger
}

// open finds the outlet of a rule's target.
func (o *outlets) open(r route.BusRule, t target.Target) (route.Outlet, error) {
	arn, ok := target.ParseARN(t.ARN)
	if !ok {
		return route.Outlet{}, fault.Errorf(fault.Invalid, "open target", "%q is no ARN", t.ARN)
	}
	out, err := o.find(r, t, arn)
	if err != nil {
		return out, err
	}
	if out.Address == "" {
		out.Address = t.ARN
	}
	out.Limits = o.limits[t.ARN]
	if dlq := t.DeadLetterConfig; dlq != nil && dlq.ARN != "" {
		if err := o.grants(dlq.ARN); err != nil {
			return out, err
		}
		out.GivenUp = o.givenUp(dlq.ARN)
	}
	return out, nil
}

func (o *outlets) find(r route.BusRule, t target.Target, arn target.ARN) (route.Outlet, error) {
	kind, name, _ := strings.Cut(arn.Resource, "/")
	switch {
	case arn.Service == "parry":
		return o.ours(r, t, kind, name)
	case arn.Service == "ssm" && arn.Account == o.account:
		return o.document(r, t, arn)
	case arn.Service == "events" && kind == "event-bus" && arn.Account == o.account:
		return route.Outlet{Send: func(ctx context.Context, p route.Parcel) error {
			return o.exchange().Forward(ctx, name, p.Ref.Rule, p.Text)
		}}, nil
	case arn.Service == "events" && kind == "api-destination" && arn.Account == o.account:
		return o.outside.outlet(t), nil
	}
	if err := o.grants(t.ARN); err != nil {
		return route.Outlet{}, err
	}
	call, ok := callTo(arn, t)
	if !ok {
		return route.Outlet{}, fault.Errorf(fault.Invalid, "open target", "targets of %s are not served", arn.Service).
			WithHint("served are sqs, sns, lambda, states, events and Parry's own")
	}
	return route.Outlet{Send: func(ctx context.Context, p route.Parcel) error {
		_, err := o.session.Call(ctx, "bus", call(p))
		return lasting(err)
	}}, nil
}

// lasting says what a failed call means for the delivery. What trying again does not mend is
// terminal, as for EventBridge: no permission, no such target, an input that it does not take.
func lasting(err error) error {
	var e *apimodel.APIError
	if errors.As(err, &e) {
		switch {
		case e.Throttled:
			return fault.Transient(fault.E(fault.Exhausted, "call "+e.Service, err), 0)
		case e.HTTPStatus == http.StatusForbidden || strings.Contains(e.Code, "AccessDenied") || strings.Contains(e.Code, "NotAuthorized"):
			return fault.Terminal(fault.E(fault.Denied, "call "+e.Service, err))
		case e.HTTPStatus == http.StatusNotFound || strings.Contains(e.Code, "NotFound") || strings.Contains(e.Code, "NonExistent") || strings.Contains(e.Code, "DoesNotExist"):
			return fault.Terminal(fault.E(fault.NotFound, "call "+e.Service, err))
		case e.HTTPStatus >= http.StatusBadRequest && e.HTTPStatus < http.StatusInternalServerError && e.HTTPStatus != http.StatusRequestTimeout:
			return fault.Terminal(fault.E(fault.Invalid, "call "+e.Service, err))
		}
		return fault.Transient(fault.E(fault.Unavailable, "call "+e.Service, err), 0)
	}
	if fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
		return fault.Terminal(err)
	}
	return err
}

// ours opens a target of Parry's own.
func (o *outlets) ours(r route.BusRule, t target.Target, kind, name string) (route.Outlet, error) {
	const op = "open target"
	if (kind == string(route.Playbook) || kind == string(route.Channel) || kind == string(route.Case)) && (t.Input != "" || t.InputPath != "" || t.InputTransformer != nil) {
		return route.Outlet{}, fault.Errorf(fault.Invalid, op, "a %s takes the event as it is", kind).WithHint("leave Input, InputPath and InputTransformer out")
	}
	switch kind {
	case string(route.Playbook), string(route.Channel), string(route.Case):
		table := route.Compile([]route.Rule{{
			ID: r.Bus + "/" + r.Name, Name: r.Name, Pattern: json.RawMessage(r.Pattern), Enabled: true, MaxHops: r.MaxHops,
			Targets: []route.Target{{Kind: route.Kind(kind), Name: name}},
		}}, o.known)
		for _, refusal := range table.Refusals() {
			return route.Outlet{}, refusal.Err
		}
		return route.Outlet{Changes: kind == string(route.Playbook), Send: func(ctx context.Context, p route.Parcel) error {
			return o.route.HandleBy(ctx, table, p.Text)
		}}, nil
	case "webhook":
		w, ok := o.webhooks[name]
		if !ok {
			return route.Outlet{}, fault.Errorf(fault.NotFound, op, "no channel %q of kind webhook", name).WithHint("add it to channels in parry.yaml")
		}
		return route.Outlet{Send: func(ctx context.Context, p route.Parcel) error {
			return w.Post(ctx, p.ID()+"/"+p.Ref.Target, p.Input)
		}}, nil
	case "log":
		return route.Outlet{Send: func(ctx context.Context, p route.Parcel) error {
			o.log.InfoContext(ctx, "event", "log", name, "rule", p.Ref.Rule, "input", string(p.Input[:min(len(p.Input), maxLogged)]))
			return nil
		}}, nil
	}
	return route.Outlet{}, fault.Errorf(fault.Invalid, op, "Parry has no targets of kind %q", kind).WithHint("kinds are playbook, channel, case, webhook and log")
}

// maxLogged bounds what of an event stands in the log.
const maxLogged = 16 << 10

// grants refuses an ARN in AWS that the configuration does not list.
func (o *outlets) grants(arn string) error {
	if slices.Contains(o.allowed, arn) {
		return nil
	}
	return fault.Errorf(fault.Denied, "open target", "%s is not listed as a target", arn).WithHint("add it to event_targets in parry.yaml, and start the server again")
}

// callTo gives the call that delivers to a target in AWS.
func callTo(arn target.ARN, t target.Target) (func(route.Parcel) apimodel.Call, bool) {
	call := func(service, operation string, input func(p route.Parcel) map[string]any) (func(route.Parcel) apimodel.Call, bool) {
		return func(p route.Parcel) apimodel.Call {
			return apimodel.Call{Service: service, Operation: operation, Region: arn.Region, Input: input(p)}
		}, true
	}
	switch arn.Service {
	case "sqs":
		url := queueURL(arn)
		return call("sqs", "SendMessage", func(p route.Parcel) map[string]any {
			in := map[string]any{"QueueUrl": url, "MessageBody": string(p.Input)}
			if t.SQSParameters != nil && t.SQSParameters.MessageGroupID != "" {
				group, err := target.Dynamic(t.SQSParameters.MessageGroupID, p.Text)
				if err != nil || group == "" {
					group = t.SQSParameters.MessageGroupID
				}
				in["MessageGroupId"], in["MessageDeduplicationId"] = group, p.ID()
			}
			return in
		})
	case "sns":
		return call("sns", "Publish", func(p route.Parcel) map[string]any {
			return map[string]any{"TopicArn": t.ARN, "Message": string(p.Input)}
		})
	case "lambda":
		return call("lambda", "Invoke", func(p route.Parcel) map[string]any {
			return map[string]any{"FunctionName": t.ARN, "InvocationType": "Event", "Payload": p.Input}
		})
	case "states":
		return call("stepfunctions", "StartExecution", func(p route.Parcel) map[string]any {
			return map[string]any{"stateMachineArn": t.ARN, "input": string(p.Input)}
		})
	case "events":
		return call("events", "PutEvents", func(p route.Parcel) map[string]any {
			e := p.Event()
			return map[string]any{"Entries": []any{map[string]any{
				"EventBusName": t.ARN, "Source": e.Source, "DetailType": e.DetailType, "Detail": string(e.Detail), "Time": e.Time.Format(time.RFC3339), "Resources": e.Resources,
			}}}
		})
	}
	return nil, false
}

// givenUp tells a dead-letter queue of a delivery, with AWS's attributes.
func (o *outlets) givenUp(queue string) func(context.Context, route.Parcel, route.Death) error {
	arn, _ := target.ParseARN(queue)
	url := queueURL(arn)
	return func(ctx context.Context, p route.Parcel, d route.Death) error {
		attributes := map[string]any{}
		for name, value := range map[string]string{
			"RULE_ARN": p.Rule.ARN, "TARGET_ARN": p.Ref.Address, "ERROR_CODE": d.Code, "ERROR_MESSAGE": d.Reason, "EXHAUSTED_RETRY_CONDITION": string(d.Exhausted),
		} {
			if value != "" { // SQS takes no empty attributes
				attributes[name] = map[string]any{"DataType": "String", "StringValue": value}
			}
		}
		attributes["RETRY_ATTEMPTS"] = map[string]any{"DataType": "Number", "StringValue": strconv.Itoa(p.Attempts)}
		_, err := o.session.Call(ctx, "bus", apimodel.Call{Service: "sqs", Operation: "SendMessage", Region: arn.Region, Input: map[string]any{
			"QueueUrl": url, "MessageBody": string(p.Input), "MessageAttributes": attributes,
		}})
		return lasting(err)
	}
}

// queueURL names a queue to SQS, which reads the path: account and name.
func queueURL(queue target.ARN) string {
	return "https://sqs." + queue.Region + ".amazonaws.com/" + queue.Account + "/" + queue.Resource
}

// targetOperation is what delivers to a target in AWS: what a grant is for.
func targetOperation(text string) (service, operation string, ok bool) {
	arn, ok := target.ParseARN(text)
	if !ok {
		return "", "", false
	}
	call, ok := callTo(arn, target.Target{ARN: text})
	if !ok {
		return "", "", false
	}
	c := call(route.Parcel{})
	return c.Service, c.Operation, true
}
