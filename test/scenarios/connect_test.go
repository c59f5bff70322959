package scenarios_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// connectedRole is the member role that org connect makes, beside the estate's own.
const connectedRole = "ParryConnected"

// connecting is an installation whose organization is connected by what parry org
// connect writes and prints, as its owner does it.
type connecting struct {
	*installation
	t   *testing.T
	cfg document
}

// step is one of the commands that org connect prints.
type step struct{ Step, Command string }

// ownerOf enters an account of the organization as its owner does.
func (w *world) ownerOf(t *testing.T, account string) envtest.Creds {
	t.Helper()
	creds, a := envtest.Assume(t, w.env, envtest.Of(w.env.Estate.Management.Administrator), url.Values{
		"RoleArn": {"arn:aws:iam::" + account + ":role/OrganizationAccountAccessRole"}, "RoleSessionName": {"owner"},
	})
	a.Is(t, http.StatusOK, "")
	return creds
}

// run runs a command line as it was printed, with credentials of one account.
func (c *connecting) run(creds envtest.Creds, command string) string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), "sh", "-c", command)
	cmd.Dir = c.dir
	cmd.Env = append(c.w.env.Environ(c.w.env.Estate.Security.Hub), "AWS_ACCESS_KEY_ID="+creds.ID, "AWS_SECRET_ACCESS_KEY="+creds.Secret, "AWS_SESSION_TOKEN="+creds.Token,
		"PATH="+filepath.Dir(c.w.env.Python)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// links runs parry org connect --check as Parry's own user: state by part and place.
func (c *connecting) links(wantExit int) map[string]string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), c.w.program, "org", "connect", "--check", "--server", "user/parry", "--regions", "us-east-1,eu-west-1", "-o", "json", "--config", c.config)
	cmd.Dir, cmd.Env = c.dir, c.w.env.Environ(c.w.env.Estate.Security.Hub)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if code != wantExit {
		c.t.Errorf("org connect --check ended with %d, not %d: %s%s", code, wantExit, out.String(), errs.String())
	}
	got := map[string]string{}
	for _, l := range decode[struct {
		Links []struct{ Part, Where, State, Detail string }
	}](c.t, out.Bytes()).Links {
		got[l.Part+" "+l.Where] = l.State + ": " + l.Detail
	}
	return got
}

// connect writes the templates and deploys them.
func connect(t *testing.T, w *world, edits ...func(document)) *connecting {
	t.Helper()
	c := &connecting{t: t}
	edits = append(edits, func(cfg document) {
		cfg["organization"].(document)["member_role"] = connectedRole
		c.cfg = cfg
	})
	c.installation = w.install(t, edits...)
	return c
}

func (c *connecting) deploy() {
	c.t.Helper()
	e := c.w.env.Estate
	out, err := c.parry(c.t, "", "org", "connect", "--server", "user/parry", "--regions", "us-east-1,eu-west-1", "--unit", "r-ab12", "--playbook", "all", "-o", "json")
	if err != nil {
		c.t.Fatal(err)
	}
	steps := decode[struct{ Next []step }](c.t, out).Next
	security := c.w.ownerOf(c.t, e.Security.Account)
	c.run(security, "aws securityhub create-finding-aggregator --region "+e.Region+" --region-linking-mode ALL_REGIONS")
	for _, s := range steps {
		switch {
		case strings.HasPrefix(s.Step, "in the hub account"):
			c.run(security, s.Command)
		case strings.Contains(s.Command, "create-stack-set"):
			c.run(envtest.Of(e.Management.Administrator), s.Command)
		}
	}
	// A StackSet of moto makes no stack in other accounts: what it would deploy is deployed in each.
	for _, m := range e.Members {
		c.run(c.w.ownerOf(c.t, m.Account), "aws cloudformation deploy --region "+e.Region+" --stack-name parry-member --template-file deploy-parry/member.yaml --capabilities CAPABILITY_NAMED_IAM")
	}
	raw, err := os.ReadFile(filepath.Join(c.dir, "deploy-parry", "parry-connect.yaml"))
	if err != nil {
		c.t.Fatal(err)
	}
	var sources document
	if err := yaml.Unmarshal(raw, &sources); err != nil {
		c.t.Fatal(err)
	}
	queue := sources["sources"].(document)["queues"].([]any)[0].(document)
	queue["trusted"] = true
	queue["url"] = strings.Replace(queue["url"].(string), "https://sqs.us-east-1.amazonaws.com", c.w.env.WallURL, 1)
	c.cfg["sources"] = sources["sources"]
	rules := c.cfg["bus_rules"].([]document)
	for _, r := range sources["bus_rules"].([]any) {
		rules = append(rules, r.(document))
	}
	c.cfg["bus_rules"] = rules
	c.write(c.t, c.cfg)
}

