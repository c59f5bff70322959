package pattern_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/pattern"
)

// verdicts opens the conformance file: what event-ruler 2.0.1 says.
func verdicts(t testing.TB) io.Reader {
	t.Helper()
	f, err := os.Open("testdata/patterns.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestEveryVerdictOfTheReference(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	got, err := pattern.RunCases(verdicts(t), &out)
	if err != nil {
		t.Fatal(err)
	}
	want := pattern.Report{Total: 7056, Agreed: 7002, Quirks: 54}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s\n%s", diff, out.String())
	}
}

func TestRunCasesPrintsDisagreements(t *testing.T) {
	t.Parallel()
	cases := `{"id":"a","pattern":"{\"x\":[1]}","event":"{\"x\":2}","match":true}
{"id":"b","pattern":"{}","event":"{}","match":false}

{"id":"c","pattern":"{\"x\":[1]}","error":true}
{"id":"d","pattern":"{\"x\":[1]}","event":"[","event_error":true}
{"id":"e","pattern":"nonsense","quirk":"q","match":true}
`
	var out bytes.Buffer
	got, err := pattern.RunCases(strings.NewReader(cases), &out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pattern.Report{Total: 5, Agreed: 1, Quirks: 1, Disagreed: 3}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want := `a: want true, got false
  pattern "{\"x\":[1]}"
  event   "{\"x\":2}"
b: want false, got pattern refused
  pattern "{}"
  event   "{}"
c: want pattern refused, got pattern accepted
  pattern "{\"x\":[1]}"
  event   ""
5 cases: 1 agree, 3 disagree, 1 known oddities left out
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := pattern.RunCases(strings.NewReader("{}\nno case\n"), io.Discard); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a line that is no case gives %v", err)
	}
}

func TestRunEvents(t *testing.T) {
	t.Parallel()
	p := parse(t, `{"x":["a"]}`)
	events := `{"x":"a"}` + "\n\n" + `{"x":"b"}` + "\r\n[]\n" + `{"y":"` + strings.Repeat("z", pattern.MaxEventBytes) + `"}` + "\n" + `{"x":["a"]}`
	var out bytes.Buffer
	if err := pattern.RunEvents(p, strings.NewReader(events), &out); err != nil {
		t.Fatal(err)
	}
	want := "true\nfalse\nerror: parse event: line 1, column 1: an event must be a JSON object\nerror: the line is longer than the limit\ntrue\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
