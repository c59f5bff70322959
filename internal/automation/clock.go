package automation

import (
	"context"
	"time"

	"github.com/parry-security/parry/internal/service"
)

// RealClock lets real time pass, and tells it by a service.Clock.
type RealClock struct {
	service.Clock
}

// Wait returns after d, or with the context's cause when it ends first.
func (RealClock) Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
