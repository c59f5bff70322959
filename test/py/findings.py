"""Writes findings for the estate as Security Hub has them: S3.8 of AWS Foundational
Security Best Practices, one for each bucket. Those for the private twins are
wrong: a finding is only a claim, and Parry has to look for itself.

    findings.py ESTATE.json [--out findings.json] [--member dev ...] [--public-only]
    aws securityhub batch-import-findings --findings file://findings.json
"""

import argparse
import datetime
import json
import sys
import uuid

STANDARD = "aws-foundational-security-best-practices/v/1.0.0"
SPACE = uuid.UUID("6f1d3c1e-0d5b-4c57-9c39-5b1f2c6d8a10")


def finding(region, account, bucket, owner, now):
    hub = f"arn:aws:securityhub:{region}:{account}"
    arn = f"arn:aws:s3:::{bucket}"
    subscription = f"{hub}:subscription/{STANDARD}"
    # By the bucket alone, so that a second import updates the same finding.
    fid = f"{subscription}/S3.8/finding/{uuid.uuid5(SPACE, account + bucket)}"
    product = f"arn:aws:securityhub:{region}::product/aws/securityhub"
    kind = "Software and Configuration Checks/Industry and Regulatory Standards/AWS-Foundational-Security-Best-Practices"
    return {
        "SchemaVersion": "2018-10-08",
        "Id": fid,
        "ProductArn": product,
        "ProductName": "Security Hub",
        "CompanyName": "AWS",
        "Region": region,
        "GeneratorId": f"{STANDARD}/S3.8",
        "AwsAccountId": account,
        "Types": [kind],
        "FirstObservedAt": now,
        "LastObservedAt": now,
        "CreatedAt": now,
        "UpdatedAt": now,
        "Severity": {"Product": 70, "Label": "HIGH", "Normalized": 70, "Original": "HIGH"},
        "Title": "S3.8 S3 Block Public Access setting should be enabled at the bucket-level",
        "Description": "This control checks if Amazon S3 buckets have bucket level public access blocks applied. "
        "It fails if any of the bucket level settings is false: ignorePublicAcls, blockPublicPolicy, "
        "blockPublicAcls, restrictPublicBuckets.",
        "Remediation": {
            "Recommendation": {
                "Text": "For directions on how to fix this issue, consult the AWS Security Hub documentation.",
                "Url": "https://docs.aws.amazon.com/console/securityhub/S3.8/remediation",
            }
        },
        "ProductFields": {
            "StandardsArn": f"arn:aws:securityhub:::standards/{STANDARD}",
            "StandardsSubscriptionArn": subscription,
            "ControlId": "S3.8",
            "RecommendationUrl": "https://docs.aws.amazon.com/console/securityhub/S3.8/remediation",
            "RelatedAWSResources:0/name": "securityhub-s3-bucket-level-public-access-prohibited-727dd3b1",
            "RelatedAWSResources:0/type": "AWS::Config::ConfigRule",
            "StandardsControlArn": f"{hub}:control/{STANDARD}/S3.8",
            "aws/securityhub/ProductName": "Security Hub",
            "aws/securityhub/CompanyName": "AWS",
            "Resources:0/Id": arn,
            "aws/securityhub/FindingId": f"{product}/{fid}",
        },
        "Resources": [
            {
                "Type": "AwsS3Bucket",
                "Id": arn,
                "Partition": "aws",
                "Region": region,
                "Details": {"AwsS3Bucket": {"OwnerId": owner, "CreatedAt": now}},
            }
        ],
        "Compliance": {"Status": "FAILED", "SecurityControlId": "S3.8"},
        "WorkflowState": "NEW",
        "Workflow": {"Status": "NEW"},
        "RecordState": "ACTIVE",
        "FindingProviderFields": {"Severity": {"Label": "HIGH", "Original": "HIGH"}, "Types": [kind]},
    }


def main():
    parser = argparse.ArgumentParser(description="write the S3.8 findings of the estate")
    parser.add_argument("estate")
    parser.add_argument("--out", help="default: standard output")
    parser.add_argument("--member", nargs="*", help="these members only")
    parser.add_argument("--public-only", action="store_true", help="no findings for the private twins")
    args = parser.parse_args()
    with open(args.estate, encoding="utf-8") as f:
        estate = json.load(f)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    findings = [
        finding(estate["region"], m["account"], bucket, estate["original"][bucket]["owner"], now)
        for name, m in estate["members"].items()
        if not args.member or name in args.member
        for bucket in [m["public_bucket"]] + ([] if args.public_only else [m["private_bucket"]])
    ]
    text = json.dumps(findings, indent=1) + "\n"
    if not args.out:
        sys.stdout.write(text)
        return
    with open(args.out, "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    sys.exit(main())
