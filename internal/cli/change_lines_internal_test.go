package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/remediation"
)

func TestLongValuesAreShownWhole(t *testing.T) {
	t.Parallel()
	if got := changeLines(remediation.MemberChange{Before: "false", After: "true"}); got != nil {
		t.Errorf("short values take lines of their own: %v", got)
	}
	var statements []map[string]string
	for i := range 40 {
		statements = append(statements, map[string]string{"Sid": fmt.Sprintf("Statement%02d", i), "Effect": "Allow", "Principal": "*"})
	}
	document := func(s []map[string]string) string {
		raw, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": s})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(string(raw)) // a policy is a text that holds JSON
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	d := remediation.MemberChange{Path: "Policy", Before: document(statements), After: document(append(statements[:20:20], statements[21:]...))}
	var signs, gone strings.Builder
	for _, l := range changeLines(d) {
		signs.WriteString(l.Sign)
		if l.Sign == "-" {
			gone.WriteString(strings.TrimSpace(l.Text))
		}
	}
	if strings.Contains(signs.String(), "+") || !strings.Contains(gone.String(), "Statement20") || strings.Contains(gone.String(), "Statement19") || strings.Count(signs.String(), "-") != 5 {
		t.Errorf("%q, gone %q", signs.String(), gone.String())
	}

	// In the terminal, and in the page, nothing of either is missing.
	var out bytes.Buffer
	s := &sheet{w: &out}
	s.change(d)
	for i := range 40 {
		if !strings.Contains(out.String(), fmt.Sprintf("Statement%02d", i)) {
			t.Errorf("statement %d is not shown", i)
		}
	}
	if strings.Contains(out.String(), "...") {
		t.Error("something is cut")
	}
}

func TestValuesThatAreNoJSON(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 200)
	want := []valueLine{{"-", `"` + long + `"`}, {"+", "{not json"}}
	if diff := cmp.Diff(want, changeLines(remediation.MemberChange{Before: `"` + long + `"`, After: "{not json"})); diff != "" {
		t.Errorf("(-want +got): %s", diff)
	}
	if got := changeLines(remediation.MemberChange{Before: long}); len(got) != 1 || got[0].Sign != "-" {
		t.Errorf("%v", got)
	}
}
