package awsapi

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// isS3 reports whether a service follows S3's rules for signing and addresses.
func isS3(s *apimodel.Service) bool {
	return s.SigningName == "s3" || s.SigningName == "s3-outposts" || strings.HasPrefix(s.SignatureVersion, "s3")
}

// bucketHost puts a bucket's name in front of S3's host and takes it off the
// path, where the name can be a host name and the endpoint has names below it.
func bucketHost(p *prepared, host, path, raw string) (newHost, newPath, newRaw string, err error) {
	bucket, ok := p.input["Bucket"].(string)
	if p.rt.service.Name != "s3" || !ok || !strings.HasPrefix(p.op.op.URI, "/{Bucket}") {
		return host, path, raw, nil
	}
	if strings.HasPrefix(bucket, "arn:") || strings.HasSuffix(bucket, "--x-s3") {
		return "", "", "", fault.Errorf(fault.Invalid, "call "+p.name(), "access points and directory buckets are not supported: %s", printable(clip(bucket)))
	}
	if !bucketName.MatchString(bucket) || strings.Contains(bucket, "/") {
		return "", "", "", &ParamError{Service: "s3", Operation: p.op.op.Name, Problems: []ParamProblem{{Path: "Bucket", Message: fmt.Sprintf("Invalid bucket name %q: Bucket name must match the regex \"%s\"", clip(bucket), bucketName)}}}
	}
	if isLocal(host) || !dnsBucket.MatchString(bucket) {
		return host, path, raw, nil
	}
	return bucket + "." + host, cutBucket(path), cutBucket(raw), nil
}

var (
	bucketName = regexp.MustCompile(`^[a-zA-Z0-9.\-_]{1,255}$`)
	// A bucket with a dot is not covered by S3's certificate as a host.
	dnsBucket = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)
)

func cutBucket(path string) string {
	if i := strings.IndexByte(path[1:], '/'); i >= 0 {
		return path[1+i:]
	}
	return "/"
}

// fillHostPrefix puts input members into a host prefix such as "{AccountId}.".
func fillHostPrefix(template string, in map[string]any) (string, error) {
	out := uriLabel.ReplaceAllStringFunc(template, func(label string) string {
		text, _ := in[strings.Trim(label, "{}")].(string)
		return text
	})
	if !validHost(strings.TrimSuffix(out, ".")) {
		return "", fault.Errorf(fault.Invalid, "find endpoint", "%q cannot be part of a host name", clip(out))
	}
	return out, nil
}