// put announces what a service of AWS would: on the default bus of an account and Region.
func (c *connecting) put(account, region, source, detailType, detail string, resources ...string) {
	c.t.Helper()
	creds := c.w.ownerOf(c.t, account)
	creds.Region = region
	body := text(c.t, document{"Entries": []document{{"Source": source, "DetailType": detailType, "Detail": detail, "Resources": resources}}})
	a := envtest.Call(c.t, c.w.env, creds, "events", http.MethodPost, "/", body, "X-Amz-Target", "AWSEvents.PutEvents", "Content-Type", "application/x-amz-json-1.1")
	a.Is(c.t, http.StatusOK, "")
}

// TestConnectedOrganization connects an organization with what parry org connect writes
// and prints, and nothing else: an event that a service announces reaches Parry, from
// another Region too, and the generated role is enough to fix every control of the
// catalogue and to undo it, and takes nobody but Parry.
func TestConnectedOrganization(t *testing.T) {
	t.Parallel()
	w, resources, file := controlsWorld(t)
	e := w.env.Estate
	home, hub := e.Region, e.Security.Account
	c := connect(t, w, controlRules)
	for part, state := range c.links(3) {
		if !strings.HasPrefix(state, "missing") && !strings.HasPrefix(state, "unknown") {
			t.Errorf("before: %s is %s", part, state)
		}
	}
	c.deploy()
	for part, state := range c.links(0) {
		if !strings.HasPrefix(state, "connected") {
			t.Errorf("after: %s is %s", part, state)
		}
	}
	n := c.serve(t)

	var bad []string
	ofAccount := "dev/" + home + "/S3.1/bad"
	fixes := map[string]remediation.ID{}
	for name, r := range resources {
		if r.Member == "dev" && r.Region == home && !r.Good && name != ofAccount {
			bad = append(bad, name)
			c.put(hub, home, "aws.securityhub", "Security Hub Findings - Imported", text(t, document{"findings": []document{r.asff(home)}}))
		}
	}
	for _, name := range bad {
		fixes[name] = n.awaitFor(resources[name].finding(home), remediation.Verified).ID
	}
	c.put(hub, home, "aws.securityhub", "Security Hub Findings - Imported", text(t, document{"findings": []document{resources[ofAccount].asff(home)}}))
	fixes[ofAccount] = n.awaitFor(resources[ofAccount].finding(home), remediation.Verified).ID
	bad = append(bad, ofAccount)
	if len(bad) != len(tenControls) {
		t.Fatalf("fixed: %q", bad)
	}
	if out, err := w.env.Run(t.Context(), "controls.py", append([]string{"expect", w.env.EstateFile(), file, "--fixed"}, bad...)...); err != nil {
		t.Errorf("not as it should be: %v\n%s", err, out)
	}
	n.sweepAll(true)
	for _, name := range slices.Backward(bad) { // the account first
		undo, err := n.as("olga").Undo(t.Context(), fixes[name])
		if err != nil {
			t.Fatalf("undo %s: %v", name, err)
		}
		n.awaitState(undo, remediation.AwaitingApproval)
		n.grant(undo)
		n.awaitState(undo, remediation.Verified)
	}

	c.byHand(n, resources["prod/"+home+"/S3.2/bad"])
	c.guardDuty(n, "eu-west-1", "f1")
	c.strangers(n)
	c.refusals()
}

// byHand chooses the custom action for a finding that no rule acts on: its workflow is
// NOTIFIED. Another action's event asks for nothing.
func (c *connecting) byHand(n *node, r resource) {
	home, hub := c.w.env.Estate.Region, c.w.env.Estate.Security.Account
	f := r.asff(home)
	f["Workflow"] = document{"Status": "NOTIFIED"}
	detail := text(c.t, document{"actionName": "Remediate with Parry", "actionDescription": "d", "findings": []document{f}})
	action := "arn:aws:securityhub:" + home + ":" + hub + ":action/custom/"
	c.put(hub, home, "aws.securityhub", "Security Hub Findings - Custom Action", detail, action+"Another")
	c.put(hub, home, "aws.securityhub", "Security Hub Findings - Custom Action", detail, action+"ParryRemediate")
	waiting := n.awaitFor(r.finding(home), remediation.AwaitingApproval)
	n.grant(waiting.ID)
	n.awaitFor(r.finding(home), remediation.Verified)
}

