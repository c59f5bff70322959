package scenarios_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// TestAHubIsReadAndToldWhatWasDecided: a server reads AWS Security Hub, and what
// a person decides here is written there, once.
func TestAHubIsReadAndToldWhatWasDecided(t *testing.T) {
	t.Parallel()
	w := earth(t)
	// A Region of its own: other tests have a hub too, and write to it.
	const region = "eu-west-1"
	admin, account := w.securityAdmin(t), w.env.Estate.Members["dev"].Account
	admin.Region = region
	product := "arn:aws:securityhub:" + region + "::product/aws/securityhub"
	w.hubMay(t, admin, "securityhub", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["securityhub:GetFindings","securityhub:BatchUpdateFindings"],"Resource":"*"}]}`)
	ask := func(method, path string, in any) document {
		raw, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		a := envtest.Call(t, w.env, admin, "securityhub", method, path, string(raw), "Content-Type", "application/json")
		if a.Err != nil || a.Status != http.StatusOK {
			t.Fatalf("%s: %d %s %v", path, a.Status, a.Body, a.Err)
		}
		return decode[document](t, []byte(a.Body))
	}
	var all []document
	for i := range 120 {
		all = append(all, document{
			"SchemaVersion": "2018-10-08", "Id": fmt.Sprintf("hub-%03d", i), "ProductArn": product, "GeneratorId": "security-control/EC2.2", "AwsAccountId": account,
			"CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-02T00:00:00Z", "Title": "t", "Description": "d", "Severity": document{"Label": "HIGH"},
			"Workflow": document{"Status": "NEW"}, "RecordState": "ACTIVE", "Resources": []document{{"Type": "Other", "Id": fmt.Sprint("r", i)}},
		})
	}
	ask(http.MethodPost, "/findings/import", document{"Findings": all[:60]})
	ask(http.MethodPost, "/findings/import", document{"Findings": all[60:]})
	n := w.install(t, func(cfg document) {
		cfg["sources"] = document{"hubs": []document{{"name": "aws", "region": region, "accounts": []string{account}, "products": []string{"aws/securityhub"}, "write_back": true}}}
	}).serve(t)
	poll(t, patience, func() string { return "not read" }, func(ctx context.Context) bool {
		got, err := n.findings(ctx, account)
		return err == nil && len(got) == len(all)
	})
	id := finding.ID{ProductArn: product, Id: "hub-007"}
	n.awsCLI(t, "olga", "securityhub", "batch-update-findings", "--finding-identifiers", fmt.Sprintf("Id=%s,ProductArn=%s", id.Id, id.ProductArn), "--workflow", "Status=SUPPRESSED")
	workflow := func() any {
		for _, f := range ask(http.MethodPost, "/findings", document{"MaxResults": 100})["Findings"].([]any) {
			if f, ok := f.(map[string]any); ok && f["Id"] == id.Id {
				return f["Workflow"]
			}
		}
		return nil
	}
	poll(t, patience, func() string { return fmt.Sprint(workflow()) }, func(context.Context) bool {
		return strings.Contains(fmt.Sprint(workflow()), "SUPPRESSED")
	})
	writes := 0
	for _, e := range w.env.Wall.Log() {
		if e.Operation == "BatchUpdateFindings" && e.Region == region {
			writes++
		}
	}
	if writes != 1 {
		t.Errorf("written %d times", writes)
	}
	if page, err := n.as("olga").Sources(t.Context()); err != nil || len(page.Items) != 1 || page.Items[0].Accepted != 120 || page.Items[0].Problem != "" {
		t.Errorf("%+v %v", page.Items, err)
	}
}

// awsCLI runs the AWS CLI against the server with a person's key.
func (n *node) awsCLI(t *testing.T, person string, args ...string) string {
	t.Helper()
	program, err := n.w.env.AWS()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, append(args, "--endpoint-url", n.endpoint, "--output", "json")...)
	k := n.keys[person]
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+k.ID, "AWS_SECRET_ACCESS_KEY="+k.Secret, "AWS_DEFAULT_REGION="+n.w.env.Estate.Region, "AWS_CONFIG_FILE="+os.DevNull, "AWS_PAGER=", "NO_PROXY=127.0.0.1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("aws %v: %v %s", args, err, out)
	}
	return string(out)
}

// TestProwlersFindingsAreTakenAsProwlerSendsThem: BatchImportFindings of its
// product, by a key that may report just that for just one account.
func TestProwlersFindingsAreTakenAsProwlerSendsThem(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t).serve(t)
	dev, prod, region := w.env.Estate.Members["dev"].Account, w.env.Estate.Members["prod"].Account, w.env.Estate.Region
	out, err := n.parry(t, "", "key", "create", "prowler", "-o", "json", "--role", "source", "--account", dev, "--product", "prowler/prowler")
	if err != nil {
		t.Fatal(err)
	}
	n.keys["prowler"] = decode[key](t, out)
	one := func(account, product string) document {
		return document{
			"SchemaVersion": "2018-10-08", "Id": "prowler-s3_bucket_public_access-" + account + "-" + region + "-0123", "ProductArn": "arn:aws:securityhub:" + region + "::product/" + product,
			"RecordState": "ACTIVE", "ProductFields": document{"ProviderName": "Prowler", "ProviderVersion": "5.0.0", "ProwlerResourceName": "b"}, "GeneratorId": "prowler-s3_bucket_public_access",
			"AwsAccountId": account, "Types": []string{"Data Protection"}, "FirstObservedAt": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-01T00:00:00Z", "CreatedAt": "2026-01-01T00:00:00Z",
			"Severity": document{"Label": "CRITICAL"}, "Title": "Ensure there are no public buckets", "Description": "b is public",
			"Resources":   []document{{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::b", "Partition": "aws", "Region": region}},
			"Compliance":  document{"Status": "FAILED", "RelatedRequirements": []string{"CIS-1.4 2.1.5"}, "AssociatedStandards": []document{{"StandardsId": "CIS-1.4"}}},
			"Remediation": document{"Recommendation": document{"Text": "Block public access.", "Url": "https://example.com"}},
		}
	}
	raw, err := json.Marshal([]document{one(dev, "prowler/prowler"), one(prod, "prowler/prowler"), one(dev, "aws/guardduty")})
	if err != nil {
		t.Fatal(err)
	}
	got := decode[struct {
		SuccessCount, FailedCount int
		FailedFindings            []struct{ ErrorCode, ErrorMessage string }
	}](t, []byte(n.awsCLI(t, "prowler", "securityhub", "batch-import-findings", "--findings", string(raw))))
	if got.SuccessCount != 1 || got.FailedCount != 2 || got.FailedFindings[0].ErrorCode != "InvalidAccess" || !strings.Contains(got.FailedFindings[1].ErrorMessage, "aws/guardduty") {
		t.Errorf("%+v", got)
	}
	n.importsFiles(t, dev, prod)
}

// importsFiles: the command line takes files of every form, and says what it did
// not take.
func (n *node) importsFiles(t *testing.T, dev, prod string) {
	t.Helper()
	region := n.w.env.Estate.Region
	flat := func(s string) string { return strings.ReplaceAll(s, "\n", " ") }
	name := filepath.Join(t.TempDir(), "events.jsonl")
	text := flat(evaluation(1, dev, region)) + "\n{\"broken\": \n" + flat(evaluation(2, dev, region)) + "\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n.importKey(t, dev)
	cmd := exec.CommandContext(t.Context(), n.w.program, "finding", "import", name, "-o", "json", "--rejected", name+".rejected")
	k := n.keys["files"]
	cmd.Dir, cmd.Env = n.dir, append(os.Environ(), "PARRY_ENDPOINT="+n.endpoint, "PARRY_ACCESS_KEY_ID="+k.ID, "PARRY_SECRET_ACCESS_KEY="+k.Secret)
	out, err := cmd.Output()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 4 || !strings.Contains(string(ended.Stderr), "events.jsonl:2: ") {
		t.Errorf("%v %s", err, ended.Stderr)
	}
	if got := decode[[]document](t, out); len(got) != 1 || got[0]["accepted"] != 2.0 || got[0]["rejected"] != 1.0 {
		t.Errorf("%s", out)
	}
	if raw, err := os.ReadFile(name + ".rejected"); err != nil || !strings.Contains(string(raw), `"place":"events.jsonl:2"`) {
		t.Errorf("%s %v", raw, err)
	}
	poll(t, patience, func() string { return "not there" }, func(ctx context.Context) bool {
		got, err := n.findings(ctx, dev)
		return err == nil && len(got) == 3
	})
	if got, err := n.findings(t.Context(), prod); err != nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
}

func (n *node) importKey(t *testing.T, account string) {
	t.Helper()
	out, err := n.parry(t, "", "key", "create", "files", "-o", "json", "--role", "source", "--account", account, "--product", "aws/config")
	if err != nil {
		t.Fatal(err)
	}
	n.keys["files"] = decode[key](t, out)
}
