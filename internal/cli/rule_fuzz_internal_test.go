package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/finding"
)

// FuzzRuleFile reads any text as a file of rules: what is read is at least one object,
// and one that can be sent.
func FuzzRuleFile(f *testing.F) {
	for _, s := range []string{"RuleName: a\nRuleOrder: 1\n", "Rules:\n- {RuleName: a}\n- {RuleName: b}\n", `[{"RuleName":"a"}]`, "- 7\n", "a: &a [*a]\n", "? {a: b}\n: c\n", "Rules: {1: 2}\n", "a: .nan\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		docs, err := (&shared{Program: Program{In: strings.NewReader(text)}}).readDocuments("-")
		if err != nil {
			return
		}
		if len(docs) == 0 {
			t.Fatal("no rule and no error")
		}
		for _, doc := range docs {
			_, _ = json.Marshal(withoutOwn(doc)) // an error is told; it must not panic
		}
	})
}

// FuzzSplitIdentity reads any text as the two halves of a finding's identity: they make
// the text again.
func FuzzSplitIdentity(f *testing.F) {
	for _, s := range []string{"arn:aws:securityhub:eu-west-1::product/aws/securityhub/arn:aws:x", "a:product/b/c", ":product///x", "/", "x:product/a/b/c:product/d/e/f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, ok := splitIdentity(text)
		if ok && (id.Id == "" || id.ProductArn+"/"+id.Id != text) {
			t.Errorf("%q is %q and %q", text, id.ProductArn, id.Id)
		}
		if !ok && id != (finding.ID{}) {
			t.Errorf("%q is none and yet %v", text, id)
		}
	})
}
