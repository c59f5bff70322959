package awsapi

import (
	"context"
	"fmt"

	"github.com/parry-security/parry/internal/apimodel"
)

// permitKey is the context key of withPermit.
type permitKey struct{}

// withPermit makes the client ask permit right before each attempt of a call
// that is no plain read leaves, the first included: after it has waited for the
// throttle and between attempts, which can take minutes in which somebody turns
// the stop switch on. An error of permit ends the call and is found in the error
// of Send by errors.Is and errors.As; beside it stands errNotSent when no attempt
// can have done anything, or an *apimodel.APIError with Uncertain when one may
// have.
func withPermit(ctx context.Context, permit func(context.Context) error) context.Context {
	return context.WithValue(ctx, permitKey{}, permit)
}

// permitted asks whether the next attempt may leave.
func (s *sending) permitted(ctx context.Context) error {
	if s.p.class == apimodel.Read {
		return nil
	}
	return permitted(ctx)
}

func permitted(ctx context.Context) error {
	if permit, ok := ctx.Value(permitKey{}).(func(context.Context) error); ok {
		return permit(ctx)
	}
	return nil
}

// held words the end of a call whose next attempt was not permitted.
func (s *sending) held(attempts int, err error) error {
	if !s.doubt {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	return &lostError{cause: err, lost: &apimodel.APIError{
		Service: s.p.rt.service.Name, Operation: s.p.op.op.Name, Code: CodeConnectionLost, Retries: attempts - 1, Uncertain: true,
		Message: "an answer was lost and the call was not permitted again; the change may or may not have been made",
	}}
}
