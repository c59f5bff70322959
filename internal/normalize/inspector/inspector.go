package inspector

import (
	"encoding/json"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/normalize/event"
)

// The names by which EventBridge tells Inspector's findings.
const (
	Source     = "aws.inspector2"
	DetailType = "Inspector2 Finding"
)

// Finding gives the ASFF document of the event's finding.
// https://docs.aws.amazon.com/inspector/latest/user/securityhub-integration.html
func Finding(e event.Event) (map[string]any, error) {
	d := e.Detail
	arn := d.Text("findingArn")
	if arn == "" {
		return nil, fault.Errorf(fault.Invalid, "read Inspector finding", "the event names no finding: findingArn is missing")
	}
	first, last := d.Time("firstObservedAt"), d.Time("lastObservedAt")
	doc := e.Finding("inspector", arn, "AWSInspector", d.Text("awsAccountId"), d.Text("title"), d.Text("description"), first, event.Latest(d.Time("updatedAt"), last))
	event.Set(doc, "FirstObservedAt", first)
	event.Set(doc, "LastObservedAt", last)
	doc["Severity"] = severity(d)
	doc["Types"] = []any{asffType(d.Text("type"))}
	if status := d.Text("status"); status == "CLOSED" || status == "SUPPRESSED" {
		doc["RecordState"] = "ARCHIVED"
	}
	if text := d.Text("remediation", "recommendation", "text"); text != "" && text != "None Provided" {
		recommendation := map[string]any{"Text": event.Cut(text, 512)}
		event.Set(recommendation, "Url", d.Text("remediation", "recommendation", "url"))
		doc["Remediation"] = map[string]any{"Recommendation": recommendation}
	}
	doc["Resources"] = resources(e)
	event.Set(doc, "Vulnerabilities", vulnerabilities(d))
	event.Set(doc, "NetworkPath", networkPath(d))
	event.Set(doc, "Network", network(d))
	doc["ProductFields"] = fields(d)
	return doc, nil
}

// severity takes an untriaged finding as informational until it is scored.
func severity(d event.Doc) map[string]any {
	label := d.Text("severity")
	if label == "UNTRIAGED" {
		return event.Severity("INFORMATIONAL", label)
	}
	return event.Severity(label, "")
}

func asffType(t string) string {
	switch t {
	case "PACKAGE_VULNERABILITY":
		return "Software and Configuration Checks/Vulnerabilities/CVE"
	case "NETWORK_REACHABILITY":
		return "Software and Configuration Checks/AWS Security Best Practices/Network Reachability"
	case "CODE_VULNERABILITY":
		return "Software and Configuration Checks/Vulnerabilities/Code Vulnerability"
	}
	return "Software and Configuration Checks/Vulnerabilities"
}

func fields(d event.Doc) event.Fields {
	f := event.Fields{}
	f.Set("aws/inspector/ProductVersion", "2")
	f.Set("aws/inspector/FindingStatus", d.Text("status"))
	f.Set("aws/inspector/inspectorScore", d.Text("inspectorScore"))
	for i, r := range d.Docs("resources") {
		if platform := r.Text("details", "awsEc2Instance", "platform"); platform != "" {
			f.Set("aws/inspector/resources/"+string(rune('1'+min(i, 8)))+"/resourceDetails/awsEc2InstanceDetails/platform", platform)
		}
		if r.Text("type") == "AWS_EC2_INSTANCE" {
			f.Set("aws/inspector/instanceId", r.Text("id"))
		}
	}
	f.Flatten("aws/inspector/codeVulnerability", d.Doc("codeVulnerabilityDetails"))
	f.Set("aws/inspector/exploitabilityDetails/lastKnownExploitAt", d.Time("exploitabilityDetails", "lastKnownExploitAt"))
	return f
}

// vulnerabilities carries what is known of the vulnerability and of exploits:
// priority is made of it.
func vulnerabilities(d event.Doc) []any {
	p := d.Doc("packageVulnerabilityDetails")
	id := p.Text("vulnerabilityId")
	if id == "" {
		return nil
	}
	v := map[string]any{"Id": id}
	var packages []any
	for _, s := range p.Docs("vulnerablePackages") {
		one := map[string]any{}
		for name, member := range map[string]string{
			"name": "Name", "version": "Version", "epoch": "Epoch", "release": "Release", "arch": "Architecture", "packageManager": "PackageManager",
			"filePath": "FilePath", "fixedInVersion": "FixedInVersion", "remediation": "Remediation", "sourceLayerHash": "SourceLayerHash", "sourceLambdaLayerArn": "SourceLayerArn",
		} {
			event.Set(one, member, s.Text(name))
		}
		packages = append(packages, one)
	}
	event.Set(v, "VulnerablePackages", packages)
	var scores []any
	for _, c := range p.Docs("cvss") {
		one := map[string]any{}
		event.Set(one, "Version", c.Text("version"))
		event.Set(one, "BaseVector", c.Text("scoringVector"))
		event.Set(one, "Source", c.Text("source"))
		if score := c.Text("baseScore"); score != "" {
			one["BaseScore"] = json.Number(score)
		}
		scores = append(scores, one)
	}
	event.Set(v, "Cvss", scores)
	vendor := map[string]any{}
	event.Set(vendor, "Name", p.Text("source"))
	event.Set(vendor, "Url", p.Text("sourceUrl"))
	event.Set(vendor, "VendorSeverity", p.Text("vendorSeverity"))
	event.Set(vendor, "VendorCreatedAt", p.Time("vendorCreatedAt"))
	event.Set(vendor, "VendorUpdatedAt", p.Time("vendorUpdatedAt"))
	event.Set(v, "Vendor", vendor)
	event.Set(v, "ReferenceUrls", texts(p.Texts("referenceUrls")))
	event.Set(v, "RelatedVulnerabilities", texts(p.Texts("relatedVulnerabilities")))
	event.Set(v, "FixAvailable", d.Text("fixAvailable"))
	event.Set(v, "ExploitAvailable", d.Text("exploitAvailable"))
	if _, ok := d.Number("epss", "score"); ok {
		v["EpssScore"] = json.Number(d.Text("epss", "score"))
	}
	event.Set(v, "LastKnownExploitAt", d.Time("exploitabilityDetails", "lastKnownExploitAt"))
	return []any{v}
}

