package awswall

import (
	"net/http"
	"strings"
)

// subresources names the S3 bucket operations by the query parameter that
// selects them: GET, PUT, DELETE; "" = there is none or moto lacks it. S3 without
// one of these would fall through to listing or creating the bucket, which is
// worse than a refusal, so the wall refuses.
var subresources = map[string][3]string{
	"accelerate":        {"GetBucketAccelerateConfiguration", "PutBucketAccelerateConfiguration", ""},
	"acl":               {"GetBucketAcl", "PutBucketAcl", ""},
	"analytics":         {"", "", ""},
	"cors":              {"GetBucketCors", "PutBucketCors", "DeleteBucketCors"},
	"encryption":        {"GetBucketEncryption", "PutBucketEncryption", "DeleteBucketEncryption"},
	"inventory":         {"GetBucketInventoryConfiguration", "PutBucketInventoryConfiguration", ""},
	"lifecycle":         {"GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration", "DeleteBucketLifecycle"},
	"location":          {"GetBucketLocation", "", ""},
	"logging":           {"GetBucketLogging", "PutBucketLogging", ""},
	"metrics":           {"", "", ""},
	"notification":      {"GetBucketNotificationConfiguration", "PutBucketNotificationConfiguration", ""},
	"object-lock":       {"GetObjectLockConfiguration", "PutObjectLockConfiguration", ""},
	"ownershipControls": {"GetBucketOwnershipControls", "PutBucketOwnershipControls", "DeleteBucketOwnershipControls"},
	"policy":            {"GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"},
	"policyStatus":      {"GetBucketPolicyStatus", "", ""},
	"publicAccessBlock": {"GetPublicAccessBlock", "PutPublicAccessBlock", "DeletePublicAccessBlock"},
	"replication":       {"GetBucketReplication", "PutBucketReplication", "DeleteBucketReplication"},
	"requestPayment":    {"", "", ""},
	"tagging":           {"GetBucketTagging", "PutBucketTagging", "DeleteBucketTagging"},
	"uploads":           {"ListMultipartUploads", "", ""},
	"versioning":        {"GetBucketVersioning", "PutBucketVersioning", ""},
	"versions":          {"ListObjectVersions", "", ""},
	"website":           {"GetBucketWebsite", "PutBucketWebsite", "DeleteBucketWebsite"},
	"abac":              {"", "", ""},
	"session":           {"", "", ""},
}

// unsupportedS3 is the operation of a bucket call that moto lacks.
const unsupportedS3 = "unsupported"

func (c *call) readS3(r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if strings.HasPrefix(path, "v20180820/") {
		c.operation = map[string]string{
			http.MethodGet: "GetAccountPublicAccessBlock", http.MethodPut: "PutAccountPublicAccessBlock", http.MethodDelete: "DeleteAccountPublicAccessBlock",
		}[r.Method]
		return
	}
	c.bucket, c.object, _ = strings.Cut(path, "/")
	switch {
	case c.bucket == "":
		c.operation = "ListBuckets"
	case c.object != "":
		c.resource = "arn:aws:s3:::" + c.bucket + "/" + c.object
		c.operation = c.objectOperation(r.Method)
	default:
		c.resource = "arn:aws:s3:::" + c.bucket
		c.operation = c.bucketOperation(r.Method)
	}
}

func (c *call) bucketOperation(method string) string {
	for param, ops := range subresources {
		if !c.form.Has(param) {
			continue
		}
		op := ""
		switch method {
		case http.MethodGet, http.MethodHead:
			op = ops[0]
		case http.MethodPut:
			op = ops[1]
		case http.MethodDelete:
			op = ops[2]
		}
		if op == "" {
			return unsupportedS3
		}
		return op
	}
	switch method {
	case http.MethodGet:
		return "ListObjectsV2"
	case http.MethodHead:
		return "HeadBucket"
	case http.MethodPut:
		return "CreateBucket"
	case http.MethodDelete:
		return "DeleteBucket"
	case http.MethodPost:
		if c.form.Has("delete") {
			return "DeleteObjects"
		}
	}
	return unsupportedS3
}

