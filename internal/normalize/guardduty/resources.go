package guardduty

import (
	"strings"

	"github.com/parry-security/parry/internal/normalize/event"
)

// maxResources is ASFF's.
const maxResources = 32

// resources gives the resources of a finding: the one that its resourceType
// names first, since that is the one that is affected.
func resources(e event.Event) []any {
	r := e.Detail.Doc("resource")
	var out []any
	add := func(res map[string]any) {
		if res != nil && len(out) < maxResources {
			res["Partition"], res["Region"] = e.Partition(), e.Region
			out = append(out, res)
		}
	}
	for _, bucket := range r.Docs("s3BucketDetails") {
		add(s3Bucket(bucket))
	}
	if r.Text("resourceType") == "AccessKey" || !r.Has("instanceDetails") {
		add(accessKey(r.Doc("accessKeyDetails")))
		add(instance(e, r))
	} else {
		add(instance(e, r))
		add(accessKey(r.Doc("accessKeyDetails")))
	}
	for _, simple := range []struct{ path, arn, kind string }{
		{"eksClusterDetails", "arn", "AwsEksCluster"},
		{"ecsClusterDetails", "arn", "AwsEcsCluster"},
		{"lambdaDetails", "functionArn", "AwsLambdaFunction"},
		{"rdsDbInstanceDetails", "dbInstanceArn", "AwsRdsDbInstance"},
	} {
		if d := r.Doc(simple.path); d.Text(simple.arn) != "" {
			add(withTags(map[string]any{"Type": simple.kind, "Id": d.Text(simple.arn)}, d))
		}
	}
	add(container(r.Doc("containerDetails")))
	for _, v := range r.Docs("ebsVolumeDetails", "scannedVolumeDetails") {
		if arn := v.Text("volumeArn"); arn != "" {
			add(map[string]any{"Type": "AwsEc2Volume", "Id": arn})
		}
	}
	if len(out) == 0 {
		// Attack sequences and what GuardDuty adds later: the account is what is known.
		add(map[string]any{"Type": "AwsAccount", "Id": "AWS::::Account:" + e.Detail.Text("accountId")})
	}
	return out
}

func withTags(res map[string]any, d event.Doc) map[string]any {
	event.Set(res, "Tags", event.Tags(d.Docs("tags")))
	return res
}

func instance(e event.Event, r event.Doc) map[string]any {
	d := r.Doc("instanceDetails")
	id := d.Text("instanceId")
	if id == "" {
		return nil
	}
	details := map[string]any{}
	event.Set(details, "Type", d.Text("instanceType"))
	event.Set(details, "ImageId", d.Text("imageId"))
	event.Set(details, "LaunchedAt", d.Time("launchTime"))
	event.Set(details, "IamInstanceProfileArn", d.Text("iamInstanceProfile", "arn"))
	var v4, v6 []any
	for i, n := range d.Docs("networkInterfaces") {
		if i == 0 {
			event.Set(details, "VpcId", n.Text("vpcId"))
			event.Set(details, "SubnetId", n.Text("subnetId"))
		}
		for _, ip := range []string{n.Text("publicIp"), n.Text("privateIpAddress")} {
			if ip != "" {
				v4 = append(v4, ip)
			}
		}
		for _, ip := range n.Texts("ipv6Addresses") {
			v6 = append(v6, ip)
		}
	}
	event.Set(details, "IpV4Addresses", v4)
	event.Set(details, "IpV6Addresses", v6)
	arn := event.ResourceARN(e.Partition(), e.Region, e.Detail.Text("accountId"), "AWS::EC2::Instance", id)
	return withTags(map[string]any{"Type": "AwsEc2Instance", "Id": arn, "Details": map[string]any{"AwsEc2Instance": details}}, d)
}

func accessKey(d event.Doc) map[string]any {
	id := event.First(d.Text("accessKeyId"), d.Text("principalId"))
	if id == "" {
		return nil
	}
	details := map[string]any{}
	event.Set(details, "AccessKeyId", d.Text("accessKeyId"))
	event.Set(details, "PrincipalId", d.Text("principalId"))
	event.Set(details, "PrincipalType", d.Text("userType"))
	event.Set(details, "PrincipalName", d.Text("userName"))
	return map[string]any{"Type": "AwsIamAccessKey", "Id": "AWS::IAM::AccessKey:" + id, "Details": map[string]any{"AwsIamAccessKey": details}}
}

func s3Bucket(d event.Doc) map[string]any {
	arn := d.Text("arn")
	if arn == "" {
		return nil
	}
	details := map[string]any{}
	event.Set(details, "OwnerId", d.Text("owner", "id"))
	event.Set(details, "Name", d.Text("name"))
	event.Set(details, "CreatedAt", d.Time("createdAt"))
	if kind := d.Text("defaultServerSideEncryption", "encryptionType"); kind != "" {
		by := map[string]any{"SSEAlgorithm": kind}
		event.Set(by, "KMSMasterKeyID", d.Text("defaultServerSideEncryption", "kmsMasterKeyArn"))
		details["ServerSideEncryptionConfiguration"] = map[string]any{"Rules": []any{map[string]any{"ApplyServerSideEncryptionByDefault": by}}}
	}
	res := map[string]any{"Type": "AwsS3Bucket", "Id": arn}
	event.Set(details, "PublicAccessBlockConfiguration", publicAccess(d.Doc("publicAccess", "permissionConfiguration", "bucketLevelPermissions", "blockPublicAccess")))
	res["Details"] = map[string]any{"AwsS3Bucket": details}
	return withTags(res, d)
}

func publicAccess(d event.Doc) map[string]any {
	out := map[string]any{}
	for _, name := range []string{"blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"} {
		if d.Has(name) {
			out[strings.ToUpper(name[:1])+name[1:]] = d.Bool(name)
		}
	}
	return out
}

func container(d event.Doc) map[string]any {
	id := event.First(d.Text("id"), d.Text("name"))
	if id == "" {
		return nil
	}
	details := map[string]any{}
	event.Set(details, "Name", d.Text("name"))
	event.Set(details, "ImageName", d.Text("image"))
	event.Set(details, "ContainerRuntime", d.Text("containerRuntime"))
	return map[string]any{"Type": "Container", "Id": id, "Details": map[string]any{"Container": details}}
}
