package awsapi

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// isS3 reports whether a service follows S3's rules for signing and addresses.
func isS3(s *apimodel.Service) bool {
	return strings.HasPrefix(s.SignatureVersion, "s3")
}

// withoutBucket checks a bucket's name and takes it off the path: the endpoint
// rules put it into the address. An ARN names an access point.
func withoutBucket(p *prepared, raw string) (string, error) {
	bucket, ok := p.input["Bucket"].(string)
	if p.rt.service.Name != "s3" || !ok || !strings.HasPrefix(p.op.op.URI, "/{Bucket}") {
		return raw, nil
	}
	if !bucketName.MatchString(bucket) && !accessPointARN.MatchString(bucket) || bucket == "." || bucket == ".." {
		return "", &ParamError{Service: "s3", Operation: p.op.op.Name, Problems: []ParamProblem{{Path: "Bucket", Message: fmt.Sprintf(
			"Invalid bucket name %q: Bucket name must match the regex \"%s\" or be an ARN matching the regex \"%s\"", clip(bucket), bucketName, accessPointARN)}}}
	}
	if i := strings.IndexByte(raw[1:], '/'); i >= 0 {
		return raw[1+i:], nil
	}
	return "/", nil
}

// What botocore takes for the name of a bucket, and for an access point.
var (
	bucketName     = regexp.MustCompile(`^[a-zA-Z0-9.\-_]{1,255}$`)
	accessPointARN = regexp.MustCompile(`^arn:(aws).*:(s3|s3-object-lambda):[a-z\-0-9]*:[0-9]{12}:accesspoint[/:][a-zA-Z0-9\-.]{1,63}$|` +
		`^arn:(aws).*:s3-outposts:[a-z\-0-9]+:[0-9]{12}:outpost[/:][a-zA-Z0-9\-]{1,63}[/:]accesspoint[/:][a-zA-Z0-9\-]{1,63}$`)
)

// prefixInRules reports whether the endpoint rules write an operation's host
// prefix themselves: S3 Control's account.
func prefixInRules(op *apimodel.Operation) bool {
	return op.HostPrefix == "{AccountId}." && slices.ContainsFunc(op.Context, func(c apimodel.ContextParam) bool { return c.Name == "RequiresAccountId" })
}

// fillHostPrefix puts input members into a host prefix such as "{AccountId}." or
// "data-", and that in front of host. None of them may name another host.
func fillHostPrefix(template, host string, in map[string]any) (string, error) {
	out := uriLabel.ReplaceAllStringFunc(template, func(label string) string {
		text, _ := in[strings.Trim(label, "{}")].(string)
		return text
	}) + host
	name := out
	if h, _, err := net.SplitHostPort(out); err == nil {
		name = h
	}
	if !validHost(name) {
		return "", fault.Errorf(fault.Invalid, "find endpoint", "%q cannot be the name of a host", clip(printable(out)))
	}
	return out, nil
}

// otherRegion reads where S3 says that a bucket is, in a header or in the body
// of the error. Following once is enough, and an access point is where its ARN
// says.
func (s *sending) otherRegion(a answer) string {
	bucket, _ := s.p.input["Bucket"].(string)
	if s.redirected || s.p.rt.service.Name != "s3" || strings.HasPrefix(bucket, "arn:") {
		return ""
	}
	switch a.status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusBadRequest:
	default:
		return ""
	}
	region := a.header.Get("X-Amz-Bucket-Region")
	if found := regionInBody.FindSubmatch(a.body); region == "" && found != nil {
		region = string(found[1])
	}
	if region == s.region || !validLabel(region) {
		return ""
	}
	return region
}

// regionInBody finds the region in an error such as AuthorizationHeaderMalformed.
var regionInBody = regexp.MustCompile(`<Region>([a-z0-9-]{1,63})</Region>`)

// adaptS3Control takes the account of an Outposts ARN for the AccountId that was
// not given, as botocore does, and refuses two different ones.
func adaptS3Control(op *apimodel.Operation, in map[string]any) error {
	if op.Name == "CreateBucket" || op.Name == "ListRegionalBuckets" {
		return nil
	}
	for _, name := range []string{"Name", "Bucket"} {
		arn, _ := in[name].(string)
		account := accountOf(arn)
		if account == "" || (name == "Name" && op.Name == "CreateAccessPoint") {
			continue
		}
		if strings.Split(arn, ":")[2] != "s3-outposts" {
			return fault.Errorf(fault.Invalid, "call s3control:"+op.Name, "the %s parameter does not support the provided ARN %q", name, clip(printable(arn)))
		}
		if given, ok := in["AccountId"].(string); ok && given != account {
			return fault.Errorf(fault.Invalid, "call s3control:"+op.Name, "account ID in %q does not match the AccountId parameter %q", clip(printable(arn)), clip(printable(given)))
		}
		in["AccountId"] = account
	}
	return nil
}
