package automation

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// integration is the value of the parameter that holds an integration.
type integration struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Payload any               `json:"payload"`
}

// invokeWebhook is aws:invokeWebhook: it reads the integration's parameter and
// posts Body, or the integration's own payload, to its address. The read is
// sensitive, so the plan holds it and people approve it; the address is in no
// plan and no checkpoint. A post whose checkpoint was lost is repeated under the
// same id. Anything but 2xx fails the step.
//
// AWS's pages: invoke-webhook.html, creating-webhook-integrations.html; our
// decision: docs/design/0009-webhooks-in-runbooks.md.
func invokeWebhook() task {
	return task{outputs: []string{"Response", "ResponseCode"}, begin: beginWebhook}
}

func beginWebhook(ctx context.Context, d *doing) error {
	if d.x.run.Webhooks == nil {
		return stepFailure{inputFailure(fault.Errorf(fault.Denied, "", "runbooks may call no webhooks here").
			WithHint("list the receiver's host under webhooks.hosts in parry.yaml")), nil}
	}
	name, body := textAt(d.c.inputs, "IntegrationName"), ""
	if v := d.c.inputs["Body"]; v != nil {
		body, _ = runbook.Text(v) // it was looked at with the other inputs
	}
	kept, err := d.do(ctx, order{
		name: "Post", service: "ssm", operation: "GetParameter", input: d.calls[0].Input,
		then: func(ctx context.Context, out map[string]any) (map[string]any, *Failure, error) {
			if d.x.run.Planning {
				mark := textAt(out, "Parameter", "Value")
				return map[string]any{"Response": mark, "ResponseCode": mark}, nil, nil
			}
			return d.post(ctx, name, textAt(out, "Parameter", "Value"), body)
		},
	})
	if err != nil {
		return err
	}
	d.assume = kept
	if code, ok := kept["ResponseCode"].(int64); ok && (code < 200 || code > 299) {
		return finally(kept, "The webhook %.128s answered %d: %.300s", name, code, textAt(kept, "Response"))
	}
	return nil
}

// post sends body to the integration that value describes.
func (d *doing) post(ctx context.Context, name, value, body string) (map[string]any, *Failure, error) {
	to, err := parseIntegration([]byte(value))
	if err != nil {
		return nil, inputFailure(fmt.Errorf("the integration %.128s: %w", name, err)), nil
	}
	if body == "" && to.Payload != nil {
		if body, err = runbook.Text(to.Payload); err != nil {
			return nil, inputFailure(fmt.Errorf("the integration %.128s: its payload: %w", name, err)), nil
		}
	}
	ctx, stop := context.WithTimeout(ctx, d.x.cfg.CallTimeout)
	defer stop()
	answer, err := d.x.run.Webhooks.Post(ctx, Webhook{ID: d.token("parry-"), URL: to.URL, Headers: to.Headers, Body: body})
	switch {
	case err != nil && fault.Is(err, fault.Denied):
		// The receiver is not allowed: a failure of this step, and no security stop,
		// since nothing that the plan holds was refused.
		return nil, inputFailure(fmt.Errorf("the integration %.128s: %w", name, err)), nil
	case err != nil:
		f := callFailure(err)
		f.Message = fmt.Sprintf("Step fails when it is Executing. The webhook %.128s could not be called: %v", name, err)
		f.Final = true // whether it arrived is not known, and the plan holds it once
		return nil, f, nil
	}
	return map[string]any{"Response": answer.Body, "ResponseCode": int64(answer.Code)}, nil, nil
}

// parseIntegration reads the value of an integration's parameter. Its errors say
// nothing of the value.
func parseIntegration(raw []byte) (integration, error) {
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return integration{}, fault.Errorf(fault.Invalid, "", "its value is no JSON object")
	}
	var out integration
	for key, v := range fields {
		switch strings.ToLower(key) {
		case "url":
			out.URL, _ = v.(string)
		case "payload":
			out.Payload = v
		case "headers":
			headers, ok := v.(map[string]any)
			if !ok {
				return integration{}, fault.Errorf(fault.Invalid, "", "its headers are no JSON object")
			}
			out.Headers = make(map[string]string, len(headers))
			for name, h := range headers {
				text, err := runbook.Text(h)
				if err != nil {
					return integration{}, fault.Errorf(fault.Invalid, "", "its headers are no texts")
				}
				out.Headers[name] = text
			}
		}
	}
	if out.URL == "" {
		return integration{}, fault.Errorf(fault.Invalid, "", "it has no url")
	}
	return out, nil
}
