package front_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/test/testenv"
)

// TestInsights: insights and action targets as boto3 and the AWS CLI see them, and what
// follows when a person sends findings to an action, on both databases.
func TestInsights(t *testing.T) {
	onBoth(t, "insights", func(t *testing.T, s *server, python string) {
		t.Run("boto3", func(t *testing.T) { s.insightStory(t, python) })
		t.Run("AWS CLI", func(t *testing.T) { s.insightCLI(t, python) })
		t.Run("an action that is invoked", s.actionStory)
	})
}

func (s *server) insightStory(t *testing.T, python string) {
	in, err := json.Marshal(map[string]any{"keys": s.keysForPython(), "dev": dev, "prod": prod, "product": product})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "insights.py"), s.url)
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
	const nothing = "ResourceNotFoundException 404: "
	for name, want := range map[string]string{
		"group by a date":                 "InvalidInputException 400: read insight: GroupByAttribute: findings cannot be grouped by \"CreatedAt\"",
		"group by nothing known":          "InvalidInputException 400: read insight: GroupByAttribute: findings cannot be grouped by \"Nope\"",
		"blank name":                      "InvalidInputException 400: read request: Name: a text that is not blank is needed",
		"mixed filters":                   "InvalidInputException 400: ",
		"eleven attributes":               "InvalidInputException 400: ",
		"reader creates":                  "AccessDeniedException 403: check permission: reader (roles: reader) may not do insight.write",
		"limited key creates":             "AccessDeniedException 403: check permission: insight.write concerns the whole installation",
		"limited key deletes":             "AccessDeniedException 403: check permission: insight.write concerns the whole installation",
		"managed deleted":                 "InvalidInputException 400: change insight: \"AWS resources with the most findings\" is a managed insight",
		"managed updated":                 "InvalidInputException 400: change insight: \"AWS resources with the most findings\" is a managed insight",
		"get_insight_results of nothing":  nothing,
		"update_insight of nothing":       nothing,
		"delete_insight of nothing":       nothing,
		"parry's own":                     nothing,
		"get of nothing":                  nothing,
		"foreign token":                   "InvalidInputException 400: read cursor",
		"one too many":                    "LimitExceededException 429: create insight: there are 100 in eu-central-1 already",
		"action taken":                    "ResourceConflictException 409: create action: there is an action \"Remediation\" in eu-central-1 already",
		"action long name":                "InvalidInputException 400: read request: Name: 21 characters are more than the limit of 20",
		"action long id":                  "InvalidInputException 400: read request: Id: 21 characters are more than the limit of 20",
		"action id with a dash":           "InvalidInputException 400: read request: Id: \"a-b\" is not made of letters and digits alone",
		"action blank":                    "InvalidInputException 400: read request: Description: a text that is not blank is needed",
		"operator makes action":           "AccessDeniedException 403: check permission: operator (roles: operator) may not do action.write",
		"limited key updates action":      "AccessDeniedException 403: check permission: dev-approver (roles: approver) may not do action.write",
		"update_action_target of nothing": nothing,
		"delete_action_target of nothing": nothing,
		"describe of nothing":             nothing,
		"action 51":                       "LimitExceededException 429: create action: there are 50 in eu-central-1 already",
	} {
		if text, _ := got[name].(string); !strings.Contains(text, want) {
			t.Errorf("%s: %v; want %q", name, got[name], want)
		}
		delete(got, name)
	}
	role := "arn:aws:securityhub:eu-central-1:" + hubAccount
	devAccount, prodAccount := "AWS::::Account:"+dev, "AWS::::Account:"+prod
	want := map[string]any{
		"arn": []any{role + ":insight/" + hubAccount + "/custom", 36.0}, "as sent": true, "members": true,
		"result members": []any{true, []any{"Count", "GroupByAttributeValue"}},
		// Each resource of a finding counts, also one that the filter is not about.
		"results":          []any{[]any{devAccount, 2.0}, []any{"AwsIamRole-dev", 2.0}, []any{prodAccount, 1.0}, []any{"AwsIamRole-prod", 1.0}},
		"results in scope": []any{[]any{devAccount, 2.0}, []any{"AwsIamRole-dev", 2.0}},
		"updated":          []any{"Critical role findings", "AwsAccountId", []any{[]any{dev, 3.0}, []any{prod, 1.0}}, []any{[]any{dev, 3.0}}},
		"managed":          []any{"Severity by counts of findings", []any{}, []any{}, []any{[]any{devAccount, 3.0}, []any{"AwsIamRole-dev", 2.0}}},
		"pages":            []any{[]any{"Critical role findings", "page 0"}, []any{"page 1", "page 2"}, []any{"page 3"}},
		"another region":   []any{}, "across regions": "page 0", "operator's": "eu-central-1", "deleted": []any{100.0, []any{}},
		"action":       []any{role + ":action/custom/Remediation", true},
		"described":    []any{map[string]any{"ActionTargetArn": role + ":action/custom/Remediation", "Name": "Send to remediation", "Description": "Action to send the finding for remediation tracking"}},
		"renamed":      []any{[]any{"Fix", "Action to send the finding for remediation tracking"}},
		"action pages": []any{[]any{"Fix", "action 0", "action 1"}, []any{"action 2", "action 3"}}, "actions deleted": []any{50.0, true, []any{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func (s *server) insightCLI(t *testing.T, python string) {
	aws, err := (&testenv.Env{Python: python}).AWS()
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), aws, append(append([]string{"securityhub"}, args...), "--endpoint-url", s.url, "--output", "text")...)
		cmd.Env = append(awsEnvironment(s.keys[name]), "AWS_MAX_ATTEMPTS=2")
		out, err := cmd.CombinedOutput()
		if err != nil && !strings.Contains(string(out), "when calling the") {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	arn := run("admin", "create-insight", "--name", "by the CLI", "--group-by-attribute", "SeverityLabel", "--query", "InsightArn",
		"--filters", `{"GeneratorId":[{"Value":"insights-check","Comparison":"EQUALS"}]}`)
	for _, c := range []struct{ key, want, says string }{{"reader", "CRITICAL\t3\nLOW\t1", ""}, {"dev-reader", "CRITICAL\t2\nLOW\t1", ""}} {
		if got := run(c.key, "get-insight-results", "--insight-arn", arn, "--query", "InsightResults.ResultValues[].[GroupByAttributeValue,Count]"); got != c.want {
			t.Errorf("%s: %s", c.key, got)
		}
	}
	run("admin", "update-insight", "--insight-arn", arn, "--name", "renamed")
	if got := run("reader", "get-insights", "--query", "Insights[].Name"); got != "renamed" {
		t.Error(got)
	}
	if got := run("reader", "delete-insight", "--insight-arn", arn); !strings.Contains(got, "(AccessDeniedException) when calling the DeleteInsight operation") {
		t.Error(got)
	}
	if got := run("admin", "delete-insight", "--insight-arn", arn); got != arn {
		t.Error(got)
	}
	target := run("admin", "create-action-target", "--id", "Fix", "--name", "Fix it", "--description", "d", "--query", "ActionTargetArn")
	if want := "arn:aws:securityhub:us-east-1:" + hubAccount + ":action/custom/Fix"; target != want {
		t.Error(target)
	}
	run("admin", "update-action-target", "--action-target-arn", target, "--name", "Fix now")
	if got := run("reader", "describe-action-targets", "--query", "ActionTargets[].[Name,Description]"); got != "Fix now\td" {
		t.Error(got)
	}
	if got := run("reader", "delete-action-target", "--action-target-arn", target); !strings.Contains(got, "(AccessDeniedException)") {
		t.Error(got)
	}
}

// actionStory: a person sends a finding to the action Fix, which a rule of the
// configuration matches. The channel is given AWS's event, and a remediation is asked for
// in the person's name; who may not send, or names what is outside its accounts, sends
// nothing.
func (s *server) actionStory(t *testing.T) {
	keyOf := func(id string) string {
		found := s.do(t, call{key: "admin", method: http.MethodGet, path: "/v1/findings?id=" + id})
		var page struct{ Items []struct{ Key string } }
		if err := json.Unmarshal(found.body, &page); err != nil || len(page.Items) != 1 {
			t.Fatalf("%v: %s", err, found.body)
		}
		return page.Items[0].Key
	}
	invoke := func(who string, keys ...string) answer {
		body, err := json.Marshal(map[string]any{"findings": keys})
		if err != nil {
			t.Fatal(err)
		}
		return s.do(t, call{key: who, path: "/v1/actions/Fix/invoke", body: string(body)})
	}
	mine, foreign := keyOf("insight-3"), keyOf("insight-2")
	invoke("reader", mine).is(t, http.StatusForbidden, "denied", "finding.act")
	invoke("dev-approver", mine).is(t, http.StatusForbidden, "denied", "finding.act")
	invoke("source", mine).is(t, http.StatusForbidden, "denied", "finding.act")
	invoke("dev-operator", mine, foreign).is(t, http.StatusNotFound, "not_found", "within your accounts")
	invoke("revoked", mine).is(t, http.StatusForbidden, "denied")
	done := invoke("dev-operator", mine)
	if done.status != http.StatusAccepted {
		t.Fatalf("%d %s", done.status, done.body)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		list := s.do(t, call{key: "admin", method: http.MethodGet, path: "/v1/remediations"})
		if strings.Contains(string(list.body), `"requested_by":"dev-operator"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no remediation was asked for by dev-operator: %s", list.body)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for {
		select {
		case body := <-s.hook.got:
			if !strings.Contains(body, "Security Hub Findings - Custom Action") {
				continue // the imports of the story
			}
			if !strings.Contains(body, `"actionName":"Fix now"`) || !strings.Contains(body, "insight-3") || strings.Contains(body, "insight-2") {
				t.Errorf("the event is %s", body)
			}
			return
		case <-time.After(time.Until(deadline)):
			t.Fatal("the channel was given no event")
		}
	}
}
