package sqs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/ingest/sqs"
)

const (
	ruleARN  = "arn:aws:events:eu-west-1:111122223333:rule/parry"
	queueARN = "arn:aws:sqs:eu-west-1:111122223333:q"
)

func TestOnlyNamedRulesAreAdmitted(t *testing.T) {
	t.Parallel()
	const service = `"Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage"`
	only := func(operator, arn string) string {
		return `,"Condition":{"` + operator + `":{"aws:SourceArn":"` + arn + `"}}`
	}
	for name, c := range map[string]struct{ statement, rules, topics, problem string }{
		"a rule":                    {service + only("ArnEquals", ruleARN), ruleARN, "", ""},
		"a rule, key in other case": {service + `,"Condition":{"arnlike":{"AWS:sourcearn":["` + ruleARN + `"]}}`, ruleARN, "", ""},
		"anybody from a rule":       {`"Principal":"*","Action":["sqs:SendMessage"]` + only("StringEquals", ruleARN), ruleARN, "", ""},
		"a topic":                   {`"Principal":{"Service":"sns.amazonaws.com"},"Action":"SQS:SendMessage"` + only("ArnEquals", "arn:aws:sns:eu-west-1:1:t"), "", "arn:aws:sns:eu-west-1:1:t", ""},
		"not for sending":           {`"Principal":"*","Action":"sqs:ReceiveMessage"`, "", "", ""},
		"anybody":                   {`"Principal":"*","Action":"sqs:*"`, "", "", "anybody may send"},
		"any AWS account":           {`"Principal":{"AWS":"*"},"Action":"sqs:Send*"`, "", "", "anybody may send"},
		"all but deleting":          {`"Principal":"*","NotAction":"sqs:DeleteQueue"`, "", "", "anybody may send"},
		"all but one":               {`"NotPrincipal":{"AWS":"1"},"Action":"sqs:SendMessage"`, "", "", "NotPrincipal"},
		"every rule in AWS":         {service, "", "", "for every account"},
		"every rule of an account":  {service + `,"Condition":{"StringEquals":{"aws:SourceAccount":"111122223333"}}`, "", "", "for every account"},
		"a pattern of rules":        {service + only("ArnLike", "arn:aws:events:*:*:rule/parry"), "", "", "whatever arn:aws:events:*:*:rule/parry stands for"},
		"only if there is one":      {service + only("ArnEqualsIfExists", ruleARN), "", "", "for every account"},
		"all but one rule":          {service + only("ArnNotEquals", ruleARN), "", "", "for every account"},
		"another account":           {`"Principal":{"AWS":"arn:aws:iam::444455556666:root"},"Action":"*"`, "", "", "AWS arn:aws:iam::444455556666:root may send"},
		"another service":           {`"Principal":{"Service":["s3.amazonaws.com"]},"Action":"sqs:SendMessage"`, "", "", "Service s3.amazonaws.com may send"},
		"a principal of no form":    {`"Principal":7,"Action":"sqs:SendMessage"`, "", "", "anybody may send"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, policy := range []string{`{"Statement":{"Effect":"Allow",` + c.statement + `}}`, `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"*"},{"Effect":"Allow",` + c.statement + `}]}`} {
				a, err := sqs.Admits(policy)
				if err != nil {
					t.Fatal(err)
				}
				problems := strings.Join(a.Problems, "; ")
				if strings.Join(a.Rules, " ") != c.rules || strings.Join(a.Topics, " ") != c.topics || (problems == "") != (c.problem == "") || !strings.Contains(problems, c.problem) {
					t.Errorf("%+v, want %+v", a, c)
				}
			}
		})
	}
	if _, err := sqs.Admits("{"); err == nil {
		t.Error("what is no JSON is read")
	}
	a, err := sqs.Admits(sqs.Policy(queueARN, []string{ruleARN}))
	if diff := cmp.Diff(sqs.Admission{Rules: []string{ruleARN}}, a); diff != "" || err != nil {
		t.Errorf("the policy that is proposed: %v %s", err, diff)
	}
}
