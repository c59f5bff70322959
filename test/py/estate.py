"""Makes the AWS Organization that the demo and the tests run on.

    estate.py --endpoint http://127.0.0.1:PORT [--out FILE] [--story]

The caller's credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) are those of
the root user of the account that becomes the management account. Everything is
made as it would be in AWS: accounts by Organizations, their first access by
OrganizationAccountAccessRole. One JSON document with all of it is printed.

    management (111111111111)
    +-- security   the Security Hub administrator; Parry's user, topic and queue
    +-- OU dev     member dev:  a public bucket and a private twin
    +-- OU prod    member prod: the same

With --story it is the organization of `parry demo`: units dev, prod and sandbox of two
members each, without buckets (controls.py makes what they have), and in security a queue
to which EventBridge would bring findings.
"""

import argparse
import json
import os
import secrets
import sys

import boto3
import botocore.session
from botocore.config import Config

import judge

REGION = "us-east-1"
MEMBER_ROLE = "ParryMemberRole"
# The members by organizational unit.
SMALL = {"dev": ["dev"], "prod": ["prod"]}
STORY = {"dev": ["web-dev", "data-dev"], "prod": ["web-prod", "data-prod"], "sandbox": ["ana", "ben"]}
# In the story the network team has the last word on firewalls of one member.
FIREWALLS_LOCKED = "web-prod"
HUB_USER = "parry"
ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"

# What the runbook of S3.2, its reads and its undo need, what coverage asks, and nothing else.
MEMBER_ACTIONS = [
    "ec2:DescribeRegions",
    "s3:GetBucketPublicAccessBlock",
    "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketPolicy",
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:GetBucketAcl",
    "s3:PutBucketAcl",
]

# What the other controls of the catalogue need, their sweeps and undos included.
CONTROL_ACTIONS = [
    "s3:ListAllMyBuckets",
    "s3:GetAccountPublicAccessBlock",
    "s3:PutAccountPublicAccessBlock",
    "ec2:DescribeSecurityGroups",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:GetEbsEncryptionByDefault",
    "ec2:EnableEbsEncryptionByDefault",
    "ec2:DisableEbsEncryptionByDefault",
    "kms:ListKeys",
    "kms:DescribeKey",
    "kms:GetKeyRotationStatus",
    "kms:EnableKeyRotation",
    "kms:DisableKeyRotation",
    "iam:GetAccountPasswordPolicy",
    "iam:UpdateAccountPasswordPolicy",
    "iam:DeleteAccountPasswordPolicy",
]

# Changes that are no S3 fix: one that carries a token, one that cannot be told
# from its repetition. Scenarios kill the process around them.
RECORD_ACTIONS = ["ec2:CreateVolume", "iam:CreateGroup"]


# One for all sessions: reading the API models is most of what making clients costs.
LOADER = botocore.session.get_session().get_component("data_loader")


# What a judge of the ten controls reads.
JUDGE_ACTIONS = ["s3:Get*", "s3:List*", "ec2:Describe*", "ec2:Get*", "kms:List*", "kms:Describe*", "kms:Get*", "iam:GetAccountPasswordPolicy"]


class Account:
    """An account with credentials in it, and its clients."""

    def __init__(self, endpoint, key, secret, token=None):
        self.endpoint = endpoint
        session = botocore.session.get_session()
        session.register_component("data_loader", LOADER)
        self.session = boto3.Session(key, secret, token, region_name=REGION, botocore_session=session)

    def client(self, service):
        return self.session.client(service, endpoint_url=self.endpoint, config=Config(retries={"total_max_attempts": 2}))


def allow(actions, resources="*"):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resources}]}


def user(iam, name, policy):
    """Makes a user with an inline policy and gives its access key."""
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"arn": arn, "access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}


