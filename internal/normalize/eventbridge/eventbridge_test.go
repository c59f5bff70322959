package eventbridge_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/normalize/eventbridge"
)

var update = flag.Bool("update", false, "rewrite the golden findings")

func read(t *testing.T, path string) eventbridge.Message {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := eventbridge.Read(raw)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, r := range m.Refused {
		t.Errorf("%s: refused: %v", path, r)
	}
	return m
}

// Every event becomes the finding beside it, which is valid ASFF.
func TestEventsBecomeFindings(t *testing.T) {
	t.Parallel()
	var files []string
	for _, dir := range []string{"events", "guardduty"} {
		list, err := filepath.Glob(filepath.Join("testdata", dir, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, list...)
	}
	if len(files) < 20 {
		t.Fatalf("only %d events", len(files))
	}
	for _, file := range files {
		m := read(t, file)
		var got bytes.Buffer
		for _, f := range m.Findings {
			if err := f.Validate(); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if err := json.Indent(&got, f.JSON(), "", " "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
		}
		golden := filepath.Join("testdata", "findings", strings.TrimSuffix(filepath.Base(file), ".json")+".txt")
		if *update {
			if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// What an event is, and whether it goes to the bus itself.
func TestWhatAnEventIs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		kind     string
		findings int
		bus      bool
	}{
		"inspector-package": {"inspector", 1, true}, "inspector-network-closed": {"inspector", 1, true}, "inspector-image": {"inspector", 1, true},
		"config-noncompliant": {"config", 1, true}, "config-securityhub-own": {"config", 0, true}, "config-notapplicable": {"config", 1, true},
		"macie-policy": {"macie", 1, true}, "macie-sensitive": {"macie", 1, true},
		"analyzer-external": {"access-analyzer", 1, true}, "analyzer-preview": {"event", 0, true},
		"health-abuse": {"health", 1, true}, "health-outage": {"health", 0, true},
		"cloudtrail": {"cloudtrail", 0, true}, "securityhub-imported": {"securityhub", 1, false},
		"securityhub-custom-action": {"securityhub", 1, true}, "securityhub-insight-results": {"securityhub", 0, true},
	} {
		m := read(t, filepath.Join("testdata", "events", name+".json"))
		if m.Kind != want.kind || len(m.Findings) != want.findings || (m.Event != nil) != want.bus || m.Key == "" {
			t.Errorf("%s: kind %q, %d findings, event %v, key %q", name, m.Kind, len(m.Findings), m.Event != nil, m.Key)
		}
	}
}

// field reads one member of the only finding of an event.
func field(t *testing.T, name string, path ...string) string {
	t.Helper()
	m := read(t, filepath.Join("testdata", "events", name+".json"))
	if len(m.Findings) != 1 {
		t.Fatalf("%s: %d findings", name, len(m.Findings))
	}
	return m.Findings[0].String(path...)
}

// What matters most of each mapping, apart from the golden files.
func TestWhatTheMappingsDecide(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		event string
		path  string
		want  string
	}{
		{"inspector-package", "Id", "arn:aws:inspector2:eu-central-1:111122223333:finding/0123456789abcdef"},
		{"inspector-package", "ProductArn", "arn:aws:securityhub:eu-central-1::product/aws/inspector"},
		{"inspector-package", "CreatedAt", "2026-03-04T16:59:44.356Z"},
		{"inspector-package", "UpdatedAt", "2026-03-04T17:00:36.951Z"},
		{"inspector-package", "RecordState", "ACTIVE"},
		{"inspector-network-closed", "CreatedAt", "2026-03-04T18:08:05.000Z"},
		{"inspector-network-closed", "RecordState", "ARCHIVED"},
		{"inspector-network-closed", "Severity.Label", "INFORMATIONAL"},
		{"config-noncompliant", "Compliance.Status", "FAILED"},
		{"config-noncompliant", "Severity.Label", "MEDIUM"},
		{"config-noncompliant", "GeneratorId", "arn:aws:config:eu-west-1:111122223333:config-rule/config-rule-abc123"},
		{"config-compliant", "Compliance.Status", "PASSED"},
		{"config-notapplicable", "RecordState", "ARCHIVED"},
		{"macie-policy", "Severity.Label", "HIGH"},
		{"macie-policy", "GeneratorId", "aws/macie"},
		{"analyzer-external", "Title", "AwsS3Bucket/arn:aws:s3:::payroll/ allows cross-account access"},
		{"analyzer-public", "Severity.Label", "HIGH"},
		{"analyzer-deleted", "RecordState", "ARCHIVED"},
		{"analyzer-deleted", "UpdatedAt", "2026-03-04T01:22:33.000Z"},
		{"health-abuse", "Title", "AWS Health - AWS_ABUSE_DOS_REPORT"},
		{"health-abuse", "Severity.Label", "HIGH"},
		{"health-abuse", "CreatedAt", "2026-03-04T06:27:57.000Z"},
	} {
		if got := field(t, tc.event, strings.Split(tc.path, ".")...); got != tc.want {
			t.Errorf("%s %s: got %q, want %q", tc.event, tc.path, got, tc.want)
		}
	}
}

// A rule's next evaluation of a resource is a version of the same finding.
func TestEvaluationsOfOneResourceAreOneFinding(t *testing.T) {
	t.Parallel()
	if a, b := field(t, "config-noncompliant", "Id"), field(t, "config-compliant", "Id"); a != b {
		t.Errorf("%q and %q", a, b)
	}
}

// GuardDuty repeats a finding under its id: the count is higher, the update later.
func TestGuardDutyRepeatsAFinding(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/guardduty/ec2.json")
	if err != nil {
		t.Fatal(err)
	}
	one, err := eventbridge.Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.Replace(raw, []byte(`"count": 1`), []byte(`"count": 7`), 1)
	raw = bytes.Replace(raw, []byte(`"updatedAt": "2017-10-31T23:16:23.824Z"`), []byte(`"updatedAt": "2017-11-01T05:16:23.824Z"`), 1)
	two, err := eventbridge.Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	a, b := one.Findings[0], two.Findings[0]
	if a.ID() != b.ID() || !finding.Later(a, b) || b.String("ProductFields", "aws/guardduty/service/count") != "7" {
		t.Errorf("%s and %s, %s", a.ID(), b.ID(), b.String("ProductFields", "aws/guardduty/service/count"))
	}
}

func TestSNSIsTakenOff(t *testing.T) {
	t.Parallel()
	inner, err := os.ReadFile("testdata/events/config-noncompliant.json")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]string{"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:111122223333:t", "Message": string(inner)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := eventbridge.Read(raw)
	if err != nil || len(m.Findings) != 1 || !bytes.Equal(m.Event, inner) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestWhatIsNoEventIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, want string }{
		"empty":       {``, "not a JSON object"},
		"text":        {`hello`, "not a JSON object"},
		"list":        {`[]`, "not a JSON object"},
		"no envelope": {`{"a":1}`, `the envelope's "id" is missing`},
		"no detail":   {`{"id":"1","detail-type":"x","source":"y","account":"1","region":"r"}`, "detail is not an object"},
		"text detail": {`{"id":"1","detail-type":"x","source":"y","account":"1","region":"r","detail":"z"}`, "detail is not an object"},
		"no arn":      {`{"id":"1","detail-type":"GuardDuty Finding","source":"aws.guardduty","account":"1","region":"r","detail":{"type":"a"}}`, "arn or type is missing"},
		"no findings": {`{"id":"1","detail-type":"Security Hub Findings - Imported","source":"aws.securityhub","account":"1","region":"r","detail":{}}`, "no findings"},
		"deep":        {strings.Repeat(`{"a":`, 10_000), "nested more than"},
		"large":       {`{"a":"` + strings.Repeat("x", 2<<20) + `"}`, "more than the limit"},
		"not UTF-8":   {"{\"a\":\"\xff\"}", "not UTF-8"},
	} {
		if _, err := eventbridge.Read([]byte(tc.in)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A finding that does not fit ASFF is refused with its id; the others go on.
func TestAFindingIsRefusedAlone(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/events/securityhub-custom-action.json")
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.Replace(raw, []byte(`"findings": [`), []byte(`"findings": [{"Id":"bad","SchemaVersion":"2018-10-08"},`), 1)
	m, err := eventbridge.Read(raw)
	if err != nil || len(m.Findings) != 1 || len(m.Refused) != 1 || m.Refused[0].Id != "bad" {
		t.Errorf("%+v %v", m.Refused, err)
	}
}

func FuzzRead(f *testing.F) {
	for _, dir := range []string{"events", "guardduty"} {
		files, _ := filepath.Glob(filepath.Join("testdata", dir, "*.json"))
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := eventbridge.Read(raw)
		if err != nil {
			return
		}
		for _, one := range m.Findings {
			if err := one.Validate(); err != nil {
				t.Errorf("an invalid finding was let through: %v", err)
			}
		}
	})
}

// Prowler's OCSF is a list of documents; each is a finding, and so is the one of
// Security Hub's event in OCSF.
func TestOCSFIsTaken(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../finding/ocsf/testdata/prowler.ocsf.json")
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.NewReplacer("<account_uid>", "111122223333", "<region>", "eu-west-1", "<resource_uid>", "arn:aws:s3:::b", "<finding_uid>", "prowler-1").Replace(string(text)))
	var all []json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	for i, raw := range all {
		m, err := eventbridge.Read(raw)
		if err != nil || m.Kind != "ocsf" || len(m.Findings)+len(m.Refused) != 1 {
			t.Errorf("%d: %+v %v", i, m, err)
		}
	}
	one, err := eventbridge.Read(all[0])
	if err != nil || len(one.Findings) != 1 {
		t.Fatalf("%+v, %v", one.Refused, err)
	}
	event, err := json.Marshal(map[string]any{
		"version": "0", "id": "1", "detail-type": "Findings Imported V2", "source": "aws.securityhub", "account": "111122223333", "region": "eu-west-1",
		"detail": map[string]any{"findings": all[:1]},
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := eventbridge.Read(event)
	if err != nil || len(m.Findings) != 1 || m.Event != nil || m.Findings[0].ID() != one.Findings[0].ID() {
		t.Errorf("%+v %v", m, err)
	}
}
