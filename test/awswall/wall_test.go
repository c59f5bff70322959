package awswall_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parry-security/parry/test/awswall"
	"github.com/parry-security/parry/test/testenv"
	"github.com/parry-security/parry/test/testenv/envtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is the running world with a client.
type world struct {
	*testenv.Env
}

type creds = envtest.Creds

func of(k testenv.Key) creds { return envtest.Of(k) }

func (w world) call(t *testing.T, c creds, service, method, path, body string, header ...string) envtest.Answer {
	t.Helper()
	return envtest.Call(t, w.Env, c, service, method, path, body, header...)
}

func (w world) assume(t *testing.T, c creds, form url.Values) (creds, envtest.Answer) {
	t.Helper()
	return envtest.Assume(t, w.Env, c, form)
}

// member assumes ParryMemberRole in a member as Parry does.
func (w world) member(t *testing.T, name string) creds {
	t.Helper()
	c, a := w.assume(t, of(w.Estate.Security.Hub), w.roleForm(name))
	if a.Status != http.StatusOK {
		t.Fatalf("assume the member role: %+v", a)
	}
	return c
}

func (w world) roleForm(name string) url.Values {
	return url.Values{
		"RoleArn": {w.Estate.Members[name].RoleARN}, "RoleSessionName": {"rem-1"},
		"ExternalId": {w.Estate.ExternalID}, "SourceIdentity": {"parry"},
	}
}

