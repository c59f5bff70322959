package scenarios_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// queue is one of the hub account, made for a test.
type queue struct {
	w     *world
	admin envtest.Creds
	url   string
}

// securityAdmin enters the hub account as its owner does.
func (w *world) securityAdmin(t *testing.T) envtest.Creds {
	t.Helper()
	creds, a := envtest.Assume(t, w.env, envtest.Of(w.env.Estate.Management.Administrator), url.Values{
		"RoleArn": {"arn:aws:iam::" + w.env.Estate.Security.Account + ":role/OrganizationAccountAccessRole"}, "RoleSessionName": {"owner"},
	})
	a.Is(t, http.StatusOK, "")
	return creds
}

// queue makes a queue that Parry's user may collect from.
func (w *world) queue(t *testing.T, name string) *queue {
	t.Helper()
	q := &queue{w: w, admin: w.securityAdmin(t)}
	q.url, _ = q.call(t, "CreateQueue", document{"QueueName": name})["QueueUrl"].(string)
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:ChangeMessageVisibility","sqs:GetQueueAttributes"],"Resource":"arn:aws:sqs:%s:%s:%s"}]}`,
		w.env.Estate.Region, w.env.Estate.Security.Account, name)
	w.hubMay(t, q.admin, name, policy)
	return q
}

// hubMay gives Parry's user another policy.
func (w *world) hubMay(t *testing.T, admin envtest.Creds, name, policy string) {
	t.Helper()
	_, user, _ := strings.Cut(w.env.Estate.Security.Hub.ARN, ":user/")
	form := url.Values{"Action": {"PutUserPolicy"}, "Version": {"2010-05-08"}, "UserName": {user}, "PolicyName": {name}, "PolicyDocument": {policy}}
	a := envtest.Call(t, w.env, admin, "iam", http.MethodPost, "/", form.Encode())
	a.Is(t, http.StatusOK, "")
}

func (q *queue) call(t *testing.T, operation string, in document) document {
	t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	a := envtest.Call(t, q.w.env, q.admin, "sqs", http.MethodPost, "/", string(raw), "X-Amz-Target", "AmazonSQS."+operation, "Content-Type", "application/x-amz-json-1.0")
	if a.Err != nil || a.Status != http.StatusOK {
		t.Fatalf("%s: %d %s %v", operation, a.Status, a.Body, a.Err)
	}
	if a.Body == "" {
		return document{}
	}
	return decode[document](t, []byte(a.Body))
}

func (q *queue) send(t *testing.T, bodies ...string) {
	t.Helper()
	for len(bodies) > 0 {
		n := min(10, len(bodies))
		var entries []document
		for i, b := range bodies[:n] {
			entries = append(entries, document{"Id": fmt.Sprint(i), "MessageBody": b})
		}
		q.call(t, "SendMessageBatch", document{"QueueUrl": q.url, "Entries": entries})
		bodies = bodies[n:]
	}
}

