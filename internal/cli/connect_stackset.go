package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/fault"
)

const stackSetName = "parry-member"

// stackSet is the stack set of the member role.
type stackSet struct {
	region, unit string
	delegated    bool // called by a delegated administrator of StackSets
}

// stackSetOf says whether the account of the credentials has the stack set.
func (a *applying) stackSetOf(f connectFlags) (*stackSet, error) {
	if f.callAs == "" && a.account != a.c.management {
		return nil, nil
	}
	switch {
	case a.c.unit == "":
		return nil, usage("nothing was sent: the member role is made from here, and --unit does not say in which root or organizational unit")
	case a.c.externalID == "":
		return nil, exit(ExitUsage, fault.Errorf(fault.Invalid, "", "nothing was sent: the member role needs organization.external_id, which is not set").WithHint("write it into parry.yaml; parry init makes one"))
	}
	return &stackSet{region: a.c.region, unit: a.c.unit, delegated: f.callAs == "delegated-admin"}, nil
}

// input adds as whom the call is made.
func (t stackSet) input(in map[string]any) map[string]any {
	in["StackSetName"] = stackSetName
	if t.delegated {
		in["CallAs"] = "DELEGATED_ADMIN"
	}
	return in
}

// stackSet makes the stack set or brings it to its template, and has its stacks made in
// the accounts of the unit. Stack sets have no change sets: what the template makes is
// what is shown.
func (a *applying) stackSet(t stackSet, template string) error {
	p := appliedPart{Part: "stack set " + stackSetName, Where: a.account + " " + t.region + ", accounts of " + t.unit, State: partUnchanged}
	err := a.changeStackSet(&p, t, template)
	if err != nil {
		return fmt.Errorf("stack set %s: %w", stackSetName, err)
	}
	a.view.Parts = append(a.view.Parts, p)
	a.progress("%s in %s: %s", p.Part, p.Where, p.State)
	return nil
}

func (a *applying) changeStackSet(p *appliedPart, t stackSet, template string) error {
	out, err := a.ask("cloudformation", "DescribeStackSet", t.region, t.input(map[string]any{}))
	if err != nil && !noStack(err) {
		return err
	}
	there := err == nil
	set, _ := out["StackSet"].(map[string]any)
	var instances bool
	if there {
		if model, _ := set["PermissionModel"].(string); model != "SERVICE_MANAGED" {
			return fault.Errorf(fault.Conflict, "", "there is one of that name whose permissions are %s, not SERVICE_MANAGED", model).WithHint("delete it, or deploy member.yaml by hand: parry org connect")
		}
		if err := a.idle(p, t); err != nil {
			return err
		}
		units, _ := set["OrganizationalUnitIds"].([]any)
		instances = slices.Contains(units, any(t.unit))
	}
	calls, err := a.stackSetCalls(p, t, set, template, instances)
	if err != nil || len(calls) == 0 {
		return err
	}
	yes, err := a.approve(p, calls...)
	if err != nil {
		return err
	}
	if !yes {
		p.State = partDeclined
		return nil
	}
	for _, change := range calls {
		out, err := a.send(p, change)
		if e := (*apimodel.APIError)(nil); errors.As(err, &e) && e.Code == "OperationInProgressException" {
			return fault.Errorf(fault.Conflict, "", "another operation is under way: %w", err).WithHint("run the same command again: it waits for that one, and goes on with what is lacking")
		}
		if err != nil {
			return err
		}
		if id, _ := out["OperationId"].(string); id != "" {
			if err := a.operation(p, t, id); err != nil {
				return err
			}
		}
	}
	p.State = partUpdated
	if !there {
		p.State = partMade
	}
	return nil
}

// stackSetCalls plans what is lacking.
func (a *applying) stackSetCalls(p *appliedPart, t stackSet, set map[string]any, template string, instances bool) ([]*app.PlannedChange, error) {
	var calls []*app.PlannedChange
	add := func(operation string, in map[string]any) error {
		change, err := a.plan("cloudformation", operation, t.region, t.input(in))
		calls = append(calls, change)
		return err
	}
	body := map[string]any{"TemplateBody": template, "Capabilities": []any{"CAPABILITY_NAMED_IAM"}, "Description": "The role that Parry takes in member accounts"}
	current, _ := set["TemplateBody"].(string)
	outdated := false
	if set != nil {
		var err error
		if outdated, err = a.outdated(t); err != nil {
			return nil, err
		}
	}
	switch {
	case set == nil:
		p.Changes = append(p.Changes, resourcesOf(template, "Add")...)
		body["PermissionModel"] = "SERVICE_MANAGED"
		body["AutoDeployment"] = map[string]any{"Enabled": true, "RetainStacksOnAccountRemoval": false}
		if err := add("CreateStackSet", body); err != nil {
			return nil, err
		}
	case strings.TrimSpace(current) != strings.TrimSpace(template) || outdated:
		p.Changes = append(p.Changes, resourcesOf(template, "Modify")...)
		body["OperationPreferences"] = preferences()
		if err := add("UpdateStackSet", body); err != nil {
			return nil, err
		}
	}
	if !instances {
		p.Changes = append(p.Changes, partChange{"Add", "a stack in each account of " + t.unit, "AWS::CloudFormation::Stack", ""})
		if err := add("CreateStackInstances", map[string]any{
			"DeploymentTargets": map[string]any{"OrganizationalUnitIds": []any{t.unit}}, "Regions": []any{t.region},
			"OperationPreferences": preferences(),
		}); err != nil {
			return nil, err
		}
	}
	return calls, nil
}

