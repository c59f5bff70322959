package front_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/test/testenv"
)

// TestEventBridge: buses, rules, targets and events as boto3 and the AWS CLI see them.
func TestEventBridge(t *testing.T) {
	onBoth(t, "events", func(t *testing.T, s *server, python string) {
		t.Helper()
		s.eventStory(t, python)
		s.eventCLI(t, python)
	})
}

func (s *server) eventStory(t *testing.T, python string) {
	t.Helper()
	in, err := json.Marshal(map[string]any{"keys": s.keysForPython(), "account": prod, "dev": dev, "hub": hubAccount})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "events.py"), s.url)
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
	wantEvents(t, got)
	s.soldOne(t)
}

func wantEvents(t *testing.T, got map[string]any) {
	t.Helper()
	for name, want := range map[string]string{
		"bus again": "ResourceAlreadyExistsException: An error", "operator makes a bus": "may not do event_rule.write", "no bus": "ResourceNotFoundException",
		"pattern": "InvalidEventPatternException", "schedule": "only on the default event bus", "managed": "ManagedRuleException",
		"with targets": "since it has targets", "bus with rules": "since it has rules", "reader puts": "may not do event.put", "two accounts": "for 2 accounts",
		"foreign": "no resource-based policy allows the events:PutEvents action", "no more": "no resource-based policy allows", "replay": "EventStartTime must be before EventEndTime",
		"unserved": "Parry does not answer ListEndpoints of EventBridge",
	} {
		text, _ := got[name].(string)
		if want = strings.TrimSuffix(want, ": An error"); !strings.Contains(text, want) {
			t.Errorf("%s: %v; want %q", name, got[name], want)
		}
		delete(got, name)
	}
	failed, _ := got["failed"].(map[string]any)
	for id, want := range map[string]string{"other": "AccessDeniedException: arn:aws:sqs:us-east-1:" + hubAccount + ":other is not among", "playbook": "ResourceNotFoundException: "} {
		if text, _ := failed[id].(string); !strings.HasPrefix(text, want) {
			t.Errorf("%s: %v", id, failed[id])
		}
	}
	if len(failed) != 2 || !strings.Contains(failed["other"].(string), "event_targets in parry.yaml") {
		t.Errorf("failed: %v", failed)
	}
	delete(got, "failed")
	const arns = "arn:aws:events:us-east-1:" + hubAccount + ":"
	want := map[string]any{
		"bus": arns + "event-bus/orders", "buses": []any{"default", "orders"}, "updated": "of both shops", "described": "datetime", "rule": arns + "rule/orders/dear",
		"by the file": map[string]any{"broken": "parry.yaml", "production": "parry.yaml", "exceptions": "parry.yaml", "on-request": "parry.yaml"},
		"targets":     true, "rules of": []any{"dear"}, "put": []any{3.0, 36.0, 36.0, "NotAuthorizedForSourceException", "MalformedDetail", "ResourceNotFoundException"},
		"allowed": 0.0, "policy": "dev", "test": true, "archive": "ENABLED", "archived": 2.0, "archives": []any{[]any{"sold", 3.0}},
		"tags": []any{map[string]any{"Key": "a", "Value": "b"}}, "pages": true, "disabled": "DISABLED",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// soldOne: the one event that the rule matches came to its target, as the target's input
// has it, and no other did.
func (s *server) soldOne(t *testing.T) {
	t.Helper()
	select {
	case body := <-s.hook.got:
		if body != `{"sold": "a \"dear\" one", "rule": "dear"}` {
			t.Errorf("the target got %s", body)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("the target got nothing; log:\n%s", s.log)
	}
	select {
	case body := <-s.hook.got:
		t.Errorf("the target got another: %s", body)
	case <-time.After(200 * time.Millisecond):
	}
}

func (s *server) eventCLI(t *testing.T, python string) {
	t.Helper()
	aws, err := (&testenv.Env{Python: python}).AWS()
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), aws, append([]string{"events"}, append(args, "--endpoint-url", s.url, "--output", "json")...)...)
		cmd.Env = awsEnvironment(s.keys[name])
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	logs := "arn:aws:parry:us-east-1:" + hubAccount + ":log/cli"
	for _, c := range []struct {
		key, words string
		fails      bool
		args       []string
	}{
		{"admin", `"RuleArn": "arn:aws:events:us-east-1:` + hubAccount + `:rule/cli"`, false, []string{"put-rule", "--name", "cli", "--event-pattern", `{"source":["cli"]}`}},
		{"admin", `"FailedEntryCount": 0`, false, []string{"put-targets", "--rule", "cli", "--targets", "Id=1,Arn=" + logs}},
		{"reader", logs, false, []string{"list-targets-by-rule", "--rule", "cli"}},
		{"reader", "(AccessDeniedException) when calling the DeleteRule operation", true, []string{"delete-rule", "--name", "cli"}},
		{"scanner", `"FailedEntryCount": 0`, false, []string{"put-events", "--entries", `[{"Source":"cli","DetailType":"t","Detail":"{}"}]`}},
		{"admin", "(ValidationException) when calling the DeleteRule operation: Rule can't be deleted since it has targets.", true, []string{"delete-rule", "--name", "cli"}},
		{"admin", `"FailedEntryCount": 0`, false, []string{"remove-targets", "--rule", "cli", "--ids", "1"}},
		{"admin", "", false, []string{"delete-rule", "--name", "cli"}},
	} {
		if out, err := run(c.key, c.args...); (err != nil) != c.fails || !strings.Contains(out, c.words) {
			t.Errorf("aws events %v: %v: %s", c.args, err, out)
		}
	}
}