func TestWall(t *testing.T) {
	t.Parallel()
	w := world{envtest.For(t)}
	for name, test := range map[string]func(*testing.T, world){
		"assume role":         assumeRole,
		"keys and signatures": keysAndSignatures,
		"session policy":      limitedSession,
		"permissions":         permissions,
		"foreign buckets":     foreignBuckets,
		"block public access": blockPublicAccess,
		"organization":        organization,
		"not implemented":     notImplemented,
		"regions":             regions,
		"faults":              injectedFaults,
		"lost and held":       lostAndHeld,
		"log":                 requestLog,
		"control":             control,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

func sessionPolicy(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
}

// limitedSession: a session may do what its role and its session policy allow.
func limitedSession(t *testing.T, w world) {
	dev := w.Estate.Members["dev"]
	form := w.roleForm("dev")
	form.Set("Policy", sessionPolicy("s3:Get*", "arn:aws:s3:::"+dev.PublicBucket))
	session, a := w.assume(t, of(w.Estate.Security.Hub), form)
	a.Is(t, 200, "")
	w.call(t, session, "s3", "GET", "/"+dev.PublicBucket+"?acl", "").Is(t, 200, "")
	w.call(t, session, "s3", "GET", "/"+dev.PrivateBucket+"?acl", "").Is(t, 403, "AccessDenied")
	w.call(t, session, "s3", "DELETE", "/"+dev.PublicBucket+"?policy", "").Is(t, 403, "AccessDenied")
	w.call(t, session, "s3", "GET", "/"+dev.PublicBucket+"?tagging", "").Is(t, 403, "AccessDenied") // not the role's
}

func assumeRole(t *testing.T, w world) {
	hub, dev := of(w.Estate.Security.Hub), w.Estate.Members["dev"]
	cases := map[string]struct {
		as   creds
		edit func(url.Values)
		want int
		code string
		text string
	}{
		"admitted":                   {as: hub, edit: func(url.Values) {}, want: 200},
		"wrong external id":          {as: hub, edit: func(f url.Values) { f.Set("ExternalId", "other") }, want: 403, code: "AccessDenied", text: "sts:AssumeRole on resource: " + dev.RoleARN},
		"no external id":             {as: hub, edit: func(f url.Values) { f.Del("ExternalId") }, want: 403, code: "AccessDenied"},
		"no source identity":         {as: hub, edit: func(f url.Values) { f.Del("SourceIdentity") }, want: 403, code: "AccessDenied"},
		"a role that is not there":   {as: hub, edit: func(f url.Values) { f.Set("RoleArn", dev.RoleARN+"2") }, want: 403, code: "AccessDenied"},
		"an account that is not":     {as: hub, edit: func(f url.Values) { f.Set("RoleArn", "arn:aws:iam::999999999999:role/ParryMemberRole") }, want: 403, code: "AccessDenied"},
		"not an ARN":                 {as: hub, edit: func(f url.Values) { f.Set("RoleArn", "ParryMemberRole") }, want: 400, code: "ValidationError"},
		"somebody else":              {as: of(w.Estate.Members["prod"].Owner), edit: func(url.Values) {}, want: 403, code: "AccessDenied", text: "user/owner is not authorized"},
		"an account's administrator": {as: of(w.Estate.Management.Administrator), edit: func(url.Values) {}, want: 403, code: "AccessDenied"},
		"a root user":                {as: creds{ID: w.Root.AccessKeyID, Secret: w.Root.Secret}, edit: func(url.Values) {}, want: 403, code: "AccessDenied", text: "root accounts"},
		"with a session tag":         {as: hub, edit: func(f url.Values) { f.Set("Tags.member.1.Key", "k"); f.Set("Tags.member.1.Value", "v") }, want: 200},
		"a long session policy":      {as: hub, edit: func(f url.Values) { f.Set("Policy", sessionPolicy("s3:GetBucketAcl", strings.Repeat("x", 2000))) }, want: 400, code: "ValidationError"},
		"a broken session policy":    {as: hub, edit: func(f url.Values) { f.Set("Policy", "{") }, want: 400, code: "MalformedPolicyDocument"},
		"a policy that is not there": {as: hub, edit: func(f url.Values) { f.Set("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/Nothing") }, want: 400, code: "MalformedPolicyDocument"},
		"a role the hub may not assume": {as: hub, edit: func(f url.Values) {
			f.Set("RoleArn", "arn:aws:iam::"+dev.Account+":role/OrganizationAccountAccessRole")
		}, want: 403, code: "AccessDenied"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			form := w.roleForm("dev")
			c.edit(form)
			_, a := w.assume(t, c.as, form)
			a.Is(t, c.want, c.code)
			if !strings.Contains(a.Body, c.text) {
				t.Errorf("the answer does not say %q: %s", c.text, a.Body)
			}
		})
	}
	t.Run("the session is who it says", func(t *testing.T) {
		t.Parallel()
		a := w.call(t, w.member(t, "dev"), "sts", "POST", "/", "Action=GetCallerIdentity&Version=2011-06-15")
		if want := "arn:aws:sts::" + dev.Account + ":assumed-role/ParryMemberRole/rem-1"; !strings.Contains(a.Body, want) {
			t.Errorf("the identity is not %s: %s", want, a.Body)
		}
	})
}

func keysAndSignatures(t *testing.T, w world) {
	judge, bucket := of(w.Estate.Members["dev"].Judge), w.Estate.Members["dev"].PublicBucket
	path := "/" + bucket + "?acl="
	w.call(t, judge, "s3", "GET", path, "").Is(t, 200, "")
	w.call(t, creds{ID: judge.ID, Secret: "wrong", Token: ""}, "s3", "GET", path, "").Is(t, 403, "SignatureDoesNotMatch")
	w.call(t, creds{ID: "AKIAAAAAAAAAAAAAAAAA", Secret: "x", Token: ""}, "s3", "GET", path, "").Is(t, 403, "InvalidAccessKeyId")
	w.call(t, creds{ID: "AKIAAAAAAAAAAAAAAAAA", Secret: "x", Token: ""}, "sts", "POST", "/", "Action=GetCallerIdentity&Version=2011-06-15").Is(t, 403, "InvalidClientTokenId")
	w.call(t, creds{ID: "AKIAAAAAAAAAAAAAAAAA", Secret: "x", Token: ""}, "organizations", "POST", "/", "{}", "X-Amz-Target", "AWSOrganizationsV20161128.ListAccounts").Is(t, 403, "UnrecognizedClientException")
	w.call(t, creds{}, "sts", "POST", "/", "Action=GetCallerIdentity&Version=2011-06-15").Is(t, 403, "MissingAuthenticationToken")
	session := w.member(t, "dev")
	w.call(t, creds{ID: session.ID, Secret: session.Secret, Token: "wrong"}, "s3", "GET", path, "").Is(t, 403, "InvalidToken")
	w.call(t, creds{}, "s3", "GET", path+"&X-Amz-Signature=0", "").Is(t, 501, "NotImplemented")
	// Characters that S3 and everybody else encode differently.
	owner := of(w.Estate.Members["dev"].Owner)
	w.call(t, owner, "s3", "PUT", "/"+bucket+"/a%20b%2Bc/%E2%9C%93%3D1?tagging=&x=a%20b%2Fc%2B", "<Tagging><TagSet></TagSet></Tagging>").Is(t, 404, "NoSuchKey")
}

func permissions(t *testing.T, w world) {
	dev := w.Estate.Members["dev"]
	role := w.member(t, "dev")
	// The member role has what the catalogue needs, and nothing else.
	w.call(t, role, "s3", "GET", "/"+dev.PublicBucket+"?policy=", "").Is(t, 200, "")
	w.call(t, role, "s3", "GET", "/"+dev.PublicBucket, "").Is(t, 403, "AccessDenied")
	w.call(t, role, "s3", "GET", "/", "").Is(t, 200, "")
	w.call(t, role, "iam", "POST", "/", "Action=ListUsers&Version=2010-05-08").Is(t, 403, "AccessDenied")
	w.call(t, of(dev.Judge), "s3", "DELETE", "/"+dev.PrivateBucket+"?policy=", "").Is(t, 403, "AccessDenied")
	// A role that denies everything: an administrator puts it there, the next call feels it.
	prod := w.Estate.Members["prod"]
	admin, a := w.assume(t, of(w.Estate.Management.Administrator), url.Values{
		"RoleArn": {"arn:aws:iam::" + prod.Account + ":role/OrganizationAccountAccessRole"}, "RoleSessionName": {"freeze"},
	})
	a.Is(t, 200, "")
	deny := url.Values{
		"Action": {"PutRolePolicy"}, "Version": {"2010-05-08"}, "RoleName": {"OrganizationAccountAccessRole"}, "PolicyName": {"frozen"},
		"PolicyDocument": {`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}`},
	}
	list := func() envtest.Answer { return w.call(t, admin, "s3", "GET", "/", "") }
	list().Is(t, 200, "")
	w.call(t, admin, "iam", "POST", "/", deny.Encode()).Is(t, 200, "")
	a = list()
	a.Is(t, 403, "AccessDenied")
	if !strings.Contains(a.Body, "explicit deny") {
		t.Errorf("the answer does not say why: %s", a.Body)
	}
}

func foreignBuckets(t *testing.T, w world) {
	dev, prod := w.Estate.Members["dev"], w.Estate.Members["prod"]
	stranger := of(prod.Owner)
	for _, sub := range []string{"publicAccessBlock", "policy", "acl"} {
		w.call(t, stranger, "s3", "GET", "/"+dev.PublicBucket+"?"+sub+"=", "").Is(t, 403, "AccessDenied")
		w.call(t, stranger, "s3", "PUT", "/"+dev.PrivateBucket+"?"+sub+"=", "{}").Is(t, 403, "AccessDenied")
	}
	w.call(t, stranger, "s3", "PUT", "/"+dev.PrivateBucket+"/new", "x").Is(t, 403, "AccessDenied")
	// What the policy gives, it gives.
	w.call(t, stranger, "s3", "GET", "/"+dev.PublicBucket+"/index.html", "").Is(t, 200, "")
	w.call(t, creds{}, "s3", "GET", "/"+dev.PublicBucket+"/index.html", "").Is(t, 200, "")
	w.call(t, creds{}, "s3", "GET", "/"+dev.PublicBucket, "").Is(t, 200, "")
	w.call(t, creds{}, "s3", "GET", "/"+dev.PrivateBucket+"/record.txt", "").Is(t, 403, "AccessDenied")
	w.call(t, creds{}, "s3", "PUT", "/"+dev.PublicBucket+"/new", "x").Is(t, 403, "AccessDenied")
	w.call(t, of(w.Estate.Security.Hub), "s3", "GET", "/"+dev.PrivateBucket+"/record.txt", "").Is(t, 403, "AccessDenied")
	// The policy names the security account, and its administrator may use that.
	admin, a := w.assume(t, of(w.Estate.Management.Administrator), url.Values{
		"RoleArn": {"arn:aws:iam::" + w.Estate.Security.Account + ":role/OrganizationAccountAccessRole"}, "RoleSessionName": {"reader"},
	})
	a.Is(t, 200, "")
	w.call(t, admin, "s3", "GET", "/"+dev.PrivateBucket+"/record.txt", "").Is(t, 200, "")
	w.call(t, admin, "sqs", "POST", "/", `{"QueueUrl":"`+strings.Replace(w.Estate.Security.QueueURL, w.Estate.Security.Account, dev.Account, 1)+`"}`,
		"X-Amz-Target", "AmazonSQS.ReceiveMessage", "Content-Type", "application/x-amz-json-1.0").Is(t, 403, "AccessDeniedException")
}

// blockPublicAccess shows why an undo has to open Block Public Access first.
func blockPublicAccess(t *testing.T, w world) {
	owner, bucket := of(w.Estate.Members["prod"].Owner), "prod-block-"+w.Estate.Members["prod"].Account
	path := "/" + bucket
	w.call(t, owner, "s3", "PUT", path, "").Is(t, 200, "")
	w.call(t, owner, "s3", "PUT", path+"/index.html", "hello").Is(t, 200, "")
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + bucket + `/*"}]}`
	block := func(v string) string {
		return `<PublicAccessBlockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><BlockPublicAcls>` + v + `</BlockPublicAcls><IgnorePublicAcls>` + v +
			`</IgnorePublicAcls><BlockPublicPolicy>` + v + `</BlockPublicPolicy><RestrictPublicBuckets>` + v + `</RestrictPublicBuckets></PublicAccessBlockConfiguration>`
	}
	anonymous := func() envtest.Answer { return w.call(t, creds{}, "s3", "GET", path+"/index.html", "") }

	anonymous().Is(t, 403, "AccessDenied")
	w.call(t, owner, "s3", "GET", path+"?policyStatus=", "").Is(t, 404, "NoSuchBucketPolicy")
	w.call(t, owner, "s3", "PUT", path+"?policy=", policy).Is(t, 200, "")
	anonymous().Is(t, 200, "")
	if a := w.call(t, owner, "s3", "GET", path+"?policyStatus=", ""); !strings.Contains(a.Body, "<IsPublic>true") && !strings.Contains(a.Body, "<IsPublic>TRUE") {
		t.Errorf("the policy is not called public: %+v", a)
	}
	w.call(t, owner, "s3", "PUT", path+"?publicAccessBlock=", block("true")).Is(t, 200, "")
	anonymous().Is(t, 403, "AccessDenied")
	w.call(t, owner, "s3", "PUT", path+"?policy=", policy).Is(t, 403, "AccessDenied")
	w.call(t, owner, "s3", "PUT", path+"?acl=", "", "X-Amz-Acl", "public-read").Is(t, 403, "AccessDenied")
	w.call(t, owner, "s3", "PUT", path+"?acl=", "", "X-Amz-Acl", "private").Is(t, 200, "")
	w.call(t, owner, "s3", "PUT", path+"?policy=", strings.Replace(policy, `"Principal":"*"`, `"Principal":{"AWS":"arn:aws:iam::`+w.Estate.Security.Account+`:root"}`, 1)).Is(t, 200, "")
	w.call(t, owner, "s3", "PUT", path+"?policy=", "not JSON").Is(t, 400, "MalformedPolicy")
	w.call(t, owner, "s3", "DELETE", path+"?publicAccessBlock=", "").Is(t, 204, "")
	w.call(t, owner, "s3", "PUT", path+"?acl=", "", "X-Amz-Acl", "public-read").Is(t, 200, "")
}

func organization(t *testing.T, w world) {
	list := func(c creds, op string) envtest.Answer {
		return w.call(t, c, "organizations", "POST", "/", "{}", "X-Amz-Target", "AWSOrganizationsV20161128."+op, "Content-Type", "application/x-amz-json-1.1")
	}
	a := list(of(w.Estate.Security.Hub), "ListAccounts")
	a.Is(t, 200, "")
	for name, m := range w.Estate.Members {
		if !strings.Contains(a.Body, m.Account) {
			t.Errorf("the delegated administrator does not see %s: %s", name, a.Body)
		}
	}
	list(of(w.Estate.Members["dev"].Owner), "ListAccounts").Is(t, 403, "AccessDeniedException")
	a = list(of(w.Estate.Management.Administrator), "ListDelegatedAdministrators")
	if !strings.Contains(a.Body, w.Estate.Security.Account) {
		t.Errorf("Security Hub's administrator is not a delegated administrator: %s", a.Body)
	}
	a = w.call(t, of(w.Estate.Management.Administrator), "securityhub", "GET", "/organization/admin", "")
	if !strings.Contains(a.Body, w.Estate.Security.Account) {
		t.Errorf("Security Hub does not name its administrator: %s", a.Body)
	}
}

func notImplemented(t *testing.T, w world) {
	admin, bucket := of(w.Estate.Management.Administrator), w.Estate.Members["dev"].PublicBucket
	for name, a := range map[string]envtest.Answer{
		"an action":     w.call(t, admin, "iam", "POST", "/", "Action=GenerateOrganizationsAccessReport&Version=2010-05-08"),
		"a target":      w.call(t, admin, "organizations", "POST", "/", "{}", "X-Amz-Target", "AWSOrganizationsV20161128.InviteAccountToOrganization"),
		"a path":        w.call(t, admin, "securityhub", "POST", "/insights/get", "{}"),
		"a service":     w.call(t, admin, "access-analyzer", "GET", "/analyzer", ""),
		"a subresource": w.call(t, of(w.Estate.Members["dev"].Owner), "s3", "GET", "/"+bucket+"?metrics=", ""),
	} {
		if a.Status != http.StatusNotImplemented || a.Code != "NotImplemented" || strings.Contains(a.Body, "<html") {
			t.Errorf("%s: got %d %q: %s", name, a.Status, a.Code, a.Body)
		}
	}
}

// regions: one that came after March 2019 knows nobody of an account until somebody turns
// it on there.
func regions(t *testing.T, w world) {
	enter := func(name string) creds {
		c, a := w.assume(t, of(w.Estate.Management.Administrator), url.Values{
			"RoleArn": {"arn:aws:iam::" + w.Estate.Members[name].Account + ":role/OrganizationAccountAccessRole"}, "RoleSessionName": {"regions"},
		})
		a.Is(t, 200, "")
		return c
	}
	home, other := enter("prod"), enter("dev")
	owner := home
	owner.Region, other.Region = "ap-east-2", "ap-east-2"
	const listing = "Action=DescribeRegions&Version=2016-11-15"
	w.call(t, owner, "ec2", "POST", "/", listing).Is(t, 401, "AuthFailure")
	w.call(t, owner, "iam", "POST", "/", "Action=ListUsers&Version=2010-05-08").Is(t, 403, "InvalidClientTokenId")
	w.call(t, owner, "securityhub", "GET", "/accounts", "").Is(t, 403, "UnrecognizedClientException")
	w.call(t, owner, "s3", "GET", "/"+w.Estate.Members["prod"].PublicBucket+"?acl", "").Is(t, 400, "InvalidToken")

	status := func(query, want string) {
		t.Helper()
		a := w.call(t, home, "ec2", "POST", "/", listing+query)
		got := ""
		for item := range strings.SplitSeq(a.Body, "<item>") {
			if strings.Contains(item, "<regionName>ap-east-2</regionName>") {
				_, got, _ = strings.Cut(item, "<optInStatus>")
				got, _, _ = strings.Cut(got, "<")
			}
		}
		if a.Status != 200 || got != want {
			t.Errorf("%s: %d, ap-east-2 is %q, want %q", query, a.Status, got, want)
		}
	}
	status("", "")
	status("&AllRegions=true", "not-opted-in")
	w.call(t, home, "account", "POST", "/enableRegion", `{"RegionName":"ap-east-2"}`).Is(t, 200, "")
	status("", "opted-in")
	w.call(t, owner, "ec2", "POST", "/", listing).Is(t, 200, "")
	w.call(t, other, "ec2", "POST", "/", listing).Is(t, 401, "AuthFailure") // another account
	w.call(t, home, "account", "POST", "/disableRegion", `{"RegionName":"ap-east-2"}`).Is(t, 200, "")
	w.call(t, owner, "ec2", "POST", "/", listing).Is(t, 401, "AuthFailure")
	w.call(t, home, "account", "POST", "/disableRegion", `{"RegionName":"eu-west-1"}`).Is(t, 400, "ValidationException")
}

func injectedFaults(t *testing.T, w world) {
	m := w.Estate.Members["dev"]
	judge, path := of(m.Judge), "/"+m.PrivateBucket
	read := func(sub string) envtest.Answer { return w.call(t, judge, "s3", "GET", path+"?"+sub+"=", "") }
	inject := func(f awswall.Fault) *awswall.Injection {
		t.Helper()
		f.Bucket = m.PrivateBucket
		in, err := w.Wall.Inject(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(in.Release)
		return in
	}
	in := inject(awswall.Fault{Kind: awswall.Throttle, Operation: "GetBucketPolicy", Skip: 1, Times: 2})
	read("policy").Is(t, 200, "")
	read("policy").Is(t, 503, "SlowDown")
	read("acl").Is(t, 200, "")
	read("policy").Is(t, 503, "SlowDown")
	read("policy").Is(t, 200, "")
	if n := in.Count(); n != 2 {
		t.Errorf("%d calls were disturbed, want 2", n)
	}
	in.Release()
	in = inject(awswall.Fault{Kind: awswall.ServerError, Class: "read"})
	read("acl").Is(t, 500, "InternalError")
	in.Release()
	read("acl").Is(t, 200, "")
	in = inject(awswall.Fault{Kind: awswall.Delay, Wait: 50 * time.Millisecond})
	started := time.Now()
	read("acl").Is(t, 200, "")
	if d := time.Since(started); d < 50*time.Millisecond {
		t.Errorf("the call took %s", d)
	}
	in.Release()
	if _, err := w.Wall.Inject(awswall.Fault{Kind: "flood"}); err == nil {
		t.Error("an unknown kind is taken")
	}
	if _, err := w.Wall.Inject(awswall.Fault{Kind: awswall.Throttle, Class: "write"}); err == nil {
		t.Error("an unknown class is taken")
	}
	hub := of(w.Estate.Security.Hub)
	throttle, err := w.Wall.Inject(awswall.Fault{Kind: awswall.Throttle, Service: "sns"})
	if err != nil {
		t.Fatal(err)
	}
	w.call(t, hub, "sns", "POST", "/", "Action=Publish&Version=2010-03-31&Message=x&TopicArn="+url.QueryEscape(w.Estate.Security.TopicARN)).Is(t, 400, "Throttling")
	throttle.Release()
}

// lostAndHeld shows what moto did and did not do when the wire failed.
func lostAndHeld(t *testing.T, w world) {
	owner, bucket := of(w.Estate.Members["prod"].Owner), "prod-lost-"+w.Estate.Members["prod"].Account
	path := "/" + bucket
	w.call(t, owner, "s3", "PUT", path, "").Is(t, 200, "")
	tags := func(v string) envtest.Answer {
		return w.call(t, owner, "s3", "PUT", path+"?tagging=", "<Tagging><TagSet><Tag><Key>v</Key><Value>"+v+"</Value></Tag></TagSet></Tagging>")
	}
	value := func() string {
		_, rest, _ := strings.Cut(w.call(t, owner, "s3", "GET", path+"?tagging=", "").Body, "<Value>")
		v, _, _ := strings.Cut(rest, "</Value>")
		return v
	}
	inject := func(kind awswall.Kind) *awswall.Injection {
		t.Helper()
		in, err := w.Wall.Inject(awswall.Fault{Kind: kind, Operation: "PutBucketTagging", Bucket: bucket})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(in.Release)
		return in
	}
	for _, c := range []struct {
		kind     awswall.Kind
		answered bool
		done     bool
	}{
		{awswall.DropBefore, false, false},
		{awswall.DropAfter, false, true},
		{awswall.Swallow, true, false},
	} {
		in := inject(c.kind)
		a := tags(string(c.kind))
		in.Release()
		if (a.Err == nil) != c.answered {
			t.Errorf("%s: got %+v", c.kind, a)
		}
		if done := value() == string(c.kind); done != c.done {
			t.Errorf("%s: moto has %q", c.kind, value())
		}
	}
	for _, kind := range []awswall.Kind{awswall.HoldBefore, awswall.HoldAfter} {
		in := inject(kind)
		got := make(chan envtest.Answer, 1)
		go func() { got <- tags(string(kind)) }()
		<-in.Hit()
		if kind == awswall.HoldAfter {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			e, err := w.Wall.Await(ctx, func(e awswall.Entry) bool { return e.Fault == kind && e.Bucket == bucket })
			cancel()
			if err != nil || !e.Changed() {
				t.Fatalf("the held change is not in the log: %+v, %v", e, err)
			}
		}
		if done := value() == string(kind); done != (kind == awswall.HoldAfter) {
			t.Errorf("%s: while held, moto has %q", kind, value())
		}
		in.Release()
		if a := <-got; a.Status >= 300 || a.Err != nil || value() != string(kind) {
			t.Errorf("%s: released, got %+v and moto has %q", kind, a, value())
		}
	}
}

func requestLog(t *testing.T, w world) {
	m := w.Estate.Members["dev"]
	w.call(t, w.member(t, "dev"), "s3", "GET", "/"+m.PublicBucket+"?policy=", "").Is(t, 200, "")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	e, err := w.Wall.Await(ctx, func(e awswall.Entry) bool { return e.Session == "rem-1" && e.Operation == "GetBucketPolicy" })
	if err != nil {
		t.Fatal(err)
	}
	if e.Account != m.Account || e.SourceIdentity != "parry" || e.Class != "read" || e.Status != 200 || !e.Forwarded || e.Changed() || e.Bucket == "" || len(e.BodySHA256) != 64 {
		t.Errorf("the entry is %+v", e)
	}
	_, err = w.Wall.Await(canceled(t), func(awswall.Entry) bool { return false })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that ended gives %v", err)
	}
	raw, err := os.ReadFile(w.WallLog())
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(raw, []byte("\n")); lines == 0 || lines > len(w.Wall.Log()) {
		t.Errorf("the file has %d lines, memory %d", lines, len(w.Wall.Log()))
	}
}

func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func control(t *testing.T, w world) {
	get := func(method, path, body string) (int, string) {
		a := w.call(t, creds{}, "", method, "/_wall/"+path, body)
		return a.Status, a.Body
	}
	bucket := w.Estate.Members["prod"].PrivateBucket
	status, body := get("POST", "faults", `{"kind":"throttle","bucket":"`+bucket+`","operation":"GetBucketTagging"}`)
	if status != 200 || !strings.Contains(body, `"id"`) {
		t.Fatalf("got %d %s", status, body)
	}
	id := strings.Trim(strings.Split(body, `":`)[1], "\"}\n ")
	w.call(t, of(w.Estate.Members["prod"].Judge), "s3", "GET", "/"+bucket+"?tagging=", "").Is(t, 503, "SlowDown")
	if _, body := get("GET", "faults/"+id, ""); !strings.Contains(body, `"count":1`) {
		t.Errorf("the fault says %s", body)
	}
	if status, _ := get("DELETE", "faults/"+id, ""); status != 204 {
		t.Errorf("ending it gives %d", status)
	}
	for path, want := range map[string]int{"health": 200, "log?after=5": 200, "faults/none": 404, "nothing": 404} {
		if status, _ := get("GET", path, ""); status != want {
			t.Errorf("GET %s gives %d, want %d", path, status, want)
		}
	}
	if status, _ := get("POST", "faults", `{"kind":"flood"}`); status != 400 {
		t.Errorf("an unknown kind gives %d", status)
	}
	if _, log := get("GET", "log", ""); !strings.Contains(log, `"operation":"GetBucketTagging"`) || strings.Contains(log, "_wall") {
		t.Error("the log lacks the call, or holds the control calls")
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]awswall.Config{
		"no upstream":    {},
		"not http":       {Upstream: "https://example.com"},
		"not loopback":   {Upstream: "http://127.0.0.1:1", Listen: "0.0.0.0:0"},
		"a name":         {Upstream: "http://127.0.0.1:1", Listen: "localhost:0"},
		"not an address": {Upstream: "http://127.0.0.1:1", Listen: "5000"},
	} {
		if _, err := awswall.New(cfg); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
