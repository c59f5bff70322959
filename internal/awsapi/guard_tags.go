package awsapi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// tagRead is how the tags of one kind of resource are read.
type tagRead struct {
	// arn is what ARNs of the kind look like from the service on: "iam:*:role/*".
	arn     string
	service string // as boto3 names it
	op      string
	// in is the member that names the resource, and how: "RoleName=last" the part
	// after the last slash, "TableName=id" the part after the first, "=arn" the ARN,
	// "=arns" a list of it, "=resource" all after the account.
	in string
	// out is the member with the tags, "[]" after a name takes every element.
	out string
}

// tagReads has a row for each kind of resource whose tags can be read by its ARN
// alone. The order counts: the first that fits is used.
var tagReads = []tagRead{
	{"s3:*:*", "s3", "GetBucketTagging", "Bucket=bucket", "TagSet"},
	{"iam:*:role/*", "iam", "ListRoleTags", "RoleName=last", "Tags"},
	{"iam:*:user/*", "iam", "ListUserTags", "UserName=last", "Tags"},
	{"iam:*:instance-profile/*", "iam", "ListInstanceProfileTags", "InstanceProfileName=last", "Tags"},
	{"iam:*:policy/*", "iam", "ListPolicyTags", "PolicyArn=arn", "Tags"},
	{"iam:*:saml-provider/*", "iam", "ListSAMLProviderTags", "SAMLProviderArn=arn", "Tags"},
	{"iam:*:oidc-provider/*", "iam", "ListOpenIDConnectProviderTags", "OpenIDConnectProviderArn=arn", "Tags"},
	{"iam:*:server-certificate/*", "iam", "ListServerCertificateTags", "ServerCertificateName=last", "Tags"},
	{"ec2:*:*/*", "ec2", "DescribeTags", "Filters=ec2", "Tags"},
	{"kms:*:key/*", "kms", "ListResourceTags", "KeyId=arn", "Tags"},
	{"lambda:*:function:*", "lambda", "ListTags", "Resource=function", "Tags"},
	{"rds:*", "rds", "ListTagsForResource", "ResourceName=arn", "TagList"},
	{"sns:*", "sns", "ListTagsForResource", "ResourceArn=arn", "Tags"},
	{"sqs:*", "sqs", "ListQueueTags", "QueueUrl=queue", "Tags"},
	{"dynamodb:*:table/*", "dynamodb", "ListTagsOfResource", "ResourceArn=table", "Tags"},
	{"secretsmanager:*:secret:*", "secretsmanager", "DescribeSecret", "SecretId=arn", "Tags"},
	{"cloudtrail:*", "cloudtrail", "ListTags", "ResourceIdList=arns", "ResourceTagList[].TagsList"},
	{"logs:*:log-group:*", "logs", "ListTagsForResource", "resourceArn=group", "tags"},
	{"ecr:*:repository/*", "ecr", "ListTagsForResource", "resourceArn=arn", "tags"},
	{"ecs:*", "ecs", "ListTagsForResource", "resourceArn=arn", "tags"},
	{"eks:*", "eks", "ListTagsForResource", "resourceArn=arn", "tags"},
	{"elasticloadbalancing:*:loadbalancer/*/*", "elbv2", "DescribeTags", "ResourceArns=arns", "TagDescriptions[].Tags"},
	{"elasticloadbalancing:*:targetgroup/*", "elbv2", "DescribeTags", "ResourceArns=arns", "TagDescriptions[].Tags"},
	{"elasticloadbalancing:*:listener*", "elbv2", "DescribeTags", "ResourceArns=arns", "TagDescriptions[].Tags"},
	{"elasticloadbalancing:*:loadbalancer/*", "elb", "DescribeTags", "LoadBalancerNames=lasts", "TagDescriptions[].Tags"},
	{"redshift:*", "redshift", "DescribeTags", "ResourceName=arn", "TaggedResources[].Tag"},
	{"elasticache:*", "elasticache", "ListTagsForResource", "ResourceName=arn", "TagList"},
	{"cloudfront:*", "cloudfront", "ListTagsForResource", "Resource=arn", "Tags.Items"},
	{"guardduty:*", "guardduty", "ListTagsForResource", "ResourceArn=arn", "Tags"},
	{"config:*", "config", "ListTagsForResource", "ResourceArn=arn", "Tags"},
	{"cloudwatch:*", "cloudwatch", "ListTagsForResource", "ResourceARN=arn", "Tags"},
	{"events:*", "events", "ListTagsForResource", "ResourceARN=arn", "Tags"},
	{"states:*", "stepfunctions", "ListTagsForResource", "resourceArn=arn", "tags"},
	{"kinesis:*:stream/*", "kinesis", "ListTagsForStream", "StreamName=last", "Tags"},
	{"cloudformation:*:stack/*", "cloudformation", "DescribeStacks", "StackName=stack", "Stacks[].Tags"},
	{"backup:*", "backup", "ListTags", "ResourceArn=arn", "Tags"},
	{"acm:*", "acm", "ListTagsForCertificate", "CertificateArn=arn", "Tags"},
	{"athena:*:workgroup/*", "athena", "ListTagsForResource", "ResourceARN=arn", "Tags"},
	{"glue:*", "glue", "GetTags", "ResourceArn=arn", "Tags"},
	{"wafv2:*", "wafv2", "ListTagsForResource", "ResourceARN=arn", "TagInfoForResource.TagList"},
	// The tagging API knows many services, answers with nothing for a resource
	// that never had a tag and for one it does not know: only for these.
	{"es:*:domain/*", "resourcegroupstaggingapi", "GetResources", "ResourceARNList=arns", "ResourceTagMappingList[].Tags"},
	{"elasticfilesystem:*:file-system/*", "resourcegroupstaggingapi", "GetResources", "ResourceARNList=arns", "ResourceTagMappingList[].Tags"},
	{"codebuild:*:project/*", "resourcegroupstaggingapi", "GetResources", "ResourceARNList=arns", "ResourceTagMappingList[].Tags"},
}

