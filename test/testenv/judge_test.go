package testenv_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/test/testenv"
	"github.com/parry-security/parry/test/testenv/envtest"
)

const blocked = `<PublicAccessBlockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><BlockPublicAcls>true</BlockPublicAcls>` +
	`<IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`

// verdict is what judge.py prints.
type verdict struct {
	OK          bool
	Differences []struct{ Member, Bucket, What string }
	Problems    []struct{ What, Bucket, Operation string }
	Changes     []struct{ Operation, Bucket, Session string }
}

// judge runs judge.py. Exit status 1 is a verdict, anything else a failure.
func judge(t *testing.T, env *testenv.Env, args ...string) verdict {
	t.Helper()
	out, err := env.Run(t.Context(), "judge.py", args...)
	var script *testenv.ScriptError
	if err != nil && (!errors.As(err, &script) || script.Status != 1) {
		t.Fatal(err)
	}
	var v verdict
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if v.OK != (err == nil) {
		t.Errorf("the exit status (%v) is not the verdict (%v)", err, v.OK)
	}
	return v
}

func (v verdict) whats() []string {
	var out []string
	for _, d := range v.Differences {
		out = append(out, d.Member+" "+d.What)
	}
	for _, p := range v.Problems {
		out = append(out, p.What)
	}
	return out
}

// fix closes a member's bucket as the runbook of S3.2 does, with c.
func fix(t *testing.T, env *testenv.Env, c envtest.Creds, m testenv.Member) {
	t.Helper()
	path := "/" + m.PublicBucket
	policy := `{"Version":"2012-10-17","Statement":[{"Sid":"SecurityTeamReads","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` +
		env.Estate.Security.Account + `:root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::` + m.PublicBucket + `/*"}]}`
	envtest.Call(t, env, c, "s3", "PUT", path+"?policy=", policy).Is(t, 200, "")
	envtest.Call(t, env, c, "s3", "PUT", path+"?acl=", "", "X-Amz-Acl", "private").Is(t, 200, "")
	envtest.Call(t, env, c, "s3", "PUT", path+"?publicAccessBlock=", blocked).Is(t, 200, "")
}

func role(t *testing.T, env *testenv.Env, member, session string) envtest.Creds {
	t.Helper()
	c, a := envtest.Assume(t, env, envtest.Of(env.Estate.Security.Hub), url.Values{
		"RoleArn": {env.Estate.Members[member].RoleARN}, "RoleSessionName": {session},
		"ExternalId": {env.Estate.ExternalID}, "SourceIdentity": {"parry"},
	})
	a.Is(t, 200, "")
	return c
}

