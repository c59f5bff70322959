package demo

// document is YAML or JSON in the making.
type document = map[string]any

// configuration is the parry.yaml of the story: two accounts, one automation
// rule, one route to the playbook of S3.8, automatic in dev and approved by
// people in prod.
func (s *story) configuration() document {
	e := s.env.Estate
	dev, prod := e.Members["dev"], e.Members["prod"]
	cfg := document{
		"data_dir": "data",
		"listen":   s.Listen,
		"organization": document{
			"management_account": e.Management.Account,
			"hub_account":        e.Security.Account,
			"home_region":        e.Region,
			"member_role":        e.MemberRole,
			"external_id":        e.ExternalID,
			"accounts": []document{
				{"id": dev.Account, "name": "dev", "unit": "dev"},
				{"id": prod.Account, "name": "prod", "unit": "prod"},
			},
		},
		"automation_rules": []document{{
			"RuleName": "Raise production", "Description": "Findings in production count more.", "RuleOrder": 1, "RuleStatus": "ENABLED", "IsTerminal": false,
			"Criteria": document{"AwsAccountId": []document{{"Value": prod.Account, "Comparison": "EQUALS"}}},
			"Actions":  []document{{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": document{"Severity": document{"Label": "CRITICAL"}}}},
		}},
		"bus_rules": []document{
			{"name": "public-buckets", "playbooks": []string{"S3.8"}, "pattern": document{
				"source": []string{"aws.securityhub"}, "detail-type": []string{"Security Hub Findings - Imported"},
				"detail": document{"findings": document{
					"GeneratorId": []document{{"suffix": "/S3.8"}}, "Compliance": document{"Status": []string{"FAILED"}},
					"Workflow": document{"Status": []string{"NEW"}}, "RecordState": []string{"ACTIVE"},
				}},
			}},
			{"name": "tell-people", "channels": []string{"mail", "topic"}, "pattern": document{
				"source": []string{"parry"}, "detail-type": []string{"Parry Remediation State Change"},
				"detail": document{"to": []string{"queued", "awaiting_approval", "verified", "unverified", "failed", "superseded", "undone"}},
			}},
		},
		"policies": []document{
			{"id": "dev-automatic", "units": []string{"dev"}, "mode": "automatic"},
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