// maxTagged bounds how many resources of one call have their tags read.
const maxTagged = 20

// resourcesOf gives what a call is about as ARNs, with * for what the input does
// not tell: the resources on which its caller needs permission.
func (g *Gate) resourcesOf(r request) ([]string, error) {
	input, _ := forPolicy(r.Input).(map[string]any)
	c := r.Call
	c.Input = input
	grants, err := g.cfg.Models.Grants(c)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, grant := range grants {
		for _, arn := range grant.Resources {
			if !slices.Contains(out, arn) {
				out = append(out, arn)
			}
		}
	}
	if len(out) == 0 {
		out = []string{"*"}
	}
	return out, nil
}

// readTags reads the tags of everything that a call is about, now: one map for
// each thing, and one for the tags that the call itself carries. An error says
// that for one of them it cannot be told.
func (g *Gate) readTags(ctx context.Context, id Identity, r request) ([]map[string]string, error) {
	arns, err := g.resourcesOf(r)
	if err != nil {
		return nil, err
	}
	if len(arns) > maxTagged {
		return nil, fmt.Errorf("%s:%s is about %d resources, tags are read of at most %d", r.Service, r.Operation, len(arns), maxTagged)
	}
	var out []map[string]string
	seen := map[string]bool{}
	for _, arn := range arns {
		if arn = nameable(r, arn); seen[arn] {
			continue
		}
		seen[arn] = true
		tags, err := g.tagsOf(ctx, id, r, arn)
		if err != nil {
			return nil, err
		}
		out = append(out, tags)
	}
	if own := givenTags(r.Input); len(own) > 0 {
		out = append(out, own)
	}
	return out, nil
}

