package scenarios_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// runbookCases is what this test needs of a runbook's test.yaml.
type runbookCases struct {
	Cases []runbookCase
}

type runbookCase struct {
	Name       string
	Parameters map[string]any
	Status     string
}

// oneByOne are the runbooks whose cases are about the whole account: one after another.
var oneByOne = []string{"Parry-BlockS3AccountPublicAccess", "Parry-EnableEbsEncryptionByDefault", "Parry-StrengthenIamPasswordPolicy"}

// makeFor makes what a runbook's cases are about, and says what stands for the
// names that test.yaml uses. A runbook that is not here fails the test.
var makeFor = map[string]func(t *testing.T, w *world, c runbookCase) *strings.Replacer{
	"Parry-BlockS3AccountPublicAccess":   accountOf,
	"Parry-EnableEbsEncryptionByDefault": accountOf,
	"Parry-StrengthenIamPasswordPolicy":  accountOf,
	"Parry-RemoveS3BucketPublicAccess": func(t *testing.T, w *world, _ runbookCase) *strings.Replacer {
		b := w.bucket(t, "dev")
		return strings.NewReplacer("open-{{ unique }}", b.name, "example", b.name, "111122223333", b.account())
	},
	"Parry-BlockS3BucketPublicAccess": func(t *testing.T, w *world, _ runbookCase) *strings.Replacer {
		b := w.bucket(t, "dev")
		return strings.NewReplacer("open-{{ unique }}", b.name, "half-{{ unique }}", b.name, "good-{{ unique }}", b.name, "example", b.name)
	},
	"Parry-EnableKmsKeyRotation": func(t *testing.T, w *world, _ runbookCase) *strings.Replacer {
		made := w.asOwner(t, "kms", "CreateKey", nil)
		key, _ := made["KeyMetadata"].(map[string]any)["KeyId"].(string)
		return strings.NewReplacer("{{ key }}", key, "1234abcd-12ab-34cd-56ef-1234567890ab", key)
	},
	// A group that has the rules which are revoked, beside one that stays.
	"Parry-RevokeSecurityGroupRules": func(t *testing.T, w *world, c runbookCase) *strings.Replacer {
		vpc, _ := w.asOwner(t, "ec2", "CreateVpc", map[string]any{"CidrBlock": "10.0.0.0/16"})["Vpc"].(map[string]any)["VpcId"].(string)
		group, _ := w.asOwner(t, "ec2", "CreateSecurityGroup", map[string]any{"GroupName": "web", "Description": "web", "VpcId": vpc})["GroupId"].(string)
		names := strings.NewReplacer("{{ group }}", group, "sg-0123456789abcdef0", group, "{{ account }}", w.env.Estate.Members["dev"].Account)
		stays := []any{map[string]any{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": []any{map[string]any{"CidrIp": "10.0.0.0/8"}}}}
		inbound, _ := renamed(c.Parameters["InboundRules"], names).([]any)
		w.asOwner(t, "ec2", "AuthorizeSecurityGroupIngress", map[string]any{"GroupId": group, "IpPermissions": slices.Concat(stays, inbound)})
		outbound, _ := renamed(c.Parameters["OutboundRules"], names).([]any)
		if len(outbound) > 0 {
			w.asOwner(t, "ec2", "RevokeSecurityGroupEgress", map[string]any{"GroupId": group, "IpPermissions": []any{
				map[string]any{"IpProtocol": "-1", "IpRanges": []any{map[string]any{"CidrIp": "0.0.0.0/0"}}}, // which a new group has
			}})
			w.asOwner(t, "ec2", "AuthorizeSecurityGroupEgress", map[string]any{"GroupId": group, "IpPermissions": slices.Concat(stays, outbound)})
		}
		return names
	},
}

func accountOf(_ *testing.T, w *world, _ runbookCase) *strings.Replacer {
	account := w.env.Estate.Members["dev"].Account
	return strings.NewReplacer("{{ account }}", account, "111122223333", account)
}

// asOwner makes a call as the administrator of dev.
func (w *world) asOwner(t *testing.T, service, operation string, input map[string]any) map[string]any {
	t.Helper()
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	client, err := awsapi.NewClient(awsapi.ClientConfig{Models: models, Getenv: func(name string) string {
		return map[string]string{"AWS_ENDPOINT_URL": w.env.WallURL}[name]
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	owner, a := envtest.Assume(t, w.env, envtest.Of(w.env.Estate.Management.Administrator), url.Values{
		"RoleArn": {"arn:aws:iam::" + w.env.Estate.Members["dev"].Account + ":role/OrganizationAccountAccessRole"}, "RoleSessionName": {"owner"},
	})
	a.Is(t, http.StatusOK, "")
	reply, err := client.Send(t.Context(), awsapi.Credentials{
		AccessKeyID: owner.ID, SecretAccessKey: awsapi.NewSecret(owner.Secret), SessionToken: awsapi.NewSecret(owner.Token),
	}, apimodel.Call{Service: service, Operation: operation, Region: w.env.Estate.Region, Input: input})
	if err != nil {
		t.Fatalf("%s:%s: %v", service, operation, err)
	}
	return reply.Output
}

// renamed replaces names in every text of v.
func renamed(v any, names *strings.Replacer) any {
	switch x := v.(type) {
	case string:
		return names.Replace(x)
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = renamed(x[i], names)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k := range x {
			out[k] = renamed(x[k], names)
		}
		return out
	}
	return v
}

// TestThePlanIsWhatAWSSees plans every case of the runbooks in the catalogue,
// applies it, and holds the wall's log against the plan: call by call, in order,
// to the byte. Beside the plan's calls there is one read of the before-image in
// front of each change, and nothing else. The organization is of its own, since
// what some change belongs to a whole account.
func TestThePlanIsWhatAWSSees(t *testing.T) {
	t.Parallel()
	here := earth(t)
	w := &world{dir: here.dir, program: here.program, owner: map[string]string{}, env: envtest.For(t)}
	if err := w.readEstate(); err != nil {
		t.Fatal(err)
	}
	dirs, err := os.ReadDir("../../catalog/runbooks")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no runbooks: %v", err)
	}
	for _, dir := range dirs {
		prepare := makeFor[dir.Name()]
		if prepare == nil {
			t.Errorf("say in makeFor what runbook %s is about", dir.Name())
			continue
		}
		t.Run(dir.Name(), func(t *testing.T) {
			doc, cases := readRunbook(t, dir.Name())
			for i, c := range cases {
				t.Run(c.Name, func(t *testing.T) {
					if !slices.Contains(oneByOne, dir.Name()) {
						t.Parallel()
					}
					given, _ := renamed(c.Parameters, prepare(t, w, c)).(map[string]any)
					parameters, err := doc.ResolveParameters(given, nil)
					if err != nil {
						t.Fatal(err)
					}
					w.planEqualsLog(t, fmt.Sprintf("rem-%s-%d", dir.Name(), i), doc, parameters)
				})
			}
		})
	}
}

// readRunbook gives a runbook with its cases that succeed.
func readRunbook(t *testing.T, name string) (*runbook.Document, []runbookCase) {
	t.Helper()
	raw, err := catalog.FS.ReadFile(path.Join("runbooks", name, "runbook.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := runbook.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = os.ReadFile(filepath.Join("../../catalog/runbooks", name, "test.yaml")); err != nil {
		t.Fatal(err)
	}
	var file runbookCases
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	return doc, slices.DeleteFunc(file.Cases, func(c runbookCase) bool { return c.Status != string(automation.Success) })
}
