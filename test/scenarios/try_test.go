package scenarios_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/test/awswall"
	"github.com/parry-security/parry/test/testenv"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// hostile is text that a page, a terminal and a shell would each take for theirs.
const hostile = "</td><script>alert(1)</script><img src=x onerror=alert(2)> {{.Style}} \x1b]0;owned\a\x1b[2J\u202egpj.exe\u202c $(touch /tmp/owned)"

// look runs parry try with nothing of this machine about it, and gives what it printed,
// its exit code and what reached AWS meanwhile.
type look struct {
	dir, out, problems string
	code               int
	sent               []awswall.Entry
}

func (w *world) try(t *testing.T, key testenv.Key, args ...string) look {
	t.Helper()
	l := look{dir: t.TempDir()}
	home, temp := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".aws"), 0o700); err != nil {
		t.Fatal(err)
	}
	profile := fmt.Sprintf("[audit]\naws_access_key_id = %s\naws_secret_access_key = %s\n", key.AccessKeyID, key.Secret)
	if err := os.WriteFile(filepath.Join(home, ".aws", "credentials"), []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	before := w.now()
	cmd := exec.CommandContext(t.Context(), w.program, append([]string{"try", "--profile", "audit"}, args...)...)
	cmd.Dir = l.dir
	// The keys of the environment are of nobody: the profile comes before them.
	cmd.Env = []string{
		"HOME=" + home, "TMPDIR=" + temp, "PATH=" + os.Getenv("PATH"), "NO_PROXY=127.0.0.1", "AWS_ENDPOINT_URL=" + w.env.WallURL,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_ACCESS_KEY_ID=AKIANOBODY", "AWS_SECRET_ACCESS_KEY=no-secret", "AWS_REGION=" + w.env.Estate.Region,
	}
	var out, problems strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		l.code = ended.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	l.out, l.problems = out.String(), problems.String()
	for _, e := range w.env.Wall.Log() {
		if e.Seq > before {
			l.sent = append(l.sent, e)
		}
	}
	for _, left := range []string{temp, filepath.Join(home, ".aws")} {
		if files, err := os.ReadDir(left); err != nil || left == temp && len(files) > 0 || left != temp && len(files) != 1 {
			t.Errorf("left in %s: %v %v", left, files, err)
		}
	}
	if l.sent == nil && l.code != 1 && l.code != 2 {
		t.Errorf("nothing reached the wall: %s", l.problems)
	}
	for _, e := range l.sent {
		if e.Class != "read" && e.Operation != "AssumeRole" {
			t.Errorf("sent %s:%s, which is no read", e.Service, e.Operation)
		}
	}
	return l
}

func (l look) report(t *testing.T) app.TrialReport {
	t.Helper()
	if l.out == "" {
		t.Fatalf("exit %d: %s", l.code, l.problems)
	}
	return decode[app.TrialReport](t, []byte(l.out))
}

