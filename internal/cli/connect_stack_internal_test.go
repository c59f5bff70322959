package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/config"
)

type object = map[string]any

// TestFailuresAreThoseOfTheOperation: events come newest first, and those of an earlier
// operation that failed are there still.
func TestFailuresAreThoseOfTheOperation(t *testing.T) {
	t.Parallel()
	const id = "arn:aws:cloudformation:eu-west-1:111111111111:stack/parry-hub/6f3c"
	event := func(name, physical, status, reason string) any {
		return object{"StackId": id, "LogicalResourceId": name, "PhysicalResourceId": physical, "ResourceStatus": status, "ResourceStatusReason": reason}
	}
	events := []any{
		event("parry-hub", id, "UPDATE_ROLLBACK_COMPLETE", ""),
		event("parry-hub", id, "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed to update: [Queue]."),
		event("Bus", "parry", "UPDATE_FAILED", "Resource update cancelled"),
		event("Queue", "parry-findings", "UPDATE_FAILED", "the new one"),
		event("Queue", "parry-findings", "UPDATE_IN_PROGRESS", ""),
		event("parry-hub", id, "UPDATE_IN_PROGRESS", "User Initiated"),
		event("Role", "Parry", "UPDATE_FAILED", "an old one"),
		event("parry-hub", id, "UPDATE_IN_PROGRESS", "User Initiated"),
		event("parry-hub", id, "CREATE_IN_PROGRESS", "User Initiated"),
	}
	begin := slices.IndexFunc(events, begins)
	if begin != 5 {
		t.Fatalf("the operation begins at %d, want 5", begin)
	}
	if got := failures(events[:begin]); !slices.Equal(got, []string{"Queue: the new one"}) {
		t.Errorf("failures %q", got)
	}
}

// TestStackThatIsInUseIsNotDeleted: the way out of each state that is not usable.
func TestStackThatIsInUseIsNotDeleted(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{
		"ROLLBACK_COMPLETE": "delete-stack", "ROLLBACK_FAILED": "delete-stack", "CREATE_FAILED": "delete-stack", "DELETE_FAILED": "delete-stack",
		"UPDATE_ROLLBACK_FAILED": "continue-update-rollback", "UPDATE_FAILED": "rollback-stack", "IMPORT_ROLLBACK_FAILED": "by hand",
	} {
		got := stack{name: "parry-hub", region: "eu-west-1"}.wayOut(status)
		if usable(status) || !strings.Contains(got, want) || strings.Contains(got, "delete") != (want == "delete-stack") {
			t.Errorf("%s: usable %t, %q", status, usable(status), got)
		}
	}
}

// TestStatesOfAnswers: what AWS documents of a change set and of a stack instance.
func TestStatesOfAnswers(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]bool{"AVAILABLE": true, "EXECUTE_IN_PROGRESS": true, "EXECUTE_COMPLETE": false, "EXECUTE_FAILED": false, "OBSOLETE": false, "UNAVAILABLE": false} {
		if got := pending(object{"Status": "CREATE_COMPLETE", "ExecutionStatus": status}); got != want {
			t.Errorf("%s: pending %t", status, got)
		}
	}
	for detail, want := range map[string]bool{"FAILED": true, "CANCELLED": true, "PENDING": true, "SKIPPED_SUSPENDED_ACCOUNT": false} {
		if got := behind(object{"Status": "OUTDATED", "StackInstanceStatus": object{"DetailedStatus": detail}}); got != want {
			t.Errorf("%s: behind %t", detail, got)
		}
	}
	if behind(object{"Status": "CURRENT"}) || behind(object{"Status": "INOPERABLE"}) || !behind(object{"Status": "OUTDATED"}) {
		t.Error("only what is outdated is behind")
	}
}

// TestPolicyReachesTheStackSet: it is the management account's, the types of its
// resources are nobody's, and making one has no resource.
func TestPolicyReachesTheStackSet(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Organization.HubAccount = "111111111111"
	c, err := connectFlags{server: "ec2"}.settings(cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"cloudformation:CreateStackSet":             {"*"},
		"organizations:ListDelegatedAdministrators": {"*"},
		"cloudformation:CreateStackInstances": {
			"arn:aws:cloudformation:*:*:stackset-target/parry-member:*", "arn:aws:cloudformation:*:*:stackset/parry-member:*", "arn:aws:cloudformation:*:*:type/resource/AWS-IAM-*",
		},
	}
	for _, g := range c.applyGrants() {
		if resources, ok := want[g.Action]; ok && !slices.Equal(g.Resources, resources) {
			t.Errorf("%s: %q, want %q", g.Action, g.Resources, resources)
		}
		delete(want, g.Action)
	}
	if len(want) > 0 {
		t.Errorf("not granted: %v", want)
	}
}
