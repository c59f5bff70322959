package scenarios_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// crashDocument is one of those that are killed everywhere.
type crashDocument struct {
	name       string   // of the file
	parameters []string // that it takes, of those that every run has
	open       string   // why its plan is open; "" = it is not
	// atOnce are the labels of its children, those that run at the same time together.
	atOnce [][]string
	rests  time.Duration // how long it rests between its two changes, parked; 0 = it does not
}

var crashDocuments = []crashDocument{
	{name: "steps", parameters: []string{"QueueUrl"}},
	{name: "script", parameters: []string{"QueueUrl"}},
	{name: "loop", parameters: []string{"QueueUrl"}},
	{name: "child", parameters: []string{"QueueUrl"}},
	{name: "fan", parameters: []string{"QueueUrl", "OtherUrl"}},
	{name: "open", parameters: []string{"QueueUrl", "Zone", "Name"}, open: "Decide"},
	{name: "people", parameters: []string{"QueueUrl"}},
	{name: "mend", parameters: []string{"QueueUrl"}},
	{name: "state", parameters: []string{"InstanceId", "QueueUrl"}},
	{name: "rounds", parameters: []string{"QueueUrl"}},
	{
		name: "wide", parameters: []string{"UrlA", "UrlB", "UrlC", "UrlD", "UrlE", "UrlF"},
		// One, then two, and three once three have ended: D begins when B ends, E and F when C does.
		atOnce: [][]string{fanned("UrlA"), fanned("UrlB", "UrlC"), fanned("UrlD", "UrlE", "UrlF")},
	},
	{name: "rest", parameters: []string{"QueueUrl"}, rests: 5 * time.Second},
}

// crashLeaves are the documents that only others start.
var crashLeaves = []string{"leaf", "twig"}

// crashRun is one run of one of them, on queues, or an instance, of its own.
type crashRun struct {
	doc         crashDocument
	target      place // where it is killed; the zero place = it is not
	pace        pace
	resources   map[string]string
	execution   string
	remediation remediation.ID
	told        map[string]bool // what people have said

	order

	ended    bool
	plan     remediation.Plan
	shown    map[string]any            // the AutomationExecution
	children map[string]map[string]any // those of its children, by target
	calls    []awswall.Entry
	after    map[string]any // what is in AWS at the end
}

func (r *crashRun) String() string {
	if r.target == (place{}) {
		return r.doc.name + " undisturbed"
	}
	return fmt.Sprintf("%s at %s (pace %d)", r.doc.name, r.target, r.pace)
}

// crashWorld is an installation whose server is held where the gate says, and the
// account in which its documents act.
type crashWorld struct {
	*node
	gate  *crashGate
	admin envtest.Creds
	made  int
	name  string
}

var crashProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	w, err := shared()
	if err != nil {
		return "", err
	}
	program := filepath.Join(w.dir, "parry-crashtest")
	build := exec.Command("go", "build", "-tags", "crashtest", "-o", program, "./cmd/parry") //nolint:noctx // the test's own time limit ends it
	build.Dir = filepath.Join(dir, "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build parry: %w\n%s", err, out)
	}
	return program, nil
})

var crashSetup sync.Once

// crashing starts the world of a test.
func crashing(t *testing.T, name string, edits ...func(document)) *crashWorld {
	t.Helper()
	w := earth(t)
	program, err := crashProgram()
	if err != nil {
		t.Fatal(err)
	}
	gate := newCrashGate(t)
	edits = append(edits, func(cfg document) {
		cfg["scripts"] = document{"python": w.env.Python, "concurrency": 24}
		cfg["policies"] = []document{{"id": "documents", "documents": []string{"Crash-*"}, "mode": "automatic"}}
		cfg["bus_rules"], cfg["channels"] = nil, nil
		cfg["guards"] = document{"budgets": document{"per_account_hour": 100000, "per_hour": 100000}}
	})
	i := w.install(t, edits...)
	i.program, i.environ = program, []string{"PARRY_CRASH_SOCKET=" + gate.path, "PARRY_CRASH_INLINE=2s"}
	c := &crashWorld{node: i.serve(t), gate: gate, name: name}
	c.admin = c.administrator(t)
	crashSetup.Do(func() { c.allow(t) })
	c.create(t)
	return c
}

// administrator enters the member account as its owner does.
func (c *crashWorld) administrator(t *testing.T) envtest.Creds {
	t.Helper()
	creds, a := envtest.Assume(t, c.w.env, envtest.Of(c.w.env.Estate.Management.Administrator), url.Values{
		"RoleArn": {"arn:aws:iam::" + c.account() + ":role/OrganizationAccountAccessRole"}, "RoleSessionName": {"crash"},
	})
	a.Is(t, http.StatusOK, "")
	return creds
}

