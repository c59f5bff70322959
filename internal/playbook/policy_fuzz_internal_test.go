package playbook

import (
	"encoding/json"
	"testing"
)

// FuzzPolicy reads any text as a resource's policy: the one without what is public reads
// as not public, so a fix that writes it has fixed something.
func FuzzPolicy(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{"Statement":null}`, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"},{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}`,
		`{"Statement":{"Sid":"one","Effect":"Allow","NotPrincipal":{"AWS":"1"},"Action":"s3:*"}}`,
		`{"Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}},{"Effect":"Allow","Principal":{"AWS":"1"}}]}`, `[`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc := map[string]any{"Policy": text}
		action, err := policyAction(doc)
		rest, err2 := policyWithoutPublicStatements(doc)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%v, %v", err, err2)
		}
		if err != nil || action != "replace" {
			return
		}
		if !json.Valid([]byte(rest)) {
			t.Fatalf("no JSON: %q", rest)
		}
		if ok, why := policyNotPublic(map[string]any{"Policy": rest}); !ok {
			t.Errorf("what remains is public: %s: %s", why, rest)
		}
	})
}
