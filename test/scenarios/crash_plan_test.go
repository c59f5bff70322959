package scenarios_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
)

// request is a call as a plan has it.
type request struct {
	Service   string         `json:"service"`
	Operation string         `json:"operation"`
	Input     map[string]any `json:"input"`
}

// sent gives what boto3 would send for calls, member by member: it shares no code with
// Parry, and a member that Parry puts elsewhere than the plan has it is another one.
func (c *crashWorld) sent(t *testing.T, calls []request) [][]string {
	t.Helper()
	raw, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "calls.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	answer, err := c.w.env.Run(t.Context(), "sent.py", file)
	if err != nil {
		t.Fatal(err)
	}
	out := make([][]string, 0, len(calls))
	for _, body := range decode[[]string](t, answer) {
		out = append(out, members(t, []byte(body)))
	}
	if len(out) != len(calls) {
		t.Fatalf("%d bodies of %d calls", len(out), len(calls))
	}
	return out
}

// planned holds the changes that an undisturbed run made against its plan: class,
// operation, account, region and input are those that the plan has, in its order;
// what an open plan did not foresee is among what it allows.
func (c *crashWorld) planned(t *testing.T, r *crashRun) {
	t.Helper()
	p := r.plan
	if p.Open != (r.doc.open != "") || !strings.Contains(p.OpenReason, r.doc.open) || p.Open == (p.OpenReason == "") {
		t.Errorf("%s: the plan is open: %v, because %q; want it to name %q", r, p.Open, p.OpenReason, r.doc.open)
	}
	var calls []remediation.PlannedCall
	var requests []request
	for _, pc := range p.Calls {
		if pc.Class == apimodel.Change {
			calls, requests = append(calls, pc), append(requests, request{pc.Service, pc.Operation, pc.Input})
		}
	}
	var want []string
	for i, input := range c.sent(t, requests) {
		pc := calls[i]
		want = append(want, r.text(fmt.Sprint(pc.Account, " ", pc.Region, " ", pc.Service, ":", pc.Operation, " ", input)))
	}
	changed := r.changes(t)
	n := min(len(want), len(changed))
	if diff := cmp.Diff(r.lanes(want), r.lanes(changed[:n])); diff != "" {
		t.Errorf("%s: changes (-planned +made):\n%s", r, diff)
	}
	var beyond []awswall.Entry
	for _, e := range r.calls {
		if e.Changed() {
			beyond = append(beyond, e)
		}
	}
	for _, e := range beyond[n:] {
		if !slices.ContainsFunc(p.Beyond, func(a remediation.Allowance) bool { return c.allows(t, a, e) }) {
			t.Errorf("%s: %s:%s was made and neither planned nor allowed beyond: %+v", r, e.Service, e.Operation, p.Beyond)
		}
	}
	if !p.Open && len(beyond) > n {
		t.Errorf("%s: %d changes were made, %d planned", r, len(beyond), n)
	}
	reads := r.reads()
	for _, pc := range p.Calls {
		if pc.Class == apimodel.Read && !slices.Contains(reads, pc.Service+":"+pc.Operation) {
			t.Errorf("%s: the planned read %s:%s was not made", r, pc.Service, pc.Operation)
		}
	}
}

// standIn is what an allowance has where only running tells: anything.
const standIn = "<known after apply: *>"

// allows reports whether a call is one of an allowance: it has its members and no
// others, and each is what the allowance says, or what it leaves open by name.
func (c *crashWorld) allows(t *testing.T, a remediation.Allowance, e awswall.Entry) bool {
	t.Helper()
	if a.Class != apimodel.Change || a.Service != e.Service || a.Operation != e.Operation || a.Account != e.Account || a.Region != e.Region || a.Input == nil {
		return false
	}
	allowed, made := c.sent(t, []request{{a.Service, a.Operation, a.Input}})[0], members(t, e.Body)
	left := 0
	same := slices.EqualFunc(allowed, made, func(want, got string) bool {
		before, after, open := strings.Cut(want, standIn)
		if !open {
			return want == got
		}
		left++
		return strings.Contains(before, "=") && strings.HasPrefix(got, before) && strings.HasSuffix(got, after)
	})
	return same && left <= len(a.FromOutputs)
}

// TestMembersOfRequests: what a plan and a call are compared by tells members that
// were swapped, moved, emptied or added, and no tokens or spellings of JSON.
func TestMembersOfRequests(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		planned, made string
		same          bool
	}{
		"the same":             {`{"A":"1","B":["x","y"]}`, `{"B": ["x", "y"], "A": "1"}`, true},
		"a token":              {`{"A":"1"}`, `{"A":"1","ClientToken":"abc"}`, true},
		"swapped members":      {`{"A":"1","B":"2"}`, `{"A":"2","B":"1"}`, false},
		"swapped items":        {`{"A":["x","y"]}`, `{"A":["y","x"]}`, false},
		"a moved value":        {`{"A":{"B":"1"}}`, `{"B":{"A":"1"}}`, false},
		"text for a number":    {`{"A":1}`, `{"A":"1"}`, false},
		"emptied":              {`{"A":{}}`, `{}`, false},
		"added":                {`{"A":"1"}`, `{"A":"1","B":""}`, false},
		"a form":               {"Action=Stop&A.1=x&A.2=y", "A.2=y&Action=Stop&A.1=x", true},
		"a form with a token":  {"Action=Stop", "Action=Stop&ClientToken=abc", true},
		"swapped in a form":    {"Action=Stop&A.1=x&A.2=y", "Action=Stop&A.1=y&A.2=x", false},
		"another of two forms": {"Action=Stop&Force=true", "Action=Stop&Hibernate=true", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			planned, made := members(t, []byte(c.planned)), members(t, []byte(c.made))
			if same := slices.Equal(planned, made); same != c.same {
				t.Errorf("the same: %v, want %v: %q and %q", same, c.same, planned, made)
			}
		})
	}
}
