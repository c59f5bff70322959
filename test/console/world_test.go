package console_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/test/testenv"
)

type document = map[string]any

// people are who signs in: nobody approves what they asked for, so there are two.
var people = map[string]string{"olga": "responder", "alice": "approver", "victor": "viewer", "ada": "administrator"}

// password is everybody's in this world.
const password = "correct horse battery staple"

// world is one server with findings, on the emulated AWS.
type world struct {
	dir, program, config, endpoint string
	env                            *testenv.Env
	cmd                            *exec.Cmd
	source, admin                  key
}

// key is one of Parry's access keys.
type key struct {
	ID     string `json:"access_key_id"`
	Secret string `json:"secret_access_key"`
}

// start builds the binary with the pages in it, and everything that it needs.
func start(t *testing.T, root string) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	w.program = filepath.Join(w.dir, "parry")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", w.program, "./cmd/parry")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build parry: %v\n%s", err, out)
	}
	at := filepath.Join(w.dir, "world")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	env, err := testenv.Start(t.Context(), testenv.Options{Dir: at, Python: os.Getenv("PARRY_PYTHON")})
	if err != nil {
		t.Fatal(err)
	}
	w.env = env
	t.Cleanup(env.Stop)
	w.configure(t)
	w.serve(t)
	w.seed(t)
	w.fillBus(t)
	return w
}

func (w *world) configure(t *testing.T) {
	t.Helper()
	e := w.env.Estate
	cfg := document{
		"data_dir": "data",
		"organization": document{
			"management_account": e.Management.Account, "hub_account": e.Security.Account, "home_region": e.Region,
			"member_role": e.MemberRole, "external_id": e.ExternalID,
			"coverage": document{"every": "1h", "regions": []string{e.Region, "eu-south-1"}}, // which nobody turned on
			"accounts": []document{
				{"id": e.Members["dev"].Account, "name": "dev", "unit": "dev"},
				{"id": e.Members["prod"].Account, "name": "prod", "unit": "prod"},
			},
		},
		"automation_rules": []document{{
			"RuleName": "Raise production", "Description": "Findings in production count more.", "RuleOrder": 1, "RuleStatus": "ENABLED", "IsTerminal": false,
			"Criteria": document{"AwsAccountId": []document{{"Value": e.Members["prod"].Account, "Comparison": "EQUALS"}}, "SeverityLabel": []document{{"Value": "HIGH", "Comparison": "EQUALS"}}},
			"Actions":  []document{{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": document{"Severity": document{"Label": "CRITICAL"}}}},
		}},
		"event_targets": []string{w.orders()},
		"bus_rules": []document{
			{"name": "dev-buckets", "playbooks": []string{"S3.2"}, "pattern": document{
				"source": []string{"aws.securityhub"}, "detail-type": []string{"Security Hub Findings - Imported"},
				"detail": document{"findings": document{
					"AwsAccountId": []string{e.Members["dev"].Account}, "GeneratorId": []document{{"suffix": "/S3.2"}}, "Compliance": document{"Status": []string{"FAILED"}},
					"Workflow": document{"Status": []string{"NEW"}}, "RecordState": []string{"ACTIVE"},
				}},
			}},
			{"name": "tell-people", "channels": []string{"mail"}, "pattern": document{
				"source": []string{"parry"}, "detail-type": []string{"Parry Remediation State Change"},
				"detail": document{"to": []string{"awaiting_approval", "verified", "failed", "undone"}},
			}},
		},
		"policies": []document{
			{"id": "dev-automatic", "units": []string{"dev"}, "mode": "automatic"},
			{"id": "prod-people", "units": []string{"prod"}, "mode": "people", "quorum": 1, "expires": "24h"},
		},
		"invitations": document{"url": "https://parry.example.com", "channel": "mail"},
		"channels":    []document{{"name": "mail", "kind": "email", "smtp": w.env.SMTP.Addr(), "tls": "none", "from": "parry@example.com", "to": []string{"security@example.com"}}},
	}
	raw, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.config = filepath.Join(w.dir, "parry.yaml")
	if err := os.WriteFile(w.config, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	w.source = w.key(t, "hub", "--role", "source", "--product", "*", "--trusted")
	w.admin = w.key(t, "bus", "--role", "admin")
	for name, role := range people {
		w.parry(t, password+"\n", "user", "add", name, "--role", role, "--password-stdin")
	}
}

func (w *world) key(t *testing.T, name string, args ...string) (k key) {
	t.Helper()
	out := w.parry(t, "", append([]string{"key", "create", name, "--account", "*", "-o", "json"}, args...)...)
	if err := json.Unmarshal(out, &k); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return k
}

// parry runs the command line beside the database.
func (w *world) parry(t *testing.T, input string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.program, append(args, "--config", w.config)...)
	cmd.Dir, cmd.Stdin = w.dir, strings.NewReader(input)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("parry %s: %v: %s", strings.Join(args, " "), err, errs.String())
	}
	return out
}

func (w *world) serve(t *testing.T) {
	t.Helper()
	name := filepath.Join(w.dir, "serve.log")
	logs, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = logs.Close() }() // the child has its own
	listen := os.Getenv("PARRY_CONSOLE_LISTEN")
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	w.cmd = exec.Command(w.program, "serve", "--config", w.config) //nolint:noctx // the cleanup ends it
	w.cmd.Env = append(w.env.Environ(w.env.Estate.Security.Hub), "AWS_ENDPOINT_URL="+w.env.WallURL, "PARRY_LISTEN="+listen)
	w.cmd.Dir, w.cmd.Stdout, w.cmd.Stderr = w.dir, logs, logs
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
		_ = w.cmd.Wait()
		if t.Failed() {
			raw, _ := os.ReadFile(name)
			t.Logf("serve.log:\n%s", raw[max(0, len(raw)-4000):])
		}
	})
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, ok := strings.Cut(string(raw), "parry is ready on "); ok {
			if address, _, ok := strings.Cut(rest, "\n"); ok {
				w.endpoint = "http://" + address
				return
			}
		}
	}
	t.Fatal("parry serve is not ready")
}

