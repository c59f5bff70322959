package config

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/normalize/event"
)

// The names by which EventBridge tells evaluations of Config rules.
const (
	Source     = "aws.config"
	DetailType = "Config Rules Compliance Change"
)

// Finding gives the ASFF document of the event's evaluation, nil when the rule
// is Security Hub's own.
// https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-internal-providers.html#integration-config
func Finding(e event.Event) (map[string]any, error) {
	d := e.Detail
	rule, name := d.Text("configRuleARN"), d.Text("configRuleName")
	result := d.Doc("newEvaluationResult")
	kind, id := d.Text("resourceType"), d.Text("resourceId")
	recorded := event.First(result.Time("resultRecordedTime"), d.Time("notificationCreationTime"))
	if rule == "" || id == "" || result.Text("complianceType") == "" {
		return nil, fault.Errorf(fault.Invalid, "read evaluation", "the event lacks configRuleARN, resourceId or newEvaluationResult.complianceType")
	}
	if strings.Contains(rule, ":config-rule/aws-service-rule/securityhub.amazonaws.com/") {
		return nil, nil //nolint:nilnil // No finding is an answer: Security Hub reports it as a control.
	}
	account, region := event.First(d.Text("awsAccountId"), e.Account), event.First(d.Text("awsRegion"), e.Region)
	e.Region = region
	doc := e.Finding("config", findingID(rule, kind, id), rule, account, name, describe(name, result.Text("annotation")), recorded, recorded)
	doc["Severity"] = event.Severity("MEDIUM", "")
	doc["Types"] = []any{"Software and Configuration Checks"}
	status, archived := compliance(result.Text("complianceType"))
	doc["Compliance"] = map[string]any{"Status": status}
	if archived {
		doc["RecordState"] = "ARCHIVED"
	}
	doc["Resources"] = []any{map[string]any{
		"Type": event.ResourceType(kind), "Id": event.ResourceARN(e.Partition(), region, account, kind, id), "Partition": e.Partition(), "Region": region,
		"Details": map[string]any{"Other": map[string]any{"ResourceId": id, "ResourceType": kind}},
	}}
	f := event.Fields{}
	f.Set("aws/config/ConfigRuleArn", rule)
	f.Set("aws/config/ConfigRuleName", name)
	f.Set("aws/config/ConfigComplianceType", result.Text("complianceType"))
	doc["ProductFields"] = f
	return doc, nil
}

// findingID is one for each rule and resource, so that a later evaluation is a
// new version of the same finding.
func findingID(rule, kind, id string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + id))
	return rule + "/finding/" + hex.EncodeToString(sum[:16])
}

func describe(rule, annotation string) string {
	s := "This finding is created for a resource compliance change for config rule: " + rule
	if annotation != "" {
		s += ". " + annotation
	}
	return s
}

// compliance maps a result. NOT_APPLICABLE is archived: there is nothing to
// comply with.
func compliance(result string) (status string, archived bool) {
	switch result {
	case "COMPLIANT":
		return "PASSED", false
	case "NON_COMPLIANT":
		return "FAILED", false
	case "NOT_APPLICABLE":
		return "NOT_AVAILABLE", true
	}
	return "NOT_AVAILABLE", false
}
