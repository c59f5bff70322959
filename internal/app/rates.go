package app

import (
	"context"
	"time"

	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/store"
)

// newClient opens a client with the limits of cfg.
func newClient(cfg config.Config, c awsapi.ClientConfig) (*awsapi.Client, error) {
	c.PerSecond, c.Burst, c.Limits = cfg.AWS.Rate, cfg.AWS.Burst, cfg.AWS.Limits
	c.UseFIPS, c.UseDualStack = cfg.AWS.UseFIPS, cfg.AWS.UseDualStack
	return awsapi.NewClient(c)
}

// sharedRates shows the store to the throttle of the gate.
type sharedRates struct{ store *store.Store }

// ExchangeRates stores and gives cuts.
func (r sharedRates) ExchangeRates(ctx context.Context, mine []awsapi.RateCut, since time.Time) ([]awsapi.RateCut, int, error) {
	cuts := make([]store.ThrottleCut, 0, len(mine))
	for _, c := range mine {
		cuts = append(cuts, store.ThrottleCut{Key: c.Key, Rate: c.PerSecond, At: c.At})
	}
	stored, nodes, err := r.store.ExchangeThrottleCuts(ctx, cuts, since)
	if err != nil {
		return nil, 0, err
	}
	all := make([]awsapi.RateCut, 0, len(stored))
	for _, c := range stored {
		all = append(all, awsapi.RateCut{Key: c.Key, PerSecond: c.Rate, At: c.At})
	}
	return all, nodes, nil
}
