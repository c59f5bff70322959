package runbook

import (
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// Report is the result of a check.
type Report struct {
	Problems []Problem `json:"problems"`
	// LeftOut counts the problems beyond MaxProblems; errors are kept before warnings.
	LeftOut int `json:"problems_left_out,omitempty"`
	// Reads and Changes are the operations that the document calls, as far as its
	// text tells; Gaps are the steps that may call more. Without models all are empty.
	Reads   []Effect     `json:"reads"`
	Changes []Effect     `json:"changes"`
	Gaps    []Gap        `json:"not_derived"`
	Steps   []StepImpact `json:"steps"`
	// Policies grant what the document's role needs; more than one where a managed
	// policy cannot hold it all.
	Policies []apimodel.Policy `json:"policies"`
}

// MaxProblems bounds the problems of a report.
const MaxProblems = 1000

// limit keeps MaxProblems of problems, errors before warnings, in their order.
func limit(problems []Problem) (kept []Problem, leftOut int) {
	if len(problems) <= MaxProblems {
		return problems, 0
	}
	warnings := max(0, MaxProblems-len(Errors(problems)))
	for _, p := range problems {
		if p.Severity == SeverityWarning {
			if warnings == 0 {
				continue
			}
			warnings--
		}
		if len(kept) < MaxProblems {
			kept = append(kept, p)
		}
	}
	return kept, len(problems) - len(kept)
}

// Effect is an operation that a step calls.
type Effect struct {
	Service   string         `json:"service"`
	Operation string         `json:"operation"`
	Class     apimodel.Class `json:"class"`
	Step      string         `json:"step,omitempty"` // "" = before the first step
	Line      int            `json:"line,omitempty"`
	// Irreversible says that no before-image brings back what the call changes.
	Irreversible bool `json:"irreversible,omitempty"`
}

// Impact says whether a step changes anything, in the words of AWS's
// GetExecutionPreview.
type Impact string

// The impacts of a step.
const (
	Mutating     Impact = "Mutating"
	NonMutating  Impact = "NonMutating"
	Undetermined Impact = "Undetermined"
)

// StepImpact is one step of a report.
type StepImpact struct {
	Step   string `json:"step"`
	Action string `json:"action"`
	Impact Impact `json:"impact"`
}

// Refused is the report of a document that does not parse.
func Refused(err *ParseError) Report {
	return Report{Problems: err.Problems, Reads: []Effect{}, Changes: []Effect{}, Gaps: []Gap{}, Steps: []StepImpact{}, Policies: []apimodel.Policy{}}
}

// report completes the problems with what the document does.
func (d *Document) report(problems []Problem, with CheckOptions) Report {
	problems, leftOut := limit(problems)
	r := Report{Problems: problems, LeftOut: leftOut, Reads: []Effect{}, Changes: []Effect{}, Gaps: []Gap{}, Policies: []apimodel.Policy{}}
	if r.Problems == nil {
		r.Problems = []Problem{}
	}
	if with.Models != nil {
		calls, gaps := d.Calls(with.At, with.Scripts)
		r.Gaps = append(r.Gaps, gaps...)
		r.effects(calls, with.Models)
		r.Policies = append(r.Policies, policies(calls, with.Models)...)
	}
	for _, s := range d.all {
		r.Steps = append(r.Steps, StepImpact{Step: s.Name, Action: s.Action, Impact: r.impact(d, s)})
	}
	return r
}

func (r *Report) effects(calls []StepCall, models *apimodel.Catalog) {
	for _, c := range calls {
		svc, op, err := findOperation(models, c.Call.Service, c.Call.Operation)
		if err != nil {
			continue // reported as a problem
		}
		call := c.Call
		call.Service, call.Operation = svc.Name, op.Name
		e := Effect{Service: svc.Name, Operation: op.Name, Class: models.ClassifyCall(call), Step: strings.TrimSuffix(c.Step, CancelLabel), Line: c.Pos.Line}
		list := &r.Reads
		if e.Class == apimodel.Change {
			_, undoable := apimodel.ImageOf(call)
			if call.Input == nil { // of a script: only the operation is known
				undoable = slices.Contains(apimodel.ImageOperations(), e.Service+":"+e.Operation)
			}
			e.Irreversible = !undoable
			list = &r.Changes
		}
		if !slices.ContainsFunc(*list, func(have Effect) bool {
			return have.Service == e.Service && have.Operation == e.Operation && have.Step == e.Step
		}) {
			*list = append(*list, e)
		}
	}
}

// impact tells what one step does to an account.
func (r *Report) impact(d *Document, s *Step) Impact {
	switch s.Action {
	case ActionBranch, ActionSleep, ActionPause, ActionUpdateVariable:
		return NonMutating
	case ActionAutomation, ActionRunCommand, ActionLambda, ActionStateMachine, ActionWebhook:
		// What they start decides, and the document does not tell.
		return Undetermined
	case ActionLoop:
		worst := NonMutating
		for i := range s.Loop.Steps {
			switch r.impact(d, &s.Loop.Steps[i]) {
			case Mutating:
				return Mutating
			case Undetermined:
				worst = Undetermined
			}
		}
		return worst
	}
	of := func(name string) bool { return name == s.Name }
	switch {
	case slices.ContainsFunc(r.Changes, func(e Effect) bool { return of(e.Step) }):
		return Mutating
	case slices.ContainsFunc(r.Gaps, func(g Gap) bool { return of(g.Step) }), !slices.ContainsFunc(r.Reads, func(e Effect) bool { return of(e.Step) }) && s.Action != ActionScript && s.Action != ActionApprove:
		return Undetermined
	case s.Action == ActionScript && !r.scriptKnown(s):
		return Undetermined
	}
	return NonMutating
}

// scriptKnown reports whether the operations of a script were listed: a script
// without any is known where it is no gap.
func (r *Report) scriptKnown(s *Step) bool {
	return !slices.ContainsFunc(r.Gaps, func(g Gap) bool { return g.Step == s.Name })
}

// policies gives what the role of the calls needs, undoing included.
func policies(calls []StepCall, models *apimodel.Catalog) []apimodel.Policy {
	var grants []apimodel.Grant
	for _, c := range calls {
		if strings.Contains(c.Call.Service+c.Call.Operation, apimodel.Unknown) {
			continue
		}
		svc, op, err := findOperation(models, c.Call.Service, c.Call.Operation)
		if err != nil {
			continue
		}
		call := c.Call
		call.Service, call.Operation = svc.Name, op.Name
		list, err := models.GrantsAround(call, apimodel.Surround{Image: true, Undo: true})
		if err != nil {
			continue
		}
		grants = append(grants, list...)
	}
	if len(grants) == 0 {
		return nil
	}
	out, err := apimodel.Split(grants, apimodel.MaxManagedPolicy, apimodel.Document)
	if err != nil {
		return nil
	}
	return out
}
