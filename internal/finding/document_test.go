package finding_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
)

// decoded reads JSON with numbers as they are written.
func decoded(t testing.TB, raw []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSamplesAreReadWithoutLoss(t *testing.T) {
	t.Parallel()
	all := samples(t)
	if len(all) != 71 {
		t.Fatalf("%d samples, want 71", len(all))
	}
	for name, raw := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := finding.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decoded(t, raw), decoded(t, f.JSON())); diff != "" {
				t.Errorf("document changed (-want +got):\n%s", diff)
			}
			if err := f.Validate(); err != nil {
				t.Error(err)
			}
			if err := finding.Create(f).Validate(); err != nil {
				t.Errorf("after Create: %v", err)
			}
			if f.Control() == "" {
				t.Errorf("no control for generator %q", f.String("GeneratorId"))
			}
		})
	}
}

func TestParseKeepsUnknownMembersAndNumbers(t *testing.T) {
	t.Parallel()
	raw := `{"Future":{"a":[1,2.50,1e3,12345678901234567890,null,true]},"Id":"<a & b> \u00e9"}`
	f, err := finding.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Future":{"a":[1,2.50,1e3,12345678901234567890,null,true]},"Id":"<a & b> é"}`
	if diff := cmp.Diff(want, string(f.JSON())); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, want string }{
		"empty":        {"", "parse finding: EOF"},
		"array":        {"[]", "parse finding: not a JSON object"},
		"two values":   {"{} {}", "parse finding: text after the JSON value"},
		"broken":       {"{\n\"a\": 1,\n}", "parse finding: line 2: invalid character ',' at start of value"},
		"deep":         {strings.Repeat(`{"a":`, 41) + "1" + strings.Repeat("}", 41), "parse finding: nested too deeply"},
		"large":        {`{"a":"` + strings.Repeat("x", finding.MaxBytes) + `"}`, "parse finding: 245768 bytes are more than the limit of 245760"},
		"huge number":  {`{"a":[1,-1e999]}`, "parse finding: the number -1e999 is out of range"},
		"long number":  {`{"a":"1234","b":` + strings.Repeat("9", 41) + `}`, "parse finding: a number has 41 characters, more than 40"},
		"not utf-8":    {"{\"a\":\"\xff\"}", "parse finding: not UTF-8"},
		"deep strings": {`{"a":"` + strings.Repeat("[", 100) + `","b":[}`, "parse finding: line 1: invalid character '}' at start of value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := finding.Parse([]byte(tc.in))
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("code %s, want invalid", fault.CodeOf(err))
			}
		})
	}
}

