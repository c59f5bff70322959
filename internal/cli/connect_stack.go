package cli

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

const (
	// maxLooks bounds how often a stack is looked at anew, because something else was
	// under way or its change set was of no use.
	maxLooks = 5
	// maxPages bounds the pages of a listing.
	maxPages = 20
	// maxReasons is how many failures are told.
	maxReasons = 5
	// maxRests is how often a stack at rest is not believed: it still shows the state it
	// had before, while what was sent has not begun.
	maxRests = 12
)

// stack is one stack that a template makes.
type stack struct {
	name, region, template, capability string
	parameters                         map[string]string
}

// changeSet names the change set by what it does: a run that goes on where another was
// stopped finds it, and one with another template does not.
func (k stack) changeSet(kind string) string {
	parts := []string{k.name, kind, k.template}
	for _, name := range slices.Sorted(maps.Keys(k.parameters)) {
		parts = append(parts, name, k.parameters[name])
	}
	return "parry-" + digest(parts...)[:24]
}

// stack brings a stack to its template by a change set, which people see before it is
// carried out.
func (a *applying) stack(k stack) error {
	p := appliedPart{Part: "stack " + k.name, Where: a.account + " " + k.region, State: partUnchanged}
	err := a.changeStack(&p, k)
	if err != nil {
		return fmt.Errorf("stack %s in %s: %w", k.name, k.region, err)
	}
	a.view.Parts = append(a.view.Parts, p)
	a.progress("%s in %s: %s", p.Part, p.Where, p.State)
	return nil
}

func (a *applying) changeStack(p *appliedPart, k stack) error {
	for range maxLooks {
		status, err := a.stackStatus(k)
		if err != nil {
			return err
		}
		kind := "UPDATE"
		switch {
		case status == "" || status == "REVIEW_IN_PROGRESS":
			kind = "CREATE"
		case strings.HasSuffix(status, "_IN_PROGRESS"):
			a.progress("%s in %s: %s, by an earlier run or somebody else; waiting", p.Part, p.Where, status)
			if _, err := a.settled(p, k, status, ""); err != nil {
				return err
			}
			continue
		case !usable(status):
			return fault.Errorf(fault.Conflict, "", "it is %s, which no change set mends", status).
				WithHint("see why: aws cloudformation describe-stack-events --stack-name %s --region %s; then %s", k.name, k.region, k.wayOut(status))
		}
		done, err := a.byChangeSet(p, k, kind)
		if err != nil || done {
			return err
		}
	}
	return fault.Errorf(fault.Conflict, "", "it is changed by something else again and again").WithHint("see who: aws cloudformation list-change-sets --stack-name %s --region %s", k.name, k.region)
}

