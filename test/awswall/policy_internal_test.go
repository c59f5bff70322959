package awswall

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

var (
	alice = &principal{account: "111111111111", kind: "user", name: "alice", arn: "arn:aws:iam::111111111111:user/alice"}
	bob   = &principal{
		account: "222222222222", kind: "role", name: "bob", arn: "arn:aws:sts::222222222222:assumed-role/bob/s1",
		roleARN: "arn:aws:iam::222222222222:role/bob", session: "s1",
	}
)

func TestEvaluate(t *testing.T) {
	t.Parallel()
	get := request{who: alice, action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context: map[string]string{"aws:sourceip": "127.0.0.1", "sts:externalid": "x"}}
	as := func(who *principal) request { q := get; q.who = who; return q }
	cases := map[string]struct {
		statement string
		resource  bool // a resource policy
		ask       request
		want      verdict
	}{
		"allow":                        {`{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}`, false, get, allowed},
		"case of an action":            {`{"Effect":"Allow","Action":"S3:getobject","Resource":"*"}`, false, get, allowed},
		"case of a resource":           {`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::B/*"}`, false, get, silent},
		"other action":                 {`{"Effect":"Allow","Action":["s3:Put*","s3:List?ucket"],"Resource":"*"}`, false, get, silent},
		"other resource":               {`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b"}`, false, get, silent},
		"NotAction":                    {`{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`, false, get, allowed},
		"NotAction names it":           {`{"Effect":"Allow","NotAction":"s3:*","Resource":"*"}`, false, get, silent},
		"NotResource":                  {`{"Effect":"Deny","Action":"*","NotResource":"arn:aws:s3:::c/*"}`, false, get, denied},
		"deny wins":                    {`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:*","Resource":"*"}`, false, get, denied},
		"everyone":                     {`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`, true, as(nil), allowed},
		"everyone as AWS":              {`{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":"*","Resource":"*"}`, true, as(bob), allowed},
		"account as root":              {`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"*","Resource":"*"}`, true, get, allowedByAccount},
		"account as number":            {`{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"*","Resource":"*"}`, true, get, allowedByAccount},
		"user by name":                 {`{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111111111111:user/alice"]},"Action":"*","Resource":"*"}`, true, get, allowedByName},
		"role names its sessions":      {`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:role/bob"},"Action":"*","Resource":"*"}`, true, as(bob), allowedByName},
		"another session":              {`{"Effect":"Allow","Principal":{"AWS":"arn:aws:sts::222222222222:assumed-role/bob/s2"},"Action":"*","Resource":"*"}`, true, as(bob), silent},
		"a service is nobody":          {`{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"*","Resource":"*"}`, true, get, silent},
		"an account is not anonymous":  {`{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"*","Resource":"*"}`, true, as(nil), silent},
		"NotPrincipal":                 {`{"Effect":"Deny","NotPrincipal":{"AWS":"111111111111"},"Action":"*","Resource":"*"}`, true, as(bob), denied},
		"NotPrincipal names it":        {`{"Effect":"Deny","NotPrincipal":{"AWS":"111111111111"},"Action":"*","Resource":"*"}`, true, get, silent},
		"condition holds":              {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"sts:ExternalId":["y","x"]},"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}}`, false, get, allowed},
		"condition fails":              {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"sts:ExternalId":"y"}}}`, false, get, silent},
		"missing key":                  {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLike":{"sts:SourceIdentity":"*"}}}`, false, get, silent},
		"missing key, negated":         {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"sts:SourceIdentity":"a"}}}`, false, get, allowed},
		"missing key, if it exists":    {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEqualsIfExists":{"sts:SourceIdentity":"a"}}}`, false, get, allowed},
		"Null wants it":                {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"sts:SourceIdentity":"false"}}}`, false, get, silent},
		"Null wants it, as a boolean":  {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"sts:ExternalId":false}}}`, false, get, allowed},
		"unknown operator in an allow": {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2030-01-01"}}}`, false, get, silent},
		"unknown operator in a deny":   {`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2030-01-01"}}}`, false, get, denied},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, ok := parsePolicy(`{"Version":"2012-10-17","Statement":[` + c.statement + `]}`)
			if !ok {
				t.Fatal("the policy does not parse")
			}
			if got := evaluate([]document{doc}, c.ask, c.resource); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestCallsAreRead(t *testing.T) {
	t.Parallel()
	sign := func(service string) string {
		return "AWS4-HMAC-SHA256 Credential=AKIAAAAAAAAAAAAAAAAA/20260101/eu-west-1/" + service + "/aws4_request, SignedHeaders=host, Signature=0"
	}
	cases := map[string]struct {
		method, path, body, service, target string
		operation, class, action, resource  string
	}{
		"s3 list":        {"GET", "/", "", "s3", "", "ListBuckets", "read", "s3:ListAllMyBuckets", ""},
		"s3 subresource": {"PUT", "/b?publicAccessBlock", "<x/>", "s3", "", "PutPublicAccessBlock", "change", "s3:PutBucketPublicAccessBlock", "arn:aws:s3:::b"},
		"s3 delete":      {"DELETE", "/b?policy", "", "s3", "", "DeleteBucketPolicy", "change", "s3:DeleteBucketPolicy", "arn:aws:s3:::b"},
		"s3 unknown":     {"GET", "/b?metrics&id=1", "", "s3", "", unsupportedS3, "change", "s3:" + unsupportedS3, "arn:aws:s3:::b"},
		"s3 object":      {"HEAD", "/b/a/c%20d", "", "s3", "", "HeadObject", "read", "s3:GetObject", "arn:aws:s3:::b/a/c d"},
		"s3 control":     {"PUT", "/v20180820/configuration/publicAccessBlock", "<x/>", "s3", "", "PutAccountPublicAccessBlock", "change", "s3:PutAccountPublicAccessBlock", ""},
		"query":          {"POST", "/", "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr", "sts", "", "AssumeRole", "read", "sts:AssumeRole", "arn:aws:iam::1:role/r"},
		"publish":        {"POST", "/", "Action=Publish&TopicArn=arn:aws:sns:eu-west-1:1:t", "sns", "", "Publish", "change", "sns:Publish", "arn:aws:sns:eu-west-1:1:t"},
		"target":         {"POST", "/", `{"QueueUrl":"http://x/1/q"}`, "sqs", "AmazonSQS.ReceiveMessage", "ReceiveMessage", "read", "sqs:ReceiveMessage", "arn:aws:sqs:eu-west-1:1:q"},
		"rest":           {"POST", "/findings/import", "{}", "securityhub", "", "BatchImportFindings", "change", "securityhub:BatchImportFindings", ""},
		"rest unknown":   {"GET", "/analyzer", "", "access-analyzer", "", "GET /analyzer", "read", "access-analyzer:GET /analyzer", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			r.Header.Set("Authorization", sign(c.service))
			if strings.HasPrefix(c.body, "Action") {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
			}
			if c.target != "" {
				r.Header.Set("X-Amz-Target", c.target)
			}
			got := readCall(r, []byte(c.body))
			if got.operation != c.operation || got.class() != c.class || got.action() != c.action || got.resource != c.resource || got.region != "eu-west-1" {
				t.Errorf("got %q %q %q %q %q", got.operation, got.class(), got.action(), got.resource, got.region)
			}
		})
	}
}

