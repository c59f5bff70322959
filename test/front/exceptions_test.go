package front_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/test/testenv"
)

// TestExceptions: an accepted risk from its request to its end, by the command line,
// on both databases.
func TestExceptions(t *testing.T) {
	onBoth(t, "exceptions", func(t *testing.T, s *server, python string) {
		s.exceptionStory(t, python)
	})
}

// parry runs a command with a key and gives what it wrote and its exit code.
func (s *server) parry(t *testing.T, who string, args ...string) (string, int) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, append(args, "--endpoint", s.url)...)
	cmd.Env = append(awsEnvironment(key{}), "PARRY_ACCESS_KEY_ID="+s.keys[who].ID, "PARRY_SECRET_ACCESS_KEY="+s.keys[who].Secret)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// says runs a command that must end with code and say words.
func (s *server) says(t *testing.T, who string, code int, args []string, words ...string) string {
	t.Helper()
	out, got := s.parry(t, who, args...)
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("%s: parry %s does not say %q:\n%s", who, strings.Join(args, " "), w, out)
		}
	}
	if got != code {
		t.Errorf("%s: parry %s ends with %d, not %d:\n%s", who, strings.Join(args, " "), got, code, out)
	}
	return out
}

// until waits until the finding with this id has a workflow status.
func (s *server) workflow(t *testing.T, id, want string) {
	t.Helper()
	var got any
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		found := s.findings(t, "admin", `{"Id":[{"Value":"`+id+`","Comparison":"EQUALS"}]}`)
		if len(found) == 1 {
			workflow, _ := found[0]["Workflow"].(map[string]any)
			if got = workflow["Status"]; got == want {
				return
			}
		}
	}
	t.Errorf("%s is %v, not %s", id, got, want)
}

