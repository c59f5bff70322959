package playbook

import (
	"errors"
	"maps"
	"slices"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
)

// Caller makes one reading call for a step.
type Caller func(step string, c apimodel.Call) (apimodel.Reply, error)

// Looking says how a resource is looked at.
type Looking struct {
	// Known are answers that are there already, by read.
	Known Readings
	// Fixed also runs the checks that only belong to the fix.
	Fixed bool
	// Recall gives an answer that a deferred read had a moment ago, for another resource of
	// the account. It may confirm what fails and not excuse it: where it would, the read is
	// made. Default: it always is.
	Recall func(apimodel.Call) (answer map[string]any, ok bool)
	// Deferred is told what a deferred read answered. Default: nobody is.
	Deferred func(c apimodel.Call, answer map[string]any)
}

// Look reads the resource and runs the checks on what it saw: what tells whether the
// control is about it first, then the other reads, and deferred ones only where they
// may excuse what fails. So no more is read than the verdict needs.
func (p Playbook) Look(r Resource, o Looking, call Caller) (Readings, []remediation.CheckResult, error) {
	readings := make(Readings, len(p.Reads))
	maps.Copy(readings, o.Known)
	verdict := func() []remediation.CheckResult { return p.evaluate(readings, o.Fixed) }
	if len(p.Applies) > 0 {
		if err := p.gather(r, readings, call, func(read Read) bool {
			return slices.ContainsFunc(p.Applies, func(c Check) bool { return c.Read == read.Name })
		}); err != nil {
			return nil, nil, err
		}
		if p.Outside(readings) {
			return readings, verdict(), nil
		}
	}
	if err := p.gather(r, readings, call, func(read Read) bool { return !read.Deferred }); err != nil {
		return nil, nil, err
	}
	results := verdict()
	if Passed(results) {
		return readings, results, nil
	}
	wanted := p.excuses(readings)
	if len(wanted) == 0 {
		return readings, results, nil
	}
	if recalled, ok, err := p.recalled(r, o, readings, wanted); ok || err != nil {
		return recalled, results, err
	}
	if err := p.gather(r, readings, call, func(read Read) bool { return wanted[read.Name] }); err != nil {
		return nil, nil, err
	}
	return readings, verdict(), p.tell(r, o, readings, wanted)
}

// recalled adds what is remembered of the wanted reads to readings; false where
// something is not, or where it would change a result.
func (p Playbook) recalled(r Resource, o Looking, readings Readings, wanted map[string]bool) (Readings, bool, error) {
	if o.Recall == nil {
		return nil, false, nil
	}
	out := maps.Clone(readings)
	for _, read := range p.Reads {
		if !wanted[read.Name] {
			continue
		}
		c, err := read.Call(r)
		if err != nil {
			return nil, false, err
		}
		answer, ok := o.Recall(c)
		if !ok {
			return nil, false, nil
		}
		out[read.Name] = answer
	}
	return out, slices.Equal(p.evaluate(readings, o.Fixed), p.evaluate(out, o.Fixed)), nil
}

// tell hands on what the wanted reads answered.
func (p Playbook) tell(r Resource, o Looking, readings Readings, wanted map[string]bool) error {
	for _, read := range p.Reads {
		if o.Deferred == nil || !wanted[read.Name] {
			continue
		}
		c, err := read.Call(r)
		if err != nil {
			return err
		}
		o.Deferred(c, readings[read.Name])
	}
	return nil
}

// Outside reports whether the control is not about the resource.
func (p Playbook) Outside(readings Readings) bool {
	return slices.ContainsFunc(p.Applies, func(c Check) bool {
		holds, _ := c.test(readings)
		return !holds
	})
}

// excuses names the deferred reads that may excuse a check that fails.
func (p Playbook) excuses(readings Readings) map[string]bool {
	out := map[string]bool{}
	for _, c := range p.Checks {
		if passed, _ := c.test(readings); passed {
			continue
		}
		for _, t := range c.Unless {
			if _, there := readings[t.Read]; !there {
				out[t.Read] = true
			}
		}
	}
	return out
}

// gather makes those reads of p that which selects and that are not there yet; one that
// AWS answers with an absent code is an empty document.
func (p Playbook) gather(r Resource, readings Readings, call Caller, which func(Read) bool) error {
	for _, read := range p.Reads {
		if _, there := readings[read.Name]; there || !which(read) {
			continue
		}
		c, err := read.Call(r)
		if err != nil {
			return err
		}
		reply, err := call("read:"+read.Name, c)
		var api *apimodel.APIError
		switch {
		case err == nil:
			readings[read.Name] = reply.Output
		case errors.As(err, &api) && read.AbsentCode(api.Code):
			readings[read.Name] = map[string]any{}
		default:
			return err
		}
	}
	return nil
}
