package sweep

import (
	"context"
	"slices"
	"sync"

	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/playbook"
)

// target is where to look: in a Region of an account, or for a control about whole
// accounts in the first of several that is on.
type target struct {
	account org.Account
	regions []string
	on      func() map[string]bool // what the account says of its Regions; nil = not asked
}

// targets lists where to look; on gives for an account what its targets ask it, nil when
// nothing is to be asked.
func (r Request) targets(on func(account string) func() map[string]bool) []target {
	groups := [][]string{r.Regions}
	if r.Playbook.Sweep.Per != playbook.PerAccount {
		groups = slices.Collect(slices.Chunk(r.Regions, 1))
	}
	out := make([]target, 0, len(r.Accounts)*len(groups))
	for _, a := range r.Accounts {
		var ask func() map[string]bool
		if on != nil {
			ask = on(a.ID)
		}
		for _, regions := range groups {
			out = append(out, target{a, regions, ask})
		}
	}
	return out
}

// regions gives what asks accounts for their Regions, each once; nil where all of the
// Regions are on in every account.
func (s *Sweeper) regions(ctx context.Context, r Request, caller Caller) func(string) func() map[string]bool {
	if s.Regions == nil || !slices.ContainsFunc(r.Regions, func(region string) bool { return !org.AlwaysOn(region) }) {
		return nil
	}
	return func(account string) func() map[string]bool {
		return sync.OnceValue(func() map[string]bool {
			on, err := s.Regions(ctx, caller, account)
			if err != nil {
				return nil // all are taken for on: the listings say what is wrong
			}
			return on
		})
	}
}

// region is the Region to look in, and whether it is off: the first that is not.
func (t target) region() (name string, off bool) {
	if t.on == nil {
		return t.regions[0], false
	}
	for _, region := range t.regions {
		if org.AlwaysOn(region) {
			return region, false
		}
		if on, known := t.on()[region]; on || !known {
			return region, false
		}
	}
	return t.regions[0], true
}
