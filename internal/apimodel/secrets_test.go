package apimodel_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

func redactor(t testing.TB) *apimodel.Redactor {
	t.Helper()
	r, err := apimodel.NewRedactor([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// filled makes an input of every member of a shape, with a text of its own in
// each scalar. What stands under the model's sensitive trait goes into secret,
// the rest into plain.
type filled struct {
	n             int
	secret, plain []string
}

const secretMark, plainMark = "sEcReT", "oPeN"

const secretNumber = int64(98765000000)

func (f *filled) value(s *apimodel.Shape, secret bool, above []*apimodel.Shape) any {
	if s == nil || slices.Contains(above, s) || len(above) > 6 {
		return nil
	}
	secret = secret || s.Sensitive
	above = append(slices.Clone(above), s)
	switch s.Type {
	case apimodel.Structure:
		out := map[string]any{}
		for _, m := range s.Members {
			if v := f.value(m.Shape, secret, above); v != nil {
				out[m.Name] = v
			}
		}
		return out
	case apimodel.List:
		if v := f.value(s.Elem.Shape, secret, above); v != nil {
			return []any{v}
		}
		return []any{}
	case apimodel.Map:
		key := f.text(secret || s.Key.Shape.Sensitive)
		return map[string]any{key: f.value(s.Value.Shape, secret, above)}
	case apimodel.String:
		return f.text(secret)
	case apimodel.Blob:
		return []byte(f.text(secret))
	case apimodel.Integer, apimodel.Long, apimodel.Float, apimodel.Double:
		f.n++
		if secret {
			return secretNumber + int64(f.n)
		}
		return int64(f.n)
	}
	return nil // a switch or a time has nothing to look for
}

func (f *filled) text(secret bool) string {
	f.n++
	if secret {
		f.secret = append(f.secret, fmt.Sprintf("%s-%d-", secretMark, f.n))
		return f.secret[len(f.secret)-1]
	}
	f.plain = append(f.plain, fmt.Sprintf("%s-%d-", plainMark, f.n))
	return f.plain[len(f.plain)-1]
}

// TestNoSensitiveMemberOfAnyOperationIsShown holds the redacted form of a full
// input and of a full output of every operation against the models' own marks.
func TestNoSensitiveMemberOfAnyOperationIsShown(t *testing.T) {
	t.Parallel()
	catalog, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	r := redactor(t)
	operations, sensitive, lost, shown := 0, 0, 0, 0
	for _, name := range catalog.Services() {
		if testing.Short() && !slices.Contains([]string{"lambda", "secretsmanager", "rds", "iam", "s3", "ec2"}, name) {
			continue
		}
		s, err := catalog.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range s.Operations {
			for side, do := range map[*apimodel.Shape]func(string, *apimodel.Operation, map[string]any) map[string]any{op.Input: r.Input, op.Output: r.Output} {
				f := &filled{}
				v, _ := f.value(side, false, nil).(map[string]any)
				if v == nil {
					continue
				}
				operations++
				if len(f.secret) > 0 {
					sensitive++
				}
				raw, err := json.Marshal(do(name, op, v))
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(raw), secretMark) || strings.Contains(string(raw), "98765") {
					t.Errorf("%s:%s shows a sensitive member: %.300s", name, op.Name, raw)
				}
				for _, p := range f.plain {
					shown++
					if !strings.Contains(string(raw), p) {
						lost++
					}
				}
			}
		}
	}
	t.Logf("%d inputs and outputs, %d with sensitive members; %d of %d other texts are hidden by the table", operations, sensitive, lost, shown)
	if sensitive == 0 || shown == 0 || lost*50 > shown {
		t.Errorf("the test proves nothing, or the table hides too much: %d sensitive, %d of %d hidden", sensitive, lost, shown)
	}
}

func TestKnownSecretMembers(t *testing.T) {
	t.Parallel()
	catalog, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	const x = "hunter22-hunter22"
	type m = map[string]any
	type l = []any
	for _, c := range []struct {
		service, operation string
		in                 m
		hidden             bool
	}{
		{"rds", "ModifyDBInstance", m{"MasterUserPassword": x}, true},
		{"docdb", "CreateDBCluster", m{"MasterUserPassword": x}, true},
		{"redshift", "CreateCluster", m{"MasterUserPassword": x}, true},
		{"secretsmanager", "PutSecretValue", m{"SecretString": x}, true},
		{"secretsmanager", "PutSecretValue", m{"SecretBinary": []byte(x)}, true},
		{"secretsmanager", "PutSecretValue", m{"SecretId": x}, false},
		{"elasticache", "ModifyReplicationGroup", m{"AuthToken": x}, true},
		{"elasticache", "CreateUser", m{"Passwords": l{x}}, true},
		{"iam", "CreateLoginProfile", m{"Password": x}, true},
		{"iam", "UploadServerCertificate", m{"PrivateKey": x}, true},
		{"acm", "ImportCertificate", m{"PrivateKey": []byte(x)}, true},
		{"acm", "ImportCertificate", m{"Certificate": []byte(x)}, false},
		{"ec2", "RunInstances", m{"UserData": x}, true},
		{"ec2", "ModifyInstanceAttribute", m{"UserData": m{"Value": []byte(x)}}, true},
		{"ec2", "ImportKeyPair", m{"PublicKeyMaterial": []byte(x)}, false},
		{"ec2", "CreateVpnConnection", m{"Options": m{"TunnelOptions": l{m{"PreSharedKey": x}}}}, true},
		{"autoscaling", "CreateLaunchConfiguration", m{"UserData": x}, true},
		{"lambda", "UpdateFunctionConfiguration", m{"Environment": m{"Variables": m{"TOKEN": x}}}, true},
		{"ecs", "RegisterTaskDefinition", m{"containerDefinitions": l{m{"environment": l{m{"name": "A", "value": x}}}}}, true},
		{"ecs", "RegisterTaskDefinition", m{"containerDefinitions": l{m{"secrets": l{m{"name": "A", "valueFrom": x}}}}}, false}, // an ARN
		{"codebuild", "UpdateProject", m{"environment": m{"environmentVariables": l{m{"name": "A", "value": x}}}}, true},
		{"amplify", "UpdateApp", m{"environmentVariables": m{"A": x}}, true},
		{"ssm", "PutParameter", m{"Type": "SecureString", "Value": x}, true},
		{"ssm", "SendCommand", m{"Parameters": m{"AdminPassword": l{x}}}, true},
		{"cloudformation", "UpdateStack", m{"Parameters": l{m{"ParameterKey": "A", "ParameterValue": x}}}, true},
		{"cognito-idp", "UpdateIdentityProvider", m{"ProviderDetails": m{"client_secret": x}}, true},
		{"elbv2", "CreateRule", m{"Actions": l{m{"AuthenticateOidcConfig": m{"ClientSecret": x}}}}, true},
		{"directconnect", "CreatePrivateVirtualInterface", m{"newPrivateVirtualInterface": m{"authKey": x}}, true},
		{"glue", "CreateConnection", m{"ConnectionInput": m{"ConnectionProperties": m{"PASSWORD": x}}}, true},
		{"firehose", "CreateDeliveryStream", m{"SplunkDestinationConfiguration": m{"HECToken": x}}, true},
		{"cloudcontrol", "UpdateResource", m{"PatchDocument": x}, true},
		{"dynamodb", "TagResource", m{"Tags": l{m{"Key": "db-password", "Value": x}}}, true},
		{"dynamodb", "TagResource", m{"Tags": l{m{"Key": "team", "Value": x}}}, false},
		{"s3", "PutBucketPolicy", m{"Policy": x}, false},
		{"ec2", "DescribeInstances", m{"NextToken": x}, false},
	} {
		s, op, err := catalog.Find(c.service, c.operation)
		if err != nil {
			t.Fatal(err)
		}
		before := fmt.Sprintf("%#v", c.in)
		got := redactor(t).Input(s.Name, op, c.in)
		text := fmt.Sprintf("%s", got)
		if strings.Contains(text, x) == c.hidden {
			t.Errorf("%s:%s: hidden %v, got %v", c.service, c.operation, !c.hidden, text)
		}
		if c.hidden && !strings.Contains(text, "[redacted hmac:") {
			t.Errorf("%s:%s: no mark in %s", c.service, c.operation, text)
		}
		if after := fmt.Sprintf("%#v", c.in); before != after {
			t.Errorf("%s:%s: the input itself was changed: %s", c.service, c.operation, after)
		}
	}
}

func TestMarksTellChangesWithoutTellingValues(t *testing.T) {
	t.Parallel()
	catalog, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	s, op, err := catalog.Find("secretsmanager", "PutSecretValue")
	if err != nil {
		t.Fatal(err)
	}
	with := func(r *apimodel.Redactor, secret string) string {
		out, _ := r.Input(s.Name, op, map[string]any{"SecretString": secret})["SecretString"].(string)
		return out
	}
	r := redactor(t)
	other, err := apimodel.NewRedactor([]byte("another key of 16 bytes"))
	if err != nil {
		t.Fatal(err)
	}
	if a := with(r, "a"); a != with(r, "a") || a == with(r, "b") || with(r, "a") == with(other, "a") {
		t.Error("equal values must look equal, others different, and none must be guessable without the key")
	}
	if twice := with(r, with(r, "a")); twice != with(r, "a") {
		t.Errorf("redacting twice gave %s", twice)
	}
	in := map[string]any{"SecretId": "db", "SecretString": "hunter22"}
	found := r.Secrets(s.Name, op, in)
	if diff := cmp.Diff([]string{"hunter22"}, found); diff != "" {
		t.Error(diff)
	}
	if got := r.Scrub("Value 'hunter22' at 'SecretString' failed", found); strings.Contains(got, "hunter22") || !strings.Contains(got, "at 'SecretString' failed") {
		t.Errorf("scrubbed: %s", got)
	}
	if r.Digest(in) == "" || r.Digest(in) != r.Digest(map[string]any{"SecretString": "hunter22", "SecretId": "db"}) || r.Digest(func() {}) != "" {
		t.Error("digests do not follow the value")
	}
	if _, err := apimodel.NewRedactor([]byte("short")); err == nil {
		t.Error("a key of 5 bytes was taken")
	}
}

func BenchmarkRedact(b *testing.B) {
	catalog, err := apimodel.Load()
	if err != nil {
		b.Fatal(err)
	}
	s, op, err := catalog.Find("s3", "PutBucketPolicy")
	if err != nil {
		b.Fatal(err)
	}
	r := redactor(b)
	in := map[string]any{"Bucket": "example", "Policy": strings.Repeat("x", 2000)}
	for b.Loop() {
		r.Digest(r.Input(s.Name, op, in))
	}
}