// tryWorld is an organization with bad resources, whose accounts somebody may look at.
func tryWorld(t *testing.T) (*world, map[string]resource, string, map[string]testenv.Key) {
	t.Helper()
	w, resources, file := controlsWorld(t)
	auditors := filepath.Join(w.dir, "auditors.json")
	if out, err := w.env.Run(t.Context(), "audit.py", w.env.EstateFile(), "--out", auditors); err != nil {
		t.Fatalf("make auditors: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(auditors)
	if err != nil {
		t.Fatal(err)
	}
	return w, resources, file, decode[map[string]testenv.Key](t, raw)
}

// claim sends findings to dev's Security Hub.
func (w *world) claim(t *testing.T, findings ...document) {
	t.Helper()
	admin, a := envtest.Assume(t, w.env, envtest.Of(w.env.Estate.Management.Administrator), url.Values{
		"RoleArn": {"arn:aws:iam::" + w.env.Estate.Members["dev"].Account + ":role/OrganizationAccountAccessRole"}, "RoleSessionName": {"hub"},
	})
	a.Is(t, http.StatusOK, "")
	raw, err := json.Marshal(document{"Findings": findings})
	if err != nil {
		t.Fatal(err)
	}
	got := envtest.Call(t, w.env, admin, "securityhub", http.MethodPost, "/findings/import", string(raw), "Content-Type", "application/json")
	got.Is(t, http.StatusOK, "")
	if !strings.Contains(got.Body, `"FailedCount": 0`) {
		t.Fatalf("not imported: %s", got.Body)
	}
}

// TestTry looks at an organization as people do who may only read. Its parts are one
// after another: what reached the wall is of one look.
func TestTry(t *testing.T) {
	t.Parallel()
	w, resources, file, auditors := tryWorld(t)
	home := w.env.Estate.Region
	dev, prod := w.env.Estate.Members["dev"].Account, w.env.Estate.Members["prod"].Account
	bad, good := resources["dev/"+home+"/S3.2/bad"], resources["dev/"+home+"/S3.2/good"]
	group := resources["dev/"+home+"/EC2.13/bad"]
	with := func(r resource, members document) document {
		f := r.asff(home)
		maps.Copy(f, members)
		return f
	}
	w.claim(t,
		with(bad, document{"Title": hostile, "Severity": document{"Label": "CRITICAL"}}),
		with(bad, document{"Id": "again", "Severity": document{"Label": "CRITICAL"}}), // of another standard
		with(good, document{}), // a claim that is false
		with(group, document{}),
		with(group, document{"Id": "suppressed", "Workflow": document{"Status": "SUPPRESSED"}}),
		with(group, document{"Id": "archived", "RecordState": "ARCHIVED"}),
		with(group, document{"Id": "passed", "Compliance": document{"Status": "PASSED", "SecurityControlId": "EC2.13"}}),
		with(group, document{"Id": "elsewhere", "AwsAccountId": prod, "Resources": []document{{"Type": group.Type, "Id": resources["prod/"+home+"/EC2.13/bad"].ID, "Partition": "aws", "Region": home}}}),
		document{
			"SchemaVersion": "2018-10-08", "Id": "threat", "ProductArn": "arn:aws:securityhub:" + home + "::product/aws/guardduty", "ProductName": "GuardDuty", "GeneratorId": "detector",
			"AwsAccountId": dev, "Region": home, "CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-01T00:00:00Z", "Title": "Data left the bucket", "Description": "d", "Types": []string{"TTPs/Exfiltration"},
			"Severity": document{"Label": "HIGH"}, "Workflow": document{"Status": "NEW"}, "RecordState": "ACTIVE", "Resources": []document{{"Type": "AwsS3Bucket", "Id": bad.ID, "Partition": "aws", "Region": home}},
		},
		document{"Id": "no finding", "Resources": []document{{"Type": "AwsS3Bucket", "Id": bad.ID}}},
	)

	t.Run("Security Hub", func(t *testing.T) {
		l := w.try(t, auditors["dev"], "-o", "json")
		r := l.report(t)
		var seen []string
		for _, f := range r.Findings {
			seen = append(seen, fmt.Sprintf("%d %s %s %d", f.Priority.Value, f.Severity, f.Control, f.Plan))
		}
		// The threat on the bucket raises its other findings, by the code of a server.
		want := []string{"100 CRITICAL S3.2 1", "100 CRITICAL S3.2 1", "80 HIGH  0", "70 HIGH EC2.13 2", "70 HIGH EC2.13 0", "70 HIGH S3.2 0"}
		if diff := cmp.Diff(want, seen); diff != "" || l.code != 3 || r.Open != len(want) || r.Account != dev || r.Refused != 0 {
			t.Fatalf("exit %d, %d open, %d refused (-want +got): %s", l.code, r.Open, r.Refused, diff)
		}
		for i, part := range map[int]string{2: "Parry has no fix for this control", 4: "no role was named", 5: "a live read found no violation"} {
			if !strings.Contains(r.Findings[i].Unplanned, part) {
				t.Errorf("finding %d has no plan because %q", i, r.Findings[i].Unplanned)
			}
		}
		if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Problem, "refused") {
			t.Errorf("problems %+v", r.Problems)
		}
		var changes []string
		for _, c := range r.Plans[0].Plan.Calls {
			if c.Class != "read" {
				changes = append(changes, c.Service+":"+c.Operation+" undo "+c.Inverse)
			}
		}
		if diff := cmp.Diff([]string{"s3:PutBucketPolicy undo s3:PutBucketPolicy", "s3:PutBucketAcl undo s3:PutBucketAcl", "s3:PutPublicAccessBlock undo s3:DeletePublicAccessBlock"}, changes); diff != "" {
			t.Errorf("plan (-want +got): %s", diff)
		}
		policy, err := json.Marshal(r.Plans[0].Policies)
		if err != nil || !strings.Contains(string(policy), "s3:PutBucketPublicAccessBlock") || !strings.Contains(string(policy), bad.ID) || strings.Contains(string(policy), "s3:*") {
			t.Errorf("policy %s %v", policy, err)
		}
		l.counts(t, r)
	})
	t.Run("what a person sees", func(t *testing.T) {
		l := w.try(t, auditors["dev"], "--html", "report.html")
		for _, part := range []string{"Plan 1  S3.2", "undo: s3:PutBucketPolicy", "Without a plan", "Sent to AWS", "Nothing was changed.", "report.html. Nothing else was kept.", "parry init --hub-account " + dev} {
			if !strings.Contains(l.out, part) {
				t.Errorf("no %q in %s", part, l.out)
			}
		}
		page, err := os.ReadFile(filepath.Join(l.dir, "report.html"))
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"terminal": l.out, "page": string(page)} {
			for _, r := range text {
				if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e {
					t.Errorf("%s: character %U", name, r)
				}
			}
		}
		for _, part := range []string{"<script", "<img", "src=\"", "href=\"http", "javascript:", "<link", "url(", "@import"} {
			if strings.Contains(string(page), part) {
				t.Errorf("the page has %q", part)
			}
		}
		if !strings.Contains(string(page), "&lt;script&gt;alert(1)") || !strings.Contains(string(page), "default-src &#39;none&#39;") && !strings.Contains(string(page), "default-src 'none'") {
			t.Error("the title is not there as text, or the page has no policy")
		}
		files, err := os.ReadDir(l.dir)
		if err != nil || len(files) != 1 {
			t.Errorf("kept %v %v", files, err)
		}
		if info, err := os.Stat(filepath.Join(l.dir, "report.html")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("report %v %v", info, err)
		}
	})
	t.Run("a Region that is off", func(t *testing.T) {
		const off = "eu-south-1"
		l := w.try(t, auditors["prod"], "-o", "json", "--control", "EC2.13", "--region", off, "--region", home)
		r := l.report(t)
		note := "Region " + off + " is turned off in account " + prod + ": nothing was looked at there"
		if n := slices.Index(r.Notes, note); n < 0 || slices.Contains(r.Notes[n+1:], note) {
			t.Errorf("notes %q", r.Notes)
		}
		for _, e := range l.sent {
			if e.Region == off {
				t.Errorf("sent %s:%s there", e.Service, e.Operation)
			}
		}
		if len(r.Findings) == 0 || slices.ContainsFunc(r.Problems, func(p app.TrialProblem) bool { return p.Region == off }) {
			t.Errorf("%d findings, problems %+v", len(r.Findings), r.Problems)
		}
	})
	t.Run("a sweep where Security Hub is off", func(t *testing.T) {
		l := w.try(t, auditors["prod"], "-o", "json", "--control", "EC2.13", "--control", "s3.2", "--region", home, "--region", "eu-west-1")
		r := l.report(t)
		var found, planned []string
		for _, f := range r.Findings {
			found = append(found, f.Control+" "+f.Region+" "+f.Resource)
			if f.Plan > 0 {
				planned = append(planned, f.Resource)
			}
		}
		slices.Sort(found)
		if diff := cmp.Diff(w.truth(t, prod, "EC2.13", "S3.2"), found); diff != "" || l.code != 3 || len(planned) != len(found) {
			t.Errorf("exit %d, %d planned (-want +got): %s", l.code, len(planned), diff)
		}
		l.counts(t, r)
	})
	t.Run("an organization, by a role", func(t *testing.T) {
		l := w.try(t, auditors["management"], "-o", "json", "--org", "--role", "Auditor", "--control", "EC2.13")
		r := l.report(t)
		roles := map[string]string{}
		for _, p := range r.Plans {
			roles[p.Plan.Account] = p.Plan.Role
		}
		if diff := cmp.Diff(map[string]string{dev: "Auditor", prod: "Auditor"}, roles); diff != "" || len(r.Accounts) != 4 {
			t.Errorf("accounts %v, plans by role (-want +got): %s", r.Accounts, diff)
		}
		// The security account has no such role: a line, and no end.
		if !slices.ContainsFunc(r.Problems, func(p app.TrialProblem) bool {
			return p.Account == w.env.Estate.Security.Account && strings.Contains(p.Hint, "trust "+auditors["management"].ARN)
		}) {
			t.Errorf("problems %+v", r.Problems)
		}
		l.counts(t, r)
	})
	t.Run("who may nothing", func(t *testing.T) {
		l := w.try(t, auditors["nobody"], "-o", "json")
		r := l.report(t)
		if l.code != 4 || r.Open != 0 || len(r.Problems) < len(tenControls) {
			t.Errorf("exit %d, %d open, problems %+v", l.code, r.Open, r.Problems)
		}
		for _, p := range r.Problems {
			if !strings.Contains(p.Problem, "not authorized") || !strings.Contains(p.Hint, "SecurityAudit") {
				t.Errorf("problem %+v", p)
			}
		}
		l.counts(t, r)
	})
	t.Run("refused before AWS is asked", func(t *testing.T) {
		for want, args := range map[string][]string{
			"no control":         {"--control", "S3.9999"},
			"no such file":       {"--html", filepath.Join("missing", "report.html")},
			"is no file":         {"--html", "."},
			"--org or --account": {"--org", "--account", dev},
			"12-digit":           {"--account", "dev"},
			"not a region":       {"--region", "mars"},
			"between 1 and":      {"--limit", "0"},
			"not the ARN":        {"--role", "arn:aws:iam::" + dev + ":role/Auditor"},
		} {
			l := w.try(t, auditors["dev"], args...)
			if l.code != 1 && l.code != 2 || len(l.sent) > 0 || !strings.Contains(l.problems, want) || !strings.Contains(l.problems, "next:") || l.out != "" {
				t.Errorf("%q: exit %d, %d sent: %s", args, l.code, len(l.sent), l.problems)
			}
		}
	})
	// A listing is held back: the look ends, says so, and reports what it saw.
	t.Run("the time limit", func(t *testing.T) {
		held, err := w.env.Wall.Inject(awswall.Fault{Kind: awswall.HoldBefore, Service: "kms", Operation: "ListKeys"})
		if err != nil {
			t.Fatal(err)
		}
		defer held.Release()
		begun := time.Now()
		l := w.try(t, auditors["prod"], "-o", "json", "--control", "EC2.2", "--control", "KMS.4", "--timeout", "10s")
		r := l.report(t)
		if len(r.Limits) != 1 || !strings.Contains(r.Limits[0], "time limit of 10s") || time.Since(begun) > 40*time.Second {
			t.Errorf("after %s: limits %q", time.Since(begun), r.Limits)
		}
		if r.Open == 0 || l.code != 3 || len(r.Findings) != r.Open {
			t.Errorf("exit %d: what was seen before is not reported: %+v", l.code, r.Findings)
		}
	})
	// A separate judge, by the members' own credentials.
	if out, err := w.env.Run(t.Context(), "controls.py", "expect", w.env.EstateFile(), file); err != nil {
		t.Errorf("something was changed: %v\n%s", err, out)
	}
}

