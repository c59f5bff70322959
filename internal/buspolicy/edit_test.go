package buspolicy_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/buspolicy"
	"github.com/parry-security/parry/internal/fault"
)

func permit(id, principal, org string) buspolicy.Permission {
	p := buspolicy.Permission{StatementID: id, Action: "events:PutEvents", Principal: principal, Bus: bus}
	if org != "" {
		p.Condition = &buspolicy.Condition{Type: "StringEquals", Key: "aws:PrincipalOrgID", Value: org}
	}
	return p
}

func TestPutAndRemove(t *testing.T) {
	t.Parallel()
	policy := ""
	edit := func(want string, edited string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, edited); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		policy = edited
	}
	account := func(id, account string) string {
		return `{"Sid":"` + id + `","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:root"},"Action":"events:PutEvents","Resource":"` + bus + `"}`
	}
	org := `{"Sid":"org","Effect":"Allow","Principal":"*","Action":"events:PutEvents","Resource":"` + bus + `","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-aa111bb222"}}}`
	document := func(statements ...string) string {
		return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	}
	edited, err := buspolicy.Put(policy, permit("one", other, ""))
	edit(document(account("one", other)), edited, err)
	edited, err = buspolicy.Put(policy, permit("org", "*", "o-aa111bb222"))
	edit(document(account("one", other), org), edited, err)
	// The same id takes the place of the statement.
	edited, err = buspolicy.Put(policy, permit("one", "444455556666", ""))
	edit(document(account("one", "444455556666"), org), edited, err)
	if got := parse(t, policy).Decide(put("444455556666")); got != (buspolicy.Decision{Verdict: buspolicy.Allowed, Statement: "one"}) {
		t.Errorf("%+v", got)
	}
	edited, err = buspolicy.Remove(policy, "one")
	edit(document(org), edited, err)
	if _, err := buspolicy.Remove(policy, "one"); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "Statement with the provided id does not exist.") {
		t.Errorf("%v", err)
	}
	edited, err = buspolicy.Remove(policy, "org")
	edit("", edited, err)
	if _, err := buspolicy.Remove(policy, "org"); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "EventBus does not have a policy.") {
		t.Errorf("%v", err)
	}
}

// TestEditsLeaveTheRestAlone: a policy that somebody wrote keeps its own words.
func TestEditsLeaveTheRestAlone(t *testing.T) {
	t.Parallel()
	own := `{"Resource":"*","Effect":"Deny","Principal":"*","Action":["events:Delete*"]}`
	got, err := buspolicy.Put(`{"Id":"mine","Version":"2008-10-17","Statement":`+own+`}`, permit("one", "*", ""))
	want := `{"Version":"2008-10-17","Id":"mine","Statement":[` + own + `,{"Sid":"one","Effect":"Allow","Principal":"*","Action":"events:PutEvents","Resource":"` + bus + `"}]}`
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	// A statement without a Sid has no id.
	if _, err := buspolicy.Remove(got, ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}

func TestPermissionsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p    buspolicy.Permission
		text string
	}{
		{permit("", other, ""), `StatementId ""`},
		{permit("a b", other, ""), `StatementId "a b"`},
		{permit(strings.Repeat("a", 65), other, ""), "1 to 64"},
		{permit("a", "1", ""), "12 digits or *"},
		{permit("a", "arn:aws:iam::111112222333:root", ""), "12 digits or *"},
		{permit("a", "*", "o-short"), "with the id of an organization"},
		// What is empty would let everyone in.
		{buspolicy.Permission{StatementID: "a", Action: "events:PutEvents", Principal: "*", Bus: bus, Condition: &buspolicy.Condition{}}, `with ""`},
		{buspolicy.Permission{StatementID: "a", Action: "events:PutEvents", Principal: "*", Bus: bus, Condition: &buspolicy.Condition{Type: "StringLike", Key: "aws:PrincipalOrgID", Value: "o-aa111bb222"}}, "Condition StringLike"},
		{buspolicy.Permission{StatementID: "a", Action: "events:PutEvents", Principal: "*", Bus: bus, Condition: &buspolicy.Condition{Type: "StringEquals", Key: "aws:SourceArn", Value: "o-aa111bb222"}}, "on aws:SourceArn"},
		{buspolicy.Permission{StatementID: "a", Action: "events:*", Principal: "*", Bus: bus}, `Action "events:*"`},
		{buspolicy.Permission{StatementID: "a", Action: "sqs:SendMessage", Principal: "*", Bus: bus}, "is not one of EventBridge"},
	} {
		if _, err := buspolicy.Put("", c.p); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v", c.p, err)
		}
	}
	policy, err := "", error(nil)
	for i := 0; err == nil; i++ {
		if i > 100 {
			t.Fatal("a policy may have any length")
		}
		policy, err = buspolicy.Put(policy, permit(fmt.Sprint("statement", i), other, ""))
	}
	if !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("%v", err)
	}
}

