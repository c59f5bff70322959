package awsapi

import (
	"slices"
	"sync"
	"weak"

	"github.com/parry-security/parry/internal/remediation"
)

// maxTaken bounds the plans of which something is kept.
const maxTaken = 32

// takenPlans keep, for the plans that were applied last, their hashes and scopes. A
// run on a thousand targets opens a session for each, all with one plan: hashing and
// dividing it anew each time would cost a thousand times its thousand calls.
//
// Invariant: what is kept of a plan in memory is its hash alone; scopes are found by
// that hash, so they are those of the plan that was approved.
type takenPlans struct {
	mu      sync.Mutex
	hashes  []takenHash
	divided []takenScopes
}

type takenHash struct {
	plan weak.Pointer[remediation.Plan]
	hash remediation.Hash
}

type takenScopes struct {
	hash   remediation.Hash
	scopes *scopes
}

// hash gives the hash of plan.
func (t *takenPlans) hash(plan *remediation.Plan) (remediation.Hash, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := weak.Make(plan)
	for _, h := range t.hashes {
		if h.plan == own {
			return h.hash, nil
		}
	}
	hash, err := plan.Hash()
	if err == nil {
		t.hashes = keepLast(append(t.hashes, takenHash{own, hash}))
	}
	return hash, err
}

// scopes gives the scopes of plan, which has the hash. They are not changed by whoever
// takes them.
func (t *takenPlans) scopes(d deriver, plan *remediation.Plan, hash remediation.Hash) (*scopes, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.divided {
		if s.hash == hash {
			return s.scopes, nil
		}
	}
	out, err := planScopes(d, plan)
	if err == nil {
		t.divided = keepLast(append(t.divided, takenScopes{hash, out}))
	}
	return out, err
}

func keepLast[T any](list []T) []T {
	if len(list) > maxTaken {
		return slices.Delete(list, 0, 1)
	}
	return list
}
