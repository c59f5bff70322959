package ssm

import (
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// checkTargets checks what of rate control and of runs over several accounts can
// be told beforehand, and that the caller may run the document on every account
// that is named.
func (h *Handler) checkTargets(c Caller, run *remediation.Run, doc *runbook.Document) error {
	if err := checkTargetKeys(run, doc); err != nil {
		return err
	}
	for i, l := range run.TargetLocations {
		if err := h.checkLocation(c, run, l); err != nil {
			if fault.Is(err, fault.Denied) {
				return err
			}
			return refuse(badParameters, "targetLocations[%d]: %s", i, ErrorOf(err).Message)
		}
	}
	return nil
}

func checkTargetKeys(run *remediation.Run, doc *runbook.Document) error {
	rated := len(run.Targets) > 0 || len(run.TargetMaps) > 0
	switch {
	case len(run.Targets) > 0 && len(run.TargetMaps) > 0:
		return refuse(badParameters, "Specify either Targets or TargetMaps, not both.")
	case len(run.Targets) > 0 && run.TargetParameterName == "":
		return refuse(badParameters, "TargetParameterName is required with Targets.")
	case run.TargetParameterName != "" && !rated && len(run.TargetLocations) == 0:
		return refuse(badParameters, "TargetParameterName needs Targets.")
	case (run.MaxConcurrency != "" || run.MaxErrors != "") && !rated && len(run.TargetLocations) == 0:
		return refuse(badParameters, "MaxConcurrency and MaxErrors need Targets, TargetMaps or TargetLocations.")
	}
	if name := run.TargetParameterName; name != "" {
		if _, ok := doc.Parameter(name); !ok {
			return refuse(badParameters, "The target parameter %s is not defined in the document.", protocol.Clip(name))
		}
	}
	for _, m := range run.TargetMaps {
		for name := range m {
			if _, ok := doc.Parameter(name); !ok {
				return refuse(badParameters, "The target parameter %s is not defined in the document.", protocol.Clip(name))
			}
		}
	}
	return targetKeys(run.Targets)
}

// targetKeys checks the keys of Targets, in the words of AWS.
func targetKeys(targets []map[string]any) error {
	groups := 0
	for _, t := range targets {
		key, _ := t["Key"].(string)
		values, _ := t["Values"].([]any)
		switch {
		case key == "ParameterValues":
		case key == "ResourceGroup", strings.HasPrefix(key, "tag:") && len(key) > len("tag:"):
			groups++
		case key == "AWS::EC2::Instance":
			if len(values) != 1 || values[0] != "*" {
				return refuse("InvalidTarget", "The target key AWS::EC2::Instance takes the value * only.")
			}
		default:
			return refuse(badParameters, "Target key can have only following values : ParameterValues, ResourceGroup, tag:KEY, AWS::EC2::Instance")
		}
		if len(values) == 0 {
			return refuse("InvalidTarget", "The target %s has no values.", protocol.Clip(key))
		}
	}
	if groups > 1 {
		return refuse(badParameters, "Only one resource group or tag can be specified at a time")
	}
	return nil
}

func (h *Handler) checkLocation(c Caller, run *remediation.Run, l map[string]any) error {
	accounts, regions := texts(l["Accounts"]), texts(l["Regions"])
	switch {
	case len(accounts) == 0:
		return refuse(badParameters, "Accounts is required: account ids or organizational units.")
	case len(regions) == 0:
		return refuse(badParameters, "Regions is required.")
	}
	for _, r := range regions {
		if !regionName.MatchString(r) {
			return refuse(badParameters, "%q is not the name of a region.", protocol.Clip(r))
		}
	}
	if l["TargetLocationAlarmConfiguration"] != nil {
		return noAlarms("TargetLocationAlarmConfiguration")
	}
	// A location that names no role is run as a document without one is: as the member
	// role. AWS's default, AWS-SystemsManager-AutomationExecutionRole, has to be named.
	role, _ := l["ExecutionRoleName"].(string)
	if nested, ok := l["Targets"].([]any); ok {
		if err := nestedTargets(nested); err != nil {
			return err
		}
	}
	for _, a := range accounts {
		if err := h.mayRunAt(c, run, a, role); err != nil {
			return err
		}
	}
	return nil
}

func nestedTargets(list []any) error {
	targets := make([]map[string]any, 0, len(list))
	for _, raw := range list {
		m, ok := raw.(map[string]any)
		if !ok {
			return refuse("InvalidTarget", "A target is not an object.")
		}
		targets = append(targets, m)
	}
	return targetKeys(targets)
}

// mayRunAt checks the right to an account, or to a unit: whoever names a unit
// needs all accounts, since what stands below it may change until the plan.
func (h *Handler) mayRunAt(c Caller, run *remediation.Run, where, role string) error {
	account := where
	switch {
	case accountID.MatchString(where):
	case unitName.MatchString(where):
		account = auth.All
	default:
		return refuse(badParameters, "%q is neither an account id nor an organizational unit, such as ou-ab12-cdef3456 or a unit's path in parry.yaml.", protocol.Clip(where))
	}
	if c.Parent != nil && account != c.Parent.Account {
		return fault.Errorf(fault.Denied, "start document", "execution %s runs on account %s and may start nothing on %s", c.Parent.Execution, c.Parent.Account, where).
			WithHint("start the outer document with TargetLocations instead")
	}
	if err := auth.Authorize(c.Principal, auth.ExecutionStart, account); err != nil {
		return err
	}
	if role != "" {
		role = "arn:" + h.cfg.Partition + ":iam::" + account + ":role/" + role
	}
	return h.cfg.Rights.MayStart(c.Principal, run.Document.Name, account, role)
}

// texts gives a list of texts that has been checked against the model.
func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, item := range list {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return slices.Clip(out)
}