// counts holds what a look says that it sent against the wall's log.
func (l look) counts(t *testing.T, r app.TrialReport) {
	t.Helper()
	want, got := map[string]int{}, map[string]int{}
	for _, e := range l.sent {
		name := e.Service + ":" + e.Operation
		if e.Operation == "GetAccountPublicAccessBlock" {
			name = "s3control:GetPublicAccessBlock" // the wall has it by its IAM action
		}
		want[name]++
	}
	sum := 0
	for _, s := range r.Sent {
		got[s.Service+":"+s.Operation] = s.Requests
		sum += s.Requests
	}
	if diff := cmp.Diff(want, got); diff != "" || sum != r.Requests {
		t.Errorf("%d requests (-wall +told): %s", r.Requests, diff)
	}
}

// truth gives what fails in an account, by the judge's own look.
func (w *world) truth(t *testing.T, account string, controls ...string) (out []string) {
	t.Helper()
	raw, err := w.env.Run(t.Context(), "controls.py", "truth", w.env.EstateFile())
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	all := decode[map[string][]string](t, raw)
	for _, c := range controls {
		for _, line := range all[c] {
			if rest, ok := strings.CutPrefix(line, account+" "); ok {
				out = append(out, c+" "+rest)
			}
		}
	}
	slices.Sort(out)
	return out
}