// usable reports whether a stack that rests can be updated.
func usable(status string) bool {
	return slices.Contains([]string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"}, status)
}

// wayOut says what brings a stack out of a state that no change set mends. A stack that
// was there before an update is never deleted for that: what it made is in use.
func (k stack) wayOut(status string) string {
	command := "aws cloudformation %s --stack-name " + k.name + " --region " + k.region
	switch status {
	case "UPDATE_ROLLBACK_FAILED":
		return "mend that, go on with the way back, and run this again: " + fmt.Sprintf(command, "continue-update-rollback")
	case "UPDATE_FAILED":
		return "take it back to what it was, and run this again: " + fmt.Sprintf(command, "rollback-stack")
	case "IMPORT_ROLLBACK_FAILED":
		return "take the import back by hand, and run this again"
	}
	return "delete it and run this again: " + fmt.Sprintf(command, "delete-stack")
}

// stackStatus gives "" where there is no stack.
func (a *applying) stackStatus(k stack) (string, error) {
	out, err := a.ask("cloudformation", "DescribeStacks", k.region, map[string]any{"StackName": k.name})
	if noStack(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	list, _ := out["Stacks"].([]any)
	if len(list) != 1 {
		return "", fault.Errorf(fault.Unavailable, "", "AWS describes %d stacks of that name", len(list))
	}
	first, _ := list[0].(map[string]any)
	status, _ := first["StackStatus"].(string)
	return status, nil
}

// noStack reports whether AWS says that there is no such stack, change set or stack set.
func noStack(err error) bool {
	var e *apimodel.APIError
	return errors.As(err, &e) && (slices.Contains([]string{"ChangeSetNotFound", "ChangeSetNotFoundException", "StackSetNotFoundException", "StackSetNotFound"}, e.Code) ||
		e.Code == "ValidationError" && strings.Contains(e.Message, "does not exist"))
}

// byChangeSet finds or makes the change set and carries it out. It reports false where
// the stack has to be looked at anew.
func (a *applying) byChangeSet(p *appliedPart, k stack, kind string) (bool, error) {
	set, err := a.openChangeSet(p, k, kind)
	if err != nil {
		return false, err
	}
	status, _ := set["Status"].(string)
	execution, _ := set["ExecutionStatus"].(string)
	reason, _ := set["StatusReason"].(string)
	arn, _ := set["ChangeSetId"].(string)
	switch {
	case execution == "EXECUTE_IN_PROGRESS": // by an earlier run
		_, err := a.settled(p, k, "", arn)
		return false, err
	case status == "FAILED" && changesNothing(reason):
		return true, a.dropChangeSet(p, k, arn)
	case status != "CREATE_COMPLETE" || execution != "AVAILABLE": // carried out, obsolete or failed
		if err := a.dropChangeSet(p, k, arn); err != nil {
			return false, err
		}
		if status == "FAILED" {
			return false, fault.Errorf(fault.Invalid, "", "CloudFormation cannot make a change set: %s", reason)
		}
		return false, nil
	}
	execute, err := a.plan("cloudformation", "ExecuteChangeSet", k.region, map[string]any{"StackName": k.name, "ChangeSetName": arn, "DisableRollback": false})
	if err != nil {
		return false, err
	}
	yes, err := a.approve(p, execute)
	if err != nil {
		return false, err
	}
	if !yes {
		p.State = partDeclined
		a.progress("not carried out; the change set stays for the next run, or delete it: aws cloudformation delete-change-set --region %s --change-set-name %s", k.region, arn)
		return true, nil
	}
	if _, err := a.send(p, execute); err != nil {
		return false, err
	}
	p.State = map[string]string{"CREATE": partMade, "UPDATE": partUpdated}[kind]
	end, err := a.settled(p, k, "", arn)
	if err == nil && end != kind+"_COMPLETE" {
		err = a.stackFailure(k, end)
	}
	return true, err
}

func changesNothing(reason string) bool {
	return strings.Contains(reason, "didn't contain changes") || strings.Contains(reason, "No updates are to be performed")
}

// openChangeSet gives the change set with its changes, made where it is not there.
func (a *applying) openChangeSet(p *appliedPart, k stack, kind string) (map[string]any, error) {
	name := k.changeSet(kind)
	about := map[string]any{"StackName": k.name, "ChangeSetName": name}
	if _, err := a.ask("cloudformation", "DescribeChangeSet", k.region, about); noStack(err) {
		in := map[string]any{
			"StackName": k.name, "ChangeSetName": name, "ChangeSetType": kind, "TemplateBody": k.template, "Capabilities": []any{k.capability},
			"ClientToken": rand.Text(),
		} // of this request alone: a change set of that name may have been deleted before
		var given []any
		for _, key := range slices.Sorted(maps.Keys(k.parameters)) {
			given = append(given, map[string]any{"ParameterKey": key, "ParameterValue": k.parameters[key]})
		}
		if given != nil {
			in["Parameters"] = given
		}
		change, err := a.plan("cloudformation", "CreateChangeSet", k.region, in)
		if err != nil {
			return nil, err
		}
		a.progress("%s in %s: making a change set, which changes no resource", p.Part, p.Where)
		if _, err := a.send(p, change); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	var set map[string]any
	err := a.wait("the change set of "+k.name, func() (bool, error) {
		var err error
		set, err = a.ask("cloudformation", "DescribeChangeSet", k.region, about)
		status, _ := set["Status"].(string)
		return !strings.HasSuffix(status, "_PENDING") && !strings.HasSuffix(status, "_IN_PROGRESS"), err
	})
	if err != nil {
		return nil, err
	}
	p.Changes = nil
	page := set
	for range maxPages {
		p.Changes = append(p.Changes, changesOf(page)...)
		next, _ := page["NextToken"].(string)
		if next == "" {
			return set, nil
		}
		if page, err = a.ask("cloudformation", "DescribeChangeSet", k.region, map[string]any{"StackName": k.name, "ChangeSetName": name, "NextToken": next}); err != nil {
			return nil, err
		}
	}
	return nil, fault.Errorf(fault.Exhausted, "", "the change set has more than %d pages, which nobody can look through", maxPages)
}

func changesOf(page map[string]any) []partChange {
	var out []partChange
	list, _ := page["Changes"].([]any)
	for _, item := range list {
		m, _ := item.(map[string]any)
		r, _ := m["ResourceChange"].(map[string]any)
		text := func(name string) string { v, _ := r[name].(string); return v }
		out = append(out, partChange{Action: text("Action"), Resource: text("LogicalResourceId"), Type: text("ResourceType"), Replacement: text("Replacement")})
	}
	return out
}

// dropChangeSet deletes a change set that is of no use: it changes no resource.
func (a *applying) dropChangeSet(p *appliedPart, k stack, arn string) error {
	change, err := a.plan("cloudformation", "DeleteChangeSet", k.region, map[string]any{"StackName": k.name, "ChangeSetName": arn})
	if err == nil {
		_, err = a.send(p, change)
	}
	p.Changes = nil
	return err
}

// settled waits until a stack rests, tells what becomes of its resources, and gives its
// state. After a change set was sent, a stack at rest may not have begun with it yet: the
// change set says so.
func (a *applying) settled(p *appliedPart, k stack, last, changeSet string) (string, error) {
	seen := map[string]bool{}
	rests := 0
	err := a.wait(p.Part, func() (bool, error) {
		status, err := a.stackStatus(k)
		if err != nil {
			return false, err
		}
		moving := strings.HasSuffix(status, "_IN_PROGRESS")
		if status != last || moving {
			last = status
			a.tell(k, seen)
		}
		if rests++; moving || changeSet == "" || rests > maxRests {
			return !moving, nil
		}
		set, err := a.ask("cloudformation", "DescribeChangeSet", k.region, map[string]any{"StackName": k.name, "ChangeSetName": changeSet})
		if noStack(err) {
			return true, nil
		}
		return !pending(set), err
	})
	return last, err
}

// pending reports whether a change set that was sent has not been carried out.
func pending(set map[string]any) bool {
	return slices.Contains([]any{"AVAILABLE", "EXECUTE_IN_PROGRESS"}, set["ExecutionStatus"])
}

// tell prints the resources that came to rest since. What cannot be read is not told:
// the stack's own state is what counts.
func (a *applying) tell(k stack, seen map[string]bool) {
	out, err := a.ask("cloudformation", "ListStackResources", k.region, map[string]any{"StackName": k.name})
	if err != nil {
		return
	}
	list, _ := out["StackResourceSummaries"].([]any)
	rest := 0
	var moving []string
	for _, item := range list {
		m, _ := item.(map[string]any)
		name, _ := m["LogicalResourceId"].(string)
		status, _ := m["ResourceStatus"].(string)
		if strings.HasSuffix(status, "_IN_PROGRESS") {
			moving = append(moving, name)
			continue
		}
		rest++
	}
	line := fmt.Sprintf("stack %s in %s: %d of %s at rest", k.name, k.region, rest, counts(len(list), "resource"))
	if len(moving) > 0 {
		line += ", under way: " + short(strings.Join(moving, ", "), 100)
	}
	if !seen[line] {
		seen[line] = true
		a.progress("%s", line)
	}
}

// stackFailure says what failed first.
func (a *applying) stackFailure(k stack, end string) error {
	var events []any // of this operation, the newest first
	in := map[string]any{"StackName": k.name}
	for range maxPages {
		out, err := a.ask("cloudformation", "DescribeStackEvents", k.region, in)
		if err != nil {
			break
		}
		list, _ := out["StackEvents"].([]any)
		begin := slices.IndexFunc(list, begins)
		next, _ := out["NextToken"].(string)
		if begin >= 0 {
			list, next = list[:begin], ""
		}
		events = append(events, list...)
		if next == "" {
			break
		}
		in = map[string]any{"StackName": k.name, "NextToken": next}
	}
	reasons := failures(events)
	if len(reasons) == 0 {
		reasons = []string{"AWS does not say why"}
	}
	return fault.Errorf(fault.Unavailable, "", "it ended as %s: %s", end, strings.Join(reasons, "; ")).
		WithHint("mend that and run the same command again; all events: aws cloudformation describe-stack-events --stack-name %s --region %s", k.name, k.region)
}

// begins reports whether an event is the beginning of an operation on the stack itself:
// those before it are of other operations, whose failures are not this one's.
func begins(event any) bool {
	m, _ := event.(map[string]any)
	return m["PhysicalResourceId"] == m["StackId"] && slices.Contains([]any{"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"}, m["ResourceStatus"])
}

// failures gives the first reasons of events, the newest of which come first.
func failures(events []any) []string {
	var reasons []string
	for _, item := range slices.Backward(events) {
		m, _ := item.(map[string]any)
		status, _ := m["ResourceStatus"].(string)
		reason, _ := m["ResourceStatusReason"].(string)
		if name, _ := m["LogicalResourceId"].(string); strings.HasSuffix(status, "_FAILED") && !strings.Contains(reason, "cancelled") && len(reasons) < maxReasons {
			reasons = append(reasons, name+": "+reason)
		}
	}
	return reasons
}
