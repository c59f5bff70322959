package awsapi

import (
	"crypto/md5" //nolint:gosec // S3's MD5 of a key is an integrity check of the wire, not a secret
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

func adaptS3Input(op *apimodel.Operation, in map[string]any) error {
	switch op.Name {
	case "PutObject", "CreateMultipartUpload":
		if err := asciiMetadata(op, in); err != nil {
			return err
		}
	case "ListObjects", "ListObjectsV2", "ListObjectVersions":
		// Keys may hold characters that XML cannot; they are decoded in adaptOutput.
		if _, given := in["EncodingType"]; !given {
			in["EncodingType"] = "url"
		}
	case "CopyObject", "UploadPartCopy":
		if err := asciiMetadata(op, in); err != nil {
			return err
		}
		switch source := in["CopySource"].(type) {
		case map[string]any:
			in["CopySource"] = copySource(source)
		case string:
			key, version := source, versionSuffix.FindString(source)
			in["CopySource"] = percentEncode(strings.TrimSuffix(key, version)) + version
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
	return nil
}

// asciiMetadata refuses metadata that a header cannot hold.
func asciiMetadata(op *apimodel.Operation, in map[string]any) error {
	metadata, _ := asMap(in["Metadata"])
	for _, key := range sortedKeys(metadata) {
		value, _ := metadata[key].(string)
		if strings.ContainsFunc(key+value, func(c rune) bool { return c > 0x7f }) {
			return &ParamError{Service: "s3", Operation: op.Name, Problems: []ParamProblem{{Path: "Metadata." + key, Message: fmt.Sprintf(
				"Non ascii characters found in S3 metadata for key %q, value: %q.  \nS3 metadata can only contain ASCII characters. ", clip(key), clip(value))}}}
		}
	}
	return nil
}

// copySource writes the structured form of CopySource as the header has it.
func copySource(source map[string]any) string {
	text := func(name string) string { s, _ := source[name].(string); return s }
	bucket := text("Bucket")
	if strings.HasPrefix(bucket, "arn:") {
		bucket += "/object"
	}
	path := percentEncode(bucket + "/" + text("Key"))
	if v := text("VersionId"); v != "" {
		path += "?versionId=" + v
	}
	return path
}

var versionSuffix = regexp.MustCompile(`\?versionId=[^\s]+$`)

// percentEncode encodes all but what a path may hold, as botocore does for
// CopySource.
func percentEncode(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
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

// expiresText keeps S3's Expires header as text: people write into it what is no
// time, and then the parsed member is left out.
func expiresText(p *prepared, a answer, out map[string]any) {
	text := a.header.Get("Expires")
	if m, ok := p.op.op.Output.Member("Expires"); ok && p.rt.service.Name == "s3" && m.Location == "header" && text != "" {
		out["ExpiresString"] = text
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