// preferences of an operation: without them AWS goes through the accounts one by one and
// stops at the first that fails.
func preferences() map[string]any {
	return map[string]any{"FailureTolerancePercentage": 100, "MaxConcurrentPercentage": 25, "ConcurrencyMode": "SOFT_FAILURE_TOLERANCE"}
}

// resourcesOf lists what a template makes in every account.
func resourcesOf(template, action string) []partChange {
	var t struct {
		Resources yaml.Node `yaml:"Resources"`
	}
	if err := yaml.Unmarshal([]byte(template), &t); err != nil {
		return nil // our own template; the linters read it
	}
	var out []partChange
	for i := 0; i+1 < len(t.Resources.Content); i += 2 {
		var r struct {
			Type string `yaml:"Type"`
		}
		if err := t.Resources.Content[i+1].Decode(&r); err == nil {
			out = append(out, partChange{Action: action, Resource: t.Resources.Content[i].Value, Type: r.Type + ", in every account"})
		}
	}
	return out
}

// outdated reports whether a stack is behind: a template that a failed operation did not
// reach. What has not come to an account at all, AWS lists as outdated too.
func (a *applying) outdated(t stackSet) (bool, error) {
	in := map[string]any{}
	for range maxPages {
		out, err := a.ask("cloudformation", "ListStackInstances", t.region, t.input(in))
		if err != nil {
			return false, err
		}
		list, _ := out["Summaries"].([]any)
		for _, item := range list {
			if behind(item) {
				return true, nil
			}
		}
		next, _ := out["NextToken"].(string)
		if next == "" {
			return false, nil
		}
		in = map[string]any{"NextToken": next}
	}
	return false, nil // 2,000 are current; the operation's own result says what failed
}

// behind reports whether an update can bring a stack to its template: not in an account
// that is suspended, which every operation passes over.
func behind(summary any) bool {
	m, _ := summary.(map[string]any)
	detail, _ := m["StackInstanceStatus"].(map[string]any)
	return m["Status"] == "OUTDATED" && detail["DetailedStatus"] != "SKIPPED_SUSPENDED_ACCOUNT"
}

// idle waits for an operation that an earlier run, or somebody else, began.
func (a *applying) idle(p *appliedPart, t stackSet) error {
	out, err := a.ask("cloudformation", "ListStackSetOperations", t.region, t.input(map[string]any{"MaxResults": 20}))
	if err != nil {
		return err
	}
	list, _ := out["Summaries"].([]any)
	for _, item := range list {
		m, _ := item.(map[string]any)
		status, _ := m["Status"].(string)
		id, _ := m["OperationId"].(string)
		if !slices.Contains([]string{"RUNNING", "QUEUED", "STOPPING"}, status) {
			continue
		}
		a.progress("%s: operation %s is %s, by an earlier run or somebody else; waiting", p.Part, id, status)
		if _, err := a.operationEnd(p, t, id); err != nil {
			return err
		}
	}
	return nil
}

// operation waits for an operation, and says which accounts it failed in.
func (a *applying) operation(p *appliedPart, t stackSet, id string) error {
	status, err := a.operationEnd(p, t, id)
	if err != nil {
		return err
	}
	var reasons []string
	failed := 0
	in := map[string]any{"OperationId": id}
	for range maxPages {
		out, err := a.ask("cloudformation", "ListStackSetOperationResults", t.region, t.input(in))
		if err != nil {
			return err
		}
		list, _ := out["Summaries"].([]any)
		for _, item := range list {
			m, _ := item.(map[string]any)
			account, _ := m["Account"].(string)
			reason, _ := m["StatusReason"].(string)
			if m["Status"] == "FAILED" {
				failed++
				if len(reasons) < maxReasons {
					reasons = append(reasons, account+": "+reason)
				}
			}
		}
		next, _ := out["NextToken"].(string)
		if next == "" {
			break
		}
		in = map[string]any{"OperationId": id, "NextToken": next}
	}
	if status == "SUCCEEDED" && failed == 0 {
		return nil
	}
	text := strings.Join(reasons, "; ")
	if text == "" {
		text = "AWS does not say why"
	}
	return fault.Errorf(fault.Unavailable, "", "the operation is %s, and failed in %s: %s", status, counts(failed, "account"), text).
		WithHint("mend that and run the same command again: it goes on with what is lacking")
}

func (a *applying) operationEnd(p *appliedPart, t stackSet, id string) (string, error) {
	var status, last string
	err := a.wait("operation "+id+" of the stack set", func() (bool, error) {
		out, err := a.ask("cloudformation", "DescribeStackSetOperation", t.region, t.input(map[string]any{"OperationId": id}))
		if err != nil {
			return false, err
		}
		o, _ := out["StackSetOperation"].(map[string]any)
		status, _ = o["Status"].(string)
		line := "operation " + id + ": " + status
		if d, ok := o["StatusDetails"].(map[string]any); ok {
			if n, ok := d["FailedStackInstancesCount"]; ok {
				line += fmt.Sprintf(", %v failed", n)
			}
		}
		if line != last {
			last = line
			a.progress("%s: %s", p.Part, line)
		}
		return slices.Contains([]string{"SUCCEEDED", "FAILED", "STOPPED"}, status), nil
	})
	return status, err
}
