package scenarios_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/testenv"
)

// tenControls are those that the catalogue answers.
var tenControls = []string{"S3.1", "S3.2", "S3.3", "S3.8", "EC2.2", "EC2.7", "EC2.13", "EC2.14", "KMS.4", "IAM.7"}

// resource is what test/py/controls.py made.
type resource struct {
	Control string `json:"control"`
	Member  string `json:"member"`
	Account string `json:"account"`
	Region  string `json:"region"`
	Good    bool   `json:"good"`
	Type    string `json:"type"`
	ID      string `json:"id"`
}

// generators are the ids under which older standards report some of the controls.
var generators = map[string]string{
	"EC2.13": "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/4.1",
	"EC2.14": "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/4.2",
	"KMS.4":  "pci-dss/v/3.2.1/PCI.KMS.1",
	"S3.1":   "cis-aws-foundations-benchmark/v/1.4.0/2.1.5.1",
	"S3.3":   "pci-dss/v/3.2.1/PCI.S3.1",
}

// asff writes the finding about r as its standard has it.
func (r resource) asff(region string) document {
	generator, compliance := generators[r.Control], document{"Status": "FAILED"}
	if generator == "" {
		generator, compliance["SecurityControlId"] = "security-control/"+r.Control, r.Control
	}
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	return document{
		"SchemaVersion": "2018-10-08", "Id": r.finding(region).Id, "ProductArn": r.finding(region).ProductArn,
		"ProductName": "Security Hub", "CompanyName": "AWS", "Region": r.Region, "GeneratorId": generator, "AwsAccountId": r.Account,
		"Types":     []string{"Software and Configuration Checks/Industry and Regulatory Standards"},
		"CreatedAt": now, "UpdatedAt": now, "FirstObservedAt": now, "LastObservedAt": now,
		"Severity": document{"Label": "HIGH", "Normalized": 70, "Original": "HIGH"}, "Title": r.Control + " fails", "Description": "It fails.",
		"Resources":  []document{{"Type": r.Type, "Id": r.ID, "Partition": "aws", "Region": r.Region}},
		"Compliance": compliance, "Workflow": document{"Status": "NEW"}, "WorkflowState": "NEW", "RecordState": "ACTIVE",
	}
}

func (r resource) finding(region string) finding.ID {
	name := strings.NewReplacer("/", "-", ":", "-").Replace(r.ID)
	return finding.ID{
		ProductArn: fmt.Sprintf("arn:aws:securityhub:%s::product/aws/securityhub", region),
		Id:         fmt.Sprintf("arn:aws:securityhub:%s:%s:security-control/%s/finding/%s-%s", r.Region, r.Account, r.Control, r.Region, name),
	}
}