// controls are what the findings of this world are about, beside S3.2.
var controls = []struct{ id, kind, title, severity string }{
	{"S3.2", "AwsS3Bucket", "S3 general purpose buckets should block public read access", "HIGH"},
	{"EC2.2", "AwsEc2SecurityGroup", "VPC default security groups should not allow inbound or outbound traffic", "HIGH"},
	{"EC2.7", "AwsAccount", "EBS default encryption should be enabled", "MEDIUM"},
	{"KMS.4", "AwsKmsKey", "AWS KMS key rotation should be enabled", "MEDIUM"},
	{"IAM.7", "AwsAccount", "Password policies for IAM users should have strong configurations", "MEDIUM"},
	{"CloudTrail.4", "AwsCloudTrailTrail", "CloudTrail log file validation should be enabled", "LOW"},
	{"Lambda.2", "AwsLambdaFunction", "Lambda functions should use supported runtimes", "MEDIUM"},
	{"RDS.3", "AwsRdsDbInstance", "RDS DB instances should have encryption at-rest enabled", "MEDIUM"},
}

// hostile is a title that would run, load or mislead, were it anything but text.
const hostile = `<img src="https://evil.example/x" onerror="document.title='owned'"><script>document.title='owned'</script> {{constructor.constructor('alert(1)')()}}` + "\u202egnp.exe"