// now gives the workflow status of each finding of dev with the title of the scope.
func (s *server) statuses(t *testing.T) string {
	t.Helper()
	var out []string
	for _, f := range s.findings(t, "admin", `{"AwsAccountId":[{"Value":"`+dev+`","Comparison":"EQUALS"}],"Title":[{"Value":"A title","Comparison":"EQUALS"}]}`) {
		workflow, _ := f["Workflow"].(map[string]any)
		id, _ := f["Id"].(string)
		out = append(out, fmt.Sprint(id, " ", workflow["Status"]))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func (s *server) imports(t *testing.T, findings ...map[string]any) {
	t.Helper()
	if got := s.do(t, call{key: "source", path: "/findings/import", body: batch(t, findings...)}).imported(t); got.SuccessCount != len(findings) {
		t.Fatalf("%+v", got)
	}
}

// inOCSF is a finding in OCSF with the title of example's.
func inOCSF(uid string) map[string]any {
	return map[string]any{
		"class_uid": 2004, "category_uid": 2, "activity_id": 1, "severity_id": 2, "status_id": 1, "time": 1770000000000,
		"metadata":     map[string]any{"version": "1.4.0", "product": map[string]any{"uid": "arn:aws:securityhub:us-east-1::productv2/aws/securityhub", "name": "Scanner", "vendor_name": "AWS"}},
		"cloud":        map[string]any{"provider": "AWS", "region": "us-east-1", "account": map[string]any{"uid": dev}},
		"finding_info": map[string]any{"uid": uid, "title": "A title", "desc": "A description.", "types": []any{"Software and Configuration Checks"}},
		"resources":    []any{map[string]any{"uid": "arn:aws:s3:::" + uid, "type": "AwsS3Bucket"}},
	}
}

func (s *server) exceptionStory(t *testing.T, python string) {
	s.imports(t, example("one", dev), example("two", dev), example("three", prod))
	scope := `{"AwsAccountId":[{"Value":"` + dev + `","Comparison":"EQUALS"}],"Title":[{"Value":"A title","Comparison":"EQUALS"}]}`
	about := []string{"--title", "Accepted", "--owner", "team-x", "--reason", "until spring"}
	add := func(more ...string) []string { return append(append([]string{"exception", "add"}, about...), more...) }

	t.Run("what is refused", func(t *testing.T) {
		s.says(t, "dev-operator", 1, add("--days", "9", "--account", prod), "may not do exception.request on account", "add the account to the key")
		s.says(t, "dev-operator", 1, add("--days", "9", "--control", "S3.8"), "reaches all of them", "name your accounts in the scope")
		s.says(t, "dev-approver", 1, add("--days", "9", "--account", dev), "may not do exception.request", "admin, operator")
		s.says(t, "source", 1, []string{"exception", "list"}, "may not do exception.read")
		s.says(t, "operator", 1, add("--days", "366", "--account", dev), "more than 365 days ahead", "exceptions.max_days")
		s.says(t, "operator", 1, add("--until", "2020-01-01T00:00:00Z", "--account", dev), "has passed")
		s.says(t, "operator", 2, add("--days", "9", "--scope", "{}"), "scope is empty")
		s.says(t, "operator", 2, add("--days", "9", "--scope", `{"WorkflowStatus":[{"Value":"NEW","Comparison":"EQUALS"}]}`), "the exception itself sets")
		s.says(t, "operator", 2, add("--days", "9"), "say which findings")
		s.says(t, "operator", 2, add("--account", dev), "--until TIME or --days N")
		s.says(t, "operator", 2, []string{"exception", "add", "--title", "x", "--reason", "y", "--days", "1", "--account", dev}, "--owner is required")
		s.says(t, "admin", 0, []string{"exception", "list", "--state", "all", "-o", "json"}, "[]")
	})

	s.says(t, "dev-operator", 0, []string{"exception", "add", "--dry-run", "--scope", scope}, "2 findings are in the scope, 2 of them open and would be suppressed: 2 LOW", "s3:::one")
	s.says(t, "dev-operator", 0, []string{"exception", "add", "--dry-run", "--account", prod}, "0 findings are in the scope")
	id := strings.TrimSpace(s.says(t, "dev-operator", 0, add("--days", "30", "--scope", scope, "-o", "json", "--query", "id", "--link", "T-7"), "ex-"))
	id, _, _ = strings.Cut(id, "\n")
	id = strings.Trim(id, `"`)
	if got := s.statuses(t); got != "one NEW, two NEW" {
		t.Errorf("before anybody approved: %s", got)
	}

	t.Run("who may not decide", func(t *testing.T) {
		s.says(t, "dev-operator", 1, []string{"exception", "approve", id, "--yes"}, "may not do exception.decide")
		s.says(t, "reader", 1, []string{"exception", "expire", id}, "may not do exception.end")
		s.says(t, "approver", 2, []string{"exception", "approve", id}, "2 findings are in the scope", "exception approve "+id+" --yes")
		own := strings.Fields(s.says(t, "admin", 0, add("--days", "1", "--account", prod, "-o", "csv"), "ex-"))
		mine := own[slices.IndexFunc(own, func(w string) bool { return strings.HasPrefix(w, "Exception,ex-") })][len("Exception,"):]
		s.says(t, "admin", 1, []string{"exception", "approve", mine, "--yes"}, "admin asked for this exception and cannot approve it too", "ask another approver")
		s.says(t, "dev-approver", 1, []string{"exception", "approve", mine, "--yes"}, "there is no exception", "within your accounts")
		s.says(t, "dev-reader", 1, []string{"exception", "show", mine}, "there is no exception")
		s.says(t, "admin", 0, []string{"exception", "expire", mine, "--reason", "a mistake"}, "withdrawn", "a mistake")
	})

	s.says(t, "dev-approver", 0, []string{"exception", "approve", id, "--yes", "--reason", "agreed"}, "active", "agreed", "dev-operator")
	s.workflow(t, "one", "SUPPRESSED")
	s.workflow(t, "two", "SUPPRESSED")
	s.workflow(t, "three", "NEW")

	t.Run("as findings come", func(t *testing.T) {
		s.imports(t, example("by-api", dev))
		later := example("one", dev)
		later["UpdatedAt"] = "2026-01-02T00:00:00Z"
		s.imports(t, later)
		file := filepath.Join(t.TempDir(), "findings.json")
		if err := os.WriteFile(file, []byte(batch(t, example("by-file", dev))), 0o600); err != nil {
			t.Fatal(err)
		}
		s.says(t, "source", 0, []string{"finding", "import", file})
		if got := s.do(t, call{key: "source", path: "/findings/import", body: batch(t, inOCSF("by-ocsf"))}).imported(t); got.SuccessCount != 1 {
			t.Fatalf("%+v", got)
		}
		other := example("by-update", dev)
		other["Title"] = "Another title"
		s.imports(t, other)
		want := "by-api SUPPRESSED, by-file SUPPRESSED, by-ocsf SUPPRESSED, one SUPPRESSED, two SUPPRESSED"
		if got := s.statuses(t); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})

	t.Run("what is shown", func(t *testing.T) {
		s.says(t, "dev-reader", 0, []string{"exception", "list"}, id, "active", "team-x", dev, "5")
		s.says(t, "dev-reader", 0, []string{"exception", "show", id, "-o", "yaml"}, "covered: 5", "link: T-7", "decided_by: dev-approver")
		s.says(t, "dev-reader", 0, []string{"finding", "list", "--excepted", "-o", "csv"}, "SUPPRESSED by "+id, "by-file", "by-ocsf")
		s.says(t, "dev-reader", 0, []string{"finding", "list", "--exception", "ex-none", "-o", "json"}, "[]")
		s.says(t, "dev-reader", 0, []string{"finding", "show", "one"}, id+" (Accepted, owner team-x, until ")
		s.says(t, "dev-reader", 0, []string{"finding", "history", "one", "-o", "csv"}, ",EXCEPTION,"+id+" (Accepted),Workflow,NEW,SUPPRESSED")
	})

	t.Run("GetFindingHistory", func(t *testing.T) {
		aws, err := (&testenv.Env{Python: python}).AWS()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), aws, "securityhub", "get-finding-history", "--finding-identifier", "Id=one,ProductArn="+product, "--endpoint-url", s.url, "--output", "json", "--max-items", "1")
		cmd.Env = awsEnvironment(s.keys["admin"])
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"Identity": "exception/`+id+`"`) || !strings.Contains(string(out), `"Type": "BATCH_UPDATE_FINDINGS"`) {
			t.Errorf("%v: %s", err, out)
		}
	})

	t.Run("no remediation", func(t *testing.T) {
		s.says(t, "operator", 1, []string{"finding", "remediate", "one", "--playbook", "S3.8"}, "suppressed by the exception "+id, "parry exception expire "+id)
	})

	t.Run("a person's status stands", func(t *testing.T) {
		a := s.do(t, call{key: "operator", method: http.MethodPatch, path: "/findings/batchupdate", body: `{"FindingIdentifiers":[{"Id":"two","ProductArn":"` + product + `"}],"Workflow":{"Status":"NOTIFIED"}}`})
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		later := example("two", dev)
		later["UpdatedAt"] = "2026-01-03T00:00:00Z"
		s.imports(t, later)
		s.workflow(t, "two", "NOTIFIED")
	})

	s.says(t, "dev-operator", 0, []string{"exception", "expire", id, "--reason", "fixed"}, "ended (withdrawn)", "fixed")
	for _, f := range []string{"one", "by-api", "by-file", "by-ocsf"} {
		s.workflow(t, f, "NEW")
	}
	s.workflow(t, "two", "NOTIFIED")
	s.says(t, "reader", 0, []string{"finding", "history", "one", "-o", "csv"}, ",EXCEPTION,"+id+" (it was withdrawn by dev-operator),Workflow,SUPPRESSED,NEW")
	s.says(t, "reader", 0, []string{"exception", "list", "--state", "ended", "-o", "csv"}, id+",ended (withdrawn)")
	s.says(t, "dev-approver", 1, []string{"exception", "approve", id, "--yes"}, "the exception is ended and cannot become active", "parry exception list")

	t.Run("told and audited", func(t *testing.T) {
		var told []string
		deadline := time.After(20 * time.Second)
		for len(told) < 5 {
			select {
			case raw := <-s.hook.got:
				var m struct{ Subject string }
				if err := json.Unmarshal([]byte(raw), &m); err != nil {
					t.Fatalf("%v: %s", err, raw)
				}
				if what, ok := strings.CutPrefix(m.Subject, "Parry: exception "); ok {
					told = append(told, what)
				}
			case <-deadline:
				t.Fatalf("told of %v", told)
			}
		}
		want := []string{"approved: Accepted", "ended: Accepted", "ended: Accepted", "requested: Accepted", "requested: Accepted"}
		if slices.Sort(told); !slices.Equal(told, want) {
			t.Errorf("told of %v, want %v", told, want)
		}
		out := ""
		for deadline := time.Now().Add(20 * time.Second); !strings.Contains(out, "exception.released") && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			out, _ = s.parry(t, "admin", "audit", "export")
		}
		for _, want := range []string{
			`"actor":"dev-operator","action":"exception.requested","object":"` + id, `"actor":"dev-approver","action":"exception.approved","object":"` + id,
			`"actor":"parry/triage","action":"exception.applied","object":"` + id, `"actor":"dev-operator","action":"exception.withdrawn","object":"` + id,
			`"actor":"parry/triage","action":"exception.released","object":"` + id,
		} {
			if !strings.Contains(out, want) {
				t.Errorf("the audit log does not have %s:\n%s", want, out)
			}
		}
	})
}
