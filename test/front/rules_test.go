package front_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/test/testenv"
)

// TestAutomationRules: automation rules as boto3 and the AWS CLI see them, on both
// databases.
func TestAutomationRules(t *testing.T) {
	onBoth(t, "rules", func(t *testing.T, s *server, python string) {
		t.Run("boto3", func(t *testing.T) { s.ruleStory(t, python) })
		t.Run("AWS CLI", func(t *testing.T) { s.ruleCLI(t, python) })
		t.Run("history and audit", s.ruleTraces)
	})
}

func (s *server) ruleStory(t *testing.T, python string) {
	in, err := json.Marshal(map[string]any{"keys": s.keysForPython(), "account": dev, "product": product})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "rules.py"), s.url)
	cmd.Env = awsEnvironment(key{})
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	for name, want := range map[string]string{
		"reader creates":    "AccessDeniedException 403: check permission: reader (roles: reader) may not do rule.write",
		"operator creates":  "AccessDeniedException 403: check permission: operator (roles: operator) may not do rule.write",
		"source lists":      "AccessDeniedException 403: check permission: source (roles: source) may not do rule.read",
		"limited key lists": "AccessDeniedException 403: check permission: rule.read concerns the whole installation",
		"limited key gets":  "AccessDeniedException 403: check permission: rule.read concerns the whole installation",
		"mixed comparisons": "InvalidInputException 400: Criteria.Title: EQUALS cannot stand beside NOT_EQUALS",
		"many values":       "InvalidInputException 400: Criteria.ProductName: 21 values are more than the limit of 20",
		"no change":         "InvalidInputException 400: Actions[0].FindingFieldsUpdate: changes nothing",
		"blank name":        "InvalidInputException 400: RuleName: a text that is not blank is needed",
		"foreign token":     "InvalidInputException 400: read token: the token does not belong to this list",
		"v2 token":          "ConflictException 409: create automation rule: the client token was used for another rule",
		"v2 reader":         "AccessDeniedException 403: check permission: reader (roles: reader) may not do rule.write",
		"v2 limited key":    "AccessDeniedException 403: check permission: rule.read concerns the whole installation",
		"v2 connector":      "ValidationException 400: Actions[0].Type: Parry has no connectors",
		"v2 deleted":        "ResourceNotFoundException 404: find automation rule: there is no such automation rule",
		"tags of nothing":   "ResourceNotFoundException 404: find resource: there is no automation rule with this ARN",
	} {
		if text, _ := got[name].(string); !strings.Contains(text, want) {
			t.Errorf("%s: %v; want %q", name, got[name], want)
		}
		delete(got, name)
	}
	missing := []any{[]any{404.0, "ResourceNotFoundException"}}
	want := map[string]any{
		"forms": map[string]any{
			"arn": "arn:aws:securityhub:eu-central-1:" + hubAccount + ":automation-rule", "same": true, "missing": []any{},
			"unprocessed": []any{missing, missing, missing}, "updated": []any{15.0, "ENABLED", "admin", true}, "deleted": true,
		},
		"before": "LOW", "not backwards": "LOW", "not by updates": "LOW", "updated finding": []any{"CRITICAL", "tagged prod", 3.0}, "new finding": "CRITICAL",
		"terminal": "MEDIUM", "terminal for its own only": "CRITICAL", "switched off": []any{2.0, "CRITICAL"},
		"rule by rule": []any{true, []any{[]any{400.0, "InvalidInputException"}, []any{400.0, "InvalidInputException"}}},
		"pages":        []any{[]any{"last word", "renamed", "page 4"}, []any{"page 3", "page 2", "page 1"}, []any{"page 0"}},
		"v2":           []any{"arn:aws:securityhub:eu-central-1:" + hubAccount + ":automation-rulev2", true, 1.5, "ENABLED", true, true},
		// The note is of a rule of version 1 with a higher order: both are one order.
		"v2 applies": []any{"SUPPRESSED", "tagged prod", "NEW"},
		"v2 updated": []any{"NEW", []any{[]any{"second", 2.25, "DISABLED", []any{map[string]any{"Type": "FINDING_FIELDS_UPDATE"}}}}},
		"v2 in v1":   []any{0.0, 404.0},
		"tags":       map[string]any{"cost-center": "x"}, "cleaned": []any{7.0, []any{}}, "after": "LOW",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func (s *server) ruleCLI(t *testing.T, python string) {
	aws, err := (&testenv.Env{Python: python}).AWS()
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), aws, append(append([]string{"securityhub"}, args...), "--endpoint-url", s.url, "--output", "text")...)
		cmd.Env = append(awsEnvironment(s.keys[name]), "AWS_MAX_ATTEMPTS=5")
		out, err := cmd.CombinedOutput()
		if err != nil && !strings.Contains(string(out), "when calling the") {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	arn := run("admin", "create-automation-rule", "--rule-name", "by the CLI", "--rule-order", "7", "--description", "d", "--rule-status", "DISABLED", "--query", "RuleArn",
		"--criteria", `{"SeverityLabel":[{"Value":"INFORMATIONAL","Comparison":"EQUALS"}]}`,
		"--actions", `[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Workflow":{"Status":"SUPPRESSED"}}}]`)
	if !strings.HasPrefix(arn, "arn:aws:securityhub:us-east-1:"+hubAccount+":automation-rule/") {
		t.Fatal(arn)
	}
	if got := run("reader", "list-automation-rules", "--query", "AutomationRulesMetadata[].[RuleName,RuleOrder,RuleStatus]"); got != "by the CLI\t7\tDISABLED" {
		t.Error(got)
	}
	if got := run("reader", "batch-delete-automation-rules", "--automation-rules-arns", arn); !strings.Contains(got, "(AccessDeniedException) when calling the BatchDeleteAutomationRules operation") {
		t.Error(got)
	}
	if got := run("admin", "batch-delete-automation-rules", "--automation-rules-arns", arn, "--query", "ProcessedAutomationRules"); got != arn {
		t.Error(got)
	}
}

// ruleTraces: what the rules of the story did stands in the finding's history, and
// who made and deleted them in the audit log.
func (s *server) ruleTraces(t *testing.T) {
	found := s.do(t, call{key: "admin", method: http.MethodGet, path: "/v1/findings?id=bucket-2"})
	var page struct {
		Items []struct{ Key string }
	}
	if err := json.Unmarshal(found.body, &page); err != nil || len(page.Items) != 1 {
		t.Fatalf("%v: %s", err, found.body)
	}
	history := s.do(t, call{key: "admin", method: http.MethodGet, path: "/v1/findings/" + page.Items[0].Key + "/history"})
	if text := string(history.body); !strings.Contains(text, `"source":"AUTOMATION_RULE","identity":"arn:aws:securityhub:eu-central-1:`+hubAccount+`:automation-rule/`) {
		t.Error(text)
	}
	k := s.keys["admin"]
	c, err := client.New(client.Config{Endpoint: s.url, AccessKey: k.ID, Secret: store.Secret(k.Secret)})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if err := c.ExportAudit(t.Context(), 0, &log); err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"rule.created", "rule.updated", "rule.deleted"} {
		if !strings.Contains(log.String(), `"actor":"admin","action":"`+action+`"`) {
			t.Errorf("the audit log has no %s", action)
		}
	}
}
