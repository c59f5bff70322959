package apimodel_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

func spec(t testing.TB, op string) apimodel.ImageSpec {
	t.Helper()
	return specOf(t, call(op, map[string]any{"Bucket": "b"}))
}

func specOf(t testing.TB, c apimodel.Call) apimodel.ImageSpec {
	t.Helper()
	s, ok := apimodel.ImageOf(c)
	if !ok {
		t.Fatalf("%s %v has no row", c, c.Input)
	}
	return s
}

func call(op string, input map[string]any) apimodel.Call {
	service, name, _ := strings.Cut(op, ":")
	return apimodel.Call{Service: service, Operation: name, Account: "111122223333", Region: "eu-west-1", Input: input}
}

func TestImageOfTakesEverySpelling(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"s3:PutBucketPolicy", "S3:put_bucket_policy", "s3:put-bucket-policy", "s3:putbucketpolicy"} {
		if got := spec(t, name); got.Operation != "PutBucketPolicy" {
			t.Errorf("%s gave %s", name, got.Operation)
		}
	}
	for _, name := range []string{"DeleteBucket", "PutObject", ""} {
		if _, ok := apimodel.ImageOf(apimodel.Call{Service: "s3", Operation: name, Input: map[string]any{"Bucket": "b"}}); ok {
			t.Errorf("%q has a row", name)
		}
	}
}