func (g *Gate) tagsOf(ctx context.Context, id Identity, r request, arn string) (map[string]string, error) {
	if arnPart(arn, 2) == "kms" && strings.HasPrefix(arnPart(arn, 5), "alias/") {
		key, err := g.keyOf(ctx, id, r, arn)
		if err != nil || key == "" {
			return map[string]string{}, err
		}
		arn = key
	}
	call, out, ok := tagCall(r, arn)
	if !ok || strings.ContainsAny(arn, "*?") {
		return nil, fmt.Errorf("what %s:%s touches cannot be named well enough to read its tags (%s)", r.Service, r.Operation, arn)
	}
	if arnPart(arn, 4) == "aws" {
		return map[string]string{}, nil // AWS's own policies have none
	}
	reply, err := g.lookUp(ctx, id, call)
	switch {
	case isAbsent(err):
		return map[string]string{}, nil
	case err != nil:
		return nil, fmt.Errorf("the tags of %s cannot be read: %w", arn, err)
	}
	for _, more := range []string{"NextToken", "nextToken", "NextMarker", "Marker", "PaginationToken"} {
		if s, _ := reply.Output[more].(string); s != "" {
			return nil, fmt.Errorf("%s has more tags than one page", arn)
		}
	}
	return tagsIn(membersAt(reply.Output, strings.Split(out, "."))), nil
}

// nameable takes from an ARN the stars that do not matter for reading its tags:
// the path of a role, the version of a function, the account of what EC2 has.
func nameable(r request, arn string) string {
	switch arnPart(arn, 2) {
	case "ec2":
		return strings.Replace(arn, ":*:", ":"+r.Account+":", 1)
	case "iam":
		return strings.Replace(arn, "/*/", "/", 1)
	case "lambda", "logs":
		return strings.TrimSuffix(arn, ":*")
	case "cloudformation":
		return strings.TrimSuffix(arn, "/*")
	case "secretsmanager":
		return strings.TrimSuffix(arn, "-??????") // six characters that AWS takes as given or not
	case "kms":
		if key, _ := r.Input["KeyId"].(string); strings.HasSuffix(arn, ":key/*") && strings.Contains(key, "alias/") && !placeholder.MatchString(key) {
			return arn[:strings.LastIndex(arn, ":")+1] + key[strings.Index(key, "alias/"):]
		}
	}
	return arn
}

// keyOf gives the ARN of the key that an alias stands for, "" for none.
func (g *Gate) keyOf(ctx context.Context, id Identity, r request, alias string) (string, error) {
	call := apimodel.Call{Service: "kms", Operation: "DescribeKey", Account: r.Account, Region: r.Region, Input: map[string]any{"KeyId": alias}}
	reply, err := g.lookUp(ctx, id, call)
	if isAbsent(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("the key of %s cannot be read: %w", alias, err)
	}
	meta, _ := reply.Output["KeyMetadata"].(map[string]any)
	arn, _ := meta["Arn"].(string)
	if arn == "" {
		return "", fmt.Errorf("KMS did not say which key %s stands for", alias)
	}
	return arn, nil
}

// lookUp makes a read that a guard needs, itself held against the guards.
func (g *Gate) lookUp(ctx context.Context, id Identity, c apimodel.Call) (apimodel.Reply, error) {
	r, err := g.resolve(ctx, id, ModeRead, c)
	if err != nil {
		return apimodel.Reply{}, err
	}
	if r.class != apimodel.Read {
		return apimodel.Reply{}, fault.Errorf(fault.Internal, "look up for a guard", "%s:%s is no read", r.Service, r.Operation)
	}
	return g.read(ctx, id, r)
}

// isAbsent reports whether AWS says that a resource, or its set of tags, is not
// there. It has no tags then.
func isAbsent(err error) bool {
	var api *apimodel.APIError
	if !errors.As(err, &api) || api.HTTPStatus >= 500 {
		return false
	}
	code := strings.ToLower(api.Code)
	for _, part := range []string{"nosuch", "notfound", "nonexist", "doesnotexist"} {
		if strings.Contains(code, part) {
			return true
		}
	}
	return false
}