func theJudges(t *testing.T, env *testenv.Env) {
	dev, prod := env.Estate.Members["dev"], env.Estate.Members["prod"]
	expect := func(devState, prodState string) verdict {
		return judge(t, env, "expect", env.EstateFile(), "--dev", devState, "--prod", prodState)
	}
	logged := func(args ...string) verdict {
		return judge(t, env, append([]string{"log", env.EstateFile(), env.WallLog(), "--no-repeats"}, args...)...)
	}

	if v := expect("original", "original"); !v.OK {
		t.Errorf("the untouched estate differs: %v", v.whats())
	}
	want := []string{"dev public_access_block", "dev policy", "dev grants", "dev anonymous_get", "dev anonymous_list"}
	if diff := cmp.Diff(want, expect("fixed", "original").whats()); diff != "" {
		t.Errorf("an open bucket that should be closed (-want +got):\n%s", diff)
	}

	fix(t, env, role(t, env, "dev", "rem-1"), dev)
	if v := expect("fixed", "original"); !v.OK {
		t.Errorf("the closed bucket differs: %v", v.whats())
	}
	if v := expect("original", "original"); v.OK {
		t.Error("a closed bucket passes for an open one")
	}
	v := logged("--untouched", "prod")
	if !v.OK || len(v.Changes) != 3 {
		t.Errorf("the log is judged %v with %d changes, want 3", v.whats(), len(v.Changes))
	}

	// Everything that must not be: a twin touched, prod touched, a change made
	// twice, a change by somebody who is not the member role.
	envtest.Call(t, env, role(t, env, "prod", "rem-2"), "s3", "DELETE", "/"+prod.PrivateBucket+"?policy=", "").Is(t, 204, "")
	again := role(t, env, "dev", "rem-3")
	for range 2 {
		envtest.Call(t, env, again, "s3", "PUT", "/"+dev.PublicBucket+"?publicAccessBlock=", blocked).Is(t, 200, "")
	}
	admin, a := envtest.Assume(t, env, envtest.Of(env.Estate.Management.Administrator), url.Values{
		"RoleArn": {"arn:aws:iam::" + dev.Account + ":role/OrganizationAccountAccessRole"}, "RoleSessionName": {"stranger"},
	})
	a.Is(t, 200, "")
	envtest.Call(t, env, admin, "s3", "DELETE", "/"+dev.PublicBucket+"?policy=", "").Is(t, 204, "")
	if diff := cmp.Diff([]string{"dev policy", "prod policy"}, expect("fixed", "original").whats()); diff != "" {
		t.Errorf("a lost statement and a touched twin (-want +got):\n%s", diff)
	}
	want = []string{
		"a changing call on a private twin", "a changing call in prod", "the same change twice",
		"a change that is not by the member role with a SourceIdentity",
	}
	if diff := cmp.Diff(want, logged("--untouched", "prod").whats()); diff != "" {
		t.Errorf("problems in the log (-want +got):\n%s", diff)
	}
}

func announcementsAreRead(t *testing.T, env *testenv.Env) {
	topic := env.Estate.Security.TopicARN
	for _, text := range []string{`{"state":"queued"}`, "plain"} {
		form := url.Values{"Action": {"Publish"}, "Version": {"2010-03-31"}, "TopicArn": {topic}, "Subject": {"Parry"}, "Message": {text}}
		envtest.Call(t, env, envtest.Of(env.Estate.Security.Hub), "sns", "POST", "/", form.Encode()).Is(t, 200, "")
	}
	out, err := env.Run(t.Context(), "sns_read.py", env.EstateFile(), "--count", "2")
	if err != nil {
		t.Fatal(err)
	}
	var got []struct {
		Subject, Topic string
		Message        any
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Subject != "Parry" || got[0].Topic != topic || !cmp.Equal(got[0].Message, map[string]any{"state": "queued"}) || got[1].Message != "plain" {
		t.Errorf("read %s", out)
	}
	if _, err := env.Run(t.Context(), "sns_read.py", env.EstateFile(), "--count", "1", "--timeout", "0.1"); err == nil {
		t.Error("the messages are still there, or waiting for what does not come succeeds")
	}
}

func findingsAreImportable(t *testing.T, env *testenv.Env) {
	file := filepath.Join(t.TempDir(), "findings.json")
	if _, err := env.Run(t.Context(), "findings.py", env.EstateFile(), "--out", file, "--public-only"); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var findings []struct {
		AwsAccountId string
		Resources    []struct{ Id string }
	}
	if err := json.Unmarshal(raw, &findings); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range findings {
		got[f.AwsAccountId] = f.Resources[0].Id
	}
	want := map[string]string{}
	for _, m := range env.Estate.Members {
		want[m.Account] = "arn:aws:s3:::" + m.PublicBucket
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	// moto's Security Hub takes them from the AWS CLI, which checks the shape.
	aws, err := env.AWS()
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), aws, args...)
		cmd.Env = env.Environ(env.Estate.Management.Administrator)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	run("securityhub", "enable-security-hub")
	all, err := env.Run(t.Context(), "findings.py", env.EstateFile())
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(all), `"SchemaVersion"`); n != 4 {
		t.Errorf("%d findings, want one for each of the four buckets", n)
	}
	if out := run("securityhub", "batch-import-findings", "--findings", "file://"+file); !strings.Contains(out, `"SuccessCount": 2`) {
		t.Errorf("the import says %s", out)
	}
}
