package playbook

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// Resource is what a playbook may know of the resource: identity only.
type Resource struct {
	Type    string
	ARN     string
	Name    string // as its service's operations take it: of a bucket, a function, a repository
	Account string
	Region  string
}

// Partition is that of the resource's ARN; "" for an account.
func (r Resource) Partition() string {
	rest, ok := strings.CutPrefix(r.ARN, "arn:")
	if !ok {
		return ""
	}
	partition, _, _ := strings.Cut(rest, ":")
	return partition
}

// NewResource takes a resource from its ARN, refusing what is not one of its kind. The
// ARN is a source's claim: it decides what is read and changed, so it has to have the
// form that AWS gives it. The account is the finding's, because bucket ARNs carry none; a
// live read in that account is what proves ownership.
func NewResource(kind, arn, account, region string) (Resource, error) {
	bad := func(format string, args ...any) (Resource, error) {
		return Resource{}, fault.Errorf(fault.Invalid, "read resource", format, args...)
	}
	if id, ok := strings.CutPrefix(arn, accountPrefix); ok {
		switch {
		case kind != accountKind && forms()[kind].service != "":
			return bad("%q is an account, not one of kind %s", trim(arn, 120), kind)
		case id != account:
			return bad("the resource is account %s, the finding is of account %s", trim(id, 12), account)
		}
		return Resource{Type: kind, ARN: arn, Name: id, Account: account, Region: region}, nil
	}
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[1] == "" || parts[2] == "" || parts[5] == "" || len(arn) > maxARN {
		return bad("%q is not an ARN", trim(arn, 120))
	}
	if parts[4] != "" && parts[4] != account {
		return bad("the ARN names account %s, the finding account %s", trim(parts[4], 12), account)
	}
	if parts[3] != "" && region != "" && parts[3] != region {
		return bad("the ARN names Region %s, the finding Region %s", trim(parts[3], 30), region)
	}
	if kind == accountKind { // some scanners name it by the ARN of what they looked at in it
		if parts[4] == "" {
			return bad("%q names no account", trim(arn, 120))
		}
		return Resource{Type: kind, ARN: arn, Name: account, Account: account, Region: region}, nil
	}
	if parts[2] == "s3" && parts[4] == "" && strings.ContainsAny(parts[5], "/:") {
		return bad("%q is an object, not a bucket", trim(arn, 120)) // its last part is not the bucket's name
	}
	name := nameOf(parts[2], parts[5])
	if name == "" {
		return bad("%q names nothing", trim(arn, 120))
	}
	if err := check(kind, parts); err != nil {
		return bad("%w", err)
	}
	return Resource{Type: kind, ARN: arn, Name: name, Account: account, Region: region}, nil
}

const (
	// accountKind is the type of a resource that is an account, accountPrefix begins its
	// id: "AWS::::Account:111122223333".
	// https://docs.aws.amazon.com/securityhub/latest/userguide/asff-required-attributes.html
	accountKind   = "AwsAccount"
	accountPrefix = "AWS::::Account:"

	// maxARN is the longest ARN, in bytes, as AWS limits it.
	maxARN = 2048
)

// form is what AWS's ARNs of one kind look like.
type form struct {
	service string
	located bool // Region and account are in it
	name    *regexp.Regexp
	what    string
}

// forms are those of the kinds that the catalogue is about.
func forms() map[string]form {
	return map[string]form{
		// Names from before 2018 may have capitals and underscores, and up to 255 characters.
		"AwsS3Bucket":         {"s3", false, bucketName, "the name of a bucket"},
		"AwsEc2SecurityGroup": {"ec2", true, groupName, "security-group/ and the id of a group"},
		"AwsKmsKey":           {"kms", true, keyName, "key/ and the id of a key"},
	}
}

var (
	bucketName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$`)
	groupName  = regexp.MustCompile(`^security-group/[A-Za-z0-9-]{1,64}$`)
	keyName    = regexp.MustCompile(`^key/[A-Za-z0-9-]{1,64}$`)
	// anyName is what names of other kinds must look like: no pattern, no space, nothing that is
	// escaped or leads elsewhere in a path.
	anyName = regexp.MustCompile(`^[\w+=,.@:/#$~!-]+$`)
)

// check holds an ARN against the form of its kind.
func check(kind string, parts []string) error {
	f, known := forms()[kind]
	arn, text := trim(strings.Join(parts, ":"), 120), parts[5]
	if parts[2] == "logs" {
		text = strings.TrimSuffix(text, ":*") // which is how CloudWatch Logs ends that of one group
	}
	switch {
	case !known && (!anyName.MatchString(text) || climbs(text)):
		return fmt.Errorf("%q is not the ARN of one resource", arn)
	case !known:
		return nil
	case parts[2] != f.service:
		return fmt.Errorf("%q is a resource of %s, one of kind %s is of %s", arn, trim(parts[2], 30), kind, f.service)
	case f.located != (parts[3] != "" && parts[4] != "") || !f.located && parts[3]+parts[4] != "":
		return fmt.Errorf("%q is not the ARN of one of kind %s", arn, kind)
	case !f.name.MatchString(parts[5]) || climbs(parts[5]):
		return fmt.Errorf("%q does not end in %s", arn, f.what)
	}
	return nil
}

// climbs reports whether a name holds "..", which no resource needs and a path may follow.
func climbs(name string) bool { return strings.Contains(name, "..") }
