package demo

import "slices"

// document is YAML or JSON in the making.
type document = map[string]any

// customAction is the one that test/py/reports.py sends, as AWS's console does.
func (s *story) customAction() string {
	e := s.env.Estate
	return "arn:aws:securityhub:" + e.Region + ":" + e.Security.Account + ":action/custom/Remediate"
}

// configuration is the parry.yaml of the story.
func (s *story) configuration() document {
	e := s.env.Estate
	var accounts []document
	for _, unit := range []string{"dev", "prod", "sandbox"} {
		for _, member := range units[unit] {
			accounts = append(accounts, document{"id": s.account(member), "name": member, "unit": unit})
		}
	}
	cfg := document{
		"data_dir": "data",
		"listen":   s.Listen,
		"organization": document{
			"management_account": e.Management.Account,
			"hub_account":        e.Security.Account,
			"home_region":        e.Region,
			"member_role":        e.MemberRole,
			"external_id":        e.ExternalID,
			"accounts":           accounts,
		},
		"sources": document{"queues": []document{{
			"name": "security-hub-queue", "url": e.Security.FindingsURL, "region": e.Region, "trusted": true, "events": true,
			"accounts": slices.Concat(s.accounts("prod"), []string{e.Security.Account}), "products": []string{"aws/securityhub"},
		}}},
		"automation_rules": s.automationRules(),
		"priority":         document{"assets": []document{{"name": "production", "units": []string{"prod"}, "points": 10}}},
		"bus_rules":        s.busRules(),
		"policies": []document{
			{"id": "dev-automatic", "units": []string{"dev"}, "mode": "automatic", "canary": document{"accounts": []string{s.account(canary)}}},
			{"id": "prod-people", "units": []string{"prod"}, "mode": "people", "quorum": 1, "expires": "24h"},
		},
		"channels": []document{
			{"name": "mail", "kind": "email", "smtp": s.env.SMTP.Addr(), "tls": "none", "from": "parry@example.com", "to": []string{"security@example.com"}},
			{"name": "topic", "kind": "sns", "topic": e.Security.TopicARN},
		},
	}
	if s.Database != "" {
		cfg["database"] = s.Database
	}
	return cfg
}

// The notes that automation rules leave on findings.
const (
	sandboxNote = "Sandbox: no data, and emptied every Friday."
	prodNote    = "Production: raised by one severity."
)

// automationRules suppress the sandbox and raise production.
func (s *story) automationRules() []document {
	equals := func(values []string) []document {
		var out []document
		for _, v := range values {
			out = append(out, document{"Value": v, "Comparison": "EQUALS"})
		}
		return out
	}
	rule := func(order int, name, description string, criteria, update document) document {
		return document{
			"RuleName": name, "Description": description, "RuleOrder": order, "RuleStatus": "ENABLED", "IsTerminal": false, "Criteria": criteria,
			"Actions": []document{{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": update}},
		}
	}
	note := func(text string) document { return document{"Text": text, "UpdatedBy": "security-team"} }
	return []document{
		rule(1, "Sandbox is suppressed", "Nobody is called for a sandbox.", document{"AwsAccountId": equals(s.accounts("sandbox"))},
			document{"Workflow": document{"Status": "SUPPRESSED"}, "Note": note(sandboxNote)}),
		rule(2, "Production is raised", "HIGH in production is CRITICAL.", document{"AwsAccountId": equals(s.accounts("prod")), "SeverityLabel": equals([]string{"HIGH"})},
			document{"Severity": document{"Label": "CRITICAL"}, "Note": note(prodNote)}),
	}
}

// busRules plan what fails in dev, and in prod what is urgent; the rest of prod waits
// for somebody to ask, which a custom action does. People are told of it all.
func (s *story) busRules() []document {
	return []document{
		{"name": "plan-fixes", "playbooks": []string{"*"}, "pattern": document{
			"source": []string{"aws.securityhub"}, "detail-type": []string{"Security Hub Findings - Imported"},
			"detail": document{"findings": document{
				"Compliance": document{"Status": []string{"FAILED"}}, "Workflow": document{"Status": []string{"NEW"}}, "RecordState": []string{"ACTIVE"},
				"$or": []document{
					{"AwsAccountId": s.accounts("dev")},
					{"Severity": document{"Label": []string{"CRITICAL", "HIGH"}}},
				},
			}},
		}},
		{"name": "custom-action", "playbooks": []string{"*"}, "pattern": document{
			"source": []string{"aws.securityhub"}, "detail-type": []string{"Security Hub Findings - Custom Action"}, "resources": []string{s.customAction()},
		}},
		{"name": "tell-people", "channels": []string{"mail", "topic"}, "pattern": document{
			"source": []string{"parry"}, "detail-type": []string{"Parry Remediation State Change"},
			"detail": document{"to": []string{"queued", "awaiting_approval", "verified", "unverified", "failed", "superseded", "undone"}},
		}},
	}
}