func TestImageNamesAndReads(t *testing.T) {
	t.Parallel()
	c := call("s3:PutBucketPolicy", map[string]any{"Bucket": "prod-logs", "Policy": "{}", "ExpectedBucketOwner": "111122223333"})
	s := specOf(t, c)
	if got, want := s.Resource(), "arn:aws:s3:::prod-logs (bucket policy)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	want := apimodel.Call{
		Service: "s3", Operation: "GetBucketPolicy", Account: c.Account, Region: c.Region,
		Input: map[string]any{"Bucket": "prod-logs", "ExpectedBucketOwner": "111122223333"},
	}
	if diff := cmp.Diff(want, s.ReadCall()); diff != "" {
		t.Error(diff)
	}
	if !apimodel.IsImageRead("s3", "get_bucket_policy") || !s.Shows(want) || apimodel.ReadResource(want) != s.Resource() {
		t.Error("the read does not name the same thing as the change")
	}
	other := c.Clone()
	other.Input["Bucket"] = "other"
	if specOf(t, other).Key() == s.Key() {
		t.Error("two buckets have one key")
	}
	for region, partition := range map[string]string{"cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "eu-west-1": "aws", "": "aws", "us-iso-east-1": "aws-iso", "us-isob-east-1": "aws-iso-b"} {
		if got := apimodel.Partition(region); got != partition {
			t.Errorf("%s: got %s, want %s", region, got, partition)
		}
	}
	there := call("ec2:EnableEbsEncryptionByDefault", nil)
	ebs := specOf(t, there)
	there.Region = "us-east-1"
	if ebs.Key() == specOf(t, there).Key() {
		t.Error("a regional setting has one key in two regions")
	}
	if got, want := ebs.ARN(), "arn:aws:ec2:eu-west-1:111122223333:ebs-encryption-by-default"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestImageFrom(t *testing.T) {
	t.Parallel()
	s := spec(t, "s3:DeleteBucketPolicy")
	img, err := s.ImageFrom(apimodel.Reply{}, &apimodel.APIError{Code: "NoSuchBucketPolicy"})
	if err != nil || img.Exists {
		t.Errorf("absent policy: %+v, %v", img, err)
	}
	gone := &apimodel.APIError{Code: "NoSuchBucket"}
	if _, err := s.ImageFrom(apimodel.Reply{}, gone); !errors.Is(err, error(gone)) {
		t.Errorf("a missing bucket is not a missing policy: %v", err)
	}
	img, err = s.ImageFrom(apimodel.Reply{Output: map[string]any{"Policy": "{}", "ResponseMetadata": map[string]any{}}}, nil)
	if diff := cmp.Diff(apimodel.Image{Exists: true, Data: map[string]any{"Policy": "{}"}}, img); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestExpectedAndInverse(t *testing.T) {
	t.Parallel()
	owner := map[string]any{"ID": "owner", "DisplayName": "who"}
	public := apimodel.Image{Exists: true, Data: map[string]any{"Owner": owner, "Grants": []any{grant("owner", "FULL_CONTROL"), everyone("READ")}}}
	blocked := map[string]any{"BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true}
	tests := []struct {
		name     string
		op       string
		before   apimodel.Image
		input    map[string]any
		want     apimodel.Image
		unknown  bool
		inverse  string
		restored map[string]any
	}{
		{
			name: "block where there was none", op: "s3:PutPublicAccessBlock",
			input:   map[string]any{"PublicAccessBlockConfiguration": blocked},
			want:    apimodel.Image{Exists: true, Data: map[string]any{"PublicAccessBlockConfiguration": blocked}},
			inverse: "DeletePublicAccessBlock", restored: map[string]any{"Bucket": "b"},
		},
		{
			name: "policy removed", op: "s3:DeleteBucketPolicy", before: apimodel.Image{Exists: true, Data: map[string]any{"Policy": "{}"}},
			inverse: "PutBucketPolicy", restored: map[string]any{"Bucket": "b", "Policy": "{}"},
		},
		{
			name: "policy put where there was none", op: "s3:PutBucketPolicy", input: map[string]any{"Policy": "{}"},
			want: apimodel.Image{Exists: true, Data: map[string]any{"Policy": "{}"}}, inverse: "DeleteBucketPolicy", restored: map[string]any{"Bucket": "b"},
		},
		{
			name: "canned ACL", op: "s3:PutBucketAcl", before: public, input: map[string]any{"ACL": "private"},
			want:    apimodel.Image{Exists: true, Data: map[string]any{"Owner": owner, "Grants": []any{grant("owner", "FULL_CONTROL")}}},
			inverse: "PutBucketAcl", restored: map[string]any{"Bucket": "b", "AccessControlPolicy": public.Data},
		},
		{
			name: "listed grants", op: "s3:PutBucketAcl", before: public,
			input:   map[string]any{"AccessControlPolicy": map[string]any{"Owner": map[string]any{"ID": "owner"}, "Grants": []any{grant("owner", "READ")}}},
			want:    apimodel.Image{Exists: true, Data: map[string]any{"Owner": map[string]any{"ID": "owner"}, "Grants": []any{grant("owner", "READ")}}},
			inverse: "PutBucketAcl", restored: map[string]any{"Bucket": "b", "AccessControlPolicy": public.Data},
		},
		{
			name: "grants by header cannot be told but are undone", op: "s3:PutBucketAcl", before: public,
			input: map[string]any{"GrantRead": `id="x"`}, unknown: true,
			inverse: "PutBucketAcl", restored: map[string]any{"Bucket": "b", "AccessControlPolicy": public.Data},
		},
		{
			name: "versioning from never", op: "s3:PutBucketVersioning", before: apimodel.Image{Exists: true, Data: map[string]any{}},
			input:   map[string]any{"VersioningConfiguration": map[string]any{"Status": "Enabled"}},
			want:    apimodel.Image{Exists: true, Data: map[string]any{"Status": "Enabled"}},
			inverse: "PutBucketVersioning", restored: map[string]any{"Bucket": "b", "VersioningConfiguration": map[string]any{"Status": "Suspended"}},
		},
		{
			name: "MFA delete has no way back", op: "s3:PutBucketVersioning", before: apimodel.Image{Exists: true},
			input:   map[string]any{"VersioningConfiguration": map[string]any{"Status": "Enabled", "MFADelete": "Enabled"}},
			unknown: true,
		},
		{
			name: "logging where there was none", op: "s3:PutBucketLogging", before: apimodel.Image{Exists: true, Data: map[string]any{}},
			input:   map[string]any{"BucketLoggingStatus": map[string]any{"LoggingEnabled": map[string]any{"TargetBucket": "l", "TargetPrefix": "p"}}},
			want:    apimodel.Image{Exists: true, Data: map[string]any{"LoggingEnabled": map[string]any{"TargetBucket": "l", "TargetPrefix": "p"}}},
			inverse: "PutBucketLogging", restored: map[string]any{"Bucket": "b", "BucketLoggingStatus": map[string]any{}},
		},
		{
			name: "setting that was off", op: "ec2:EnableEbsEncryptionByDefault", before: apimodel.Image{Exists: true, Data: map[string]any{"EbsEncryptionByDefault": false}},
			want:    apimodel.Image{Exists: true, Data: map[string]any{"EbsEncryptionByDefault": true}},
			inverse: "DisableEbsEncryptionByDefault", restored: map[string]any{},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := call(tt.op, map[string]any{"Bucket": "b"})
			if strings.HasPrefix(tt.op, "ec2:") {
				c.Input = map[string]any{}
			}
			for k, v := range tt.input {
				c.Input[k] = v
			}
			s := specOf(t, c)
			got, known := s.Expected(tt.before)
			if known == tt.unknown {
				t.Fatalf("known: %v", known)
			}
			if diff := s.Diff(tt.want, got); known && len(diff) > 0 {
				t.Errorf("expected image: %+v", diff)
			}
			calls, _ := s.Inverse(tt.before)
			if tt.inverse == "" {
				if len(calls) > 0 {
					t.Errorf("inverse %v", calls)
				}
				return
			}
			want := []apimodel.InverseCall{{Call: apimodel.Call{Service: s.Service, Operation: tt.inverse, Account: c.Account, Region: c.Region, Input: tt.restored}}}
			if diff := cmp.Diff(want, calls); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func grant(id, permission string) map[string]any {
	return map[string]any{"Grantee": map[string]any{"Type": "CanonicalUser", "ID": id}, "Permission": permission}
}

func everyone(permission string) map[string]any {
	return map[string]any{"Grantee": map[string]any{"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": permission}
}

func TestDiffListsWhatPeopleMustSee(t *testing.T) {
	t.Parallel()
	policy := func(statements string) apimodel.Image {
		return apimodel.Image{Exists: true, Data: map[string]any{"Policy": `{"Version":"2012-10-17","Statement":` + statements + `}`}}
	}
	const public = `{"Sid":"PublicRead","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}`
	const logs = `{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":true}}}`
	const logsAgain = `{"Action":["s3:GetObject","s3:PutObject"],"Effect":"Allow","Resource":["arn:aws:s3:::b/*"],"Principal":{"AWS":["arn:aws:iam::111122223333:root"]},"Condition":{"Bool":{"aws:SecureTransport":"true"}}}`
	acl := func(grants ...any) apimodel.Image {
		return apimodel.Image{Exists: true, Data: map[string]any{"Owner": map[string]any{"ID": "o", "DisplayName": "n"}, "Grants": grants}}
	}
	block := func(m map[string]any) apimodel.Image {
		return apimodel.Image{Exists: true, Data: map[string]any{"PublicAccessBlockConfiguration": m}}
	}
	sse := func(alg string) apimodel.Image {
		return apimodel.Image{Exists: true, Data: map[string]any{"ServerSideEncryptionConfiguration": map[string]any{"Rules": []any{
			map[string]any{"ApplyServerSideEncryptionByDefault": map[string]any{"SSEAlgorithm": alg}},
		}}}}
	}
	tests := []struct {
		name          string
		op            string
		before, after apimodel.Image
		want          []string
	}{
		{"reprinted and reordered policy", "s3:PutBucketPolicy", policy("[" + public + "," + logs + "]"), policy("[" + logsAgain + "," + public + "]"), nil},
		{"one statement removed", "s3:PutBucketPolicy", policy("[" + public + "," + logs + "]"), policy(logsAgain), []string{"Policy.Statement[PublicRead]: - gone"}},
		{"same Sid, other text", "s3:PutBucketPolicy", policy(public), policy(strings.Replace(public, "GetObject", "*", 1)), []string{"Policy.Statement[PublicRead]: changed"}},
		{"policy removed", "s3:DeleteBucketPolicy", policy(public), apimodel.Image{}, []string{"Policy.Statement[PublicRead]: - gone", "Policy.Version: - gone"}},
		{"not JSON", "s3:PutBucketPolicy", apimodel.Image{Exists: true, Data: map[string]any{"Policy": "{"}}, policy(public), []string{"Policy: changed"}},
		{"grants in another order", "s3:PutBucketAcl", acl(grant("o", "FULL_CONTROL"), everyone("READ")), acl(everyone("READ"), grant("o", "FULL_CONTROL")), nil},
		{"public grant removed", "s3:PutBucketAcl", acl(grant("o", "FULL_CONTROL"), everyone("READ")), acl(grant("o", "FULL_CONTROL")), []string{"Grants[AllUsers READ]: - gone"}},
		{"a grant twice", "s3:PutBucketAcl", acl(everyone("READ"), everyone("READ")), acl(everyone("READ")), []string{"Grants[AllUsers READ]: - gone"}},
		{"missing switches are off", "s3:PutPublicAccessBlock", block(map[string]any{"BlockPublicAcls": true}), block(map[string]any{"BlockPublicAcls": true, "IgnorePublicAcls": false}), nil},
		{"none is not all off", "s3:PutPublicAccessBlock", apimodel.Image{}, block(map[string]any{"BlockPublicAcls": false}), []string{
			"PublicAccessBlockConfiguration.BlockPublicAcls: + new", "PublicAccessBlockConfiguration.BlockPublicPolicy: + new",
			"PublicAccessBlockConfiguration.IgnorePublicAcls: + new", "PublicAccessBlockConfiguration.RestrictPublicBuckets: + new",
		}},
		{"default encryption is what none means", "s3:PutBucketEncryption", apimodel.Image{}, sse("AES256"), nil},
		{"other encryption", "s3:PutBucketEncryption", apimodel.Image{}, sse("aws:kms"), []string{
			"ServerSideEncryptionConfiguration.Rules[element]: changed",
		}},
		{"there or not, without members", "s3:PutBucketOwnershipControls", apimodel.Image{}, apimodel.Image{Exists: true, Data: map[string]any{}}, []string{"Exists: changed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := spec(t, tt.op)
			var got []string
			for _, m := range s.Diff(tt.before, tt.after) {
				switch {
				case m.Before == "":
					got = append(got, m.Path+": + new")
				case m.After == "":
					got = append(got, m.Path+": - gone")
				default:
					got = append(got, m.Path+": changed")
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if s.Equal(tt.before, tt.after) != (tt.want == nil) {
				t.Error("Equal disagrees with Diff")
			}
		})
	}
}

func TestAnswerIsImageFromBackwards(t *testing.T) {
	t.Parallel()
	s := spec(t, "s3:PutBucketPolicy")
	base := apimodel.Reply{Output: map[string]any{"Policy": "old", "ResponseMetadata": map[string]any{"RequestId": "r"}}}
	reply, err := s.Answer(s.ReadCall(), apimodel.Image{Exists: true, Data: map[string]any{"Policy": "new"}}, base)
	if diff := cmp.Diff(map[string]any{"Policy": "new", "ResponseMetadata": map[string]any{"RequestId": "r"}}, reply.Output); diff != "" || err != nil {
		t.Error(diff, err)
	}
	_, err = s.Answer(s.ReadCall(), apimodel.Image{}, base)
	var api *apimodel.APIError
	if !errors.As(err, &api) || api.Code != "NoSuchBucketPolicy" || base.Output["Policy"] != "old" {
		t.Errorf("got %v, base %v", err, base.Output)
	}
}

func TestUndoRank(t *testing.T) {
	t.Parallel()
	on := apimodel.Image{Exists: true, Data: map[string]any{"PublicAccessBlockConfiguration": map[string]any{"BlockPublicAcls": true}}}
	off := apimodel.Image{}
	block, policy := spec(t, "s3:PutPublicAccessBlock"), spec(t, "s3:PutBucketPolicy")
	for want, got := range map[int]int{-1: block.UndoRank(off, on), 1: block.UndoRank(on, off), 0: policy.UndoRank(off, on)} {
		if got != want {
			t.Errorf("got rank %d, want %d", got, want)
		}
	}
	if got := block.UndoRank(on, on); got != 0 {
		t.Errorf("nothing to undo has rank %d", got)
	}
}

// FuzzPolicyDiff holds that comparing text that others wrote never fails and
// that every document equals itself.
func FuzzPolicyDiff(f *testing.F) {
	f.Add(`{"Statement":{"Sid":"a","Principal":{"AWS":["1",2]},"Action":{"x":1},"Condition":{"a":[1]}}}`, `{"Statement":[null,1,"x"]}`)
	f.Add("", "null")
	f.Fuzz(func(t *testing.T, a, b string) {
		s := spec(t, "s3:PutBucketPolicy")
		x := apimodel.Image{Exists: true, Data: map[string]any{"Policy": a}}
		y := apimodel.Image{Exists: true, Data: map[string]any{"Policy": b}}
		if !s.Equal(x, x) {
			t.Error("not equal to itself")
		}
		if s.Equal(x, y) != s.Equal(y, x) {
			t.Error("not symmetric")
		}
	})
}

func TestUndoGoesBackInAnOrderThatAWSAccepts(t *testing.T) {
	t.Parallel()
	on := map[string]any{"BlockPublicAcls": true}
	done := []apimodel.Done{
		{Call: call("s3:PutPublicAccessBlock", map[string]any{"Bucket": "b", "PublicAccessBlockConfiguration": on})},
		{Call: call("s3:DeleteBucketPolicy", map[string]any{"Bucket": "b"}), Before: apimodel.Image{Exists: true, Data: map[string]any{"Policy": "{}"}}},
		{Call: call("s3:DeleteObject", map[string]any{"Bucket": "b", "Key": "k"})},
		{Call: call("s3:PutBucketPolicy", map[string]any{"Bucket": "b", "Policy": "{2}"})},
		{Call: call("s3:PutBucketVersioning", map[string]any{"Bucket": "b", "VersioningConfiguration": map[string]any{"Status": "Enabled"}}), Before: apimodel.Image{Exists: true}},
	}
	calls, without := apimodel.Undo(done)
	var got []string
	for _, c := range calls {
		got = append(got, c.Operation)
	}
	if diff := cmp.Diff([]string{"DeletePublicAccessBlock", "PutBucketVersioning", "DeleteBucketPolicy", "PutBucketPolicy"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{2}, without); diff != "" {
		t.Error(diff)
	}
	if calls[0].Of != 0 || calls[0].Restores == "" || calls[1].NotRestored == "" {
		t.Errorf("got %+v", calls[:2])
	}
	// Taking Block Public Access away is undone last: it would refuse the rest.
	done[0] = apimodel.Done{Call: call("s3:DeletePublicAccessBlock", map[string]any{"Bucket": "b"}), Before: apimodel.Image{Exists: true, Data: map[string]any{"PublicAccessBlockConfiguration": on}}}
	calls, _ = apimodel.Undo([]apimodel.Done{done[1], done[0]})
	if got := calls[len(calls)-1].Operation; got != "PutPublicAccessBlock" {
		t.Errorf("the last call is %s", got)
	}
}

// What several people write parts of is told from a setting.
func TestComposed(t *testing.T) {
	t.Parallel()
	grants := map[string]any{"Grants": []any{map[string]any{"Permission": "READ"}}}
	for name, tt := range map[string]struct {
		call apimodel.Call
		data map[string]any
		want bool
	}{
		"a setting":          {call("s3:PutPublicAccessBlock", map[string]any{"Bucket": "b"}), map[string]any{"PublicAccessBlockConfiguration": map[string]any{"BlockPublicAcls": true}}, false},
		"a policy":           {call("s3:DeleteBucketPolicy", map[string]any{"Bucket": "b"}), map[string]any{"Policy": "{}"}, true},
		"a list":             {call("s3:PutBucketAcl", map[string]any{"Bucket": "b", "ACL": "private"}), grants, true},
		"a list that is not": {call("s3:PutBucketCors", map[string]any{"Bucket": "b", "CORSConfiguration": map[string]any{"CORSRules": []any{}}}), nil, false},
		"its rules":          {call("s3:PutBucketCors", map[string]any{"Bucket": "b", "CORSConfiguration": map[string]any{"CORSRules": []any{}}}), map[string]any{"CORSRules": []any{"one"}}, true},
	} {
		spec, ok := apimodel.ImageOf(tt.call)
		if !ok {
			t.Fatalf("%s: no row", name)
		}
		if got := spec.Composed(apimodel.Image{Exists: tt.data != nil, Data: tt.data}); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	// An operation that takes one element out of a list leaves the others.
	rule := call("ec2:RevokeSecurityGroupIngress", map[string]any{"GroupId": "sg-1", "IpPermissions": []any{map[string]any{"IpProtocol": "-1"}}})
	if spec, ok := apimodel.ImageOf(rule); !ok || spec.Composed(apimodel.Image{Exists: true, Data: map[string]any{"IpPermissions": []any{map[string]any{"IpProtocol": "-1"}}}}) {
		t.Errorf("a rule of a security group: %v", ok)
	}
}
