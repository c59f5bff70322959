package awswall

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// call is one request, read as an AWS API call.
type call struct {
	service   string // signing name: "s3", "sts"
	region    string
	operation string // "PutBucketPolicy"; "" when the wall cannot tell
	method    string
	uri       string
	body      []byte
	form      url.Values // query protocol and query string
	protocol  protocol
	bucket    string
	object    string
	resource  string // what the call is about, for the log and for policies: an ARN or ""
	who       *principal
	keyID     string
	agent     string
	// asAccount is the account in whose name moto is asked.
	asAccount string
	// sessionPolicies are those that an AssumeRole asks for.
	sessionPolicies []document
	requestID       string
}

type protocol int

const (
	protoJSON  protocol = iota // X-Amz-Target or REST JSON
	protoQuery                 // Action=... in the body
	protoS3
	protoEC2
)

var credentialPattern = regexp.MustCompile(`Credential=([A-Za-z0-9]+)/\d{8}/([a-z0-9-]+)/([a-z0-9.-]+)/aws4_request`)

// readCall finds out what a request is. It never fails: what it cannot tell
// stays empty, and moto answers.
func readCall(r *http.Request, body []byte) *call {
	c := &call{method: r.Method, uri: r.URL.RequestURI(), body: body, form: r.URL.Query(), agent: r.UserAgent()}
	if m := credentialPattern.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		c.keyID, c.region, c.service = m[1], m[2], m[3]
	}
	target := r.Header.Get("X-Amz-Target")
	if c.service == "" {
		c.service = "s3" // the only service that the estate uses without a signature
		if target != "" || formEncoded(r) {
			c.service = ""
		}
	}
	switch {
	case target != "":
		c.protocol = protoJSON
		_, c.operation, _ = strings.Cut(target, ".")
		c.readJSONResource()
	case c.service == "s3" || c.service == "s3express":
		c.protocol = protoS3
		c.readS3(r)
	case formEncoded(r) || c.form.Get("Action") != "":
		c.protocol = protoQuery
		if c.service == "ec2" {
			c.protocol = protoEC2
		}
		if form, err := url.ParseQuery(string(body)); err == nil {
			for k, v := range form {
				c.form[k] = v
			}
		}
		c.operation = c.form.Get("Action")
		c.readQueryResource()
	default:
		c.protocol = protoJSON
		c.operation = restOperation(c.service, r.Method, r.URL.Path)
	}
	return c
}

func formEncoded(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// about gives the security group or the key that a call names.
func (c *call) about() string {
	switch c.service {
	case "ec2":
		return c.form.Get("GroupId")
	case "kms":
		var in struct{ KeyId string } //nolint:revive // AWS spells it so.
		if json.Unmarshal(c.body, &in) != nil {
			return ""
		}
		return in.KeyId[strings.LastIndexByte(in.KeyId, '/')+1:]
	}
	return ""
}

func (c *call) readQueryResource() {
	for _, name := range []string{"RoleArn", "TopicArn", "TargetArn", "PolicyArn", "ResourceArn"} {
		if v := c.form.Get(name); strings.HasPrefix(v, "arn:") {
			c.resource = v
			return
		}
	}
}

func (c *call) readJSONResource() {
	var in struct{ QueueUrl string }
	if c.service != "sqs" || json.Unmarshal(c.body, &in) != nil {
		return
	}
	if u, err := url.Parse(in.QueueUrl); err == nil {
		if parts := strings.Split(strings.Trim(u.Path, "/"), "/"); len(parts) == 2 {
			c.resource = "arn:aws:sqs:" + c.region + ":" + parts[0] + ":" + parts[1]
		}
	}
}

// restOperation names the operations of REST JSON services that the story uses;
// of others it gives method and path, which is as good for a log.
func restOperation(service, method, path string) string {
	path = strings.TrimSuffix(path, "/")
	known := map[string]string{
		"securityhub POST /organization/admin/enable": "EnableOrganizationAdminAccount",
		"securityhub GET /organization/admin":         "ListOrganizationAdminAccounts",
		"securityhub POST /accounts":                  "EnableSecurityHub",
		"securityhub GET /accounts":                   "DescribeHub",
		"securityhub POST /findings":                  "GetFindings",
		"securityhub POST /findings/import":           "BatchImportFindings",
		"securityhub PATCH /findings/batchupdate":     "BatchUpdateFindings",
		"securityhub GET /organization/configuration": "DescribeOrganizationConfiguration",
		"securityhub GET /administrator":              "GetAdministratorAccount",
		"securityhub GET /members":                    "ListMembers",
		"securityhub POST /members":                   "CreateMembers",
		"securityhub POST /actionTargets":             "CreateActionTarget",
		"securityhub POST /actionTargets/get":         "DescribeActionTargets",
		"securityhub POST /findingAggregator/create":  "CreateFindingAggregator",
		"securityhub GET /findingAggregator/list":     "ListFindingAggregators",
		"account POST /enableRegion":                  "EnableRegion",
		"account POST /disableRegion":                 "DisableRegion",
	}
	if op, ok := known[service+" "+method+" "+path]; ok {
		return op
	}
	if service == "securityhub" && method == http.MethodGet && strings.HasPrefix(path, "/findingAggregator/get/") {
		return "GetFindingAggregator"
	}
	return method + " " + path
}

// class says whether the call reads or changes. By method for REST services, by
// the operation's first word elsewhere.
func (c *call) class() string {
	if c.dryRun() {
		return "read"
	}
	first := firstWord(c.operation)
	switch first {
	case "Get", "List", "Describe", "Head", "Lookup", "Search", "Query", "Scan", "Filter", "Select", "Simulate", "Validate", "Preview", "Assume", "Decode":
		return "read"
	case "Batch":
		if strings.HasPrefix(c.operation, "BatchGet") {
			return "read"
		}
	case "Receive":
		return "read" // it hides messages for a while and takes none away
	}
	if strings.Contains(c.operation, " ") && (c.method == http.MethodGet || c.method == http.MethodHead) {
		return "read"
	}
	return "change"
}

// dryRun reports whether EC2 is only asked for permission.
func (c *call) dryRun() bool {
	return c.protocol == protoEC2 && strings.EqualFold(c.form.Get("DryRun"), "true")
}

func firstWord(op string) string {
	for i := 1; i < len(op); i++ {
		if op[i] >= 'A' && op[i] <= 'Z' {
			return op[:i]
		}
	}
	return op
}

// entry starts the log entry of c.
func (c *call) entry(now time.Time) Entry {
	sum := sha256.Sum256(c.body)
	var body []byte
	if c.class() == "change" {
		body = bytes.Clone(c.body[:min(len(c.body), MaxKeptBody)])
	}
	return Entry{
		Body: body, Time: now.UTC(), Service: c.service, Operation: c.operation, Region: c.region, Method: c.method, URI: c.uri,
		Class: c.class(), BodySHA256: hex.EncodeToString(sum[:]), BodySize: len(c.body), AccessKeyID: c.keyID, UserAgent: c.agent,
		Bucket: c.bucket, Resource: c.resource, About: c.about(),
	}
}

// describe adds who the caller is.
func (c *call) describe(e *Entry) {
	if c.who == nil {
		return
	}
	e.Account, e.Principal, e.Session, e.SourceIdentity = c.who.account, c.who.arn, c.who.session, c.who.sourceIdentity
}
