package app

import (
	"context"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
)

// Changes gives the changes that a run made, in order.
func (l *Local) Changes(ctx context.Context, id remediation.ID) ([]apimodel.Call, error) {
	made, err := l.store.Changes(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]apimodel.Call, 0, len(made))
	for _, c := range made {
		if c.Outcome == remediation.Applied {
			out = append(out, c.Call.APICall())
		}
	}
	return out, nil
}