// seed imports findings: the public buckets of dev and prod, a hostile one, and many that
// make lists long.
func (w *world) seed(t *testing.T) {
	t.Helper()
	region := w.env.Estate.Region
	var findings []document
	add := func(account, control, kind, id, title, severity string, age time.Duration) document {
		at := time.Now().Add(-age).UTC().Format("2006-01-02T15:04:05.000Z")
		f := document{
			"SchemaVersion": "2018-10-08",
			"Id":            fmt.Sprintf("arn:aws:securityhub:%s:%s:subscription/aws-foundational-security-best-practices/v/1.0.0/%s/finding/%d", region, account, control, len(findings)),
			"ProductArn":    fmt.Sprintf("arn:aws:securityhub:%s::product/aws/securityhub", region),
			"ProductName":   "Security Hub", "CompanyName": "AWS", "Region": region, "GeneratorId": "aws-foundational-security-best-practices/v/1.0.0/" + control, "AwsAccountId": account,
			"Types":     []string{"Software and Configuration Checks/Industry and Regulatory Standards/AWS-Foundational-Security-Best-Practices"},
			"CreatedAt": at, "UpdatedAt": at, "FirstObservedAt": at, "LastObservedAt": at,
			"Severity":    document{"Label": severity, "Original": severity},
			"Title":       control + " " + title,
			"Description": "This control checks whether " + strings.ToLower(title[:1]) + title[1:] + ".",
			"Remediation": document{"Recommendation": document{"Text": "For directions on how to correct this, consult the documentation of AWS Security Hub.", "Url": "https://docs.aws.amazon.com/console/securityhub/" + control + "/remediation"}},
			"Resources":   []document{{"Type": kind, "Id": id, "Partition": "aws", "Region": region}},
			"Compliance":  document{"Status": "FAILED", "SecurityControlId": control},
			"Workflow":    document{"Status": "NEW"}, "WorkflowState": "NEW", "RecordState": "ACTIVE",
		}
		findings = append(findings, f)
		return f
	}
	const day = 24 * time.Hour
	for _, name := range []string{"dev", "prod"} {
		m := w.env.Estate.Members[name]
		add(m.Account, "S3.2", "AwsS3Bucket", "arn:aws:s3:::"+m.PublicBucket, controls[0].title, "HIGH", time.Hour)
		add(m.Account, "S3.2", "AwsS3Bucket", "arn:aws:s3:::"+m.PrivateBucket, controls[0].title, "HIGH", 2*time.Hour)["Workflow"] = document{"Status": "NOTIFIED"}
		for i := range 36 {
			c := controls[1+i%(len(controls)-1)]
			add(m.Account, c.id, c.kind, fmt.Sprintf("arn:aws:example:%s:%s:%s/%s-%02d", region, m.Account, strings.ToLower(c.kind), name, i), c.title, c.severity, time.Duration(i*3)*day)
		}
	}
	evil := add(w.env.Estate.Members["prod"].Account, "EC2.2", "AwsEc2SecurityGroup", "arn:aws:ec2:us-east-1:1:security-group/<b>sg</b>", "x", "LOW", time.Hour)
	evil["Title"], evil["Description"] = hostile, hostile
	evil["Remediation"] = document{"Recommendation": document{"Text": hostile[:120], "Url": "javascript:document.title='owned'"}}
	evil["SourceUrl"] = "javascript:document.title='owned'"
	w.send(t, findings)
}

// send imports findings as Security Hub would.
func (w *world) send(t *testing.T, findings []document) {
	t.Helper()
	for len(findings) > 0 {
		part := findings[:min(100, len(findings))]
		findings = findings[len(part):]
		var got struct {
			SuccessCount   int
			FailedFindings []struct{ ErrorMessage string }
		}
		status := w.call(t, w.source, "securityhub", "/findings/import", http.Header{"Content-Type": {"application/json"}}, document{"Findings": part}, &got)
		if got.SuccessCount != len(part) {
			t.Fatalf("import: %d %+v", status, got)
		}
	}
}

// call sends one signed request, as AWS's clients do, and reads the answer.
func (w *world) call(t *testing.T, k key, service, path string, header http.Header, in, out any) int {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.endpoint+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret}, req, hex.EncodeToString(sum[:]), service, w.env.Estate.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		t.Fatalf("%s: %d %s: %v", path, resp.StatusCode, raw, err)
	}
	return resp.StatusCode
}

// mailed waits for a mail whose subject or text has all words.
func (w *world) mailed(t *testing.T, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	if _, err := w.env.SMTP.Await(ctx, func(m testenv.Mail) bool {
		for _, word := range words {
			if !strings.Contains(strings.ToLower(m.Text()), strings.ToLower(word)) {
				return false
			}
		}
		return true
	}); err != nil {
		t.Errorf("no mail says %q: %v", words, err)
	}
}