def enter(admin, endpoint, account):
    """Goes from the management account into a member, as AWS lets one do."""
    out = admin.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole", RoleSessionName="estate"
    )["Credentials"]
    return Account(endpoint, out["AccessKeyId"], out["SecretAccessKey"], out["SessionToken"])


def make_security(account, access):
    """The hub: Parry's user, the topic that it announces to, a queue to read it."""
    sns, sqs, iam = access.client("sns"), access.client("sqs"), access.client("iam")
    topic = sns.create_topic(Name="parry-remediation")["TopicArn"]
    queue = sqs.create_queue(QueueName="parry-remediation-reader")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
            }
        ],
    }
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    hub = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"],
                "Resource": f"arn:aws:iam::*:role/{MEMBER_ROLE}",
            },
            {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic},
            {"Effect": "Allow", "Action": ["organizations:List*", "organizations:Describe*"], "Resource": "*"},
        ],
    }
    return {
        "account": account,
        "hub": user(iam, HUB_USER, hub),
        "judge": user(iam, "judge", allow(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], queue_arn)),
        "topic_arn": topic,
        "queue_url": queue,
        "queue_arn": queue_arn,
    }


def make_findings_queue(security, access):
    """The queue that EventBridge rules send findings to, and a user that stands for them."""
    sqs, iam = access.client("sqs"), access.client("iam")
    url = sqs.create_queue(QueueName="parry-findings")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    reads = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
    iam.put_user_policy(UserName=HUB_USER, PolicyName="findings", PolicyDocument=json.dumps(allow(reads, arn)))
    security["findings_url"], security["findings_arn"] = url, arn
    security["eventbridge"] = user(iam, "eventbridge", allow("sqs:SendMessage", arn))


