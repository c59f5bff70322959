package ocsf_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/finding/ocsf"
)

// Broken by mapping a member in To and not in From, or by leaving out the residue.
func TestASFFComesBackWhole(t *testing.T) {
	t.Parallel()
	for name, f := range asff(t) {
		for stage, f := range map[string]finding.Finding{"as sent": f, "as created": finding.Create(f)} {
			raw := ocsf.JSON(ocsf.To(f))
			back := from(t, parse(t, string(raw)))
			if diff := cmp.Diff(string(f.JSON()), string(back.JSON())); diff != "" {
				t.Errorf("%s %s: %s", name, stage, diff)
			}
			if err := back.Validate(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Every member that ASFF has for threats and vulnerabilities comes back, and is
// where OCSF's filters look for it.
func TestAFullFindingComesBackWhole(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/full.asff.json")
	if err != nil {
		t.Fatal(err)
	}
	f, err := finding.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	o := ocsf.To(f)
	if diff := cmp.Diff(string(f.JSON()), string(from(t, o).JSON())); diff != "" {
		t.Error(diff)
	}
	view := finding.Wrap(o)
	for path, want := range map[string]string{
		"vulnerabilities.cve.uid": "CVE-2020-12345", "vulnerabilities.cve.cvss.base_score": "4.7", "vulnerabilities.affected_packages.name": "openssl",
		"vulnerabilities.cve.epss.score": "0.015", "vulnerabilities.fix_coverage": "Complete", "vulnerabilities.is_exploit_available": "true",
		"evidences.src_endpoint.ip": "203.0.113.7", "evidences.dst_endpoint.port": "80", "evidences.api.operation": "PutBucketPolicy",
		"evidences.connection_info.direction": "Inbound", "evidences.src_endpoint.location.country": "Sweden",
		"malware.name": "Stringler", "resources.tags.name": "env", "finding_info.related_events.uid": "other",
		"comment": "A note", "verdict": "True Positive", "vendor_attributes.severity": "Medium", "severity": "High", "status": "In Progress",
	} {
		got := ""
		view.Values(strings.Split(path, "."), func(v any) bool {
			text, err := json.Marshal(v)
			if err != nil {
				t.Error(err)
			}
			got = strings.Trim(string(text), `"`)
			return false
		})
		if got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// What came in OCSF goes out equal, after everything that storing does to it.
func TestOCSFComesBackWhole(t *testing.T) {
	t.Parallel()
	for i, raw := range prowler(t) {
		o := parse(t, string(raw))
		f := from(t, o)
		if err := f.Validate(); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		stored, err := finding.Reopen(finding.Create(ocsf.Keep(f, o)).JSON())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(normal(t, raw), normal(t, ocsf.JSON(ocsf.Export(stored)))); diff != "" {
			t.Errorf("%d: %s", i, diff)
		}
		if strings.Contains(string(finding.Bare(stored.JSON())), "finding_info") {
			t.Errorf("%d: ASFF shows the document", i)
		}
	}
}

func normal(t *testing.T, raw []byte) string {
	t.Helper()
	f, err := finding.Reopen(raw)
	if err != nil {
		t.Fatal(err)
	}
	return string(f.JSON())
}

// The ASFF that Prowler's OCSF becomes.
func TestProwler(t *testing.T) {
	t.Parallel()
	f := from(t, parse(t, string(prowler(t)[0])))
	for path, want := range map[string]string{
		"Id": "<finding_uid>", "ProductArn": "arn:aws:securityhub:region::product/prowler/prowler", "AwsAccountId": "111122223333",
		"GeneratorId": "accessanalyzer_enabled", "Title": "Check if IAM Access Analyzer is enabled", "ProductName": "Prowler",
		"CreatedAt": "2025-02-14T13:27:03.000Z", "UpdatedAt": "2025-02-14T13:27:03.000Z", "Severity.Label": "LOW", "Severity.Original": "Low",
		"Compliance.Status": "FAILED", "Workflow.Status": "NEW", "RecordState": "ACTIVE", "ProductFields.ocsf/class_uid": "2004",
		"Remediation.Recommendation.Url": "https://docs.aws.amazon.com/IAM/latest/UserGuide/what-is-access-analyzer.html",
	} {
		if got := f.String(strings.Split(path, ".")...); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// Each version and class is taken, and what is said at its place arrives.
func TestClassesAndVersions(t *testing.T) {
	t.Parallel()
	for class, types := range map[string]string{
		"2002": "Software and Configuration Checks/Vulnerabilities", "2003": "Software and Configuration Checks", "2004": "Unusual Behaviors",
		"2006": "Sensitive Data Identifications", "2007": "Software and Configuration Checks/Vulnerabilities",
	} {
		for _, version := range []string{"1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0"} {
			raw := strings.Replace(one(class, ""), "1.5.0", version, 1)
			o := parse(t, raw)
			f := from(t, o)
			if err := f.Validate(); err != nil {
				t.Errorf("%s %s: %v", class, version, err)
			}
			got := []string{}
			f.Values([]string{"Types"}, func(v any) bool { got = append(got, v.(string)); return true })
			if !slices.Equal(got, []string{types}) {
				t.Errorf("%s: types %v", class, got)
			}
			stored := finding.Create(ocsf.Keep(f, o))
			if diff := cmp.Diff(normal(t, []byte(raw)), normal(t, ocsf.JSON(ocsf.Export(stored)))); diff != "" {
				t.Errorf("%s %s: %s", class, version, diff)
			}
		}
	}
}

func TestFromSaysWhatADocumentSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw  string
		want map[string]string
	}{
		"a vulnerability": {
			one("2002", `,"vulnerabilities":[{"cve":{"uid":"CVE-1","epss":{"score":"0.9"},"cvss":[{"base_score":9.8,"version":"3.1"}]},"is_exploit_available":true,"affected_packages":[{"name":"p","version":"1"}]}]`),
			map[string]string{"Vulnerabilities.Id": "CVE-1", "Vulnerabilities.ExploitAvailable": "YES", "Vulnerabilities.VulnerablePackages.Name": "p"},
		},
		"a passed check":    {one("2003", `,"compliance":{"control":"S3.8","status":"Pass","standards":["CIS"],"requirements":["1.1"]}`), map[string]string{"Compliance.Status": "PASSED", "Compliance.SecurityControlId": "S3.8", "Compliance.AssociatedStandards.StandardsId": "CIS"}},
		"closed":            {strings.Replace(one("2004", ""), `"activity_id":1`, `"activity_id":3`, 1), map[string]string{"RecordState": "ARCHIVED"}},
		"archived":          {strings.Replace(one("2004", ""), `"status_id":1`, `"status_id":5`, 1), map[string]string{"RecordState": "ARCHIVED"}},
		"fatal":             {strings.Replace(one("2004", ""), `"severity_id":4,"severity":"High"`, `"severity_id":6,"severity":"Fatal"`, 1), map[string]string{"Severity.Label": "CRITICAL", "Severity.Original": "Fatal"}},
		"severity by word":  {strings.Replace(one("2004", ""), `"severity_id":4,`, ``, 1), map[string]string{"Severity.Label": "HIGH"}},
		"an ARN of hub V2":  {strings.Replace(one("2004", ""), `"uid":"scan"`, `"uid":"arn:aws:securityhub:eu-west-1::productv2/aws/guardduty"`, 1), map[string]string{"ProductArn": "arn:aws:securityhub:eu-west-1::product/aws/guardduty"}},
		"a product of ours": {one("2004", ""), map[string]string{"ProductArn": "arn:aws:securityhub:eu-west-1::product/acme-corp/scan"}},
		"no resource":       {one("2004", ""), map[string]string{"Resources.Id": "AWS::::Account:111122223333", "Resources.Type": "AwsAccount"}},
		"a resource":        {one("2004", `,"resources":[{"uid":"arn:aws:s3:::b","type":"AwsS3Bucket","tags":[{"name":"env","value":"prod"}],"labels":["team:a"]}]`), map[string]string{"Resources.Id": "arn:aws:s3:::b", "Resources.Tags.env": "prod", "Resources.Tags.team": "a"}},
		"an address":        {one("2004", `,"evidences":[{"src_endpoint":{"ip":"2001:db8::1","port":22}}]`), map[string]string{"Network.SourceIpV6": "2001:db8::1"}},
		"seconds":           {strings.Replace(one("2004", ""), "1739539623000", "1739539623", 1), map[string]string{"UpdatedAt": "2025-02-14T13:27:03.000Z"}},
		"a comment":         {one("2004", `,"comment":"known"`), map[string]string{"Note.Text": "known", "Note.UpdatedBy": "Scanner"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := from(t, parse(t, c.raw))
			if err := f.Validate(); err != nil {
				t.Fatal(err)
			}
			for path, want := range c.want {
				got := ""
				f.Values(strings.Split(path, "."), func(v any) bool { got, _ = v.(string); return false })
				if got != want {
					t.Errorf("%s: got %q, want %q in %s", path, got, want, f.JSON())
				}
			}
		})
	}
}

// What people and rules changed is written over the document that came; without
// that it would say what was so when it came.
func TestExportShowsChanges(t *testing.T) {
	t.Parallel()
	o := parse(t, one("2004", ""))
	f := finding.Create(ocsf.Keep(from(t, o), o))
	f = f.WithWorkflow(finding.Suppressed).With("Severity", map[string]any{"Label": "LOW"}).With("RecordState", "ARCHIVED").
		With("Note", map[string]any{"Text": "seen"}).With("VerificationState", "FALSE_POSITIVE")
	got := ocsf.Export(f)
	for name, want := range map[string]any{
		"status_id": json.Number("3"), "status": "Suppressed", "severity_id": json.Number("2"), "severity": "Low", "activity_id": json.Number("3"),
		"activity_name": "Close", "comment": "seen", "verdict_id": json.Number("1"), "vendor_attributes": map[string]any{"severity_id": json.Number("4"), "severity": "High"},
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if o["status_id"] != json.Number("1") {
		t.Error("the stored document was written")
	}
}

// A document that belongs to another finding is not shown, however it came there.
func TestExportOfAnotherDocument(t *testing.T) {
	t.Parallel()
	foreign := parse(t, strings.Replace(one("2004", ""), "111122223333", "444455556666", 1))
	f := ocsf.Keep(from(t, parse(t, one("2004", ""))), foreign)
	if got := ocsf.Export(f)["cloud"].(map[string]any)["account"].(map[string]any)["uid"]; got != "111122223333" {
		t.Errorf("account %v", got)
	}
}

func TestView(t *testing.T) {
	t.Parallel()
	o := parse(t, one("2004", ""))
	f := finding.Create(ocsf.Keep(from(t, o), o))
	v := ocsf.View(f)
	meta := v["metadata"].(map[string]any)
	if meta["uid"] != f.ID().Key() || meta["original_event_uid"] != "theirs" {
		t.Errorf("%v", meta)
	}
	if got := v["finding_info"].(map[string]any)["modified_time_dt"]; got != "2025-02-14T13:27:03.000Z" {
		t.Errorf("modified %v", got)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 37) + "1" + strings.Repeat("}", 37)
	for name, c := range map[string]struct{ raw, want string }{
		"no JSON":          {`{`, "unexpected EOF"},
		"a list":           {`[]`, "not a JSON object"},
		"another class":    {one("3001", ""), "class_uid should be"},
		"a class as text":  {strings.Replace(one("2004", ""), "2004", `"x"`, 1), "class_uid should be"},
		"an old version":   {strings.Replace(one("2004", ""), "1.5.0", "1.0.0", 1), "metadata.version"},
		"a later version":  {strings.Replace(one("2004", ""), "1.5.0", "1.50.0", 1), "metadata.version"},
		"a member twice":   {one("2004", `,"a":{"b":1,"b":2}`), `"b" is there twice`},
		"twice by escapes": {one("2004", `,"a":[{"b":1,"\u0062":2}]`), `"b" is there twice`},
		"too deep":         {one("2004", `,"a":`+deep), "nested"},
		"far too deep":     {one("2004", `,"a":`+strings.Repeat("[", 10000)+strings.Repeat("]", 10000)), "nested"},
		"too long":         {one("2004", `,"a":"`+strings.Repeat("x", finding.MaxBytes)+`"`), "more than the limit"},
		"many resources":   {one("2004", `,"resources":[`+strings.Repeat(`{"uid":"a"},`, 32)+`{"uid":"b"}]`), "more than the limit of 32"},
		"not UTF-8":        {one("2004", ",\"a\":\"\xff\""), "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ocsf.Parse([]byte(c.raw)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestFromRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ raw, want string }{
		"no account":         {strings.Replace(one("2004", ""), `"account":{"uid":"111122223333"}`, `"account":{}`, 1), "cloud.account.uid is missing"},
		"no uid":             {strings.NewReplacer(`"uid":"f1",`, ``, `"uid":"theirs",`, ``).Replace(one("2004", "")), "finding_info.uid is missing"},
		"no time":            {strings.Replace(one("2004", ""), `"time":1739539623000,`, ``, 1), "time is missing"},
		"a residue's Id":     {one("2004", `,"unmapped":{"asff":{"Id":"other"}}`), "may not hold Id"},
		"a residue's owner":  {one("2004", `,"unmapped":{"asff":{"AwsAccountId":"444455556666"}}`), "may not hold AwsAccountId"},
		"a residue's source": {one("2004", `,"unmapped":{"asff":{"ProductArn":"arn:aws:securityhub:eu-west-1::product/aws/guardduty"}}`), "may not hold ProductArn"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if f, err := ocsf.From(parse(t, c.raw)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %s, want %q", err, f.JSON(), c.want)
			}
		})
	}
}

// A table in the documentation that lags behind the code misleads.
func TestDocumentationNamesEveryMember(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "ocsf.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ocsf.Mapped() {
		if !strings.Contains(string(raw), "`"+p[0]+"` | `"+p[1]+"`") {
			t.Errorf("docs/ocsf.md has no row `%s` | `%s`", p[0], p[1])
		}
	}
}

// FuzzFrom: whatever is taken is valid ASFF or refused with a reason, and goes
// out as it came.
func FuzzFrom(f *testing.F) {
	for _, raw := range prowler(f) {
		f.Add([]byte(raw))
	}
	for _, s := range slices.Sorted(maps.Values(map[string]string{
		"a": one("2002", `,"vulnerabilities":[{"cve":{"uid":"CVE-1","epss":{"score":"0.9"}}}]`), "b": one("2003", `,"compliance":{"status_id":1}`),
		"c": one("2004", `,"evidences":[{"src_endpoint":{"ip":"::1","port":"22"}}],"unmapped":{"asff":{"Title":null}}`),
	})) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := ocsf.Parse(raw)
		if err != nil {
			return
		}
		got, err := ocsf.From(o)
		if err != nil || got.Validate() != nil {
			return
		}
		stored, err := finding.Reopen(finding.Create(ocsf.Keep(got, o)).JSON())
		if err != nil {
			t.Fatalf("what was taken cannot be stored: %v", err)
		}
		if diff := cmp.Diff(normal(t, raw), normal(t, ocsf.JSON(ocsf.Export(stored)))); diff != "" && stored.Has(finding.OCSF) {
			t.Error(diff)
		}
		again, err := ocsf.From(ocsf.To(stored))
		if err != nil || string(again.JSON()) != string(stored.Bare().JSON()) {
			t.Errorf("%v\n%s\n%s", err, again.JSON(), stored.Bare().JSON())
		}
		ocsf.View(stored)
	})
}
