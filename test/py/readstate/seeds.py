"""Resources that every service's operations may need, made first and by hand."""

import contextlib
import functools
import importlib
import inspect
import io
import json
import re
import zipfile

import moto.backend_index
from botocore import xform_name
from moto.core.utils import camelcase_to_underscores

from inputs import ACCOUNT, POLICY, REGION

# Values for members with these names, whatever the service.
FIXED = {"region": REGION, "regionname": REGION, "awsregion": REGION, "availabilityzone": "us-east-1a", "accountid": ACCOUNT, "awsaccountid": ACCOUNT,
         "protocol": "tcp", "vpccidrblock": "10.9.0.0/16"}  # fmt: skip

# Which operations make something, in the order in which they are tried.
ORDER = ["Create", "Run", "Register", "Request", "Allocate", "Import", "Publish", "Issue", "Upload", "Put", "Add", "Admin", "Attach", "Associate",
         "Enable", "Start", "Send", "Subscribe", "Set", "Authorize", "Tag", "Provision", "Schedule", "Copy", "Batch", "Update", "Modify"]  # fmt: skip


def rank(operation):
    """The place of an operation among the creating ones; None when it is none."""
    verb = re.match(r"[A-Z][a-z0-9]*", operation)[0]
    if verb not in ORDER or re.match("Batch(Delete|Get|Dis|Stop|Remove|Reset)|Admin(Delete|Disable|Reset|Remove|UserGlobal)", operation):
        return None
    return ORDER.index(verb)


def implemented(service):
    """Whether moto answers for boto3's service."""
    return MODULES.get(service, service.replace("-", "")) in KNOWN


@functools.cache
def methods(module):
    """The names of all that moto's classes for a service can do."""
    found = set()
    for part in ("responses", "models"):
        with contextlib.suppress(ImportError):
            for item in vars(importlib.import_module(f"moto.{module}.{part}")).values():
                found |= set(dir(item)) if inspect.isclass(item) else set()
    return found


def answers(service, operation):
    """Whether moto has the operation: asked of its classes, which is faster than a call that fails."""
    if service in UNNAMED:
        return True
    known = methods(MODULES.get(service, service.replace("-", "")))
    return xform_name(operation) in known or camelcase_to_underscores(operation) in known


# A service whose operations moto does not name as AWS does.
UNNAMED = {"xray"}
KNOWN = {name for name, _ in moto.backend_index.backend_url_patterns}
MODULES = {"lambda": "awslambda", "docdb": "rds", "neptune": "rds"}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/parry"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
FLOW = json.dumps({"StartAt": "a", "States": {"a": {"Type": "Pass", "End": True}}})
TEMPLATE = json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "parry-stack"}}}})
DOCUMENT = json.dumps({"schemaVersion": "2.2", "description": "d", "mainSteps": [{"action": "aws:runShellScript", "name": "a", "inputs": {"runCommand": ["true"]}}]})
KEY = [{"AttributeName": "k", "KeyType": "HASH"}]


def code():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("main.py", "def handler(event, context): return 1")
    return out.getvalue()


