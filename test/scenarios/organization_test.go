package scenarios_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// pausing makes a change, waits for a person, and makes another.
const pausing = `
description: Encrypts new EBS volumes by default, and stops doing so when somebody says so.
schemaVersion: "0.3"
mainSteps:
  - {name: Enable, action: aws:executeAwsApi, inputs: {Service: ec2, Api: EnableEbsEncryptionByDefault}}
  - {name: Look, action: aws:pause, inputs: {}}
  - {name: Disable, action: aws:executeAwsApi, inputs: {Service: ec2, Api: DisableEbsEncryptionByDefault}}
`

// events is a webhook that keeps the events of accounts and coverage.
type events struct {
	mu  sync.Mutex
	all []string // detail type and account
}

func (e *events) count(kind, account string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, one := range e.all {
		if one == kind+" "+account {
			n++
		}
	}
	return n
}

// ServeHTTP takes what the channel posts.
func (e *events) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var body struct {
		Event struct {
			DetailType string `json:"detail-type"`
			Account    string `json:"account"`
		} `json:"event"`
	}
	if json.NewDecoder(r.Body).Decode(&body) == nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.all = append(e.all, body.Event.DetailType+" "+body.Event.Account)
	}
}

// live is an installation that follows the organization of the world.
type live struct {
	*node
	queue  *queue
	role   string
	events *events
	since  int64
}

func follows(t *testing.T, edits ...func(document)) *live {
	t.Helper()
	w := earth(t)
	l := &live{queue: w.queue(t, fmt.Sprintf("organization%d", w.buckets.Add(1))), role: fmt.Sprintf("Scenario%d", w.buckets.Add(1)), events: &events{}}
	hook := httptest.NewServer(l.events)
	t.Cleanup(hook.Close)
	l.node = w.install(t, append([]func(document){func(cfg document) {
		o := cfg["organization"].(document)
		delete(o, "accounts")
		o["sync"], o["member_role"] = document{"enabled": true}, l.role
		cfg["sources"] = document{"queues": []document{{
			"name": "trail", "url": l.queue.url, "region": w.env.Estate.Region, "accounts": []string{w.env.Estate.Management.Account}, "products": []string{"aws/securityhub"}, "events": true,
		}}}
		cfg["policies"] = []document{{"id": "people", "mode": "people", "quorum": 1, "expires": "24h"}}
		cfg["documents"] = []document{{"names": []string{"Pausing"}, "key_roles": []string{"operator"}}}
		cfg["channels"] = append(cfg["channels"].([]document), document{"name": "hook", "kind": "webhook", "url": hook.URL, "secret_env": "PARRY_HOOK_SECRET"})
		cfg["bus_rules"] = []document{{"name": "accounts", "channels": []string{"hook"}, "pattern": document{
			"source": []string{"parry"}, "detail-type": []document{{"prefix": "Parry Account "}, {"prefix": "Parry Coverage "}},
		}}}
	}}, edits...)...).with("PARRY_HOOK_SECRET=0123456789abcdef0123456789abcdef").serve(t)
	l.sync()
	return l
}

// with adds to the environment of the servers.
func (i *installation) with(environ ...string) *installation {
	i.environ = append(i.environ, environ...)
	return i
}

