package macie

import (
	"encoding/json"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/normalize/event"
)

// The names by which EventBridge tells Macie's findings.
const (
	Source     = "aws.macie"
	DetailType = "Macie Finding"
)

// Finding gives the ASFF document of the event's finding.
// https://docs.aws.amazon.com/macie/latest/user/securityhub-integration.html
func Finding(e event.Event) (map[string]any, error) {
	d := e.Detail
	id := d.Text("id")
	if id == "" || d.Text("type") == "" {
		return nil, fault.Errorf(fault.Invalid, "read Macie finding", "the event names no finding: id or type is missing")
	}
	e.Region = event.First(d.Text("region"), e.Region)
	doc := e.Finding("macie", id, "aws/macie", d.Text("accountId"), d.Text("title"), d.Text("description"), d.Time("createdAt"), d.Time("updatedAt"))
	doc["Severity"] = severity(d)
	doc["Types"] = []any{asffType(d.Text("type"))}
	doc["Sample"] = d.Bool("sample")
	if d.Bool("archived") {
		doc["RecordState"] = "ARCHIVED"
	}
	doc["Resources"] = resources(e)
	doc["ProductFields"] = fields(d)
	return doc, nil
}

// severity goes by Macie's word, else by its score of 1 to 3.
func severity(d event.Doc) map[string]any {
	label := strings.ToUpper(d.Text("severity", "description"))
	switch label {
	case "LOW", "MEDIUM", "HIGH":
	default:
		label = "LOW"
		if n, _ := d.Number("severity", "score"); n >= 3 {
			label = "HIGH"
		} else if n >= 2 {
			label = "MEDIUM"
		}
	}
	return event.Severity(label, d.Text("severity", "score"))
}

func asffType(t string) string {
	dashed := strings.ReplaceAll(t, "/", "-")
	switch {
	case t == "SensitiveData:S3Object/Credentials":
		return "Sensitive Data Identifications/Passwords/" + dashed
	case t == "SensitiveData:S3Object/Financial":
		return "Sensitive Data Identifications/Financial/" + dashed
	case strings.HasPrefix(t, "SensitiveData:"):
		return "Sensitive Data Identifications/PII/" + dashed
	case t == "Policy:IAMUser/S3BucketPublic":
		return "Effects/Data Exposure/" + dashed
	}
	return "Software and Configuration Checks/AWS Security Best Practices/" + dashed
}

func fields(d event.Doc) event.Fields {
	f := event.Fields{}
	bucket, object, class := d.Doc("resourcesAffected", "s3Bucket"), d.Doc("resourcesAffected", "s3Object"), d.Doc("classificationDetails")
	f.Set("JobArn", class.Text("jobArn"))
	f.Set("JobId", class.Text("jobId"))
	f.Set("OriginType", class.Text("originType"))
	f.Set("S3Object.Path", object.Text("path"))
	f.Set("S3Object.Extension", object.Text("extension"))
	f.Set("S3Object.PublicAccess", object.Text("publicAccess"))
	f.Set("S3Object.Size", object.Text("size"))
	f.Set("S3Object.StorageClass", object.Text("storageClass"))
	f.Set("S3Bucket.effectivePermission", bucket.Text("publicAccess", "effectivePermission"))
	f.Set("S3Bucket.allowsUnencryptedObjectUploads", bucket.Text("allowsUnencryptedObjectUploads"))
	f.Set("aws/macie/count", d.Text("count"))
	f.Flatten("aws/macie/policyDetails", d.Doc("policyDetails"))
	return f
}

