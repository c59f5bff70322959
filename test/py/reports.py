"""Writes and sends what Security Hub reports about the resources of the story: a finding
for each, for the good twins too. A finding is only a claim.

    reports.py write ESTATE.json RESOURCES.json --unit dev sandbox --out findings.json
        for aws securityhub batch-import-findings --findings file://findings.json

    reports.py send ESTATE.json RESOURCES.json --unit prod
        sends each to the queue, as EventBridge brings "Security Hub Findings - Imported"

    reports.py act ESTATE.json RESOURCES.json --key data-prod/eu-west-1/KMS.4/bad ...
        sends them as one "Security Hub Findings - Custom Action", as the console does when
        somebody chooses the action Remediate

All print the ids of the findings by the keys of the resources.
"""

import argparse
import datetime
import json
import os
import sys
import uuid

import boto3

SPACE = uuid.UUID("6f1d3c1e-0d5b-4c57-9c39-5b1f2c6d8a10")
KIND = "Software and Configuration Checks/Industry and Regulatory Standards"
ACTION = "Remediate"
# Severity and title of each control.
CONTROLS = {
    "S3.1": ("MEDIUM", "S3 general purpose buckets should have block public access settings enabled"),
    "S3.2": ("CRITICAL", "S3 general purpose buckets should block public read access"),
    "S3.3": ("CRITICAL", "S3 general purpose buckets should block public write access"),
    "S3.8": ("HIGH", "S3 general purpose buckets should block public access"),
    "EC2.2": ("HIGH", "VPC default security groups should not allow inbound or outbound traffic"),
    "EC2.7": ("MEDIUM", "EBS default encryption should be enabled"),
    "EC2.13": ("HIGH", "Security groups should not allow ingress from 0.0.0.0/0 or ::/0 to port 22"),
    "EC2.14": ("HIGH", "Security groups should not allow ingress from 0.0.0.0/0 or ::/0 to port 3389"),
    "KMS.4": ("MEDIUM", "AWS KMS key rotation should be enabled"),
    "IAM.7": ("MEDIUM", "Password policies for IAM users should have strong configurations"),
}
NORMALIZED = {"MEDIUM": 40, "HIGH": 70, "CRITICAL": 90}


def made_at(resources):
    """When the resources were made: every report of a finding gives the same time."""
    at = datetime.datetime.fromtimestamp(os.path.getmtime(resources), datetime.timezone.utc)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def finding(key, r, at):
    label, title = CONTROLS[r["control"]]
    region, control = r["region"], r["control"]
    fid = f"arn:aws:securityhub:{region}:{r['account']}:security-control/{control}/finding/{uuid.uuid5(SPACE, key)}"
    product = f"arn:aws:securityhub:{region}::product/aws/securityhub"
    return {
        "SchemaVersion": "2018-10-08",
        "Id": fid,
        "ProductArn": product,
        "ProductName": "Security Hub",
        "CompanyName": "AWS",
        "Region": region,
        "GeneratorId": f"security-control/{control}",
        "AwsAccountId": r["account"],
        "Types": [KIND],
        "FirstObservedAt": at,
        "LastObservedAt": at,
        "CreatedAt": at,
        "UpdatedAt": at,
        "Severity": {"Label": label, "Normalized": NORMALIZED[label], "Original": label},
        "Title": title,
        "Description": f"{control} failed for {r['id']}.",
        "Remediation": {
            "Recommendation": {
                "Text": "For information on how to correct this issue, consult the AWS Security Hub controls documentation.",
                "Url": f"https://docs.aws.amazon.com/console/securityhub/{control}/remediation",
            }
        },
        "ProductFields": {"Resources:0/Id": r["id"], "aws/securityhub/FindingId": f"{product}/{fid}"},
        "Resources": [{"Type": r["type"], "Id": r["id"], "Partition": "aws", "Region": region}],
        "Compliance": {
            "Status": "FAILED",
            "SecurityControlId": control,
            "AssociatedStandards": [{"StandardsId": "standards/aws-foundational-security-best-practices/v/1.0.0"}],
        },
        "Workflow": {"Status": "NEW"},
        "WorkflowState": "NEW",
        "RecordState": "ACTIVE",
        "FindingProviderFields": {"Severity": {"Label": label, "Original": label}, "Types": [KIND]},
    }


def envelope(detail_type, account, region, resources, detail):
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": "aws.securityhub",
        "account": account,
        "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": resources,
        "detail": detail,
    }


def send(estate, messages):
    security = estate["security"]
    key = security["eventbridge"]
    sqs = boto3.client(
        "sqs",
        endpoint_url=estate["endpoint"],
        region_name=estate["region"],
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
    )
    for start in range(0, len(messages), 10):
        entries = [{"Id": str(i), "MessageBody": json.dumps(m)} for i, m in enumerate(messages[start : start + 10])]
        answer = sqs.send_message_batch(QueueUrl=security["findings_url"], Entries=entries)
        if answer.get("Failed"):
            raise SystemExit(f"the queue refused {answer['Failed']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("command", choices=("write", "send", "act"))
    parser.add_argument("estate")
    parser.add_argument("resources")
    parser.add_argument("--unit", nargs="*", default=[], help="about the members of these units")
    parser.add_argument("--key", nargs="*", default=[], help="about these resources")
    parser.add_argument("--out", help="of write")
    args = parser.parse_args()
    with open(args.estate, encoding="utf-8") as f:
        estate = json.load(f)
    with open(args.resources, encoding="utf-8") as f:
        resources = json.load(f)
    at = made_at(args.resources)
    chosen = {
        key: finding(key, r, at) for key, r in resources.items() if key in args.key or estate["members"][r["member"]]["unit_name"] in args.unit
    }
    hub, region = estate["security"]["account"], estate["region"]
    if args.command == "write":
        with open(args.out, "w", encoding="utf-8") as f:
            json.dump(list(chosen.values()), f, indent=1)
    elif args.command == "send":
        about = "Security Hub Findings - Imported"
        send(estate, [envelope(about, hub, region, [f"{f['ProductArn']}/{f['Id']}"], {"findings": [f]}) for f in chosen.values()])
    else:
        action = f"arn:aws:securityhub:{region}:{hub}:action/custom/{ACTION}"
        detail = {"actionName": "Remediate with Parry", "actionDescription": "Plan a fix", "findings": list(chosen.values())}
        send(estate, [envelope("Security Hub Findings - Custom Action", hub, region, [action], detail)])
    print(json.dumps({key: {"Id": f["Id"], "ProductArn": f["ProductArn"]} for key, f in chosen.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
