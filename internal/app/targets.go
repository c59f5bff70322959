package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

// The limits of StartAutomationExecution, and how many targets are looked for.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartAutomationExecution.html
const (
	maxTargetKeys      = 5
	maxTargetMaps      = 300
	maxLocations       = 100
	maxLocationEntries = 50
	maxFound           = 5000
)

// targets finds what a run is made on: in the organization, and by reading AWS.
type targets struct {
	org  org.Organization // without its accounts
	live *org.Live
	// own makes reads as Parry's own principal: it is that which may list the accounts
	// of a unit. nil = units are those of the configuration alone.
	own reader
}

// reader makes the calls that find targets.
type reader interface {
	Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error)
}

// targetsStep names those calls.
const targetsStep = "targets"

// resolve gives the targets of q, in a stable order.
func (t *targets) resolve(ctx context.Context, caller reader, q automation.TargetQuery) ([]automation.Target, error) {
	const op = "find the targets"
	switch {
	case len(q.Locations) > maxLocations:
		return nil, fault.Errorf(fault.Invalid, op, "there are %d TargetLocations, the limit is %d", len(q.Locations), maxLocations)
	case len(q.TargetMaps) > maxTargetMaps:
		return nil, fault.Errorf(fault.Invalid, op, "there are %d TargetMaps, the limit is %d", len(q.TargetMaps), maxTargetMaps)
	case len(q.Targets) > maxTargetKeys:
		return nil, fault.Errorf(fault.Invalid, op, "there are %d Targets, the limit is %d", len(q.Targets), maxTargetKeys)
	case len(q.Locations) > 0:
		return t.locations(ctx, q)
	case len(q.TargetMaps) > 0:
		return targetMaps(q)
	}
	return t.values(ctx, caller, q)
}

// locations gives one target for each account and region.
func (t *targets) locations(ctx context.Context, q automation.TargetQuery) ([]automation.Target, error) {
	const op = "find the target locations"
	var out []automation.Target
	seen := map[string]bool{}
	for i, l := range q.Locations {
		entries, regions := textList(l["Accounts"]), textList(l["Regions"])
		if len(entries) == 0 || len(regions) == 0 || len(entries) > maxLocationEntries || len(regions) > maxLocationEntries {
			return nil, fault.Errorf(fault.Invalid, op, "TargetLocations[%d] needs 1 to %d Accounts and Regions", i, maxLocationEntries)
		}
		accounts, err := t.accounts(ctx, entries, l["IncludeChildOrganizationUnits"] == true, textList(l["ExcludeAccounts"]))
		if err != nil {
			return nil, fault.Errorf(fault.CodeOf(err), op, "TargetLocations[%d]: %w", i, err)
		}
		role, _ := l["ExecutionRoleName"].(string)
		if role == "" {
			role = t.org.MemberRole
		}
		for _, account := range accounts {
			for _, region := range regions {
				key := account + "/" + region
				if seen[key] {
					continue // the first location that names it decides
				}
				seen[key] = true
				one := automation.Target{Key: key, Account: account, Region: region, Location: i}
				if role != "" {
					one.Role = fmt.Sprintf("arn:%s:iam::%s:role/%s", apimodel.Partition(region), account, role)
				}
				out = append(out, one)
			}
		}
	}
	return out, nil
}

// targetMaps gives one target for each map of parameters.
func targetMaps(q automation.TargetQuery) ([]automation.Target, error) {
	out := make([]automation.Target, 0, len(q.TargetMaps))
	for _, m := range q.TargetMaps {
		parameters := map[string]any{}
		var parts []string
		for name, v := range m {
			list := textList(v)
			parameters[name] = anyList(list)
			parts = append(parts, name+"="+strings.Join(list, ","))
		}
		slices.Sort(parts)
		key := strings.Join(parts, ";")
		if len(key) > 200 {
			key = hashOf(key)
		}
		out = append(out, automation.Target{Key: key, Account: q.Account, Region: q.Region, Parameters: parameters, Location: -1})
	}
	return out, nil
}