// tagCall makes the read of arn's tags.
func tagCall(r request, arn string) (call apimodel.Call, out string, ok bool) {
	kind := arnPart(arn, 2) + ":" + arnPart(arn, 4) + ":" + arnPart(arn, 5)
	i := slices.IndexFunc(tagReads, func(t tagRead) bool { return glob(t.arn, kind) })
	if i < 0 {
		return call, "", false
	}
	t := tagReads[i]
	member, how, _ := strings.Cut(t.in, "=")
	// Where the ARN names a region, the tags are there.
	region := firstNonEmpty(arnPart(arn, 3), r.Region)
	value := tagValue(arn, how)
	if given, ok := r.Input[member].(string); ok && r.Service == "sqs" {
		value = given // the URL may name another account's queue
	}
	return apimodel.Call{Service: t.service, Operation: t.op, Account: r.Account, Region: region, Input: map[string]any{member: value}}, t.out, value != nil
}

func tagValue(arn, how string) any {
	resource := arnPart(arn, 5)
	last := resource[strings.LastIndex(resource, "/")+1:]
	before := func(s, sep string, n int) string { // the first n parts
		parts := strings.Split(s, sep)
		return strings.Join(parts[:min(n, len(parts))], sep)
	}
	switch how {
	case "arn":
		return arn
	case "arns":
		return []any{arn}
	case "last":
		return last
	case "lasts":
		return []any{last}
	case "bucket":
		return before(resource, "/", 1)
	case "function": // without version or alias
		return before(arn, ":", 7)
	case "table": // without index or stream
		return before(arn, "/", 2)
	case "group": // without stream or :*
		return before(arn, ":", 7)
	case "stack":
		return strings.Split(resource, "/")[1]
	case "queue":
		return "https://sqs." + arnPart(arn, 3) + "." + queueDomain(arnPart(arn, 1)) + "/" + arnPart(arn, 4) + "/" + resource
	case "ec2":
		return []any{map[string]any{"Name": "resource-id", "Values": []any{last}}}
	}
	return nil
}

func queueDomain(partition string) string {
	if partition == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// tagsIn collects tags in each form that AWS gives them.
func tagsIn(values []any) map[string]string {
	out := map[string]string{}
	add := func(v any) {
		m, _ := asMap(v)
		key, value := "", ""
		for name, x := range m {
			s, ok := x.(string)
			switch n := strings.ToLower(strings.TrimPrefix(name, "Tag")); {
			case !ok:
			case n == "key":
				key = s
			case n == "value":
				value = s
			}
		}
		if key != "" {
			out[key] = value
		}
	}
	for _, v := range values {
		if list, ok := asList(v); ok {
			for _, x := range list {
				add(x)
			}
			continue
		}
		m, ok := asMap(v)
		if !ok {
			continue
		}
		_, upper := m["Key"]
		_, lower := m["key"]
		if upper || lower {
			add(m)
			continue
		}
		for k, x := range m {
			if s, ok := x.(string); ok {
				out[k] = s
			}
		}
	}
	return out
}

// givenTags gives the tags that a call sets, wherever its input holds them: a
// rule about a tag holds for the call that puts it there as well.
func givenTags(v any) map[string]string {
	out := map[string]string{}
	var walk func(name string, v any)
	walk = func(name string, v any) {
		if strings.Contains(strings.ToLower(name), "tag") {
			for k, x := range tagsIn([]any{v}) {
				out[k] = x
			}
		}
		if m, ok := asMap(v); ok {
			for k, x := range m {
				walk(k, x)
			}
			return
		}
		if list, ok := asList(v); ok {
			for _, x := range list {
				walk("", x)
			}
		}
	}
	walk("", v)
	return out
}
