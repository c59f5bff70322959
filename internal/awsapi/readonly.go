package awsapi

import (
	"context"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// readOnlySender is the gate's read-only mode. It stands below every session, so that
// neither a plan nor a grant nor a dry run gets a change past it: what a session may do
// is no question any more. Taking a role is not sent by it, and changes nothing.
type readOnlySender struct {
	sender
	models models
}

// Send sends reads.
func (s readOnlySender) Send(ctx context.Context, creds Credentials, c apimodel.Call) (apimodel.Reply, error) {
	if class := s.models.ClassifyCall(c); class != apimodel.Read {
		return apimodel.Reply{}, fault.Errorf(fault.Denied, "call "+c.Service+":"+c.Operation, "this process is read-only and sends no %s", classWord(class)).
			WithHint("a server that you run makes changes, from plans that are approved: parry init")
	}
	return s.sender.Send(ctx, creds, c)
}