// values gives one target for each value that Targets lists or finds. Several Targets
// have all to hold.
func (t *targets) values(ctx context.Context, caller reader, q automation.TargetQuery) ([]automation.Target, error) {
	const op = "find the targets"
	if q.ParameterName == "" {
		return nil, fault.Errorf(fault.Invalid, op, "TargetParameterName is needed with Targets")
	}
	var filters []any
	var found []string
	limited := false
	keep := func(values []string) {
		if !limited {
			found, limited = values, true
			return
		}
		found = slices.DeleteFunc(found, func(v string) bool { return !slices.Contains(values, v) })
	}
	instances := false
	for _, target := range q.Targets {
		key, _ := target["Key"].(string)
		list := textList(target["Values"])
		if len(list) == 0 || len(list) > maxLocationEntries {
			return nil, fault.Errorf(fault.Invalid, op, "target %.100q needs 1 to %d Values", key, maxLocationEntries)
		}
		switch {
		case key == "ParameterValues":
			keep(list)
		case key == "ResourceGroup":
			ids, err := groupMembers(ctx, caller, q, list)
			if err != nil {
				return nil, err
			}
			keep(ids)
		case strings.HasPrefix(key, "tag:"):
			instances, filters = true, append(filters, map[string]any{"Name": key, "Values": anyList(list)})
		case key == "AWS::EC2::Instance":
			instances = true
			if !slices.Contains(list, "*") {
				filters = append(filters, map[string]any{"Name": "instance-id", "Values": anyList(list)})
			}
		default:
			return nil, fault.Errorf(fault.Invalid, op, "target key %.100q is not ParameterValues, ResourceGroup, tag:NAME or AWS::EC2::Instance", key)
		}
	}
	if instances {
		ids, err := describeInstances(ctx, caller, q, filters)
		if err != nil {
			return nil, err
		}
		keep(ids)
	}
	out := make([]automation.Target, 0, len(found))
	for _, v := range slices.Compact(found) {
		out = append(out, automation.Target{Key: v, Account: q.Account, Region: q.Region, Parameters: map[string]any{q.ParameterName: []any{v}}, Location: -1})
	}
	return out, nil
}

// describeInstances lists the ids of instances that are not terminated.
func describeInstances(ctx context.Context, caller reader, q automation.TargetQuery, filters []any) ([]string, error) {
	input := map[string]any{"Filters": append(filters, map[string]any{"Name": "instance-state-name", "Values": anyList([]string{"pending", "running", "stopping", "stopped"})})}
	var out []string
	err := eachPage(ctx, caller, q, "ec2", "DescribeInstances", input, func(reply map[string]any) {
		reservations, _ := reply["Reservations"].([]any)
		for _, r := range reservations {
			m, _ := r.(map[string]any)
			instances, _ := m["Instances"].([]any)
			for _, i := range instances {
				if m, ok := i.(map[string]any); ok {
					if id, ok := m["InstanceId"].(string); ok {
						out = append(out, id)
					}
				}
			}
		}
	})
	slices.Sort(out)
	return out, err
}

// groupMembers lists the members of resource groups, by the last part of their ARN,
// which is what documents take as a parameter.
func groupMembers(ctx context.Context, caller reader, q automation.TargetQuery, groups []string) ([]string, error) {
	var out []string
	for _, g := range groups {
		err := eachPage(ctx, caller, q, "resource-groups", "ListGroupResources", map[string]any{"Group": g}, func(reply map[string]any) {
			resources, _ := reply["Resources"].([]any)
			for _, r := range resources {
				m, _ := r.(map[string]any)
				id, _ := m["Identifier"].(map[string]any)
				if arn, ok := id["ResourceArn"].(string); ok {
					out = append(out, arn[strings.LastIndexAny(arn, "/:")+1:])
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return out, nil
}

// eachPage reads a listing to its end, or to the limit.
func eachPage(ctx context.Context, caller reader, q automation.TargetQuery, service, operation string, input map[string]any, page func(map[string]any)) error {
	for n := 0; n < maxFound; n += 50 {
		reply, err := caller.Call(ctx, targetsStep, apimodel.Call{Service: service, Operation: operation, Account: q.Account, Region: q.Region, As: q.Role, Input: input})
		if err != nil {
			return fmt.Errorf("find the targets: %w", err)
		}
		page(reply.Output)
		next, _ := reply.Output["NextToken"].(string)
		if next == "" {
			return nil
		}
		input["NextToken"] = next
	}
	return fault.Errorf(fault.Exhausted, "find the targets", "there are more than %d", maxFound)
}

func textList(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []string:
		return v
	case []any:
		var out []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

func anyList(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
