package sqs_test

import (
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/ingest/sqs"
)

// FuzzAdmits reads any text as a queue's policy. Whoever is let in by name is named in
// full: a pattern is a problem, whatever it stands in.
func FuzzAdmits(f *testing.F) {
	f.Add("")
	f.Add(sqs.Policy("arn:aws:sqs:eu-west-1:1:q", []string{"arn:aws:events:eu-west-1:1:rule/a", "arn:aws:events:eu-west-1:1:rule/*"}))
	f.Add(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"sqs:*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:1:t"}}}}`)
	f.Add(`{"Statement":[{"Effect":"Allow","NotPrincipal":{"AWS":["1"]},"NotAction":"s3:*"},{"Effect":"allow","Principal":{"Service":7}}]}`)
	f.Add(`{"Statement":null}`)
	f.Fuzz(func(t *testing.T, policy string) {
		a, err := sqs.Admits(policy)
		if err != nil && len(a.Rules)+len(a.Topics) > 0 {
			t.Errorf("%v, and yet %v %v are let in", err, a.Rules, a.Topics)
		}
		for _, arn := range append(a.Rules, a.Topics...) {
			if strings.ContainsAny(arn, "*?") || strings.Count(arn, ":") < 5 {
				t.Errorf("%q is let in", arn)
			}
		}
	})
}