func TestFindingIsAValue(t *testing.T) {
	t.Parallel()
	f := minimal(t, nil)
	before := string(f.JSON())
	_ = f.With("Title", "x").WithWorkflow(finding.Resolved).WithProductFields(map[string]string{"a": "b"})
	_ = finding.Create(f)
	_ = finding.Merge(f, f.With("Title", "y"), nil)
	if diff := cmp.Diff(before, string(f.JSON())); diff != "" {
		t.Errorf("f was changed:\n%s", diff)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	before := minimal(t, obj("Severity", obj("Label", "HIGH", "Normalized", 70), "Confidence", 10, "Workflow", obj("Status", "NEW")))
	after := minimal(t, obj(
		"Severity", obj("Label", "CRITICAL", "Normalized", 90), "Confidence", json.Number("10.0"), "Workflow", obj("Status", "RESOLVED"),
		"UpdatedAt", "2024-02-02T00:00:00Z", "Title", nil, "Types", []any{"a/b"},
	))
	want := []finding.Update{
		{UpdatedField: "Severity", OldValue: "HIGH", NewValue: "CRITICAL"},
		{UpdatedField: "Title", OldValue: "t"},
		{UpdatedField: "Types", NewValue: `["a/b"]`},
		{UpdatedField: "Workflow", OldValue: "NEW", NewValue: "RESOLVED"},
	}
	if diff := cmp.Diff(want, finding.Diff(before, after)); diff != "" {
		t.Error(diff)
	}
	if got := finding.Diff(after, after); got != nil {
		t.Errorf("a finding differs from itself: %v", got)
	}
}

// The history shows a severity by its label and a workflow by its status, as
// AWS's example does; where these are equal, the whole member.
func TestDecisionHistoryValues(t *testing.T) {
	t.Parallel()
	a := minimal(t, obj("Severity", obj("Label", "HIGH", "Original", "7")))
	b := minimal(t, obj("Severity", obj("Label", "HIGH", "Original", "8")))
	want := []finding.Update{{UpdatedField: "Severity", OldValue: `{"Label":"HIGH","Original":"7"}`, NewValue: `{"Label":"HIGH","Original":"8"}`}}
	if diff := cmp.Diff(want, finding.Diff(a, b)); diff != "" {
		t.Error(diff)
	}
}

// The encoder writes what encoding/json writes.
func TestEncoderAgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	for name, raw := range samples(t) {
		f, err := finding.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if want := standard(t, decoded(t, raw)); want != string(f.JSON()) {
			t.Errorf("%s: got %s, want %s", name, f.JSON(), want)
		}
	}
	bare := minimal(t, nil)
	for _, letter := range []string{"\x00", "\x1f", " ", "\"", "#", "!", "\\", "[", "]", "<", "~", "\x7f", "\u0080", "é", "\u2028", "\U0001f600", "\ufffd"} {
		for at := range 18 { // what is looked at is eight bytes long
			text := strings.Repeat("a", at) + letter + strings.Repeat("z", 17-at)
			got := string(bare.With("Title", text).JSON())
			if want := `"Title":` + standard(t, text); !strings.Contains(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
}

func standard(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func FuzzParse(f *testing.F) {
	for _, raw := range samples(f) {
		f.Add([]byte(raw))
	}
	f.Add([]byte(`{"a":"\u2028 \u2713 \u0000 \ud800 </b> \"\\","✓":-0.0,"":{},"b":[[],{}]}`))
	f.Add([]byte(`{"Id":1,"Severity":{"Normalized":1e400},"Resources":[null,[],{"Tags":{"a":1}}],"FindingProviderFields":[]}`))
	f.Add([]byte(`{"Detection":{"Sequence":{"Signals":[{"Count":"1"},{"Count":2}]}},"Action":[],"Network":{"SourcePort":4294967296},"Resources":[{"Tags":{},"Details":{"Other":{"a":1,"b":"c"},"Container":{"VolumeMounts":[1,{}]}}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := finding.Reopen(raw); err != nil && json.Valid(raw) && utf8.Valid(raw) && !strings.Contains(err.Error(), "nested too deeply") && !strings.Contains(err.Error(), "not a JSON object") {
			t.Fatalf("the standard library reads it: %v", err)
		}
		parsed, err := finding.Parse(raw)
		if err != nil {
			return
		}
		if part, err := finding.ReopenMembers(raw, "Severity", "Resources"); err != nil || part.Has("Id") {
			t.Fatalf("two members of what is read: %v", err)
		} else if diff := cmp.Diff(parsed.Resources(), part.Resources()); diff != "" || parsed.SeverityLabel() != part.SeverityLabel() {
			t.Fatalf("two members alone are others: %s", diff)
		}
		text := parsed.JSON()
		if want := standard(t, decoded(t, raw)); want != string(text) {
			t.Fatalf("got %s, the standard library says %s", text, want)
		}
		again, err := finding.Reopen(text)
		if err != nil {
			t.Fatalf("own output is refused: %v", err)
		}
		if !bytes.Equal(text, again.JSON()) {
			t.Fatalf("not stable:\n%s\n%s", text, again.JSON())
		}
		mended, _ := parsed.Mend()
		if _, left := mended.Mend(); left != "" {
			t.Fatalf("mended twice: %s", left)
		}
		// None of these may panic, valid or not.
		valid := parsed.Validate() == nil
		created := finding.Create(parsed)
		_ = finding.Diff(parsed, finding.Merge(created, parsed, finding.Touched{"Severity"}))
		_, _, _ = parsed.Controls(), parsed.Resources(), parsed.ID()
		if valid {
			if err := created.Validate(); err != nil {
				t.Fatalf("Create made a valid finding invalid: %v", err)
			}
			if diff := finding.Diff(created, finding.Create(created)); diff != nil {
				t.Fatalf("Create is not idempotent: %v", diff)
			}
		}
	})
}