func TestRefusalsHaveTheProtocolsForm(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call call
		want []string // parts of the denial's and the throttling's body
	}{
		"s3":    {call{protocol: protoS3, service: "s3"}, []string{"<Error><Code>AccessDenied</Code>", "<Code>SlowDown</Code>"}},
		"query": {call{protocol: protoQuery, service: "sts"}, []string{"<ErrorResponse", "<Code>Throttling</Code>"}},
		"sns":   {call{protocol: protoQuery, service: "sns"}, []string{"<Code>AuthorizationError</Code>", "<Type>Sender</Type>"}},
		"ec2":   {call{protocol: protoEC2, service: "ec2"}, []string{"<Response><Errors><Error><Code>UnauthorizedOperation</Code>", "<Code>RequestLimitExceeded</Code>"}},
		"json":  {call{protocol: protoJSON, service: "sqs"}, []string{`"__type":"AccessDeniedException"`, `"__type":"ThrottlingException"`}},
	} {
		for i, rep := range []reply{c.call.denied("no <b>"), c.call.throttled()} {
			if !strings.Contains(string(rep.body), c.want[i]) || strings.Contains(string(rep.body), "<b>") && c.call.protocol != protoJSON {
				t.Errorf("%s: %s", name, rep.body)
			}
		}
	}
	head := call{protocol: protoS3, service: "s3", method: http.MethodHead}
	if rep := head.denied("no"); len(rep.body) != 0 || rep.status != http.StatusForbidden {
		t.Errorf("HEAD is answered with %d bytes and %d", len(rep.body), rep.status)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":["*",1]},"Action":["s3:*"],"Resource":"*","Condition":{"Bool":{"aws:SecureTransport":true}}}}`, "s3:GetObject", "arn:aws:s3:::b/k")
	f.Add(`{"Statement":[{"Effect":"Deny","NotAction":"*?*","NotResource":["*a*b"]}]}`, "a:b", "")
	f.Fuzz(func(t *testing.T, text, action, resource string) {
		doc, ok := parsePolicy(text)
		if !ok {
			return
		}
		for _, who := range []*principal{nil, alice, bob} {
			evaluate([]document{doc}, request{who: who, action: action, resource: resource}, true)
			evaluate([]document{doc}, request{who: who, action: action, resource: resource}, false)
		}
	})
}

func FuzzReadCall(f *testing.F) {
	f.Add("PUT", "/b/k?tagging&x=%zz", "Action=%", "s3", "T.Op")
	f.Add("POST", "/", `{"QueueUrl":"::"}`, "sqs", "AmazonSQS.X")
	f.Fuzz(func(t *testing.T, method, path, body, service, target string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1/"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAAAAAAAAAAAAAAAAA/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
		r.Header.Set("X-Amz-Target", target)
		c := readCall(r, []byte(body))
		c.denied(c.text(c.resource, c.class()))
		canonicalPath(c, r)
		canonicalQuery(r.URL.RawQuery)
	})
}
