package scenarios_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/test/awswall"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// applied is what org connect --apply prints.
type applied struct {
	Account string
	Parts   []struct {
		Part, Where, State string
		Changes            []struct{ Action, Resource, Type string }
		Calls              []struct{ Call, About string }
	}
	Next []step
}

// states gives what became of each part.
func (a applied) states() map[string]string {
	out := map[string]string{}
	for _, p := range a.Parts {
		place, _, _ := strings.Cut(strings.TrimPrefix(p.Where, a.Account+" "), ",")
		out[p.Part+" "+place] = p.State
	}
	return out
}

// applyCommand is org connect --apply with the credentials of one account.
func (c *connecting) applyCommand(creds envtest.Creds, flags ...string) *exec.Cmd {
	args := append([]string{"org", "connect", "--apply", "--server", "user/parry", "--regions", "us-east-1,eu-west-1", "--playbook", "all", "--interval", "100ms", "-o", "json", "--config", c.config}, flags...)
	cmd := exec.CommandContext(c.t.Context(), c.w.program, args...)
	cmd.Dir = c.dir
	cmd.Env = append(c.w.env.Environ(c.w.env.Estate.Security.Hub), "AWS_ACCESS_KEY_ID="+creds.ID, "AWS_SECRET_ACCESS_KEY="+creds.Secret, "AWS_SESSION_TOKEN="+creds.Token)
	return cmd
}

func (c *connecting) apply(creds envtest.Creds, wantExit int, flags ...string) (applied, string) {
	c.t.Helper()
	cmd := c.applyCommand(creds, flags...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if code != wantExit {
		c.t.Fatalf("org connect --apply %q ended with %d, not %d: %s%s", flags, code, wantExit, out.String(), errs.String())
	}
	if out.Len() == 0 {
		return applied{}, errs.String()
	}
	return decode[applied](c.t, out.Bytes()), errs.String()
}

// sent counts the changes that reached AWS, by operation.
func (c *connecting) sent(from int) map[string]int {
	out := map[string]int{}
	for _, e := range c.w.env.Wall.Log()[from:] {
		if e.Changed() {
			out[e.Service+":"+e.Operation]++
		}
	}
	return out
}

// killedAt runs the command until AWS has done an operation, kills it before it hears
// so, and lets go.
func (c *connecting) killedAt(creds envtest.Creds, operation string, flags ...string) {
	c.t.Helper()
	hold, err := c.w.env.Wall.Inject(awswall.Fault{Kind: awswall.HoldAfter, Operation: operation, Times: 1})
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := c.applyCommand(creds, flags...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	select {
	case <-hold.Hit():
	case <-ended:
		c.t.Fatalf("it ended before %s: %s", operation, errs.String())
	}
	if err := cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	<-ended
	hold.Release()
	c.w.env.Wall.ClearFaults()
}

// TestConnectApplies connects an organization by org connect --apply alone: from two
// accounts, killed after every call that changes something, and run again. Each thing
// is made once, and what is there is left alone.
func TestConnectApplies(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	e := w.env.Estate
	c := connect(t, w, func(cfg document) { cfg["organization"].(document)["management_account"] = e.Management.Account })
	security, management := w.ownerOf(t, e.Security.Account), envtest.Of(e.Management.Administrator)
	c.run(security, "aws securityhub create-finding-aggregator --region "+e.Region+" --region-linking-mode ALL_REGIONS")

	from := len(w.env.Wall.Log())
	if _, said := c.apply(security, 2); !strings.Contains(said, "nothing was sent: there is no terminal to ask at") || len(w.env.Wall.Log()) != from {
		t.Errorf("without a terminal and without --yes: %d requests, %s", len(w.env.Wall.Log())-from, said)
	}
	if _, said := c.apply(w.ownerOf(t, e.Members["dev"].Account), 2, "--yes"); !strings.Contains(said, "where nothing of the connection belongs") {
		t.Errorf("with a member's credentials: %s", said)
	}
	if diff := cmp.Diff(map[string]int{}, c.sent(from)); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}

	// The server's principal is there already: its policy is attached by the stack.
	for _, operation := range []string{"CreateChangeSet", "ExecuteChangeSet", "CreateActionTarget"} {
		c.killedAt(security, operation, "--yes")
	}
	got, _ := c.apply(security, 0, "--yes")
	want := map[string]string{"stack parry-hub us-east-1": "unchanged", "custom action ParryRemediate us-east-1": "unchanged", "stack parry-forward eu-west-1": "made"}
	if diff := cmp.Diff(want, got.states()); diff != "" {
		t.Errorf("the hub (-want +got):\n%s", diff)
	}
	for _, p := range got.Parts {
		if p.State == "made" && !slices.ContainsFunc(p.Changes, func(x struct{ Action, Resource, Type string }) bool {
			return x.Action == "Add" && x.Resource == "GuardDutyRule" && x.Type == "AWS::Events::Rule"
		}) {
			t.Errorf("the change set of %s shows %+v", p.Part, p.Changes)
		}
	}
	for part, state := range c.links(3) { // the member role is not there yet
		if !strings.HasPrefix(state, "connected") && !strings.HasPrefix(part, "role ") && part != "sources.queues" && !strings.HasPrefix(part, "parry.yaml") && !strings.HasPrefix(part, "sources.queues") {
			t.Errorf("after: %s is %s", part, state)
		}
	}

	if _, said := c.apply(management, 2, "--yes"); !strings.Contains(said, "--unit does not say") {
		t.Errorf("without --unit: %s", said)
	}
	unit := "--unit=r-ab12"
	for _, operation := range []string{"CreateStackSet", "CreateStackInstances"} {
		c.killedAt(management, operation, "--yes", unit)
	}
	got, _ = c.apply(management, 0, "--yes", unit)
	if diff := cmp.Diff(map[string]string{"stack set parry-member us-east-1": "unchanged"}, got.states()); diff != "" {
		t.Errorf("the member role (-want +got):\n%s", diff)
	}

	// Each was made once; a change set that changes nothing is deleted again.
	sent := c.sent(from)
	for operation, n := range map[string]int{
		"cloudformation:ExecuteChangeSet": 2, "securityhub:CreateActionTarget": 1, "cloudformation:CreateStackSet": 1, "cloudformation:CreateStackInstances": 1, "cloudformation:UpdateStackSet": 0,
	} {
		if sent[operation] != n {
			t.Errorf("%s was sent %d times, not %d", operation, sent[operation], n)
		}
	}
	if sent["cloudformation:CreateChangeSet"]-sent["cloudformation:DeleteChangeSet"] != 2 {
		t.Errorf("change sets: %v", sent)
	}

	// Another server, another template: an update, by a change set of its own.
	got, _ = c.apply(security, 0, "--yes", "--service", "security-hub,guardduty")
	if state := got.states()["stack parry-hub us-east-1"]; state != "updated" {
		t.Errorf("with fewer services: %+v", got.states())
	}
	if _, err := os.Stat(filepath.Join(c.dir, "deploy-parry")); err == nil {
		t.Error("files were written")
	}
}
