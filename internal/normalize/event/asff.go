package event

import (
	"strings"
)

// Finding begins an ASFF document with what every one needs. Times are in
// ASFF's form; updated defaults to created.
func (e Event) Finding(product, id, generator, account, title, description, created, updated string) map[string]any {
	doc := map[string]any{
		"SchemaVersion": "2018-10-08", "Id": id, "ProductArn": e.ProductARN(product), "GeneratorId": generator,
		"AwsAccountId": account, "Region": e.Region, "CreatedAt": created, "UpdatedAt": First(updated, created),
		"Title": Cut(title, 256), "Description": Cut(First(description, title), 1024), "RecordState": "ACTIVE",
	}
	return doc
}

// Severity gives a severity by label, with the number that its product gave.
func Severity(label, original string) map[string]any {
	s := map[string]any{"Label": label}
	Set(s, "Original", Cut(original, 64))
	return s
}

// ResourceType gives ASFF's name of a resource type of CloudFormation, "Other"
// for one that ASFF has no name for.
func ResourceType(cloudFormation string) string {
	// Services that ASFF calls otherwise than CloudFormation does.
	renamed := strings.NewReplacer(
		"::ElasticLoadBalancingV2::", "::Elbv2::", "::ElasticLoadBalancing::", "::Elb::", "::ACM::", "::CertificateManager::", "::StepFunctions::", "::StepFunction::",
	).Replace(cloudFormation)
	name := strings.ToLower(strings.ReplaceAll(renamed, "::", ""))
	for _, t := range strings.Fields(resourceTypes) {
		if strings.ToLower(t) == name {
			return t
		}
	}
	return "Other"
}

// ResourceARN gives the ARN of a resource where its type and the id that AWS
// Config has for it tell; else the id as it is.
func ResourceARN(partition, region, account, cloudFormation, id string) string {
	if strings.HasPrefix(id, "arn:") || id == "" {
		return id
	}
	prefix := "arn:" + partition + ":"
	switch cloudFormation {
	case "AWS::S3::Bucket":
		return prefix + "s3:::" + id
	case "AWS::Lambda::Function":
		return prefix + "lambda:" + region + ":" + account + ":function:" + id
	case "AWS::DynamoDB::Table":
		return prefix + "dynamodb:" + region + ":" + account + ":table/" + id
	case "AWS::KMS::Key":
		return prefix + "kms:" + region + ":" + account + ":key/" + id
	case "AWS::CloudFormation::Stack":
		return id
	}
	if kind, ok := ec2Kinds()[cloudFormation]; ok {
		return prefix + "ec2:" + region + ":" + account + ":" + kind + "/" + id
	}
	return id
}

func ec2Kinds() map[string]string {
	return map[string]string{
		"AWS::EC2::Instance": "instance", "AWS::EC2::SecurityGroup": "security-group", "AWS::EC2::Volume": "volume", "AWS::EC2::VPC": "vpc",
		"AWS::EC2::Subnet": "subnet", "AWS::EC2::NetworkInterface": "network-interface", "AWS::EC2::NetworkAcl": "network-acl",
		"AWS::EC2::RouteTable": "route-table", "AWS::EC2::EIP": "elastic-ip", "AWS::EC2::InternetGateway": "internet-gateway",
	}
}

// resourceTypes are the members of ASFF's ResourceDetails, in AWS's model of
// Security Hub, and the types without details that its own findings use.
const resourceTypes = `AwsAccount
AwsAutoScalingAutoScalingGroup AwsCodeBuildProject AwsCloudFrontDistribution AwsEc2Instance AwsEc2NetworkInterface AwsEc2SecurityGroup
AwsEc2Volume AwsEc2Vpc AwsEc2Eip AwsEc2Subnet AwsEc2NetworkAcl AwsElbv2LoadBalancer AwsElasticBeanstalkEnvironment AwsElasticsearchDomain
AwsS3Bucket AwsS3AccountPublicAccessBlock AwsS3Object AwsSecretsManagerSecret AwsIamAccessKey AwsIamUser AwsIamPolicy AwsApiGatewayV2Stage
AwsApiGatewayV2Api AwsDynamoDbTable AwsApiGatewayStage AwsApiGatewayRestApi AwsCloudTrailTrail AwsSsmPatchCompliance
AwsCertificateManagerCertificate AwsRedshiftCluster AwsElbLoadBalancer AwsIamGroup AwsIamRole AwsKmsKey AwsLambdaFunction
AwsLambdaLayerVersion AwsRdsDbInstance AwsSnsTopic AwsSqsQueue AwsWafWebAcl AwsRdsDbSnapshot AwsRdsDbClusterSnapshot AwsRdsDbCluster
AwsEcsCluster AwsEcsContainer AwsEcsTaskDefinition AwsRdsEventSubscription AwsEcsService AwsAutoScalingLaunchConfiguration
AwsEc2VpnConnection AwsEcrContainerImage AwsOpenSearchServiceDomain AwsEc2VpcEndpointService AwsXrayEncryptionConfig AwsWafRateBasedRule
AwsWafRegionalRateBasedRule AwsEcrRepository AwsEksCluster AwsNetworkFirewallFirewallPolicy AwsNetworkFirewallFirewall
AwsNetworkFirewallRuleGroup AwsRdsDbSecurityGroup AwsKinesisStream AwsEc2TransitGateway AwsEfsAccessPoint AwsCloudFormationStack
AwsCloudWatchAlarm AwsEc2VpcPeeringConnection AwsWafRegionalRuleGroup AwsWafRegionalRule AwsWafRegionalWebAcl AwsWafRule AwsWafRuleGroup
AwsEcsTask AwsBackupBackupVault AwsBackupBackupPlan AwsBackupRecoveryPoint AwsEc2LaunchTemplate AwsSageMakerNotebookInstance
AwsWafv2WebAcl AwsWafv2RuleGroup AwsEc2RouteTable AwsAmazonMqBroker AwsAppSyncGraphQlApi AwsEventSchemasRegistry AwsGuardDutyDetector
AwsStepFunctionStateMachine AwsAthenaWorkGroup AwsEventsEventbus AwsDmsEndpoint AwsEventsEndpoint AwsDmsReplicationTask
AwsDmsReplicationInstance AwsRoute53HostedZone AwsMskCluster AwsS3AccessPoint AwsEc2ClientVpnEndpoint`