# (service, operation, input); "$Name" stands for what the pool has under that name.
PLANT = [
    ("iam", "CreateRole", {"RoleName": "parry", "AssumeRolePolicyDocument": TRUST}),
    ("iam", "CreateUser", {"UserName": "parry"}),
    ("iam", "CreateGroup", {"GroupName": "parry"}),
    ("iam", "CreatePolicy", {"PolicyName": "parry", "PolicyDocument": POLICY.replace('"Principal": "*", ', "")}),
    ("iam", "PutRolePolicy", {"RoleName": "parry", "PolicyName": "parry", "PolicyDocument": POLICY.replace('"Principal": "*", ', "")}),
    ("iam", "PutUserPolicy", {"UserName": "parry", "PolicyName": "parry", "PolicyDocument": POLICY.replace('"Principal": "*", ', "")}),
    ("iam", "PutGroupPolicy", {"GroupName": "parry", "PolicyName": "parry", "PolicyDocument": POLICY.replace('"Principal": "*", ', "")}),
    ("iam", "CreateAccessKey", {"UserName": "parry"}),
    ("iam", "CreateLoginProfile", {"UserName": "parry", "Password": "Parry-1-parry"}),
    ("iam", "CreateInstanceProfile", {"InstanceProfileName": "parry"}),
    ("iam", "CreateSAMLProvider", {"Name": "parry", "SAMLMetadataDocument": "a" * 1024}),
    ("iam", "CreateOpenIDConnectProvider", {"Url": "https://example.com", "ThumbprintList": ["a" * 40], "ClientIDList": ["a"]}),
    ("iam", "UpdateAccountPasswordPolicy", {"MinimumPasswordLength": 12}),
    ("iam", "GenerateCredentialReport", {}),
    ("kms", "CreateKey", {"Description": "parry"}),
    ("kms", "CreateAlias", {"AliasName": "alias/parry", "TargetKeyId": "$KeyId"}),
    ("kms", "Encrypt", {"KeyId": "alias/parry", "Plaintext": b"parry"}),
    ("s3", "CreateBucket", {"Bucket": "parry-test"}),
    ("s3", "PutObject", {"Bucket": "parry-test", "Key": "parry", "Body": b"{}"}),
    ("s3", "PutBucketPolicy", {"Bucket": "parry-test", "Policy": POLICY.replace('"Resource": "*"', '"Resource": "arn:aws:s3:::parry-test/*"')}),
    ("s3", "CreateMultipartUpload", {"Bucket": "parry-test", "Key": "parts"}),
    ("s3", "PutBucketTagging", {"Bucket": "parry-test", "Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}}),
    ("s3", "PutPublicAccessBlock", {"Bucket": "parry-test", "PublicAccessBlockConfiguration": {"BlockPublicAcls": True}}),
    ("s3", "PutBucketEncryption", {"Bucket": "parry-test", "ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}}),
    ("ec2", "CreateVpc", {"CidrBlock": "10.0.0.0/16"}),
    ("ec2", "CreateSubnet", {"VpcId": "$VpcId", "CidrBlock": "10.0.1.0/24", "AvailabilityZone": "us-east-1a"}),
    ("ec2", "CreateSecurityGroup", {"VpcId": "$VpcId", "GroupName": "parry", "Description": "d"}),
    ("ec2", "RunInstances", {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1, "SubnetId": "$SubnetId"}),
    ("ec2", "CreateVolume", {"AvailabilityZone": "us-east-1a", "Size": 8}),
    ("ec2", "CreateSnapshot", {"VolumeId": "$VolumeId"}),
    ("ec2", "CreateImage", {"InstanceId": "$InstanceId", "Name": "parry"}),
    ("ec2", "CreateInternetGateway", {}),
    ("ec2", "AttachInternetGateway", {"InternetGatewayId": "$InternetGatewayId", "VpcId": "$VpcId"}),
    ("ec2", "CreateLaunchTemplate", {"LaunchTemplateName": "parry", "LaunchTemplateData": {"ImageId": "ami-12c6146b", "InstanceType": "t2.micro"}}),
    ("ec2", "CreateFlowLogs", {"ResourceIds": ["$VpcId"], "ResourceType": "VPC", "TrafficType": "ALL", "LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::parry-test"}),
    ("sns", "CreateTopic", {"Name": "parry"}),
    ("sqs", "CreateQueue", {"QueueName": "parry"}),
    ("sqs", "CreateQueue", {"QueueName": "parry-lambda"}),
    ("sqs", "SendMessage", {"QueueUrl": "$QueueUrl", "MessageBody": "parry"}),
    ("sns", "Subscribe", {"TopicArn": "$TopicArn", "Protocol": "sqs", "Endpoint": f"arn:aws:sqs:{REGION}:{ACCOUNT}:parry"}),
    ("logs", "CreateLogGroup", {"logGroupName": "parry"}),
    ("logs", "CreateLogStream", {"logGroupName": "parry", "logStreamName": "parry"}),
    ("logs", "PutLogEvents", {"logGroupName": "parry", "logStreamName": "parry", "logEvents": [{"timestamp": 1704067200000, "message": "parry"}]}),
    ("lambda", "CreateFunction", {"FunctionName": "parry", "Runtime": "python3.12", "Role": ROLE, "Handler": "main.handler", "Code": {"ZipFile": code()}, "Publish": True}),
    ("lambda", "AddPermission", {"FunctionName": "parry", "StatementId": "parry", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}),
    ("lambda", "CreateEventSourceMapping", {"FunctionName": "parry", "EventSourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:parry-lambda"}),
    ("lambda", "PublishLayerVersion", {"LayerName": "parry", "Content": {"ZipFile": code()}}),
    ("dynamodb", "CreateTable", {"TableName": "parry", "KeySchema": KEY, "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}], "BillingMode": "PAY_PER_REQUEST", "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}}),
    ("dynamodb", "PutItem", {"TableName": "parry", "Item": {"k": {"S": "a"}}}),
    ("secretsmanager", "CreateSecret", {"Name": "parry", "SecretString": "parry"}),
    ("ssm", "PutParameter", {"Name": "parry", "Value": "parry", "Type": "SecureString"}),
    ("ssm", "CreateDocument", {"Name": "parry", "Content": DOCUMENT, "DocumentType": "Command", "DocumentFormat": "JSON"}),
    ("ssm", "SendCommand", {"DocumentName": "parry", "InstanceIds": ["$InstanceId"]}),
    ("cloudtrail", "CreateTrail", {"Name": "parry", "S3BucketName": "parry-test"}),
    ("organizations", "CreateOrganization", {"FeatureSet": "ALL"}),
    ("organizations", "CreateAccount", {"AccountName": "parry", "Email": "parry@example.com"}),
    ("cloudformation", "CreateStack", {"StackName": "parry", "TemplateBody": TEMPLATE}),
    ("cloudformation", "CreateStackSet", {"StackSetName": "parry", "TemplateBody": TEMPLATE}),
    ("stepfunctions", "CreateStateMachine", {"name": "parry", "definition": FLOW, "roleArn": ROLE}),
    ("stepfunctions", "StartExecution", {"stateMachineArn": "$stateMachineArn"}),
    ("events", "PutRule", {"Name": "parry", "ScheduleExpression": "rate(1 day)"}),
    ("events", "PutTargets", {"Rule": "parry", "Targets": [{"Id": "parry", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:parry"}]}),
    ("rds", "CreateDBInstance", {"DBInstanceIdentifier": "parry", "DBInstanceClass": "db.t3.micro", "Engine": "mysql", "AllocatedStorage": 20, "MasterUsername": "parry", "MasterUserPassword": "parry-parry"}),
    ("rds", "CreateDBCluster", {"DBClusterIdentifier": "parryc", "Engine": "aurora-mysql", "MasterUsername": "parry", "MasterUserPassword": "parry-parry"}),
    ("rds", "CreateDBSnapshot", {"DBInstanceIdentifier": "parry", "DBSnapshotIdentifier": "parry-snap"}),
    ("redshift", "CreateCluster", {"ClusterIdentifier": "parry", "NodeType": "dc2.large", "MasterUsername": "parry", "MasterUserPassword": "Parry-parry-1"}),
    ("elasticache", "CreateCacheCluster", {"CacheClusterId": "parry", "Engine": "redis", "CacheNodeType": "cache.t3.micro", "NumCacheNodes": 1}),
    ("elb", "CreateLoadBalancer", {"LoadBalancerName": "parry", "Listeners": [{"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}], "AvailabilityZones": ["us-east-1a"]}),
    ("elbv2", "CreateLoadBalancer", {"Name": "parry", "Type": "network", "Subnets": ["$SubnetId"]}),
    ("elbv2", "CreateTargetGroup", {"Name": "parry", "Protocol": "TCP", "Port": 80, "VpcId": "$VpcId"}),
    ("elbv2", "CreateListener", {"LoadBalancerArn": "$LoadBalancerArn", "Protocol": "TCP", "Port": 80, "DefaultActions": [{"Type": "forward", "TargetGroupArn": "$TargetGroupArn"}]}),
    ("autoscaling", "CreateLaunchConfiguration", {"LaunchConfigurationName": "parry", "ImageId": "ami-12c6146b", "InstanceType": "t2.micro"}),
    ("autoscaling", "CreateAutoScalingGroup", {"AutoScalingGroupName": "parry", "LaunchConfigurationName": "parry", "MinSize": 1, "MaxSize": 1, "AvailabilityZones": ["us-east-1a"]}),
    ("ecs", "CreateCluster", {"clusterName": "parry"}),
    ("ecs", "RegisterTaskDefinition", {"family": "parry", "containerDefinitions": [{"name": "a", "image": "a", "memory": 64}]}),
    ("ecs", "CreateService", {"cluster": "parry", "serviceName": "parry", "taskDefinition": "parry", "desiredCount": 1}),
    ("ecr", "CreateRepository", {"repositoryName": "parry"}),
    ("ecr", "PutImage", {"repositoryName": "parry", "imageManifest": json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "config": {"digest": "sha256:" + "a" * 64, "size": 1, "mediaType": "a"}, "layers": []}), "imageTag": "parry"}),
    ("eks", "CreateCluster", {"name": "parry", "roleArn": ROLE, "resourcesVpcConfig": {"subnetIds": ["$SubnetId"]}}),
    ("route53", "CreateHostedZone", {"Name": "example.com.", "CallerReference": "parry"}),
    ("acm", "RequestCertificate", {"DomainName": "example.com"}),
    ("apigateway", "CreateRestApi", {"name": "parry"}),
    ("apigatewayv2", "CreateApi", {"Name": "parry", "ProtocolType": "HTTP"}),
    ("kinesis", "CreateStream", {"StreamName": "parry", "ShardCount": 1}),
    ("kinesis", "PutRecord", {"StreamName": "parry", "Data": b"parry", "PartitionKey": "a"}),
    ("glue", "CreateDatabase", {"DatabaseInput": {"Name": "parry"}}),
    ("glue", "CreateTable", {"DatabaseName": "parry", "TableInput": {"Name": "parry", "StorageDescriptor": {"Columns": [{"Name": "a", "Type": "string"}]}}}),
    ("athena", "StartQueryExecution", {"QueryString": "select 1", "ResultConfiguration": {"OutputLocation": "s3://parry-test/"}}),
    ("efs", "CreateFileSystem", {"CreationToken": "parry"}),
    ("cognito-idp", "CreateUserPool", {"PoolName": "parry"}),
    ("cognito-idp", "CreateUserPoolClient", {"UserPoolId": "$UserPoolId", "ClientName": "parry", "GenerateSecret": True}),
    ("cognito-idp", "AdminCreateUser", {"UserPoolId": "$UserPoolId", "Username": "parry"}),
    ("cognito-identity", "CreateIdentityPool", {"IdentityPoolName": "parry", "AllowUnauthenticatedIdentities": True}),
    ("guardduty", "CreateDetector", {"Enable": True}),
    ("config", "PutConfigurationRecorder", {"ConfigurationRecorder": {"name": "parry", "roleARN": ROLE}}),
    ("config", "PutDeliveryChannel", {"DeliveryChannel": {"name": "parry", "s3BucketName": "parry-test"}}),
    ("config", "PutConfigRule", {"ConfigRule": {"ConfigRuleName": "parry", "Source": {"Owner": "AWS", "SourceIdentifier": "S3_BUCKET_LOGGING_ENABLED"}}}),
    ("cloudwatch", "PutMetricAlarm", {"AlarmName": "parry", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "MetricName": "a", "Namespace": "parry", "Period": 60, "Statistic": "Sum", "Threshold": 1.0}),
    ("cloudwatch", "PutMetricData", {"Namespace": "parry", "MetricData": [{"MetricName": "a", "Value": 1.0}]}),
    ("cloudfront", "CreateDistribution", {"DistributionConfig": {"CallerReference": "parry", "Comment": "c", "Enabled": True, "Origins": {"Quantity": 1, "Items": [{"Id": "a", "DomainName": "parry-test.s3.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}]}, "DefaultCacheBehavior": {"TargetOriginId": "a", "ViewerProtocolPolicy": "allow-all", "MinTTL": 0, "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}}}}}),
    ("codecommit", "CreateRepository", {"repositoryName": "parry"}),
    ("emr", "RunJobFlow", {"Name": "parry", "Instances": {"MasterInstanceType": "m1.small", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}, "JobFlowRole": "parry", "ServiceRole": "parry"}),
    ("batch", "CreateComputeEnvironment", {"computeEnvironmentName": "parry", "type": "UNMANAGED", "serviceRole": ROLE}),
    ("batch", "CreateJobQueue", {"jobQueueName": "parry", "priority": 1, "state": "ENABLED", "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "parry"}]}),
    ("batch", "RegisterJobDefinition", {"jobDefinitionName": "parry", "type": "container", "containerProperties": {"image": "a", "vcpus": 1, "memory": 64}}),
    ("ses", "VerifyEmailIdentity", {"EmailAddress": "parry@example.com"}),
    ("wafv2", "CreateWebACL", {"Name": "parry", "Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "VisibilityConfig": {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "a"}}),
    ("opensearch", "CreateDomain", {"DomainName": "parry"}),
    ("firehose", "CreateDeliveryStream", {"DeliveryStreamName": "parry", "S3DestinationConfiguration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::parry-test"}}),
    ("securityhub", "EnableSecurityHub", {}),
    ("sagemaker", "CreateNotebookInstance", {"NotebookInstanceName": "parry", "InstanceType": "ml.t2.medium", "RoleArn": ROLE}),
    ("servicediscovery", "CreateHttpNamespace", {"Name": "parry"}),
    ("dms", "CreateReplicationInstance", {"ReplicationInstanceIdentifier": "parry", "ReplicationInstanceClass": "dms.t3.micro"}),
]  # fmt: skip

# What other services' inputs name most; found in every service's pool.
SHARED = ("VpcId", "SubnetId", "GroupId", "InstanceId", "VolumeId", "SnapshotId", "ImageId", "KeyId", "TopicArn", "QueueUrl", "TableName", "FunctionName", "UserPoolId", "stateMachineArn", "LoadBalancerArn", "TargetGroupArn")


def plant(world, services):
    """Makes the known resources that the services to be asked need: their own, and the shared ones."""
    shared = {"iam", "kms", "s3", "ec2", "sns", "sqs", "logs", "lambda"}
    failed = []
    for service, operation, params in PLANT:
        if service not in shared and service not in services:
            continue
        pool = world.pools[service]
        result, text = world.call(service, operation, resolve(params, pool, world.shared))
        if result != "ok":
            failed.append(f"{service}:{operation}: {text}")
        for name in SHARED:
            for value in pool.exact(name)[:1]:
                world.shared.add(name, value)
    for name, value in {"RoleArn": ROLE, "Role": ROLE, "RoleName": "parry", "Bucket": "parry-test", "BucketName": "parry-test", "S3BucketName": "parry-test",
                        "SecurityGroupId": world.shared.exact("GroupId")[0], "UserName": "parry", "Key": "parry"}.items():  # fmt: skip
        world.shared.add(name, value)
    return failed


def resolve(value, *pools):
    if isinstance(value, str) and value.startswith("$"):
        return next((v for pool in pools for v in pool.exact(value[1:])), value)
    if isinstance(value, dict):
        return {k: resolve(v, *pools) for k, v in value.items()}
    if isinstance(value, list):
        return [resolve(v, *pools) for v in value]
    return value
