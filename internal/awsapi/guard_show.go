package awsapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// DefaultDeny is one thing that is refused without a rule.
type DefaultDeny struct {
	Guard   string `json:"guard"`
	What    string `json:"what"`
	Setting string `json:"setting" doc:"What decides it in parry.yaml."`
}

// DefaultDenies lists what the guards refuse before any rule is asked.
func (g Guards) DefaultDenies() []DefaultDeny {
	var out []DefaultDeny
	switch {
	case g.AllowManagement:
	case g.ManagementAccount == "":
		out = append(out, DefaultDeny{"management account", "changes of the organization, since the management account is not known", "organization.management_account"})
	default:
		out = append(out, DefaultDeny{"management account", "every change in or about account " + g.ManagementAccount, "organization.management_account"})
	}
	switch {
	case g.Organization:
		out = append(out, DefaultDeny{"accounts", strings.TrimSuffix("every change outside of the active accounts of the organization and "+strings.Join(g.Accounts, ", "), " and "), "organization.sync, organization.accounts"})
	case len(g.Accounts) == 0:
		out = append(out, DefaultDeny{"accounts", "every change, since no account is listed", "organization.accounts"})
	case !slices.Contains(g.Accounts, "*"):
		out = append(out, DefaultDeny{"accounts", "every change outside of " + strings.Join(g.Accounts, ", "), "organization.accounts"})
	}
	for _, t := range g.ownThings() {
		out = append(out, DefaultDeny{t.guard, "what touches " + t.shown() + ", and taking it as a role", t.setting})
	}
	return append(out, DefaultDeny{"own roles", "what touches the role or user as which this process calls", "AWS credentials"})
}

// Selection words what a rule selects: "s3:Put* in accounts 111122223333".
func (rule Rule) Selection() string {
	var parts []string
	for _, list := range []struct {
		name   string
		values []string
	}{
		{"services", rule.Services},
		{"operations", rule.Operations},
		{"accounts", rule.Accounts},
		{"units", rule.Units},
		{"regions", rule.Regions},
		{"roles", rule.Roles},
		{"account tags", pairs(rule.AccountTags)},
		{"tags", pairs(rule.Tags)},
		{"resources", rule.Resources},
	} {
		if len(list.values) > 0 {
			parts = append(parts, list.name+" "+strings.Join(list.values, ","))
		}
	}
	what := "every change"
	if rule.Reads {
		what = "every call"
	}
	if len(parts) == 0 {
		return what
	}
	return what + " of " + strings.Join(parts, "; ")
}

func pairs(tags map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, fmt.Sprintf("%s=%s", k, tags[k]))
	}
	return out
}

// InForce gives b with the defaults for limits that are not set.
func (b Budgets) InForce() Budgets { return b.withDefaults() }
