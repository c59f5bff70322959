package awsapi

import (
	"crypto/md5" //nolint:gosec // S3's Content-MD5 is an integrity check of the wire, not a secret
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

// What botocore does to single operations around its models. Runbooks were
// written for it, so the same is done here; each function says to what.

// adaptInput changes an input before it is validated. in is a copy.
func adaptInput(s *apimodel.Service, op *apimodel.Operation, in map[string]any) error {
	if err := alias(s, op, in); err != nil {
		return err
	}
	switch s.Name {
	case "s3":
		adaptS3Input(op, in)
	case "s3control":
		return adaptS3Control(op, in)
	case "route53":
		for _, name := range []string{"Id", "HostedZoneId", "ResourceId", "DelegationSetId", "ChangeId"} {
			if text, ok := in[name].(string); ok && strings.Contains(text, "/") {
				in[name] = text[strings.LastIndex(text, "/")+1:]
			}
		}
	case "glacier":
		if _, ok := in["accountId"]; !ok {
			in["accountId"] = "-"
		}
	case "ec2":
		if op.Name == "RunInstances" {
			encodeUserData(in)
		}
	case "autoscaling":
		if op.Name == "CreateLaunchConfiguration" {
			encodeUserData(in)
		}
	}
	return nil
}

// alias accepts the names that botocore shows instead of the model's.
func alias(s *apimodel.Service, op *apimodel.Operation, in map[string]any) error {
	var model, shown string
	switch {
	case s.Name == "ec2":
		model, shown = "Filter", "Filters"
	case s.Name == "logs" && op.Name == "CreateExportTask":
		model, shown = "from", "fromTime"
	case s.Name == "cloudsearchdomain" && op.Name == "Search":
		model, shown = "return", "returnFields"
	default:
		return nil
	}
	if _, ok := op.Input.Member(model); !ok {
		return nil
	}
	if _, ok := op.Input.Member(shown); ok {
		return nil
	}
	v, ok := in[shown]
	if !ok {
		return nil
	}
	if _, both := in[model]; both {
		return fault.Errorf(fault.Invalid, "call "+s.Name+":"+op.Name, "parameter %q and its alias %q are both given", model, shown)
	}
	delete(in, shown)
	in[model] = v
	return nil
}

func encodeUserData(in map[string]any) {
	if b, ok := asBytes(in["UserData"]); ok {
		in["UserData"] = base64.StdEncoding.EncodeToString(b)
	}
}

func adaptS3Input(op *apimodel.Operation, in map[string]any) {
	switch op.Name {
	case "ListObjects", "ListObjectsV2", "ListObjectVersions":
		// Keys may hold characters that XML cannot; they are decoded in adaptOutput.
		if in["EncodingType"] == nil {
			in["EncodingType"] = "url"
		}
	case "CopyObject", "UploadPartCopy":
		if source, ok := in["CopySource"].(map[string]any); ok {
			in["CopySource"] = copySource(source)
		}
	}
	if mode := op.Checksum.ModeMember; mode != "" && in[mode] == nil {
		in[mode] = "ENABLED"
	}
	for _, prefix := range []string{"", "CopySource"} {
		key, ok := asBytes(in[prefix+"SSECustomerKey"])
		if ok && in[prefix+"SSECustomerKeyMD5"] == nil {
			sum := md5.Sum(key) //nolint:gosec // as S3 asks
			in[prefix+"SSECustomerKey"] = base64.StdEncoding.EncodeToString(key)
			in[prefix+"SSECustomerKeyMD5"] = base64.StdEncoding.EncodeToString(sum[:])
		}
	}
}

// copySource writes the structured form of CopySource as the header has it.
func copySource(source map[string]any) string {
	text := func(name string) string { s, _ := source[name].(string); return s }
	path := strings.ReplaceAll(url.PathEscape(text("Bucket")+"/"+text("Key")), "%2F", "/")
	if v := text("VersionId"); v != "" {
		path += "?versionId=" + url.QueryEscape(v)
	}
	return path
}

// adaptMessage changes a request after the protocol wrote it.
func adaptMessage(p *prepared, m *message) error {
	if p.rt.service.Name == "apigateway" {
		m.header.Set("Accept", "application/json")
	}
	if p.rt.service.Name == "glacier" {
		m.header.Set("X-Amz-Glacier-Version", p.rt.service.APIVersion)
	}
	return addChecksum(p, m)
}

// adaptOutput changes an answer as botocore does after parsing it.
func adaptOutput(p *prepared, out map[string]any) {
	name := p.op.op.Name
	switch p.rt.service.Name {
	case "iam":
		decodePolicies(p.op.out, out)
	case "cloudformation":
		if text, ok := out["TemplateBody"].(string); ok && name == "GetTemplate" {
			var v map[string]any
			if json.Unmarshal([]byte(text), &v) == nil {
				out["TemplateBody"] = v
			}
		}
	case "ec2":
		if text, ok := out["Output"].(string); ok && name == "GetConsoleOutput" {
			if b, err := base64.StdEncoding.DecodeString(text); err == nil {
				out["Output"] = strings.ToValidUTF8(string(b), "\uFFFD")
			}
		}
	case "s3":
		adaptS3Output(name, out)
	}
}

func adaptS3Output(operation string, out map[string]any) {
	switch operation {
	case "GetBucketLocation":
		// us-east-1 has no name there; boto3 says None.
		if text, _ := out["LocationConstraint"].(string); text == "" {
			out["LocationConstraint"] = nil
		}
	case "ListObjects", "ListObjectsV2", "ListObjectVersions":
		decodeKeys(out)
	}
}

// listKeys are the members of a listing that EncodingType=url encodes.
var listKeys = []string{"Delimiter", "Prefix", "StartAfter", "Marker", "NextMarker", "KeyMarker", "NextKeyMarker"}

func decodeKeys(out map[string]any) {
	if out["EncodingType"] != "url" {
		return
	}
	for _, name := range listKeys {
		decodeKey(out, name)
	}
	for list, key := range map[string]string{"Contents": "Key", "CommonPrefixes": "Prefix", "Versions": "Key", "DeleteMarkers": "Key"} {
		items, _ := out[list].([]any)
		for _, item := range items {
			if fields, ok := item.(map[string]any); ok {
				decodeKey(fields, key)
			}
		}
	}
}

func decodeKey(fields map[string]any, name string) {
	if text, ok := fields[name].(string); ok {
		if plain, err := url.QueryUnescape(text); err == nil {
			fields[name] = plain
		}
	}
}

// decodePolicies turns IAM's policy documents, which come as quoted JSON, into
// values, wherever they are in an answer.
func decodePolicies(n *node, out map[string]any) {
	if n == nil {
		return
	}
	for _, m := range n.members {
		if v, ok := out[m.Name]; ok {
			out[m.Name] = decodePolicy(m, v)
		}
	}
}

func decodePolicy(m *memberNode, v any) any {
	switch v := v.(type) {
	case string:
		if m.node.shape.Name != "policyDocumentType" {
			return v
		}
		text, err := url.PathUnescape(v)
		if err != nil {
			return v
		}
		var document any
		if json.Unmarshal([]byte(text), &document) != nil {
			return v
		}
		return document
	case map[string]any:
		if m.node.shape.Type == apimodel.Structure {
			decodePolicies(m.node, v)
		}
	case []any:
		for i := range v {
			v[i] = decodePolicy(m.node.elem, v[i])
		}
	}
	return v
}

// uuidFrom gives an identifier of the form that services demand of an
// idempotency token.
func uuidFrom(ids service.IDs) string {
	sum := sha256.Sum256([]byte(ids.NewID("token") + ids.NewID("token")))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	text := hex.EncodeToString(sum[:16])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