// sync reads the organization as an operator does.
func (l *live) sync(args ...string) string {
	l.t.Helper()
	out, err := l.parry(l.t, l.endpoint, append([]string{"org", "sync"}, args...)...)
	if err != nil && !isExit(err, 3) { // others' accounts do not have this test's role
		l.t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func isExit(err error, code int) bool {
	var e *exec.ExitError
	return errors.As(err, &e) && e.ExitCode() == code
}

// account gives one as the API shows it.
func (l *live) account(id string) api.OrgAccountDetail {
	l.t.Helper()
	a, err := l.as("olga").OrgAccount(l.t.Context(), id)
	if err != nil {
		l.t.Fatal(err)
	}
	return a
}

// until waits until an account is as wanted.
func (l *live) until(id, what string, ok func(api.OrgAccountDetail) bool) {
	l.t.Helper()
	var last api.OrgAccountDetail
	poll(l.t, patience, func() string { return fmt.Sprintf("account %s is not %s: %+v", id, what, last) }, func(ctx context.Context) bool {
		var err error
		last, err = l.as("olga").OrgAccount(ctx, id)
		return err == nil && ok(last)
	})
}

// heard waits for an event, and finds it there once.
func (l *live) heard(kind, account string) {
	l.t.Helper()
	poll(l.t, patience, func() string { return fmt.Sprintf("no event %q of %s among %v", kind, account, l.events.all) }, func(context.Context) bool {
		return l.events.count(kind, account) > 0
	})
	if n := l.events.count(kind, account); n != 1 {
		l.t.Errorf("%d events %q of %s", n, kind, account)
	}
}

// trail sends an event of CloudTrail as EventBridge would.
func (l *live) trail(name string) {
	l.t.Helper()
	e := l.w.env.Estate
	l.queue.send(l.t, text(l.t, document{
		"version": "0", "id": fmt.Sprintf("%s-%d", name, l.w.buckets.Add(1)), "detail-type": "AWS API Call via CloudTrail", "source": "aws.organizations", "account": e.Management.Account,
		"time": "2026-03-04T10:00:05Z", "region": "us-east-1", "resources": []string{},
		"detail": document{"eventVersion": "1.08", "eventSource": "organizations.amazonaws.com", "eventName": name, "readOnly": false, "eventID": fmt.Sprintf("%s-%d", name, l.w.buckets.Add(1)), "awsRegion": "us-east-1"},
	}))
}

// member asks Security Hub's API for an account: "" is none.
func (l *live) member(account, status string) {
	l.t.Helper()
	out := decode[struct {
		Members []struct{ MemberStatus string }
	}](l.t, l.aws("olga", "securityhub", "get-members", "--account-ids", account))
	got := ""
	for _, m := range out.Members {
		got = m.MemberStatus
	}
	if got != status {
		l.t.Errorf("member %s is %q, want %q", account, got, status)
	}
}

// TestAnAccountsLifeIsFollowed: it appears by an event, moves, is closed while a
// document runs in it, and leaves.
func TestAnAccountsLifeIsFollowed(t *testing.T) {
	t.Parallel()
	l := follows(t)
	w, root := l.w, l.w.env.Estate.Organization.Root
	name := fmt.Sprintf("life%d", w.buckets.Add(1))
	unit := w.unit(t, root, root, name)

	fresh := w.member(t, name)
	w.runner(t, fresh, l.role, encrypting...)
	l.trail("CreateAccountResult")
	l.until(fresh, "there", func(a api.OrgAccountDetail) bool { return a.State == "ACTIVE" && a.Coverage == "covered" })
	if a := l.account(fresh); a.Unit != "/" || a.Name != name || a.Listed || a.Joined.IsZero() {
		t.Errorf("%+v", a)
	}
	l.heard("Parry Account Joined", fresh)
	l.member(fresh, "Enabled")

	w.organizations(t, "TagResource", document{"ResourceId": fresh, "Tags": []document{{"Key": "Tier", "Value": "1"}}})
	w.organizations(t, "MoveAccount", document{"AccountId": fresh, "SourceParentId": root, "DestinationParentId": unit})
	l.sync()
	l.until(fresh, "moved and tagged", func(a api.OrgAccountDetail) bool { return a.Unit == name && a.Tags["Tier"] == "1" })
	l.heard("Parry Account Moved", fresh)

	// A document that a person lets run makes its first change, and waits.
	l.document("Pausing", pausing)
	l.since = w.now()
	execution := l.run("Pausing", fresh, document{})
	l.approved(execution)
	poll(t, patience, func() string { return fmt.Sprintf("%+v", l.shown(execution)) }, func(context.Context) bool {
		return slices.ContainsFunc(l.shown(execution).StepExecutions, func(s shownStep) bool { return s.StepName == "Look" && s.StepStatus == "Waiting" })
	})
	l.importAll([]document{{
		"SchemaVersion": "2018-10-08", "Id": "life-" + fresh, "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/securityhub", "GeneratorId": "security-control/EC2.7", "AwsAccountId": fresh,
		"CreatedAt": "2026-03-04T10:00:00Z", "UpdatedAt": "2026-03-04T10:00:00Z", "Title": "t", "Description": "d", "Severity": document{"Label": "LOW"}, "Types": []string{"Effects/Data Exposure"},
		"Resources": []document{{"Type": "AwsAccount", "Id": "AWS::::Account:" + fresh}}, "Compliance": document{"Status": "PASSED"},
	}})
	l.findings(fresh, 1)
	w.organizations(t, "CloseAccount", document{"AccountId": fresh})
	l.sync()
	l.findings(fresh, 1) // AWS shows an administrator those of a suspended account
	l.heard("Parry Account Suspended", fresh)
	l.heard("Parry Coverage Lost", fresh)
	l.member(fresh, "AccountSuspended")
	entered := w.now()
	l.automation("olga", "SendAutomationSignal", document{"AutomationExecutionId": execution, "SignalType": "Resume"})
	r := l.runBy(execution, ends...)
	if r.State != remediation.Failed {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
	says(t, "reason", r.Reason, "account "+fresh+" cannot be worked in", "SUSPENDED")
	for _, e := range w.env.Wall.Log() {
		if e.Seq > entered && e.Account == fresh && strings.HasPrefix(e.Session, "parry-") {
			t.Errorf("%s was called in an account that is closed, as %s", e.Operation, e.Session)
		}
	}
	// Nothing new is planned there.
	if _, err := l.ssm(t.Context(), "olga", "StartAutomationExecution", document{"DocumentName": "Pausing", "Tags": []document{{"Key": "parry:account", "Value": fresh}}}); err == nil {
		t.Error("a document was started in an account that is closed")
	}

	w.organizations(t, "RemoveAccountFromOrganization", document{"AccountId": fresh})
	l.sync()
	l.until(fresh, "gone", func(a api.OrgAccountDetail) bool {
		return a.State == "LEFT" && a.Coverage == "" && !a.LastSeen.IsZero()
	})
	l.heard("Parry Account Left", fresh)
	l.member(fresh, "")
	l.findings(fresh, 0)
	if list, err := l.parry(t, l.endpoint, "finding", "list", "--account", fresh, "-o", "json"); err != nil || !strings.Contains(string(list), "life-"+fresh) {
		t.Errorf("whoever asks Parry for the account sees what it left: %v %s", err, list)
	}
	out, err := l.parry(t, l.endpoint, "org", "show", fresh)
	if err != nil {
		t.Fatal(err)
	}
	says(t, "org show", string(out), "left the organization", "joined, in unit /", "moved: / -> "+name, "state: ACTIVE -> SUSPENDED")
	t.Logf("parry org show:\n%s", out)
}

// findings counts what Security Hub's API has of an account.
func (l *live) findings(account string, want int) {
	l.t.Helper()
	out := decode[struct{ Findings []document }](l.t, l.aws("olga", "securityhub", "get-findings", "--filters", text(l.t, document{"AwsAccountId": []document{{"Value": account, "Comparison": "EQUALS"}}})))
	if len(out.Findings) != want {
		l.t.Errorf("%d findings of account %s, want %d", len(out.Findings), account, want)
	}
}

// TestARoleThatIsGoneIsLostCoverage: it is shown, told of once, and makes the command
// fail; until it is there again.
func TestARoleThatIsGoneIsLostCoverage(t *testing.T) {
	t.Parallel()
	l := follows(t)
	w := l.w
	account := w.member(t, fmt.Sprintf("reach%d", w.buckets.Add(1)))
	w.runner(t, account, l.role, encrypting...)
	l.sync()
	l.until(account, "covered", func(a api.OrgAccountDetail) bool { return a.Coverage == "covered" })
	if out, err := l.parry(t, l.endpoint, "org", "coverage", "--account", account); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	w.iam(t, account, url.Values{"Action": {"DeleteRolePolicy"}, "RoleName": {l.role}, "PolicyName": {"runner"}})
	w.iam(t, account, url.Values{"Action": {"DeleteRole"}, "RoleName": {l.role}})
	l.sync()
	l.sync()
	l.heard("Parry Coverage Lost", account)
	out, err := l.parry(t, l.endpoint, "org", "coverage", "--account", account)
	if !isExit(err, 3) {
		t.Errorf("org coverage: %v", err)
	}
	says(t, "org coverage", string(out), "lost", "the role is missing or does not trust Parry", "StackSet")
	t.Logf("parry org coverage:\n%s", out)
	w.runner(t, account, l.role, encrypting...)
	l.sync()
	l.heard("Parry Coverage Restored", account)
}

// TestARegionThatIsOff is shown as off in every place, is not swept, and is covered when
// the account turns it on. The role of an account that was made before may not ask.
func TestARegionThatIsOff(t *testing.T) {
	t.Parallel()
	const optIn = "eu-south-1"
	l := follows(t, func(cfg document) {
		cfg["organization"].(document)["coverage"] = document{"regions": []string{"us-east-1", optIn}}
	})
	w := l.w
	account, older := w.member(t, fmt.Sprintf("off%d", w.buckets.Add(1))), w.member(t, fmt.Sprintf("older%d", w.buckets.Add(1)))
	asking := append([]string{"ec2:DescribeRegions"}, encrypting...)
	w.runner(t, account, l.role, asking...)
	w.runner(t, older, l.role, encrypting...)
	since := w.now()
	l.sync()
	l.coverage(account, "covered", "us-east-1 covered ok", optIn+" off region_off")
	l.coverage(older, "degraded", "us-east-1 covered ok", optIn+" degraded regions")
	for _, e := range w.env.Wall.Log() {
		if e.Seq > since && e.Account == account && e.Region == optIn {
			t.Errorf("%s:%s was called in a Region that is off", e.Service, e.Operation)
		}
	}
	out, err := l.parry(t, l.endpoint, "org", "coverage", "--account", account)
	if err != nil {
		t.Errorf("a Region that is off is nothing to mend: %v", err)
	}
	says(t, "org coverage", string(out), optIn, "off", "the Region is turned off in the account")
	out, err = l.parry(t, l.endpoint, "org", "show", account)
	if err != nil {
		t.Error(err)
	}
	says(t, "org show", string(out), "off since", "covered since")
	calls, err := l.parry(t, l.endpoint, "org", "coverage", "--account", older)
	if err != nil {
		t.Error(err)
	}
	says(t, "org coverage", string(calls), "ec2:DescribeRegions", "write its template anew")

	doctor, err := l.doctor()
	t.Logf("parry doctor: %v\n%s", err, doctor)
	says(t, "doctor", string(doctor), `"regions"`, optIn+" is off in 1 of 2 accounts", "not every account says which of its Regions are on", "ec2:DescribeRegions")

	// What it is swept for is looked at where it can be.
	swept := l.swept("EC2.7", account)
	if swept.Sum.Off != 1 || swept.Sum.Places != 2 || swept.Sum.Unreachable != 0 || swept.Sum.Checked != 1 {
		t.Errorf("%+v", swept.Sum)
	}
	turn := func(operation string) {
		creds, a := envtest.Assume(t, w.env, envtest.Of(w.env.Estate.Management.Administrator), url.Values{
			"RoleArn": {"arn:aws:iam::" + account + ":role/OrganizationAccountAccessRole"}, "RoleSessionName": {"scenario"},
		})
		a.Is(t, http.StatusOK, "")
		envtest.Call(t, w.env, creds, "account", http.MethodPost, "/"+operation, text(t, document{"RegionName": optIn})).Is(t, http.StatusOK, "")
	}
	turn("enableRegion")
	l.sync()
	l.coverage(account, "covered", "us-east-1 covered ok", optIn+" covered ok")
	if swept := l.swept("EC2.7", account); swept.Sum.Off != 0 || swept.Sum.Checked != 2 {
		t.Errorf("%+v", swept.Sum)
	}
	turn("disableRegion")
	l.sync()
	l.coverage(account, "covered", "us-east-1 covered ok", optIn+" off region_off")
	if n := l.events.count("Parry Coverage Lost", account); n != 0 {
		t.Errorf("a Region that was turned off was told of as lost %d times", n)
	}
	// Without its role nothing is known any more: that is lost coverage.
	w.iam(t, account, url.Values{"Action": {"DeleteRolePolicy"}, "RoleName": {l.role}, "PolicyName": {"runner"}})
	w.iam(t, account, url.Values{"Action": {"DeleteRole"}, "RoleName": {l.role}})
	l.sync()
	l.coverage(account, "lost", "us-east-1 lost role", optIn+" lost role")
	l.heard("Parry Coverage Lost", account)
}

// coverage finds an account's coverage as wanted, in all and by region.
func (l *live) coverage(account, worst string, regions ...string) {
	l.t.Helper()
	a := l.account(account)
	var got []string
	for _, r := range a.Regions {
		got = append(got, fmt.Sprintf("%s %s %s", r.Region, r.State, r.Reason))
	}
	slices.Sort(got)
	slices.Sort(regions)
	if string(a.Coverage) != worst || !slices.Equal(got, regions) {
		l.t.Errorf("account %s is %s, %q; want %s, %q", account, a.Coverage, got, worst, regions)
	}
}

// swept sweeps an account for a control.
func (l *live) swept(control, account string) struct{ Sum api.SweepEnd } {
	l.t.Helper()
	out, err := l.parry(l.t, l.endpoint, "sweep", control, "--account", account, "-o", "json")
	if err != nil && !isExit(err, 3) {
		l.t.Fatalf("%v: %s", err, out)
	}
	return decode[struct{ Sum api.SweepEnd }](l.t, out)
}

// TestTheServerIsKilledWhileItReads: what it knew holds at once when it comes back,
// and what happened is told once.
func TestTheServerIsKilledWhileItReads(t *testing.T) {
	t.Parallel()
	for name, kills := range map[string]int{"sqlite": 6, "postgres": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var edits []func(document)
			if name == "postgres" { // where the next process waits for the lease of the dead one
				edits = append(edits, earth(t).onPostgres(t))
			}
			l := follows(t, edits...)
			root := l.w.env.Estate.Organization.Root
			joined := []string{}
			for i := range kills {
				account := l.w.member(t, fmt.Sprintf("kill-%s-%d", name, l.w.buckets.Add(1)))
				joined = append(joined, account)
				if _, err := l.as("olga").SyncOrganization(t.Context(), false); err != nil {
					t.Fatal(err)
				}
				// At another of the calls each time, from the first on.
				from, seen := l.w.now(), 0
				poll(t, patience, func() string { return "it does not read" }, func(context.Context) bool {
					seen = 0
					for _, e := range l.w.env.Wall.Log() {
						if e.Seq > from && e.Service == "organizations" && e.Account == l.w.env.Estate.Security.Account {
							seen++
						}
					}
					return seen > i*2
				})
				l.kill()
				l.start()
				// What an earlier reading took over is there before anything is read.
				page, err := l.as("olga").OrgAccounts(t.Context(), "", "", client.Paging{Limit: 200})
				if err != nil || len(page.Items) == 0 {
					t.Errorf("after the start: %d accounts, %v", len(page.Items), err)
				}
			}
			l.sync()
			for _, account := range joined {
				l.until(account, "there", func(a api.OrgAccountDetail) bool {
					return a.State == "ACTIVE" && len(a.UnitIDs) == 1 && a.UnitIDs[0] == root
				})
				l.heard("Parry Account Joined", account)
			}
		})
	}
}

// TestOneAccountsKeySeesOneAccount: of a live organization.
func TestOneAccountsKeySeesOneAccount(t *testing.T) {
	t.Parallel()
	l := follows(t)
	dev, prod := l.w.env.Estate.Members["dev"].Account, l.w.env.Estate.Members["prod"].Account
	out, err := l.parry(t, "", "key", "create", "narrow", "-o", "json", "--role", "operator,admin", "--account", dev)
	if err != nil {
		t.Fatal(err)
	}
	l.keys["narrow"] = decode[key](t, out)
	c := l.as("narrow")
	page, err := c.OrgAccounts(t.Context(), "", "", client.Paging{Limit: 200})
	if err != nil || len(page.Items) != 1 || page.Items[0].ID != dev || page.Items[0].Unit != "dev" {
		t.Errorf("%+v %v", page, err)
	}
	if _, err := c.OrgAccount(t.Context(), prod); err == nil {
		t.Error("prod is shown")
	}
	if _, err := c.SyncOrganization(t.Context(), false); err == nil {
		t.Error("a key of one account had the organization read")
	}
	cover, err := c.Coverage(t.Context(), client.CoverageFilter{}, client.Paging{Limit: 200})
	if err != nil || len(cover.Items) != 1 || cover.Items[0].Account != dev {
		t.Errorf("%+v %v", cover, err)
	}
	list, err := l.parry(t, l.endpoint, "org", "list")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("parry org list:\n%s", list)
	says(t, "org list", string(list), dev, prod, "ACTIVE", l.w.env.Estate.Management.Account)
	doctor, err := l.doctor()
	t.Logf("parry doctor: %v\n%s", err, doctor)
	says(t, "doctor", string(doctor), "organization", l.w.env.Estate.Organization.ID+" can be read as Parry's own principal", "queue trail", "its policy lets no rule send to it")
	// Who may send is read from the queue itself.
	l.queue.call(t, "SetQueueAttributes", document{"QueueUrl": l.queue.url, "Attributes": document{"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sqs:SendMessage","Resource":"*"}]}`}})
	doctor, err = l.doctor()
	if !isExit(err, 3) {
		t.Errorf("doctor with an open queue: %v", err)
	}
	says(t, "doctor", string(doctor), "anybody may send", `aws:SourceArn`)
}

// doctor runs parry doctor with the server's own AWS credentials.
func (l *live) doctor() ([]byte, error) {
	cmd := exec.CommandContext(l.t.Context(), l.program, "doctor", "--config", l.config, "-o", "json")
	cmd.Dir, cmd.Env = l.dir, l.w.env.Environ(l.w.env.Estate.Security.Hub)
	return cmd.Output()
}
