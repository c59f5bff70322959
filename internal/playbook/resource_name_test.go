package playbook_test

import (
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/playbook"
)

// A name is what the operations of the service take, whatever stands beside it in the ARN.
func TestNamesByService(t *testing.T) {
	t.Parallel()
	const at = ":us-east-1:" + account + ":"
	for arn, want := range map[string]string{
		"ecr" + at + "repository/app":              "app",
		"ecr" + at + "repository/team/app":         "team/app",
		"ecr" + at + "repository/org/team/app":     "org/team/app",
		"ecr-public::" + account + ":repository/a": "a",

		"iam::" + account + ":role/deploy":                                         "deploy",
		"iam::" + account + ":role/team/payments/deploy":                           "deploy",
		"iam::" + account + ":role/aws-service-role/support.amazonaws.com/Support": "Support",
		"iam::" + account + ":user/team/alice":                                     "alice",
		"iam::" + account + ":group/team/admins":                                   "admins",

		"logs" + at + "log-group:plain":                                  "plain",
		"logs" + at + "log-group:/aws/lambda/pay:*":                      "/aws/lambda/pay",
		"logs" + at + "log-group:/aws/lambda/pay":                        "/aws/lambda/pay",
		"logs" + at + "log-group:/aws/ecs/pay:log-stream:web/main/1234":  "web/main/1234",
		"ssm" + at + "parameter/plain":                                   "plain",
		"ssm" + at + "parameter/team/db/password":                        "/team/db/password",
		"ssm" + at + "document/Team-Restart":                             "Team-Restart",
		"ssm" + at + "automation-definition/Team-Restart:3":              "Team-Restart",
		"secretsmanager" + at + "secret:db-AbC1eF":                       "db",
		"secretsmanager" + at + "secret:team/db/password-AbC1eF":         "team/db/password",
		"secretsmanager" + at + "secret:team/db":                         "team/db",
		"kms" + at + "key/1234abcd-12ab-34cd-56ef-1234567890ab":          "1234abcd-12ab-34cd-56ef-1234567890ab",
		"kms" + at + "alias/team/app":                                    "alias/team/app",
		"cognito-identity" + at + "identitypool/us-east-1:1234abcd-12ab": "us-east-1:1234abcd-12ab",

		"elasticloadbalancing" + at + "loadbalancer/classic":                "classic",
		"elasticloadbalancing" + at + "loadbalancer/app/web/50dc6c495c0c91": "web",
		"elasticloadbalancing" + at + "loadbalancer/net/tcp/50dc6c495c0c91": "tcp",
		"elasticloadbalancing" + at + "targetgroup/blue/73e2d6bc24d8a067":   "blue",
		"elasticloadbalancing" + at + "listener/app/web/50dc6c49/f2f7dc8e":  "f2f7dc8e",

		"ec2" + at + "instance/i-0123456789abcdef0":                                         "i-0123456789abcdef0",
		"ec2" + at + "security-group/sg-0123456789abcdef0":                                  "sg-0123456789abcdef0",
		"ec2" + at + "volume/vol-0123456789abcdef0":                                         "vol-0123456789abcdef0",
		"ec2" + at + "vpc-flow-log/fl-0123456789abcdef0":                                    "fl-0123456789abcdef0",
		"autoscaling" + at + "autoScalingGroup:1234abcd-12ab:autoScalingGroupName/team/web": "team/web",

		"lambda" + at + "function:pay":                  "pay",
		"lambda" + at + "function:pay:live":             "pay",
		"lambda" + at + "layer:tools:7":                 "tools",
		"ecs" + at + "cluster/web":                      "web",
		"ecs" + at + "service/web/front":                "front",
		"ecs" + at + "task-definition/pay:7":            "pay:7",
		"batch" + at + "job-definition/pay:2":           "pay:2",
		"eks" + at + "cluster/web":                      "web",
		"eks" + at + "nodegroup/web/blue/98c0d1b8-1234": "blue",
		"kafka" + at + "cluster/events/1234abcd-12ab-3": "events",

		"rds" + at + "db:orders":                          "orders",
		"rds" + at + "cluster:orders":                     "orders",
		"rds" + at + "snapshot:rds:orders-2026-11-30-00":  "rds:orders-2026-11-30-00",
		"redshift" + at + "cluster:lake":                  "lake",
		"redshift" + at + "snapshot:lake/rs:lake-2026-11": "rs:lake-2026-11",
		"dynamodb" + at + "table/orders":                  "orders",

		"cloudformation" + at + "stack/network/1234abcd-12ab":   "network",
		"cloudformation" + at + "stackset/baseline:1234abcd-12": "baseline",
		"cloudwatch" + at + "alarm:team/errors":                 "team/errors",
		"cloudtrail" + at + "trail/audit":                       "audit",
		"events" + at + "rule/nightly":                          "nightly",
		"events" + at + "rule/team/nightly":                     "nightly",
		"events" + at + "event-bus/aws.partner/a.example/b":     "aws.partner/a.example/b",
		"wafv2" + at + "regional/webacl/front/1234abcd-12ab":    "front",
		"states" + at + "stateMachine:orders":                   "orders",
		"apigateway:us-east-1::/restapis/a1b2c3/stages/prod":    "prod",
		"acm" + at + "certificate/1234abcd-12ab":                "1234abcd-12ab",
		"sqs" + at + "orders.fifo":                              "orders.fifo",
		"sns" + at + "alerts":                                   "alerts",
		"s3" + at + "accesspoint/reports":                       "reports",
	} {
		r, err := playbook.NewResource("T", "arn:aws:"+arn, account, "us-east-1")
		if err != nil || r.Name != want {
			t.Errorf("%s: name %q, %v; want %q", strings.Replace(arn, account, "…", 1), r.Name, err, want)
		}
	}
}
