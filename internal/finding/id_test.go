package finding_test

import (
	"cmp"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/finding"
)

// FuzzID: a key reads back as what it was made of, and the ARN of a product as it is
// written.
func FuzzID(f *testing.F) {
	f.Add("arn:aws:securityhub:eu-west-1::product/aws/securityhub", "i")
	f.Add("a\x00b", "\xff/..")
	f.Add("YQBi", "arn:aws:securityhub:::product/a/b/c")
	f.Fuzz(func(t *testing.T, arn, id string) {
		want := finding.ID{ProductArn: arn, Id: id}
		if got, ok := finding.ParseKey(want.Key()); arn != "" && id != "" && !strings.Contains(arn, "\x00") && (!ok || got != want) {
			t.Errorf("%q is read as %q", want, got)
		}
		for _, text := range []string{arn, id} {
			_, _ = finding.ParseKey(text)
			if p, ok := finding.ParseProductARN(text); ok && p.String() != text {
				t.Errorf("%q is written as %q", text, p)
			}
		}
	})
}

func TestIDsHaveAnOrder(t *testing.T) {
	t.Parallel()
	ids := []finding.ID{{}, {Id: "a"}, {ProductArn: "p"}, {ProductArn: "p", Id: "a"}, {ProductArn: "p", Id: "b"}, {ProductArn: "p/a"}, {ProductArn: "p/a", Id: "a"}}
	for i, a := range ids {
		for j, b := range ids {
			if got := a.Compare(b); got != cmp.Compare(i, j) {
				t.Errorf("%q to %q: %d", a, b, got)
			}
		}
	}
}