func texts(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

func networkPath(d event.Doc) []any {
	var out []any
	for _, s := range d.Docs("networkReachabilityDetails", "networkPath", "steps") {
		one := map[string]any{}
		event.Set(one, "ComponentId", s.Text("componentId"))
		event.Set(one, "ComponentType", s.Text("componentType"))
		out = append(out, one)
	}
	return out
}

func network(d event.Doc) map[string]any {
	r := d.Doc("networkReachabilityDetails")
	begin, ok := r.Number("openPortRange", "begin")
	if !ok {
		return nil
	}
	end, _ := r.Number("openPortRange", "end")
	out := map[string]any{"Direction": "IN", "OpenPortRange": map[string]any{"Begin": int64(begin), "End": int64(end)}}
	event.Set(out, "Protocol", event.Cut(strings.ToUpper(r.Text("protocol")), 16))
	return out
}

// maxResources is Inspector's; ASFF takes 32.
const maxResources = 10

func resources(e event.Event) []any {
	var out []any
	for _, r := range e.Detail.Docs("resources") {
		if len(out) == maxResources {
			break
		}
		region := event.First(r.Text("region"), e.Region)
		kind, id, details := resource(e, r, region)
		res := map[string]any{"Type": kind, "Id": id, "Partition": event.First(r.Text("partition"), e.Partition()), "Region": region}
		if tags, ok := r["tags"].(map[string]any); ok {
			event.Set(res, "Tags", tags)
		}
		if len(details) > 0 {
			res["Details"] = map[string]any{kind: details}
		}
		out = append(out, res)
	}
	return out
}

func resource(e event.Event, r event.Doc, region string) (kind, id string, details map[string]any) {
	id, details = r.Text("id"), map[string]any{}
	switch r.Text("type") {
	case "AWS_EC2_INSTANCE":
		i := r.Doc("details", "awsEc2Instance")
		for name, member := range map[string]string{
			"type": "Type", "imageId": "ImageId", "keyName": "KeyName", "iamInstanceProfileArn": "IamInstanceProfileArn", "vpcId": "VpcId", "subnetId": "SubnetId",
		} {
			event.Set(details, member, i.Text(name))
		}
		event.Set(details, "IpV4Addresses", texts(i.Texts("ipV4Addresses")))
		event.Set(details, "IpV6Addresses", texts(i.Texts("ipV6Addresses")))
		event.Set(details, "LaunchedAt", i.Time("launchedAt"))
		// The instance's ARN, so that all that is known of it comes together; AWS's
		// example leaves "instance/" out, its findings do not.
		return "AwsEc2Instance", event.ResourceARN(e.Partition(), region, e.Detail.Text("awsAccountId"), "AWS::EC2::Instance", id), details
	case "AWS_ECR_CONTAINER_IMAGE":
		i := r.Doc("details", "awsEcrContainerImage")
		event.Set(details, "RegistryId", i.Text("registry"))
		event.Set(details, "RepositoryName", i.Text("repositoryName"))
		event.Set(details, "Architecture", i.Text("architecture"))
		event.Set(details, "ImageDigest", i.Text("imageHash"))
		event.Set(details, "ImageTags", texts(i.Texts("imageTags")))
		event.Set(details, "ImagePublishedAt", i.Time("pushedAt"))
		return "AwsEcrContainerImage", id, details
	case "AWS_ECR_REPOSITORY":
		return "AwsEcrRepository", id, nil
	case "AWS_LAMBDA_FUNCTION":
		f := r.Doc("details", "awsLambdaFunction")
		for name, member := range map[string]string{
			"functionName": "FunctionName", "runtime": "Runtime", "codeSha256": "CodeSha256", "version": "Version", "executionRoleArn": "Role", "packageType": "PackageType",
		} {
			event.Set(details, member, f.Text(name))
		}
		event.Set(details, "Architectures", texts(f.Texts("architectures")))
		event.Set(details, "LastModified", f.Time("lastModifiedAt"))
		return "AwsLambdaFunction", id, details
	case "CODE_REPOSITORY":
		return "CodeRepository", id, nil
	}
	return "Other", id, nil
}
