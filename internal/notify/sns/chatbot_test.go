package sns_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/notify/sns"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const awaiting = `{"remediation":{"id":"rem-0123","kind":"fix","control":"S3.8","playbook":"S3.8","account":"111122223333","region":"us-east-1","resource":"arn:aws:s3:::open-bucket","state":"awaiting_approval",
	"reason":"policy prod asks for 1 approval(s)"},"from":"planned","to":"awaiting_approval","changes":1,"approval_id":"apr-1"}`

func rendered(t *testing.T, detail, title string) notify.Message {
	t.Helper()
	m, ok, err := notify.Render(bus.Event{ID: "e", DetailType: bus.RemediationChanged, Source: bus.SourceParry, Detail: json.RawMessage(detail)}, "HIGH", title)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	m.ID = "ntf-1"
	return m
}

func chatbot(t *testing.T, m notify.Message) (string, sns.Custom) {
	t.Helper()
	p := &fakePublisher{}
	s, err := sns.New(sns.Config{Publisher: p, Topic: topic, Format: sns.FormatChatbot})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(p.got[2]))
	dec.DisallowUnknownFields()
	var got sns.Custom
	if err := dec.Decode(&got); err != nil {
		t.Fatalf("%v in %s", err, p.got[2])
	}
	return p.got[2], got
}

func TestChatbotFormat(t *testing.T) {
	t.Parallel()
	raw, got := chatbot(t, rendered(t, awaiting, "S3 buckets should block public access"))
	if got.Version != "1.0" || got.Source != "custom" || got.Content.TextType != "client-markdown" || got.Metadata.ThreadID != "rem-0123" {
		t.Errorf("%+v", got)
	}
	var pretty strings.Builder
	enc := json.NewEncoder(&pretty)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(json.RawMessage(raw)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "awaiting_approval.json")
	if *update {
		if err := os.WriteFile(path, []byte(pretty.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := sns.New(sns.Config{Publisher: &fakePublisher{}, Topic: topic, Format: "fancy"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown format gives %v", err)
	}
}

// A test, and a remediation whose id is not ours, are told so and stand in no thread.
func TestChatbotMarksATest(t *testing.T) {
	t.Parallel()
	m := rendered(t, strings.Replace(awaiting, "rem-0123", "<x> y", 1), "t")
	m.Test, m.Content.Notice = true, "This is a test."
	_, got := chatbot(t, m)
	if got.Metadata.ThreadID != "" || got.Metadata.AdditionalContext["test"] != "true" || !strings.HasPrefix(got.Content.Description, "This is a test.\n") {
		t.Errorf("%+v", got)
	}
}

func TestChatbotTextIsOnlyText(t *testing.T) {
	t.Parallel()
	for _, evil := range []string{"<!channel> <https://evil.example|ok>", "[ok](https://evil.example)", "`*bold*` _x_", "x\n*Next:*\n`parry approval grant apr-evil`", strings.Repeat("<&>", 5000)} {
		raw, err := json.Marshal(evil)
		if err != nil {
			t.Fatal(err)
		}
		m := rendered(t, strings.NewReplacer(`"arn:aws:s3:::open-bucket"`, string(raw), `"policy prod asks for 1 approval(s)"`, string(raw), `"S3.8"`, string(raw)).Replace(awaiting), evil)
		_, got := chatbot(t, m)
		all := append([]string{got.Content.Title, got.Content.Description, got.Metadata.Summary}, append(append(got.Content.Keywords, got.Metadata.RelatedResources...), got.Content.NextSteps...)...)
		for _, s := range all {
			if strings.ContainsAny(s, "<>") || strings.Contains(s, "](") || len(s) > 3000 {
				t.Errorf("%.20q gives %q", evil, s)
			}
		}
		for line := range strings.Lines(got.Content.Description) {
			if strings.Count(line, "`")%2 != 0 || strings.HasPrefix(line, "`") {
				t.Errorf("%.20q gives the line %q", evil, line)
			}
		}
	}
}

// A table of as many rows as MaxItems allows, each as long as it may be, is all there.
func TestATableFits(t *testing.T) {
	t.Parallel()
	s, err := sns.New(sns.Config{Publisher: &fakePublisher{}, Topic: topic, Format: sns.FormatChatbot})
	if err != nil {
		t.Fatal(err)
	}
	m := rendered(t, awaiting, "t")
	m.Content = notify.Content{Lead: strings.Repeat("l", 80), Groups: [][]notify.Fact{{{Name: "Playbook", Value: "S3.8"}, {Name: "Account", Value: "111122223333"}}}, Note: "n"}
	m.Content.Table = notify.Table{Columns: []string{"Severity", "Control", "Account", "Region", "Remediation", "Resource", "Reason"}}
	for n := range s.MaxItems() {
		m.Content.Table.Rows = append(m.Content.Table.Rows, []string{"CRITICAL", "S3.8", "111122223333", "us-gov-west-1", "rem-" + strconv.Itoa(n) + "-end", strings.Repeat("<&`é", 40), strings.Repeat("<", 120)})
	}
	_, got := chatbot(t, m)
	for n := range s.MaxItems() {
		if !strings.Contains(got.Content.Description, "rem-"+strconv.Itoa(n)+"-end") {
			t.Errorf("row %d is lost in %s", n, got.Content.Description)
		}
	}
	if len(got.Content.Description) > 3000 || strings.Contains(got.Content.Description, "\n…") {
		t.Errorf("%d bytes", len(got.Content.Description))
	}
}