def make_member_role(iam, security, external_id):
    hub = f"arn:aws:iam::{security}:user/{HUB_USER}"
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "ParryAssumes",
                "Effect": "Allow",
                "Principal": {"AWS": hub},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"sts:ExternalId": external_id},
                    # Any, but there must be one: it says for whom Parry acts.
                    "StringLike": {"sts:SourceIdentity": "*"},
                },
            },
            {
                "Sid": "ParrySaysForWhom",
                "Effect": "Allow",
                "Principal": {"AWS": hub},
                "Action": ["sts:SetSourceIdentity", "sts:TagSession"],
            },
        ],
    }
    arn = iam.create_role(RoleName=MEMBER_ROLE, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(
        RoleName=MEMBER_ROLE, PolicyName="parry-s3", PolicyDocument=json.dumps(allow(MEMBER_ACTIONS, "arn:aws:s3:::*"))
    )
    iam.put_role_policy(RoleName=MEMBER_ROLE, PolicyName="parry-controls", PolicyDocument=json.dumps(allow(CONTROL_ACTIONS)))
    iam.put_role_policy(RoleName=MEMBER_ROLE, PolicyName="parry-record", PolicyDocument=json.dumps(allow(RECORD_ACTIONS)))
    return arn


def named_statement(bucket, account):
    return {
        "Sid": "SecurityTeamReads",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }


def make_public_bucket(s3, bucket, security):
    """Public three times over: no Block Public Access, a statement, a grant."""
    s3.create_bucket(Bucket=bucket, ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket=bucket)  # AWS turns it on for new buckets
    owner = s3.get_bucket_acl(Bucket=bucket)["Owner"]
    s3.put_bucket_acl(
        Bucket=bucket,
        AccessControlPolicy={
            "Owner": {"ID": owner["ID"]},
            "Grants": [
                {"Grantee": {"Type": "CanonicalUser", "ID": owner["ID"]}, "Permission": "FULL_CONTROL"},
                {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"},
            ],
        },
    )
    public = {
        "Sid": "EveryoneReads",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [public, named_statement(bucket, security)]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    s3.put_object(Bucket=bucket, Key="index.html", Body=b"<h1>hello</h1>\n", ContentType="text/html")


def make_private_bucket(s3, bucket, security):
    s3.create_bucket(Bucket=bucket)
    policy = {"Version": "2012-10-17", "Statement": [named_statement(bucket, security)]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_object(Bucket=bucket, Key="record.txt", Body=b"private\n")


def make_member(stage, account, access, security, external_id):
    iam, s3 = access.client("iam"), access.client("s3")
    member = {
        "account": account,
        "role_arn": make_member_role(iam, security, external_id),
        "public_bucket": f"{stage}-website-{account}",
        "private_bucket": f"{stage}-records-{account}",
        # judge only reads; owner is the member's administrator of S3, who may
        # change a bucket behind Parry's back.
        "judge": user(iam, "judge", allow(["s3:Get*", "s3:List*"])),
        "owner": user(iam, "owner", allow("s3:*")),
    }
    make_public_bucket(s3, member["public_bucket"], security)
    make_private_bucket(s3, member["private_bucket"], security)
    return member


def make_story_member(name, account, access, security, external_id):
    iam = access.client("iam")
    role = make_member_role(iam, security, external_id)
    if name == FIREWALLS_LOCKED:
        deny = {"Effect": "Deny", "Action": "ec2:RevokeSecurityGroupIngress", "Resource": "*"}
        iam.put_role_policy(
            RoleName=MEMBER_ROLE, PolicyName="firewalls-are-ours", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [deny]})
        )
    return {"account": account, "role_arn": role, "judge": user(iam, "judge", allow(JUDGE_ACTIONS))}


def make(endpoint, story=False):
    layout = STORY if story else SMALL
    root = Account(endpoint, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    organizations = root.client("organizations")
    organization = organizations.create_organization(FeatureSet="ALL")["Organization"]
    top = organizations.list_roots()["Roots"][0]["Id"]

    accounts, units = {}, {}
    unit_of = {name: unit for unit, names in layout.items() for name in names}
    for name in ("security", *unit_of):
        status = organizations.create_account(AccountName=name, Email=f"{name}@example.com")["CreateAccountStatus"]
        accounts[name] = status["AccountId"]
    for name in layout:
        units[name] = organizations.create_organizational_unit(ParentId=top, Name=name)["OrganizationalUnit"]["Id"]
    for name, unit in unit_of.items():
        organizations.move_account(AccountId=accounts[name], SourceParentId=top, DestinationParentId=units[unit])
    root.client("securityhub").enable_organization_admin_account(AdminAccountId=accounts["security"])

    administrator = user(root.client("iam"), "administrator", allow("*"))
    admin = Account(endpoint, administrator["access_key_id"], administrator["secret_access_key"])
    access = {name: enter(admin, endpoint, account) for name, account in accounts.items()}
    external_id = "parry-" + secrets.token_hex(16)
    member = make_story_member if story else make_member
    estate = {
        "region": REGION,
        "endpoint": endpoint,
        "organization": {"id": organization["Id"], "root": top, "units": units},
        "management": {"account": organization["MasterAccountId"], "administrator": administrator},
        "security": make_security(accounts["security"], access["security"]),
        "member_role": MEMBER_ROLE,
        "external_id": external_id,
        "members": {
            name: {"unit": units[unit], "unit_name": unit, **member(name, accounts[name], access[name], accounts["security"], external_id)}
            for name, unit in unit_of.items()
        },
    }
    if story:
        make_findings_queue(estate["security"], access["security"])
        return estate
    estate["original"] = judge.snapshot(estate)  # what the end state is compared with
    return estate


def main():
    parser = argparse.ArgumentParser(description="make the AWS Organization of the demo")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--out", help="write the document to this file, readable by its owner only")
    parser.add_argument("--story", action="store_true", help="six members in three units, for parry demo")
    args = parser.parse_args()
    text = json.dumps(make(args.endpoint, args.story), indent=2)
    if not args.out:
        print(text)
        return
    with open(os.open(args.out, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
