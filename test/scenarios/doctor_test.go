package scenarios_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// checkup is one line of parry doctor.
type checkup struct{ Check, Status, Detail, Next string }

// doctor runs parry doctor as the hub's user.
func (i *installation) doctor(t *testing.T) (map[string]checkup, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), i.program, "doctor", "-o", "json", "--config", i.config)
	cmd.Dir, cmd.Env = i.dir, append(i.w.env.Environ(i.w.env.Estate.Security.Hub), "PARRY_PYTHON="+os.Getenv("PARRY_PYTHON"))
	out, err := cmd.Output()
	code := 0
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		code = ended.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	lines := map[string]checkup{}
	for _, c := range decode[struct{ Checks []checkup }](t, out).Checks {
		if c.Status != "ok" && c.Next == "" {
			t.Errorf("%+v does not say what to do", c)
		}
		lines[c.Check] = c
	}
	return lines, code
}

func (c checkup) is(t *testing.T, status, detail, next string) {
	t.Helper()
	if c.Status != status || !strings.Contains(c.Detail, detail) || !strings.Contains(c.Next, next) {
		t.Errorf("want %s, %q, %q: %+v", status, detail, next, c)
	}
}

// TestDoctorFindsWhatIsWrong asks doctor on a whole installation, and then takes from it
// one thing after another.
func TestDoctorFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := earth(t)
	region, hub := w.env.Estate.Region, w.env.Estate.Security.Hub.ARN
	dead, q := w.queue(t, "doctor-dead"), w.queue(t, "doctor")
	arn := func(name string) string {
		return "arn:aws:sqs:" + region + ":" + w.env.Estate.Security.Account + ":" + name
	}
	rule := "arn:aws:events:" + region + ":" + w.env.Estate.Security.Account + ":rule/parry"
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":%q,"Condition":{"ArnEquals":{"aws:SourceArn":%q}}}]}`, arn("doctor"), rule)
	set := func(attributes document) {
		t.Helper()
		q.call(t, "SetQueueAttributes", document{"QueueUrl": q.url, "Attributes": attributes})
	}
	set(document{"Policy": policy, "RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":10}`, arn("doctor-dead"))})
	queues := []document{{"name": "events", "url": q.url, "region": region, "accounts": []string{"*"}, "products": []string{"*"}, "rules": []string{rule}}}
	n := w.install(t, func(cfg document) { cfg["sources"] = document{"queues": queues} })

	whole, _ := n.doctor(t)
	for _, name := range []string{"configuration", "python", "data directory", "data lock", "disk", "database", "AWS credentials", "organization", "member roles", "queue events", "mail mail"} {
		whole[name].is(t, "ok", "", "")
	}
	whole["member roles"].is(t, "ok", "in 2 of 2 accounts", "")
	whole["queue events"].is(t, "ok", "admits the named rules alone; it can be read", "")
	if !strings.Contains(whole["clock"].Detail, "in step with AWS") {
		t.Errorf("clock %+v", whole["clock"])
	}

	// Roles whose trust lacks one thing each, in dev; prod has none by these names.
	dev := w.env.Estate.Members["dev"].Account
	for name, x := range map[string]struct{ actions, condition, status, detail, next string }{
		"DoctorNoTags":   {`"sts:AssumeRole","sts:SetSourceIdentity"`, `,"Condition":{"StringEquals":{"sts:ExternalId":"` + w.env.Estate.ExternalID + `"}}`, "failing", "sts:TagSession", "session_tags"},
		"DoctorNoSource": {`"sts:AssumeRole","sts:TagSession"`, "", "failing", "sts:SetSourceIdentity", "allow sts:SetSourceIdentity"},
		"DoctorOpen":     {`"sts:AssumeRole","sts:SetSourceIdentity","sts:TagSession"`, "", "warning", "without the external id", "sts:ExternalId"},
	} {
		trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":[%s]%s}]}`, hub, x.actions, x.condition)
		w.iam(t, dev, url.Values{"Action": {"CreateRole"}, "RoleName": {name}, "AssumeRolePolicyDocument": {trust}})
		w.hubMay(t, q.admin, name, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:SetSourceIdentity","sts:TagSession"],"Resource":"arn:aws:iam::*:role/`+name+`"}]}`)
		other := w.install(t, func(cfg document) { cfg["organization"].(document)["member_role"] = name })
		lines, code := other.doctor(t)
		lines["role in "+dev].is(t, x.status, x.detail, x.next)
		prod := lines["role in "+w.env.Estate.Members["prod"].Account]
		if prod.is(t, "failing", "sts:AssumeRole", "make role "+name); code != 3 {
			t.Errorf("%s: exit %d", name, code)
		}
	}

	// A queue that anybody may send to, one without dead letters, one that is not there.
	set(document{"RedrivePolicy": ""})
	lines, _ := n.doctor(t)
	lines["queue events"].is(t, "warning", "no dead-letter queue", "RedrivePolicy")
	set(document{"Policy": strings.Replace(policy, `{"Service":"events.amazonaws.com"}`, `"*"`, 1)})
	n.edit(t, func(cfg document) {
		cfg["channels"].([]document)[0]["smtp"] = "127.0.0.1:1"
		cfg["sources"] = document{
			"queues": append(queues, document{"name": "gone", "url": strings.Replace(dead.url, "doctor-dead", "doctor-gone", 1), "region": region, "accounts": []string{"*"}, "products": []string{"*"}}),
			"hubs":   []document{{"name": "aws", "region": "ap-southeast-2", "accounts": []string{"*"}, "products": []string{"aws/securityhub"}}},
		}
	})
	lines, code := n.doctor(t)
	lines["mail mail"].is(t, "failing", "refused", "smtp of the channel")
	lines["hub aws"].is(t, "failing", "", "") // others in this world may give the hub's user the right to ask
	if lines["queue events"].Status == "ok" || code != 3 {
		t.Errorf("exit %d, queue %+v", code, lines["queue events"])
	}
	lines["queue gone"].is(t, "warning", "not authorized", "sqs:GetQueueAttributes")
	w.hubMay(t, q.admin, "doctor-gone", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sqs:GetQueueAttributes","securityhub:GetFindings"],"Resource":"*"}]}`)
	lines, _ = n.doctor(t)
	lines["queue gone"].is(t, "failing", "there is no queue", "sources.queues")
	lines["hub aws"].is(t, "failing", "Security Hub is not on", "turn Security Hub on")

	// A server runs: its lock, its database.
	running := w.install(t).serve(t)
	lines, _ = running.doctor(t)
	lines["data lock"].is(t, "ok", "a server uses", "")
	lines["database"].is(t, "ok", "schema findings", "")
}

// edit writes the configuration anew.
func (i *installation) edit(t *testing.T, change func(document)) {
	t.Helper()
	cfg := i.w.configuration()
	change(cfg)
	i.write(t, cfg)
}