// left counts the messages of the queue, hidden ones too.
func (q *queue) left(t *testing.T) string {
	t.Helper()
	out := q.call(t, "GetQueueAttributes", document{"QueueUrl": q.url, "AttributeNames": []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"}})
	a, _ := out["Attributes"].(map[string]any)
	return fmt.Sprintf("%v+%v", a["ApproximateNumberOfMessages"], a["ApproximateNumberOfMessagesNotVisible"])
}

// evaluation is an event of AWS Config about the i-th bucket of account.
func evaluation(i int, account, region string) string {
	return fmt.Sprintf(`{"version":"0","id":"e-%[1]d-%[2]s","detail-type":"Config Rules Compliance Change","source":"aws.config","account":"%[2]s","time":"2026-03-04T10:00:05Z","region":"%[3]s","resources":[],
	"detail":{"resourceId":"bucket-%[1]d","awsRegion":"%[3]s","awsAccountId":"%[2]s","configRuleName":"public-read","configRuleARN":"arn:aws:config:%[3]s:%[2]s:config-rule/config-rule-1","messageType":"ComplianceChangeNotification","resourceType":"AWS::S3::Bucket",
	"newEvaluationResult":{"complianceType":"NON_COMPLIANT","resultRecordedTime":"2026-03-04T10:00:01.123Z"},"oldEvaluationResult":null}}`, i, account, region)
}

// withQueue configures q as a source of Config's findings for account.
func withQueue(q *queue, account string) func(document) {
	return func(cfg document) {
		cfg["sources"] = document{"queues": []document{{
			"name": "config", "url": q.url, "region": q.w.env.Estate.Region, "accounts": []string{account}, "products": []string{"aws/config"}, "events": true,
		}}}
	}
}

// all lists every finding of an account.
func (n *node) findings(ctx context.Context, account string) (map[string]int, error) {
	got := map[string]int{}
	cursor := ""
	for {
		page, err := n.as("olga").Findings(ctx, client.FindingFilter{Account: account}, client.Paging{Limit: 200, Cursor: cursor})
		if err != nil {
			return nil, err
		}
		for _, f := range page.Items {
			got[f.ID]++
		}
		if cursor = page.Next; cursor == "" {
			return got, nil
		}
	}
}

// TestKillsUnderCollectionLoseNothing: a server that is killed again and again
// while it collects from a queue ends with every finding there once, everything
// else kept aside with its reason, and the queue empty.
func TestKillsUnderCollectionLoseNothing(t *testing.T) {
	t.Parallel()
	w := earth(t)
	for name, edits := range map[string]func(t *testing.T) []func(document){
		"SQLite":     func(*testing.T) []func(document) { return nil },
		"PostgreSQL": func(t *testing.T) []func(document) { return []func(document){w.onPostgres(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := w.queue(t, "findings-"+strings.ToLower(name))
			account := w.env.Estate.Members["dev"].Account
			n := w.install(t, append(edits(t), withQueue(q, account))...).serve(t)
			killsUnderCollection(t, q, n, account)
		})
	}
}

func killsUnderCollection(t *testing.T, q *queue, n *node, account string) {
	t.Helper()
	const kills, perKill = 8, 60
	region, foreign := q.w.env.Estate.Region, q.w.env.Estate.Members["prod"].Account
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a repeatable order of kills
	sent := 0
	for range kills {
		var bodies []string
		for range perKill {
			bodies = append(bodies, evaluation(sent, account, region))
			sent++
		}
		q.send(t, append(bodies, bodies[0])...) // EventBridge may send one twice
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
		n.kill()
		n.start()
	}
	q.send(t, "no event at all", evaluation(1, foreign, region), `{"a":1}`)
	// What a killed server had received is hidden for a minute.
	poll(t, 3*patience, func() string { return "left in the queue: " + q.left(t) }, func(context.Context) bool { return q.left(t) == "0+0" })
	var got map[string]int
	poll(t, patience, func() string { return fmt.Sprintf("%d of %d findings", len(got), sent) }, func(ctx context.Context) bool {
		var err error
		got, err = n.findings(ctx, account)
		return err == nil && len(got) == sent
	})
	for id, times := range got {
		if times != 1 {
			t.Errorf("%s is there %d times", id, times)
		}
	}
	if others, err := n.findings(t.Context(), foreign); err != nil || len(others) != 0 {
		t.Errorf("%d findings of an account that the queue may not speak for, %v", len(others), err)
	}
	n.createdOnce(t, account)
	n.keptAside(t, foreign)
}

// createdOnce looks at the history of some findings: a message that came twice
// left no trace the second time.
func (n *node) createdOnce(t *testing.T, account string) {
	t.Helper()
	page, err := n.as("olga").Findings(t.Context(), client.FindingFilter{Account: account}, client.Paging{Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range page.Items {
		h, err := n.as("olga").FindingHistory(t.Context(), finding.ID{ProductArn: f.ProductArn, Id: f.ID}, client.Paging{})
		if err != nil || len(h.Items) != 1 || !h.Items[0].Created || h.Items[0].Identity != "config" {
			t.Errorf("%s: history %+v %v", f.ID, h.Items, err)
		}
		if f.Trusted || f.Source != "config" {
			t.Errorf("%s: source %s, trusted %v", f.ID, f.Source, f.Trusted)
		}
	}
}

// keptAside: the three bad messages wait with their reasons; one is sent in again
// in vain, then dropped.
func (n *node) keptAside(t *testing.T, foreign string) {
	t.Helper()
	c := n.as("olga")
	page, err := c.RejectedList(t.Context(), "config", client.Paging{})
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]api.Rejected{}
	for _, r := range page.Items {
		reasons[r.Code+": "+r.Reason] = r
	}
	for _, want := range []string{"not a JSON object", `the envelope's "id" is missing`, "may not report findings for account " + foreign} {
		found := false
		for reason := range reasons {
			found = found || strings.Contains(reason, want)
		}
		if !found {
			t.Errorf("no rejected message says %q: %v", want, reasons)
		}
	}
	if len(page.Items) != 3 {
		t.Errorf("%d rejected messages", len(page.Items))
	}
	for _, r := range page.Items {
		out, err := n.parry(t, n.endpoint, "source", "retry", r.ID)
		if err == nil {
			t.Errorf("%s was accepted: %s", r.ID, out)
		}
		if out, err := n.parry(t, n.endpoint, "source", "drop", r.ID); err != nil {
			t.Errorf("%s %v", out, err)
		}
	}
	if page, err := c.RejectedList(t.Context(), "", client.Paging{}); err != nil || len(page.Items) != 0 {
		t.Errorf("%d left, %v", len(page.Items), err)
	}
}