// strangers: what another account announces by its own rules, and what a rule sends that
// the queue's policy does not name, does not come.
func (c *connecting) strangers(n *node) {
	e := c.w.env.Estate
	account, home := e.Members["prod"].Account, e.Region
	bus := "arn:aws:events:" + home + ":" + e.Security.Account + ":event-bus/parry"
	arn := "arn:aws:sqs:" + home + ":" + e.Security.Account + ":parry-findings"
	pattern := " --event-pattern '{\"source\":[\"aws.macie\"]}' && aws events put-targets --region " + home
	c.run(c.w.ownerOf(c.t, account), "aws events put-rule --region "+home+" --name rogue"+pattern+" --rule rogue --targets Id=1,Arn="+bus+",RoleArn=arn:aws:iam::"+account+":role/any")
	c.run(c.w.ownerOf(c.t, e.Security.Account), "aws events put-rule --region "+home+" --name rogue"+strings.ReplaceAll(pattern, "macie", "config")+" --rule rogue --targets Id=1,Arn="+arn)
	c.put(account, home, "aws.macie", "Macie Finding", "{}")
	c.put(e.Security.Account, home, "aws.config", "Config Rules Compliance Change", text(c.t, decode[document](c.t, []byte(evaluation(7, account, home)))["detail"]))
	c.guardDuty(n, home, "f2") // comes after them
	q := &queue{w: c.w, admin: c.w.securityAdmin(c.t), url: c.w.env.WallURL + "/" + e.Security.Account + "/parry-findings"}
	poll(c.t, patience, func() string { return "left in the queue: " + q.left(c.t) }, func(context.Context) bool { return q.left(c.t) == "0+0" })
	got, err := n.findings(c.t.Context(), account)
	if err != nil {
		c.t.Fatal(err)
	}
	for id := range got {
		if strings.Contains(id, "config-rule") {
			c.t.Errorf("%s came by a rule that the queue does not name", id)
		}
	}
	if page, err := n.as("olga").RejectedList(c.t.Context(), "parry-findings", client.Paging{}); err != nil || len(page.Items) > 0 {
		c.t.Errorf("kept aside: %+v %v", page.Items, err)
	}
}

// guardDuty announces a finding in the hub account, in any Region.
func (c *connecting) guardDuty(n *node, region, name string) {
	c.t.Helper()
	account := c.w.env.Estate.Members["dev"].Account
	arn := "arn:aws:guardduty:" + region + ":" + account + ":detector/d1/finding/" + name
	c.put(c.w.env.Estate.Security.Account, region, "aws.guardduty", "GuardDuty Finding", text(c.t, document{
		"schemaVersion": "2.0", "accountId": account, "region": region, "partition": "aws", "id": name, "arn": arn, "type": "Recon:EC2/PortProbeUnprotectedPort",
		"resource": document{"resourceType": "Instance", "instanceDetails": document{"instanceId": "i-0123456789abcdef0"}},
		"service":  document{"serviceName": "guardduty", "detectorId": "d1", "count": 1, "archived": false},
		"severity": 2, "title": "t", "description": "d", "createdAt": "2026-03-04T10:00:00Z", "updatedAt": "2026-03-04T10:00:00Z",
	}))
	poll(c.t, patience, func() string { return arn + " did not come" }, func(ctx context.Context) bool {
		got, err := n.findings(ctx, account)
		return err == nil && got[arn] == 1
	})
}

// refusals: nobody but Parry takes the role, and Parry not without saying for whom.
func (c *connecting) refusals() {
	e := c.w.env.Estate
	role := "arn:aws:iam::" + e.Members["dev"].Account + ":role/" + connectedRole
	ask := func(creds envtest.Creds, form url.Values, status int, code string) {
		c.t.Helper()
		form.Set("RoleArn", role)
		form.Set("RoleSessionName", "test")
		_, a := envtest.Assume(c.t, c.w.env, creds, form)
		a.Is(c.t, status, code)
	}
	parry := envtest.Of(e.Security.Hub)
	right := func() url.Values { return url.Values{"ExternalId": {e.ExternalID}, "SourceIdentity": {"alice"}} }
	with := func(key, value string) url.Values { f := right(); f.Set(key, value); return f }
	without := func(key string) url.Values { f := right(); f.Del(key); return f }
	ask(parry, right(), http.StatusOK, "")
	tagged := with("Tags.member.1.Key", "parry:plan")
	tagged.Set("Tags.member.1.Value", "1")
	ask(parry, tagged, http.StatusOK, "")
	for name, form := range map[string]url.Values{
		"another external id": with("ExternalId", "other"), "no external id": without("ExternalId"), "no source identity": without("SourceIdentity"),
	} {
		c.t.Log(name)
		ask(parry, form, http.StatusForbidden, "AccessDenied")
	}
	foreign := with("Tags.member.1.Key", "team")
	foreign.Set("Tags.member.1.Value", "admin")
	ask(parry, foreign, http.StatusForbidden, "AccessDenied")
	ask(c.w.ownerOf(c.t, e.Security.Account), right(), http.StatusForbidden, "AccessDenied")
	ask(envtest.Of(e.Members["dev"].Owner), right(), http.StatusForbidden, "AccessDenied")
}