// FuzzParse: what is read is judged without a panic; a Deny of everything leaves nothing
// allowed; a permission that is put and removed leaves every decision as it was.
func FuzzParse(f *testing.F) {
	f.Add(statement("Allow", `"Condition":{"ForAllValues:StringLike":{"events:source":["com.*","${aws:PrincipalAccount}"]}}`), "com.x", other)
	f.Add(statement("Deny", `"Condition":{"ArnNotLikeIfExists":{"aws:SourceArn":"arn:aws:events:*:*:rule/*"}}`), "arn:aws:events:r:1:rule/x", owner)
	f.Add(statement("Allow", `"Principal":{"AWS":["111112222333","arn:aws:iam::111112222333:role/app"],"Service":"events.amazonaws.com"}`), "", other)
	f.Add(`{"Statement":[{"Effect":"Allow","Action":"events:*","NotResource":"arn:x"}]}`, "*", owner)
	f.Fuzz(func(t *testing.T, text, value, account string) {
		p, err := buspolicy.Parse(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Exhausted) {
				t.Errorf("parse: %v", err)
			}
			return
		}
		r := put(account)
		for _, key := range buspolicy.Keys() {
			r = with(r, key, value)
		}
		before := p.Decide(r)
		added, err := buspolicy.Put(text, permit("fuzz-9f3a", "444455556666", "o-none000000"))
		if err != nil {
			return // too long, or the id is there
		}
		removed, err := buspolicy.Remove(added, "fuzz-9f3a")
		if err != nil {
			t.Fatalf("remove from %s: %v", added, err)
		}
		if removed != "" && parse(t, removed).Decide(r) != before {
			t.Errorf("%s: %+v, after an edit %+v", text, before, parse(t, removed).Decide(r))
		}
		closed := strings.Replace(added, `{"Sid":"fuzz-9f3a","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444455556666:root"},"Action":"events:PutEvents","Resource":"`+bus+`","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-none000000"}}}`,
			`{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}`, 1)
		if p, err := buspolicy.Parse(closed); err == nil && closed != added && p.Decide(r).Verdict != buspolicy.Denied {
			t.Errorf("%s: not denied", closed)
		}
	})
}

// FuzzLike holds wildcards to regular expressions.
func FuzzLike(f *testing.F) {
	for _, s := range [][2]string{{"com.*.shop?", "com.a.shop1"}, {"**", ""}, {"*a*b*", "aab"}, {"?", "é"}, {"a.b", "axb"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, value string) {
		if len(pattern) > 40 || value == "" || strings.Contains(pattern, "${") || strings.ContainsAny(pattern, "\"\\\x00\n") || regexp.MustCompile(`[[:cntrl:]]`).MatchString(pattern) {
			return
		}
		p, err := buspolicy.Parse(statement("Allow", `"Condition":{"StringLike":{"events:source":"`+pattern+`"}}`))
		if err != nil {
			return // no UTF-8
		}
		re := regexp.MustCompile("(?s)^" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern)) + "$")
		if got, want := p.Decide(with(put(other), buspolicy.Source, value)).Verdict == buspolicy.Allowed, re.MatchString(value); got != want {
			t.Errorf("%q like %q: %v", value, pattern, got)
		}
	})
}
