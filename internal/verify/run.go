package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
)

// nothingChanged is the verdict on a run that sent no change.
const nothingChanged = "nothing was changed"

// unforeseen begins the detail of a check that no reading can make pass.
const unforeseen = "nobody can foretell what "

// touched is the last change that a run made to one thing.
type touched struct {
	spec   apimodel.ImageSpec
	change remediation.Change
}

// changed reads everything that a run changed and compares it with what was to be
// expected after the last change to it. A change whose effect nobody can foretell
// leaves the run unverified: it may have done what was wanted, and nobody knows.
func (s *Stage) changed(ctx context.Context, r remediation.Remediation) ([]remediation.CheckResult, error) {
	changes, err := s.Store.Changes(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	last, results := lastChanges(changes)
	if len(last) == 0 && len(results) == 0 {
		return []remediation.CheckResult{{Check: nothingChanged, Passed: true, Detail: nothingChanged}}, nil
	}
	caller := s.Gate.Verifier(r, rolesOf(changes)...)
	for _, t := range last {
		c := t.change
		want, known := t.spec.Expected(apimodel.Image(*c.Before))
		if !known {
			results = append(results, unforetold(c))
			continue
		}
		now, err := t.spec.ImageFrom(t.spec.Read(func(read apimodel.Call) (apimodel.Reply, error) {
			read.As = c.Call.As
			return caller.Call(ctx, "changed", read)
		}))
		if err != nil {
			return nil, err
		}
		diff := t.spec.Diff(want, now)
		detail := "as the document left it"
		if len(diff) > 0 {
			detail = diff[0].Path + " is not as the document left it"
		}
		results = append(results, remediation.CheckResult{Check: resource(c.Call), Passed: len(diff) == 0, Detail: detail})
	}
	return results, nil
}

// lastChanges gives, in the order of their first change, the last change to
// everything that was changed, and a failed result for each change of which no
// image exists.
func lastChanges(changes []remediation.Change) ([]touched, []remediation.CheckResult) {
	var last []touched
	var results []remediation.CheckResult
	at := map[string]int{}
	for _, c := range changes {
		if !c.MayHaveHappened() || c.Call.Class != apimodel.Change {
			continue
		}
		spec, ok := apimodel.ImageOf(c.Call.APICall())
		if !ok || c.Before == nil {
			results = append(results, unforetold(c))
			continue
		}
		key := spec.Key()
		if i, ok := at[key]; ok {
			last[i] = touched{spec, c}
			continue
		}
		at[key], last = len(last), append(last, touched{spec, c})
	}
	return last, results
}

func unforetold(c remediation.Change) remediation.CheckResult {
	return remediation.CheckResult{
		Check:  resource(c.Call),
		Detail: fmt.Sprintf(unforeseen+"%s:%s leaves behind", c.Call.Service, c.Call.Operation),
	}
}

func resource(c remediation.PlannedCall) string {
	if c.Resource != "" {
		return c.Resource
	}
	return c.Service + ":" + c.Operation
}

// rolesOf lists the roles that made changes.
func rolesOf(changes []remediation.Change) []string {
	var out []string
	for _, c := range changes {
		if c.Call.As != "" && !slices.Contains(out, c.Call.As) {
			out = append(out, c.Call.As)
		}
	}
	return out
}
