package awsapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
)

// PlanUnknown is the code of the error that planning answers a call with of which
// it cannot tell what it would be. A script sees it as a ClientError; whatever it
// makes of it, the plan is open: see Planner.Open.
const PlanUnknown = "ParryPlanUnknown"

const (
	// maxPolls is how often in a row a step may make the same read after a change
	// was planned: what it waits for comes about by applying only.
	maxPolls = 5
	// maxOpenReason bounds what is said of an open plan.
	maxOpenReason = 1000
)

// Open says why planning could not tell all calls, "" when it could. A plan made
// of this planner's calls is open then, whether or not the steps went on.
func (p *Planner) Open() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// untold refuses a call of which only applying will tell what it is, and leaves
// the plan open.
func (p *Planner) untold(step string, r request, format string, args ...any) error {
	text, _ := p.unknown.clean(fmt.Sprintf(format, args...)).(string)
	text = clip(printable(text))
	if p.open == "" {
		p.open = fmt.Sprintf("step %s, %s:%s: %s", step, r.Service, r.Operation, text)
		p.open = p.open[:min(len(p.open), maxOpenReason)]
	}
	return &apimodel.APIError{
		Service: r.Service, Operation: r.Operation, Code: PlanUnknown, HTTPStatus: http.StatusBadRequest,
		Message: text + ". Planning changes nothing, so it ends here; the plan is open.",
	}
}

// polled counts reads that are made again and again. It refuses the one after
// which nothing new can come.
func (p *Planner) polled(pc *remediation.PlannedCall, r request) error {
	if r.class != apimodel.Read {
		p.lastRead, p.changes = "", p.changes || r.class == apimodel.Change
		return nil
	}
	key := pc.Step + " " + pc.As + " " + apimodel.ReadKey(r.Call)
	if key != p.lastRead {
		p.lastRead, p.polls = key, 0
	}
	if p.polls++; p.polls <= maxPolls || !p.changes {
		return nil
	}
	return p.untold(pc.Step, r, "it is asked the same for the %dth time, and what it waits for only comes about when the plan is applied", p.polls)
}

// torn gives the path of a text that holds part of a placeholder: something was
// cut from a value that only applying will tell. "" means that there is none.
func (u unknowns) torn(v any) string {
	var found []string
	eachTextAt("", v, u.isTorn, func(path string) { found = append(found, path) })
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found)
}

func (u unknowns) isTorn(text string) bool {
	rest := strings.ToLower(u.whole.ReplaceAllLiteralString(text, ""))
	cut := strings.LastIndex(rest, unknownPrefix)
	nonce := strings.ToLower(u.nonce)
	tail := nonce[max(len(nonce)-8, 0):] + ">"
	return strings.Contains(rest, nonce) || strings.Contains(rest, tail) || cut >= 0 && !strings.Contains(rest[cut:], ">")
}

// assume plans taking a role: the plan lists it, and every call that is made as
// the role names it.
func (p *Planner) assume(pc *remediation.PlannedCall, r request) error {
	if slices.Contains(pc.FromOutputs, "RoleArn") {
		return p.untold(pc.Step, r, "which role it takes is known only after apply")
	}
	pc.Resource, _ = r.Input["RoleArn"].(string)
	return nil
}