func resources(e event.Event) []any {
	bucket, object := e.Detail.Doc("resourcesAffected", "s3Bucket"), e.Detail.Doc("resourcesAffected", "s3Object")
	var out []any
	if arn := bucket.Text("arn"); arn != "" {
		details := map[string]any{}
		event.Set(details, "OwnerId", bucket.Text("owner", "id"))
		event.Set(details, "OwnerName", bucket.Text("owner", "displayName"))
		event.Set(details, "Name", bucket.Text("name"))
		event.Set(details, "CreatedAt", bucket.Time("createdAt"))
		event.Set(details, "ServerSideEncryptionConfiguration", encryption(bucket))
		block := map[string]any{}
		for name, member := range map[string]string{
			"blockPublicAcls": "BlockPublicAcls", "blockPublicPolicy": "BlockPublicPolicy", "ignorePublicAcls": "IgnorePublicAcls", "restrictPublicBuckets": "RestrictPublicBuckets",
		} {
			path := []string{"publicAccess", "permissionConfiguration", "bucketLevelPermissions", "blockPublicAccess", name}
			if bucket.Has(path...) {
				block[member] = bucket.Bool(path...)
			}
		}
		event.Set(details, "PublicAccessBlockConfiguration", block)
		res := map[string]any{"Type": "AwsS3Bucket", "Id": arn, "Partition": e.Partition(), "Region": e.Region, "Details": map[string]any{"AwsS3Bucket": details}}
		event.Set(res, "Tags", event.Tags(bucket.Docs("tags")))
		out = append(out, res)
	}
	if path := object.Text("path"); path != "" {
		details := map[string]any{}
		event.Set(details, "LastModified", object.Time("lastModified"))
		event.Set(details, "ETag", object.Text("eTag"))
		event.Set(details, "VersionId", object.Text("versionId"))
		event.Set(details, "ServerSideEncryption", object.Text("serverSideEncryption", "encryptionType"))
		event.Set(details, "SSEKMSKeyId", object.Text("serverSideEncryption", "kmsMasterKeyId"))
		res := map[string]any{"Type": "AwsS3Object", "Id": "arn:" + e.Partition() + ":s3:::" + path, "Partition": e.Partition(), "Region": e.Region}
		if len(details) > 0 {
			res["Details"] = map[string]any{"AwsS3Object": details}
		}
		event.Set(res, "DataClassification", classification(e.Detail.Doc("classificationDetails")))
		event.Set(res, "Tags", event.Tags(object.Docs("tags")))
		out = append(out, res)
	}
	return out
}

func encryption(bucket event.Doc) map[string]any {
	kind := bucket.Text("defaultServerSideEncryption", "encryptionType")
	if kind == "" || kind == "NONE" {
		return nil
	}
	by := map[string]any{"SSEAlgorithm": kind}
	event.Set(by, "KMSMasterKeyID", bucket.Text("defaultServerSideEncryption", "kmsMasterKeyId"))
	return map[string]any{"Rules": []any{map[string]any{"ApplyServerSideEncryptionByDefault": by}}}
}

// classification gives what kinds of data were found and how often.
func classification(c event.Doc) map[string]any {
	r := c.Doc("result")
	if r == nil {
		return nil
	}
	result := map[string]any{"AdditionalOccurrences": r.Bool("additionalOccurrences")}
	event.Set(result, "MimeType", r.Text("mimeType"))
	number(result, "SizeClassified", r.Text("sizeClassified"))
	if code := r.Text("status", "code"); code != "" {
		result["Status"] = map[string]any{"Code": code}
	}
	var data []any
	for _, s := range r.Docs("sensitiveData") {
		one := map[string]any{"Detections": detections(s)}
		event.Set(one, "Category", s.Text("category"))
		number(one, "TotalCount", s.Text("totalCount"))
		data = append(data, one)
	}
	event.Set(result, "SensitiveData", data)
	if custom := r.Doc("customDataIdentifiers"); custom != nil {
		one := map[string]any{"Detections": detections(custom)}
		number(one, "TotalCount", custom.Text("totalCount"))
		result["CustomDataIdentifiers"] = one
	}
	out := map[string]any{"Result": result}
	event.Set(out, "DetailedResultsLocation", c.Text("detailedResultsLocation"))
	return out
}

func detections(s event.Doc) []any {
	out := []any{}
	for _, d := range s.Docs("detections") {
		one := map[string]any{}
		event.Set(one, "Type", d.Text("type"))
		event.Set(one, "Name", d.Text("name"))
		event.Set(one, "Arn", d.Text("arn"))
		number(one, "Count", d.Text("count"))
		out = append(out, one)
	}
	return out
}

func number(m map[string]any, name, text string) {
	if text != "" && json.Valid([]byte(text)) {
		m[name] = json.Number(text)
	}
}
