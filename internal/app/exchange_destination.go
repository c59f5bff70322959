package app

import (
	"context"
	"sync/atomic"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify/destination"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/target"
)

// outside delivers to the API destinations in force.
type outside struct {
	*destination.Sender
	endpoints atomic.Pointer[map[string]route.Endpoint] // by ARN
}

// use puts API destinations in force, and drops the tokens of connections that are not.
func (o *outside) use(endpoints map[string]route.Endpoint) {
	o.endpoints.Store(&endpoints)
	versions := map[string]string{}
	for _, e := range endpoints {
		versions[e.Connection.ARN] = e.Connection.Version
	}
	o.Keep(func(arn, version string) bool { return versions[arn] == version })
}

func (o *outside) find(arn string) (route.Endpoint, bool) {
	all := o.endpoints.Load()
	if all == nil {
		return route.Endpoint{}, false
	}
	e, ok := (*all)[arn]
	return e, ok
}

// outlet delivers to a target. The destination is looked up for each delivery: it may be
// changed while the rule stays as it is.
func (o *outside) outlet(t target.Target) route.Outlet {
	const op = "call API destination"
	return route.Outlet{
		Pace: func() float64 {
			e, _ := o.find(t.ARN)
			return float64(e.Rate)
		},
		Send: func(ctx context.Context, p route.Parcel) error {
			e, ok := o.find(t.ARN)
			switch {
			case !ok:
				return fault.Terminal(fault.Errorf(fault.NotFound, op, "the API destination was deleted"))
			case !e.Active():
				// It may be authorized again while the event is young enough.
				return fault.Transient(fault.Errorf(fault.Denied, op, "the connection of API destination %s is not authorized", e.Name).
					WithHint("authorize it: aws events update-connection"), 0)
			}
			r, err := e.Request(e.Connection, t.HTTPParameters, p.Text, p.Input)
			if err != nil {
				return err
			}
			return o.Sender.Send(ctx, e.Connection, r)
		},
	}
}
