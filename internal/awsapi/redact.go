package awsapi

import (
	"errors"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
)

// shown is r's input without its secret values.
func (g *Gate) shown(r request) map[string]any {
	if r.op == nil {
		return nil
	}
	return g.redact.Input(r.Service, r.op, r.Input)
}

// shownImage is an image without its secret values. Equal values have equal
// marks, so two shown images differ where the images do.
func (g *Gate) shownImage(spec apimodel.ImageSpec, img apimodel.Image) apimodel.Image {
	svc, op, err := g.cfg.Models.Find(spec.Service, spec.ReadOperation())
	if err != nil {
		return apimodel.Image{Exists: img.Exists} // nothing is shown of what no model knows
	}
	return g.redact.Image(svc.Name, op, spec, img)
}

// shownDiff lists what differs between two images without their secret values.
func (g *Gate) shownDiff(spec apimodel.ImageSpec, before, after apimodel.Image) []apimodel.MemberChange {
	return spec.Diff(g.shownImage(spec, before), g.shownImage(spec, after))
}

// shownPath is a path that may go through a map whose keys are secret.
func (g *Gate) shownPath(path string, pc remediation.PlannedCall, r request) string {
	planned := g.redact.Secrets(r.Service, r.op, pc.Input)
	return g.redact.Scrub(g.redact.Scrub(path, planned), g.redact.Secrets(r.Service, r.op, r.Input))
}

// scrub takes the secret values of r's input out of an error: services and
// botocore's validation repeat what they refuse.
func (g *Gate) scrub(r request, err error) error {
	if err == nil || r.op == nil {
		return err
	}
	secrets := g.redact.Secrets(r.Service, r.op, r.Input)
	if len(secrets) == 0 {
		return err
	}
	var api *apimodel.APIError
	if errors.As(err, &api) {
		api.Message = g.redact.Scrub(api.Message, secrets)
	}
	var param *ParamError
	if errors.As(err, &param) {
		for i := range param.Problems {
			param.Problems[i].Message = g.redact.Scrub(param.Problems[i].Message, secrets)
		}
	}
	if text := g.redact.Scrub(err.Error(), secrets); text != err.Error() {
		return &scrubbedError{err: err, text: text}
	}
	return err
}

// scrubbedError prints another text than the error that it wraps.
type scrubbedError struct {
	err  error
	text string
}

// Error prints the text without secrets.
func (e *scrubbedError) Error() string { return e.text }

// Unwrap gives the error for errors.Is and errors.As.
func (e *scrubbedError) Unwrap() error { return e.err }

// Redacted is a plan as people may see it: no secret value of an input, a
// before-image or a parameter, and none of them in the runbook's text or in what
// the checks say. A mark stands for each, equal where the values are. It is for
// showing; only the plan itself has the hash that was approved.
func (g *Gate) Redacted(p remediation.Plan) remediation.Plan {
	var secrets []string
	p.Calls = slices.Clone(p.Calls)
	for i, c := range p.Calls {
		p.Calls[i] = g.RedactedCall(c)
		if svc, op, err := g.cfg.Models.Find(c.Service, c.Operation); err == nil {
			secrets = append(secrets, g.redact.Secrets(svc.Name, op, c.Input)...)
		}
	}
	p.Beyond = slices.Clone(p.Beyond)
	for i := range p.Beyond {
		a := &p.Beyond[i]
		svc, op, err := g.cfg.Models.Find(a.Service, a.Operation)
		if err != nil {
			a.Input = nil
			continue
		}
		secrets = append(secrets, g.redact.Secrets(svc.Name, op, a.Input)...)
		if a.Input != nil {
			a.Input = g.redact.Input(svc.Name, op, a.Input)
		}
	}
	parameters := g.redact.Free(p.Parameters)
	secrets = append(secrets, g.redact.FreeSecrets(p.Parameters)...)
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	clean := func(text string) string { return g.redact.Scrub(text, secrets) }
	p.Parameters, _ = eachText(parameters, clean).(map[string]any)
	p.Runbook.Content, p.OpenReason = clean(p.Runbook.Content), clean(p.OpenReason)
	p.Violation = slices.Clone(p.Violation)
	for i := range p.Violation {
		p.Violation[i].Detail = clean(p.Violation[i].Detail)
	}
	for i := range p.Beyond {
		p.Beyond[i].Input, _ = eachText(p.Beyond[i].Input, clean).(map[string]any)
	}
	return p
}

// RedactedCall is a planned call as people may see it.
func (g *Gate) RedactedCall(c remediation.PlannedCall) remediation.PlannedCall {
	svc, op, err := g.cfg.Models.Find(c.Service, c.Operation)
	if err != nil {
		c.Input, c.Before = nil, nil
		return c
	}
	spec, ok := apimodel.ImageOf(c.APICall()) // before its input is changed
	c.Input = g.redact.Input(svc.Name, op, c.Input)
	if !ok || c.Before == nil {
		c.Before = nil
		return c
	}
	c.Before = toImage(g.shownImage(spec, fromImage(c.Before)))
	return c
}

// eachText copies v with f applied to every text.
func eachText(v any, f func(string) string) any {
	switch v := v.(type) {
	case string:
		return f(v)
	case map[string]any:
		if v == nil {
			return v
		}
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = eachText(x, f)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = eachText(x, f)
		}
		return out
	case []string:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = f(x)
		}
		return out
	}
	return v
}

// resourceOf names for people what a call is about: the resource of the image
// table, an ARN among the input's members, or the first member that it requires.
func (g *Gate) resourceOf(r request, shown map[string]any) string {
	c := apimodel.Call{Service: r.Service, Operation: r.Operation, Account: r.Account, Region: r.Region, Input: shown}
	if spec, ok := apimodel.ImageOf(c); ok {
		return spec.Resource()
	}
	if apimodel.IsImageRead(r.Service, r.Operation) {
		return apimodel.ReadResource(c)
	}
	if r.op == nil || r.op.Input == nil {
		return ""
	}
	for _, m := range r.op.Input.Members {
		if v, ok := shown[m.Name].(string); ok && strings.HasPrefix(v, "arn:") {
			return v
		}
	}
	for _, name := range r.op.Input.Required {
		if v, ok := shown[name].(string); ok && len(v) <= 256 {
			return name + " " + v
		}
	}
	return ""
}