func (c *call) objectOperation(method string) string {
	kind := "Object"
	switch {
	case c.form.Has("acl"):
		kind = "ObjectAcl"
	case c.form.Has("tagging"):
		kind = "ObjectTagging"
	case c.form.Has("retention"):
		kind = "ObjectRetention"
	case c.form.Has("legal-hold"):
		kind = "ObjectLegalHold"
	}
	switch method {
	case http.MethodGet:
		return "Get" + kind
	case http.MethodHead:
		return "HeadObject"
	case http.MethodPut:
		return "Put" + kind
	case http.MethodDelete:
		return "Delete" + kind
	default:
		return "PostObject"
	}
}

// s3Actions are the IAM actions that are not named as their operation is
// (Service Authorization Reference, "Actions, resources, and condition keys for
// Amazon S3").
var s3Actions = map[string]string{
	"GetPublicAccessBlock":               "GetBucketPublicAccessBlock",
	"PutPublicAccessBlock":               "PutBucketPublicAccessBlock",
	"DeletePublicAccessBlock":            "PutBucketPublicAccessBlock",
	"DeleteAccountPublicAccessBlock":     "PutAccountPublicAccessBlock",
	"HeadBucket":                         "ListBucket",
	"ListObjects":                        "ListBucket",
	"ListObjectsV2":                      "ListBucket",
	"ListObjectVersions":                 "ListBucketVersions",
	"ListBuckets":                        "ListAllMyBuckets",
	"ListMultipartUploads":               "ListBucketMultipartUploads",
	"HeadObject":                         "GetObject",
	"DeleteObjects":                      "DeleteObject",
	"PostObject":                         "PutObject",
	"GetBucketEncryption":                "GetEncryptionConfiguration",
	"PutBucketEncryption":                "PutEncryptionConfiguration",
	"DeleteBucketEncryption":             "PutEncryptionConfiguration",
	"GetBucketLifecycleConfiguration":    "GetLifecycleConfiguration",
	"PutBucketLifecycleConfiguration":    "PutLifecycleConfiguration",
	"DeleteBucketLifecycle":              "PutLifecycleConfiguration",
	"GetBucketReplication":               "GetReplicationConfiguration",
	"PutBucketReplication":               "PutReplicationConfiguration",
	"DeleteBucketReplication":            "PutReplicationConfiguration",
	"GetBucketAccelerateConfiguration":   "GetAccelerateConfiguration",
	"PutBucketAccelerateConfiguration":   "PutAccelerateConfiguration",
	"GetBucketNotificationConfiguration": "GetBucketNotification",
	"PutBucketNotificationConfiguration": "PutBucketNotification",
	"GetBucketInventoryConfiguration":    "GetInventoryConfiguration",
	"PutBucketInventoryConfiguration":    "PutInventoryConfiguration",
	"GetBucketCors":                      "GetBucketCORS",
	"PutBucketCors":                      "PutBucketCORS",
	"DeleteBucketCors":                   "PutBucketCORS",
	"DeleteBucketTagging":                "PutBucketTagging",
	"DeleteBucketOwnershipControls":      "PutBucketOwnershipControls",
	"GetObjectLockConfiguration":         "GetBucketObjectLockConfiguration",
	"PutObjectLockConfiguration":         "PutBucketObjectLockConfiguration",
}

// action is the IAM action of c: "s3:PutBucketPolicy".
func (c *call) action() string {
	prefix, op := c.service, c.operation
	switch c.service {
	case "monitoring":
		prefix = "cloudwatch"
	case "email":
		prefix = "ses"
	case "s3":
		if a, ok := s3Actions[op]; ok {
			op = a
		}
	case "sqs": // SQS asks for the action of one message, however many there are
		op = strings.TrimSuffix(op, "Batch")
	}
	return prefix + ":" + op
}
