package awsapi

import (
	"context"
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// Local answers calls of AWS operations that Parry stands in for: automation of
// its own documents, say. Such a call passes everything that another does:
// validation, class, guards, plan, budget, intent, outcome, record. Only the last
// step is another: it is answered here and no credentials are asked for.
type Local interface {
	// Answers reports whether Parry answers the call; otherwise AWS is asked.
	Answers(ctx context.Context, c LocalCall) (bool, error)
	// Answer answers it, in the model's shape, or with an *apimodel.APIError. A
	// change has to be made once for each Change: after a crash the same one may come
	// again, unless it is found by its idempotency token.
	Answer(ctx context.Context, c LocalCall) (apimodel.Reply, error)
}

// LocalCall is a call as a Local sees it: resolved, validated against its model,
// and with the right under which it is made.
type LocalCall struct {
	apimodel.Call
	Class    apimodel.Class
	Identity Identity
	Mode     Mode // in plan mode reads alone come through
	// Remediation, Execution and Step say what makes the call; Execution and Step
	// are "" outside of a plan's application.
	Remediation remediation.ID
	Execution   string
	Step        string
	Change      string // id of the recorded change; "" for reads
}

// checkLocals checks Config.Local. Whether a service has an operation is not looked up, since
// its model would be in memory from then on: a test of whoever gives them does.
func checkLocals(given map[string]Local) error {
	for name, l := range given {
		if service, operation, _ := strings.Cut(name, ":"); service == "" || operation == "" {
			return fault.Errorf(fault.Invalid, "open gate", "what Parry answers itself: %q is no service:Operation", name)
		}
		if l == nil {
			return fault.Errorf(fault.Invalid, "open gate", "nothing answers %q", name)
		}
	}
	return nil
}

// localFor gives who answers r; nil means AWS. Where that cannot be told nobody
// is asked.
func (g *Gate) localFor(ctx context.Context, id Identity, r request) (Local, LocalCall, error) {
	l := g.cfg.Local[r.Service+":"+r.Operation]
	// Own traffic is between Parry and AWS by what it is.
	if l == nil || id.AtAWS || r.by != nil && r.by.mode == ModeOwn {
		return nil, LocalCall{}, nil
	}
	c := LocalCall{Call: r.Clone(), Class: r.class, Identity: id}
	if r.by != nil {
		c.Mode, c.Remediation, c.Execution, c.Step, c.Change = r.by.mode, r.by.remediation, r.by.execution, r.by.step, r.by.change
	}
	answers, err := l.Answers(ctx, c)
	if err != nil || !answers {
		return nil, c, err
	}
	return l, c, nil
}

// answerLocal is what the client does for AWS: it asks for the last time whether
// a change may be made, and has it made.
func (g *Gate) answerLocal(ctx context.Context, l Local, c LocalCall, r request) (apimodel.Reply, error) {
	if err := g.validate(r); err != nil {
		return apimodel.Reply{}, err
	}
	if c.Class != apimodel.Read {
		if err := permitted(ctx); err != nil {
			return apimodel.Reply{}, fmt.Errorf("%w: %w", errNotSent, err)
		}
	}
	reply, err := l.Answer(ctx, c)
	if err == nil && reply.Output == nil {
		reply.Output = map[string]any{}
	}
	if err == nil && reply.Output["ResponseMetadata"] == nil {
		reply.Output["ResponseMetadata"] = responseMetadata("")
	}
	return reply, err
}