// controlsWorld is an organization of its own: settings of whole accounts are changed.
func controlsWorld(t *testing.T) (*world, map[string]resource, string) {
	t.Helper()
	w := ownWorld(t)
	file := filepath.Join(w.dir, "resources.json")
	if out, err := w.env.Run(t.Context(), "controls.py", "make", w.env.EstateFile(), "--out", file); err != nil {
		t.Fatalf("make resources: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return w, decode[map[string]resource](t, raw), file
}

// ownWorld is an emulated AWS that nobody else works in.
func ownWorld(t *testing.T) *world {
	t.Helper()
	shared := earth(t)
	w := &world{dir: t.TempDir(), program: shared.program, owner: map[string]string{}}
	at := filepath.Join(w.dir, "world")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.env, err = testenv.Start(t.Context(), testenv.Options{Dir: at, Python: os.Getenv("PARRY_PYTHON")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.env.Stop)
	return w
}

// controlRules plans the fix of every control of the catalogue.
func controlRules(cfg document) {
	cfg["organization"].(document)["coverage"] = document{"regions": []string{"us-east-1", "eu-west-1"}}
	var rules []document
	for _, c := range tenControls {
		match := []any{document{"suffix": "/" + c}}
		if g := generators[c]; g != "" {
			match = append(match, g)
		}
		rules = append(rules, document{"name": "fix-" + c, "playbooks": []string{c}, "pattern": document{
			"source": []string{"aws.securityhub"}, "detail": document{"findings": document{"GeneratorId": match, "Compliance": document{"Status": []string{"FAILED"}}, "Workflow": document{"Status": []string{"NEW"}}}},
		}})
	}
	cfg["bus_rules"] = rules
}

// TestTenControls tells the story of every control of the catalogue: the sweep finds
// exactly what fails, a finding about each resource of dev leads to a fix of the bad one
// and to nothing for its good twin, people approve in prod, and everything is undone.
func TestTenControls(t *testing.T) {
	t.Parallel()
	w, resources, file := controlsWorld(t)
	n := w.install(t, controlRules).serve(t)
	expect := func(fixed ...string) {
		t.Helper()
		if out, err := w.env.Run(t.Context(), "controls.py", append([]string{"expect", w.env.EstateFile(), file, "--fixed"}, fixed...)...); err != nil {
			t.Errorf("not as it should be: %v\n%s", err, out)
		}
	}

	before := w.now()
	n.sweepAll(false)
	for _, e := range w.env.Wall.Log() {
		if e.Seq > before && e.Changed() && strings.HasPrefix(e.Session, "parry-sweep") {
			t.Errorf("a sweep changed something: %+v", e)
		}
	}

	home := w.env.Estate.Region
	ofAccount := "dev/" + home + "/S3.1/bad"
	var findings []document
	var bad []string
	for name, r := range resources {
		if r.Member == "dev" && r.Region == home && name != ofAccount {
			findings = append(findings, r.asff(home))
			if !r.Good {
				bad = append(bad, name)
			}
		}
	}
	if len(bad) != len(tenControls)-1 {
		t.Fatalf("bad in dev: %q", bad)
	}
	n.importAll(findings)
	fixes := map[string]remediation.ID{}
	for name, r := range resources {
		switch {
		case r.Member != "dev" || r.Region != home || name == ofAccount:
		case r.Good:
			n.nothingToFix(name, r.finding(home))
		default:
			got := n.awaitFor(r.finding(home), remediation.Verified)
			fixes[name] = got.ID
			n.wholePlan(name, got.ID)
		}
	}
	expect(bad...)

	// The account last: while it is blocked, no bucket of it is public. Each Region's
	// Security Hub reports the account, and the second finding is about what is fine.
	n.importAll([]document{resources[ofAccount].asff(home)})
	fixes[ofAccount] = n.awaitFor(resources[ofAccount].finding(home), remediation.Verified).ID
	n.wholePlan(ofAccount, fixes[ofAccount])
	again := resources[ofAccount]
	again.Region = "eu-west-1"
	n.importAll([]document{again.asff(again.Region)})
	n.nothingToFix("dev/eu-west-1/S3.1", again.finding(again.Region))
	bad = append(bad, ofAccount)
	expect(bad...)
	n.sweepAll(true)

	for _, c := range []string{"EC2.13", "S3.2"} {
		name := "prod/" + home + "/" + c + "/bad"
		r := resources[name]
		n.importAll([]document{r.asff(home)})
		waiting := n.awaitFor(r.finding(home), remediation.AwaitingApproval)
		n.grant(waiting.ID)
		fixes[name] = n.awaitFor(r.finding(home), remediation.Verified).ID
		bad = append(bad, name)
	}
	expect(bad...)

	// The account first: S3 refuses a public statement in an account that is blocked.
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(fixes)), func(name string) bool { return name == ofAccount })
	names = append([]string{ofAccount}, names...)
	for _, name := range names {
		id := fixes[name]
		undo, err := n.as("olga").Undo(t.Context(), id)
		if err != nil {
			t.Fatalf("undo %s: %v", name, err)
		}
		n.awaitState(undo, remediation.AwaitingApproval)
		n.grant(undo)
		n.awaitState(undo, remediation.Verified)
		n.awaitState(id, remediation.Undone)
	}
	expect()
	n.settled()
}

// sweepAll compares a sweep of every control with what test/py/controls.py sees. Until
// findings are imported none of what fails is reported.
func (n *node) sweepAll(imported bool) {
	n.t.Helper()
	raw, err := n.w.env.Run(n.t.Context(), "controls.py", "truth", n.w.env.EstateFile())
	if err != nil {
		n.t.Fatalf("truth: %v\n%s", err, raw)
	}
	truth := decode[map[string][]string](n.t, raw)
	for _, c := range tenControls {
		n.sweeps(c, truth[c], imported)
	}
}

func (n *node) sweeps(control string, want []string, imported bool) {
	n.t.Helper()
	out, err := n.parry(n.t, n.endpoint, "sweep", control, "--org", "--region", "us-east-1", "--region", "eu-west-1", "-o", "json")
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if wantCode := map[bool]int{true: 3, false: 0}[len(want) > 0]; code != wantCode {
		n.t.Fatalf("sweep of %s ended with %d, not %d: %v", control, code, wantCode, err)
	}
	var report struct {
		Places []struct {
			Account, Region, Problem string
			Failing                  []struct {
				ARN      string
				Reported bool
			}
			Unread []any
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		n.t.Fatal(err)
	}
	var got []string
	for _, p := range report.Places {
		if p.Problem != "" || len(p.Unread) > 0 {
			n.t.Errorf("%s in %s %s: %s %v", control, p.Account, p.Region, p.Problem, p.Unread)
		}
		for _, f := range p.Failing {
			got = append(got, p.Account+" "+p.Region+" "+f.ARN)
			if f.Reported && !imported {
				n.t.Errorf("%s: %s is reported by nothing", control, f.ARN)
			}
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		n.t.Errorf("sweep of %s (-want +got):\n%s", control, diff)
	}
}

// nothingToFix requires that a finding about a resource that is fine changed nothing.
func (n *node) nothingToFix(name string, id finding.ID) {
	n.t.Helper()
	got := n.awaitFor(id, remediation.Cancelled)
	if !strings.Contains(got.Reason, "a live read found no violation") {
		n.t.Errorf("%s: %s", name, got.Reason)
	}
}

// awaitFor waits for the fix of a finding to have a state.
func (n *node) awaitFor(id finding.ID, state remediation.State) remediation.Remediation {
	n.t.Helper()
	var last remediation.Remediation
	poll(n.t, patience, func() string { return fmt.Sprintf("%s is %q, not %s: %s", id.Id, last.State, state, last.Reason) }, func(ctx context.Context) bool {
		page, err := n.as("olga").Remediations(ctx, client.RemediationFilter{Finding: id}, client.Paging{})
		if err != nil || len(page.Items) == 0 {
			return false
		}
		last = page.Items[len(page.Items)-1]
		if last.State.Final() && last.State != state {
			n.t.Fatalf("%s is %s, not %s: %s (%s)", id.Id, last.State, state, last.Reason, last.Hint)
		}
		return last.State == state
	})
	return last
}

func (n *node) awaitState(id remediation.ID, state remediation.State) {
	n.t.Helper()
	var last remediation.Remediation
	poll(n.t, patience, func() string { return fmt.Sprintf("%s is %q, not %s: %s", id, last.State, state, last.Reason) }, func(ctx context.Context) bool {
		d, err := n.as("olga").Remediation(ctx, id)
		if err != nil {
			return false // not planned yet
		}
		last = d.Remediation
		return last.State == state
	})
}

// wholePlan requires of every change of a plan that it shows what it does and knows its
// way back.
func (n *node) wholePlan(name string, id remediation.ID) {
	n.t.Helper()
	changes := n.detail(id).Changes
	if len(changes) == 0 {
		n.t.Errorf("%s was fixed without a change", name)
	}
	for _, c := range changes {
		if len(c.Diff) == 0 || c.Inverse == "" {
			n.t.Errorf("%s: %s:%s shows %d members and has the inverse %q", name, c.Service, c.Operation, len(c.Diff), c.Inverse)
		}
	}
}