func (c *crashWorld) account() string { return c.w.env.Estate.Members["dev"].Account }

// allow lets Parry's role do in the member what the documents need.
func (c *crashWorld) allow(t *testing.T) {
	t.Helper()
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sqs:*","ec2:*"],"Resource":"*"}]}`
	c.query(t, "iam", "2010-05-08", "PutRolePolicy", "RoleName", c.w.env.Estate.MemberRole, "PolicyName", "crash", "PolicyDocument", policy)
}

// query makes a call of the query protocol as the member's administrator.
func (c *crashWorld) query(t *testing.T, service, version, action string, pairs ...string) string {
	t.Helper()
	form := url.Values{"Action": {action}, "Version": {version}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	a := envtest.Call(t, c.w.env, c.admin, service, http.MethodPost, "/", form.Encode())
	if a.Err != nil || a.Status != http.StatusOK {
		t.Fatalf("%s: %d %s %v", action, a.Status, a.Body, a.Err)
	}
	return a.Body
}

// sqs makes a call of SQS as the member's administrator.
func (c *crashWorld) sqs(t *testing.T, operation string, in map[string]any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	a := envtest.Call(t, c.w.env, c.admin, "sqs", http.MethodPost, "/", string(raw), "X-Amz-Target", "AmazonSQS."+operation, "Content-Type", "application/x-amz-json-1.0")
	if a.Err != nil || a.Status != http.StatusOK {
		t.Fatalf("%s: %d %s %v", operation, a.Status, a.Body, a.Err)
	}
	out := map[string]any{}
	if a.Body != "" {
		out = decode[map[string]any](t, []byte(a.Body))
	}
	return out
}

// create puts the documents in.
func (c *crashWorld) create(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "runbooks", "*.yaml"))
	if err != nil || len(files) != len(crashDocuments)+len(crashLeaves) {
		t.Fatalf("%d documents (%v)", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.ssm(t.Context(), "olga", "CreateDocument", document{
			"Name": "Crash-" + strings.TrimSuffix(filepath.Base(file), ".yaml"), "DocumentType": "Automation", "DocumentFormat": "YAML", "Content": string(text),
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// run makes what a run needs, and starts it.
func (c *crashWorld) run(t *testing.T, g target) *crashRun {
	t.Helper()
	c.made++
	doc := g.doc
	r := &crashRun{doc: doc, target: g.at, pace: g.pace, order: newOrder(), told: map[string]bool{}, resources: map[string]string{
		"Name": fmt.Sprintf("%s-%s-%d", c.name, doc.name, c.made), "Zone": c.w.env.Estate.Region + "a",
	}}
	given := document{}
	for _, p := range doc.parameters {
		switch {
		case strings.Contains(p, "Url"):
			r.resources[p], _ = c.sqs(t, "CreateQueue", document{"QueueName": r.resources["Name"] + "-" + p})["QueueUrl"].(string)
		case p == "InstanceId":
			body := c.query(t, "ec2", "2016-11-15", "RunInstances", "ImageId", "ami-12c6146b", "MinCount", "1", "MaxCount", "1", "InstanceType", "t3.micro")
			if m := instanceID.FindStringSubmatch(body); m != nil {
				r.resources[p] = m[1]
			}
		}
		given[p] = []string{r.resources[p]}
	}
	out, err := c.ssm(t.Context(), "olga", "StartAutomationExecution", document{
		"DocumentName": "Crash-" + doc.name, "Parameters": given, "Tags": []document{{"Key": "parry:account", "Value": c.account()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.execution, _ = out["AutomationExecutionId"].(string)
	c.gate.add(r)
	return r
}

var instanceID = regexp.MustCompile(`<instanceId>(i-[0-9a-f]{8,17})<`)

// ssm makes a call of Parry's Systems Manager as a person.
func (n *node) ssm(ctx context.Context, person, operation string, in map[string]any) (map[string]any, error) {
	return n.asAWS(ctx, person, "ssm", "AmazonSSM."+operation, in)
}

// asAWS makes a call of one of the APIs of AWS that Parry answers.
func (n *node) asAWS(ctx context.Context, person, service, operation string, in map[string]any) (map[string]any, error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.endpoint+"/", bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", operation)
	req.Header.Set(client.NonceHeader, rand.Text())
	sum := sha256.Sum256(raw)
	k := n.keys[person]
	if err := v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret}, req, hex.EncodeToString(sum[:]), service, n.w.env.Estate.Region, time.Now()); err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %d %s", operation, res.StatusCode, body)
	}
	var out map[string]any
	return out, json.Unmarshal(body, &out)
}
