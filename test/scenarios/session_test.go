package scenarios_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/runbook"
)

// TestSessionPolicyOfAFix assumes the member role with the policy derived for
// closing one bucket, as the gate does when it applies a plan, and asks AWS:
// everything that the fix needs is allowed there, and nothing elsewhere.
func TestSessionPolicyOfAFix(t *testing.T) {
	t.Parallel()
	w := earth(t)
	mine, other := w.bucket(t, "dev"), w.bucket(t, "dev")
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	of := func(b *bucket, operation string, input map[string]any) apimodel.Call {
		in := map[string]any{"Bucket": b.name}
		for k, v := range input {
			in[k] = v
		}
		return apimodel.Call{Service: "s3", Operation: operation, Account: b.account(), Region: w.env.Estate.Region, Input: in}
	}
	fix := func(b *bucket) []apimodel.Call {
		return []apimodel.Call{
			of(b, "GetBucketPolicy", nil), of(b, "GetBucketAcl", nil),
			of(b, "PutBucketAcl", map[string]any{"ACL": "private"}), of(b, "DeleteBucketPolicy", nil),
			of(b, "PutPublicAccessBlock", map[string]any{"PublicAccessBlockConfiguration": map[string]any{"BlockPublicAcls": true}}),
			of(b, "GetPublicAccessBlock", nil),
		}
	}
	var grants []apimodel.Grant
	for _, c := range fix(mine) {
		list, err := models.GrantsAround(c, apimodel.Surround{Image: true})
		if err != nil {
			t.Fatal(err)
		}
		grants = append(grants, list...)
	}
	client, err := awsapi.NewClient(awsapi.ClientConfig{Models: models, Getenv: func(name string) string {
		return map[string]string{"AWS_ENDPOINT_URL": w.env.WallURL}[name]
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	hub := w.env.Estate.Security.Hub
	source := awsapi.NewStaticCredentials(client, awsapi.Credentials{AccessKeyID: hub.AccessKeyID, SecretAccessKey: awsapi.NewSecret(hub.Secret)})
	session, _, err := source.AssumeRole(t.Context(), awsapi.RoleRequest{
		RoleARN: w.env.Estate.Members["dev"].RoleARN, ExternalID: w.env.Estate.ExternalID, SessionName: "session-policy", SourceIdentity: "test",
		Region: w.env.Estate.Region, Policy: apimodel.SessionDocument(grants).String(), Tags: map[string]string{"parry:remediation": "test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range fix(mine) {
		if _, err := client.Send(t.Context(), session, c); err != nil {
			t.Errorf("within the policy: %s: %v", c, err)
		}
	}
	var denied *apimodel.APIError
	for _, c := range append(fix(other), of(mine, "PutBucketPolicy", map[string]any{"Policy": "{}"})) {
		if _, err := client.Send(t.Context(), session, c); !errors.As(err, &denied) || denied.Code != "AccessDenied" {
			t.Errorf("outside the policy: %s: %v", c, err)
		}
	}
}

// TestMemberRoleIsLeastPrivilege holds what the member role of every scenario may
// do against what is derived for the catalogue's runbook and playbook: the
// scenarios then show that the derived policy suffices.
func TestMemberRoleIsLeastPrivilege(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "catalog", "runbooks", "Parry-RemoveS3BucketPublicAccess", "runbook.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := runbook.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	calls, gaps := doc.Calls(runbook.Where{}, nil)
	if len(gaps) > 0 {
		t.Fatalf("%v", gaps)
	}
	var grants []apimodel.Grant
	for _, c := range calls {
		list, err := models.GrantsAround(c.Call, apimodel.Surround{Image: true, Undo: true})
		if err != nil {
			t.Fatal(err)
		}
		grants = append(grants, list...)
	}
	script, err := os.ReadFile(filepath.Join("..", "py", "estate.py"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(script), "MEMBER_ACTIONS = [")
	list, _, _ = strings.Cut(list, "]")
	var has []string
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(list, -1) {
		has = append(has, m[1])
	}
	slices.Sort(has)
	// What no runbook asks for: which Regions are on in the account (docs/organization.md).
	want := append([]string{"ec2:DescribeRegions"}, apimodel.Actions(grants)...)
	slices.Sort(want)
	if diff := cmp.Diff(has, want); diff != "" {
		t.Errorf("the member role has other permissions than are derived: %s", diff)
	}
}
