package cli

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// unitPlaceholder and idPlaceholder stand in commands for what is not known.
const (
	unitPlaceholder = "ROOT-OR-UNIT-ID"
	idPlaceholder   = "EXTERNAL-ID"
)

// steps are the commands that connect, in the order in which one needs the other.
func (c connection) steps(dir string) []nextStep {
	hub := "the hub account"
	if c.hub != "" {
		hub += " " + c.hub
	}
	file := func(name string) string { return shellWord(filepath.Join(dir, name)) }
	out := []nextStep{{
		"in " + hub + ": queue, rules, and the permissions of Parry's server",
		"aws cloudformation deploy --region " + c.region + " --stack-name parry-hub --template-file " + file("hub.yaml") + " --capabilities CAPABILITY_NAMED_IAM",
	}}
	if c.on("security-hub") {
		out = append(out, nextStep{
			"in " + hub + ": the custom action that people choose in Security Hub, which CloudFormation has no type for",
			"aws securityhub create-action-target --region " + c.region + " --id " + actionID + " --name '" + actionName + "' --description '" + actionText + "'",
		})
	}
	for _, f := range c.forwarders() {
		out = append(out, c.forwardStep(f, hub, file("forward.yaml")))
	}
	out = append(out, c.memberSteps(file)...)
	return append(out,
		nextStep{"put the queue, and the rule for the custom action, into parry.yaml", "cat " + file("parry-connect.yaml")},
		nextStep{"see what is connected, with credentials of " + hub, "parry org connect --check"},
		nextStep{"check the rest", "parry doctor"})
}

func (c connection) forwardStep(f forwarder, hub, file string) nextStep {
	where := hub
	if f.account != c.hub {
		where = "account " + f.account
	}
	var names []string
	for _, d := range f.services {
		names = append(names, d.title)
	}
	what := strings.Join(names, ", ")
	if f.organization {
		where, what = "the management account "+f.account, "what happens to accounts"
	}
	var override []string
	given := c.overrides(f)
	for _, name := range append(parametersOf(c.forwardSwitches()), "HubEventBusArn") {
		if value, ok := given[name]; ok {
			override = append(override, name+"="+value)
		}
	}
	command := "aws cloudformation deploy --region %s --stack-name " + f.stackName() + " --template-file " + file + " --capabilities CAPABILITY_IAM"
	if len(override) > 0 {
		command += " \\\n  --parameter-overrides " + strings.Join(override, " ")
	}
	if len(f.regions) == 1 {
		return nextStep{fmt.Sprintf("in %s: forward %s", where, what), fmt.Sprintf(command, f.regions[0])}
	}
	return nextStep{
		fmt.Sprintf("in %s, in %d Regions: forward %s", where, len(f.regions), what),
		"for region in " + strings.Join(f.regions, " ") + "; do\n" + indented(fmt.Sprintf(command, `"$region"`), "  ") + " || break\ndone",
	}
}

// overrides are the parameters of forward.yaml that are not as it says by itself.
func (c connection) overrides(f forwarder) map[string]string {
	out := map[string]string{}
	if f.account != c.hub {
		for _, d := range detectors() {
			if d.everywhere {
				out[d.parameter] = string(yesOrNo(slices.ContainsFunc(f.services, func(s detector) bool { return s.name == d.name })))
			}
		}
		out["Organization"] = string(yesOrNo(f.organization))
	}
	if c.hub == "" {
		out["HubEventBusArn"] = c.busARN()
	}
	return out
}

func parametersOf(switches []connectSwitch) []string {
	var out []string
	for _, s := range switches {
		out = append(out, s.Parameter)
	}
	return out
}

func (c connection) memberSteps(file func(string) string) []nextStep {
	var given, variables string
	if c.hub == "" {
		given += " \\\n    ParameterKey=ServerPrincipalArn,ParameterValue=" + c.principalARN()
		variables += " -var server_principal_arn=" + c.principalARN()
	}
	if c.externalID == "" {
		given += " \\\n    ParameterKey=ExternalId,ParameterValue=" + idPlaceholder
		variables += " -var external_id=" + idPlaceholder
	}
	if given != "" {
		given = " \\\n  --parameters" + given
	}
	unit := cmp.Or(c.unit, unitPlaceholder)
	folder := file("terraform")
	return []nextStep{
		{
			"in the management account, or in a delegated administrator of StackSets with --call-as DELEGATED_ADMIN: the member role",
			"aws cloudformation create-stack-set --region " + c.region + " --stack-set-name parry-member --template-body file://" + file("member.yaml") +
				" \\\n  --capabilities CAPABILITY_NAMED_IAM --permission-model SERVICE_MANAGED --auto-deployment Enabled=true,RetainStacksOnAccountRemoval=false" + given,
		},
		{
			"and its stacks in the accounts of " + unit + "; the role is global, so one Region is enough",
			"aws cloudformation create-stack-instances --region " + c.region + " --stack-set-name parry-member --deployment-targets OrganizationalUnitIds=" + unit + " --regions " + c.region,
		},
		{
			"or, in every member account, by Terraform",
			"terraform -chdir=" + folder + " init && terraform -chdir=" + folder + " apply" + variables,
		},
	}
}
