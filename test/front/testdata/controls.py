"""Drives the reads of standards and controls with the real boto3.

    controls.py ENDPOINT < {"keys": {name: {"id": ..., "secret": ...}}, "dev": ..., "prod": ...}

It imports findings first. It writes one JSON object: what each question came to,
by name. boto3 checks what it sends; what comes back is held against the required
members of its own model here.
"""

import datetime
import json
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

DATA = json.load(sys.stdin)
OUT = {}
NOW = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
PRODUCT = "arn:aws:securityhub:us-east-1::product/aws/securityhub"
FSBP = "standards/aws-foundational-security-best-practices/v/1.0.0"
CIS5 = "standards/cis-aws-foundations-benchmark/v/5.0.0"


def client(name):
    key = DATA["keys"][name]
    return boto3.client(
        "securityhub",
        endpoint_url=sys.argv[1],
        region_name="us-east-1",
        aws_access_key_id=key["id"],
        aws_secret_access_key=key["secret"],
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=20),
    )


def complete(shape, value, at):
    """Names required members that are missing, all the way down."""
    if shape.type_name == "structure":
        for member in shape.metadata.get("required", []):
            if member not in value:
                raise SystemExit(f"{at} has no {member}")
        for name, inner in value.items():
            if name != "ResponseMetadata":
                complete(shape.members[name], inner, f"{at}.{name}")
    elif shape.type_name == "list":
        for i, inner in enumerate(value):
            complete(shape.member, inner, f"{at}[{i}]")


def ask(hub, operation, **args):
    try:
        answer = getattr(hub, operation)(**args)
    except ClientError as e:
        return f"{e.response['ResponseMetadata']['HTTPStatusCode']} {e.response['Error']['Code']}"
    model = hub.meta.service_model.operation_model(hub.meta.method_to_api_mapping[operation])
    complete(model.output_shape, answer, model.name)
    answer.pop("ResponseMetadata")
    return answer


def every(hub, operation, member, **args):
    pages = list(hub.get_paginator(operation).paginate(**args)) if hub.can_paginate(operation) else [getattr(hub, operation)(**args)]
    return [item for page in pages for item in page[member]], len(pages)


def finding(n, account, status, generator, standards=(), workflow=None, **more):
    f = {
        "SchemaVersion": "2018-10-08",
        "Id": f"control-{n}",
        "ProductArn": PRODUCT,
        "GeneratorId": generator,
        "AwsAccountId": account,
        "Types": ["Software and Configuration Checks"],
        "CreatedAt": NOW,
        "UpdatedAt": NOW,
        "Severity": {"Label": "HIGH"},
        "Title": "A control",
        "Description": "It is about a control.",
        "Resources": [{"Type": "AwsS3Bucket", "Id": f"arn:aws:s3:::bucket-{n}", "Partition": "aws", "Region": "us-east-1"}],
        "Compliance": {"Status": status, "AssociatedStandards": [{"StandardsId": s} for s in standards]},
        "Workflow": {"Status": workflow or "NEW"},
    }
    f.update(more)
    return f


DEV, PROD = DATA["dev"], DATA["prod"]
ADMIN, DEV_READER, SOURCE = client("admin"), client("dev-reader"), client("source")

OUT["nothing is enabled without findings"] = ask(ADMIN, "get_enabled_standards")["StandardsSubscriptions"]
imported = SOURCE.batch_import_findings(
    Findings=[
        finding(1, DEV, "PASSED", "security-control/S3.8", [FSBP, CIS5]),
        finding(2, PROD, "FAILED", "security-control/s3.8", [FSBP, CIS5]),
        finding(3, DEV, "PASSED", "security-control/S3.1", [FSBP]),
        finding(4, DEV, "FAILED", "security-control/S3.2", [FSBP], workflow="SUPPRESSED"),
        finding(5, PROD, "FAILED", "security-control/S3.3", [FSBP], RecordState="ARCHIVED"),
        finding(6, PROD, "WARNING", "aws-foundational-security-best-practices/v/1.0.0/EC2.2"),
        finding(7, PROD, "PASSED", "pci-dss/v/3.2.1/PCI.IAM.5"),
    ]
)
OUT["imported"] = imported["SuccessCount"]
for _ in range(100):  # other reads may lag by 2 s
    enabled = ask(ADMIN, "get_enabled_standards")["StandardsSubscriptions"]
    if len(enabled) == 3:
        break
    time.sleep(0.1)
OUT["enabled"] = [s["StandardsArn"] for s in enabled]
OUT["subscription"] = enabled[0]
OUT["enabled for dev alone"] = [s["StandardsArn"] for s in ask(DEV_READER, "get_enabled_standards")["StandardsSubscriptions"]]
OUT["enabled, asked by name"] = [
    s["StandardsArn"]
    for s in ask(ADMIN, "get_enabled_standards", StandardsSubscriptionArns=["arn:aws:securityhub:us-east-1:999988887777:subscription/pci-dss/v/3.2.1"])["StandardsSubscriptions"]
]
OUT["enabled, asked by nonsense"] = ask(ADMIN, "get_enabled_standards", StandardsSubscriptionArns=["nonsense"])

standards, pages = every(ADMIN, "describe_standards", "Standards", PaginationConfig={"PageSize": 5})
OUT["standards"] = [len(standards), pages, standards[0]["StandardsArn"], standards[0]["Name"], [s["Name"] for s in standards if s["EnabledByDefault"]]]

controls, pages = every(ADMIN, "describe_standards_controls", "Controls", StandardsSubscriptionArn=enabled[0]["StandardsSubscriptionArn"], PaginationConfig={"PageSize": 100})
OUT["controls of FSBP"] = [len(controls), pages, len({c["StandardsControlArn"] for c in controls})]
cis = ask(ADMIN, "describe_standards_controls", StandardsSubscriptionArn="arn:aws:securityhub:us-east-1:999988887777:subscription/cis-aws-foundations-benchmark/v/5.0.0")["Controls"]
OUT["a control of CIS 5"] = {k: v for k, v in next(c for c in cis if c["ControlId"] == "CIS.2.1.4.2").items() if k != "ControlStatusUpdatedAt"}
OUT["controls of what is not enabled"] = ask(ADMIN, "describe_standards_controls", StandardsSubscriptionArn="arn:aws:securityhub:us-east-1:999988887777:subscription/nist-800-53/v/5.0.0")
OUT["controls of nonsense"] = ask(ADMIN, "describe_standards_controls", StandardsSubscriptionArn="nonsense")

definitions, pages = every(ADMIN, "list_security_control_definitions", "SecurityControlDefinitions", PaginationConfig={"PageSize": 100})
OUT["definitions"] = [len(definitions), pages, len({d["SecurityControlId"] for d in definitions})]
OUT["definitions of CIS 5"] = len(every(ADMIN, "list_security_control_definitions", "SecurityControlDefinitions", StandardsArn=f"arn:aws:securityhub:us-east-1::{CIS5}")[0])
OUT["definitions of nonsense"] = ask(ADMIN, "list_security_control_definitions", StandardsArn="nonsense")
OUT["a foreign token"] = ask(ADMIN, "list_security_control_definitions", NextToken="bm9uc2Vuc2U")
OUT["a definition"] = ask(ADMIN, "get_security_control_definition", SecurityControlId="ACM.1")["SecurityControlDefinition"]
OUT["a definition that is none"] = ask(ADMIN, "get_security_control_definition", SecurityControlId="S3.9999")

batch = ask(ADMIN, "batch_get_security_controls", SecurityControlIds=["s3.8", "arn:aws:securityhub:us-east-1:123456789012:security-control/ACM.3", "Nope.1"])
OUT["controls"] = [[c["SecurityControlId"], c["SecurityControlArn"], c["SecurityControlStatus"]] for c in batch["SecurityControls"]] + batch["UnprocessedIds"]
OUT["too many controls"] = ask(ADMIN, "batch_get_security_controls", SecurityControlIds=["S3.8"] * 101)

OUT["associations"] = [[a["StandardsArn"], a["AssociationStatus"], a["RelatedRequirements"]] for a in every(ADMIN, "list_standards_control_associations", "StandardsControlAssociationSummaries", SecurityControlId="S3.8")[0]]
OUT["associations of nonsense"] = ask(ADMIN, "list_standards_control_associations", SecurityControlId="Nope.1")
ids = [{"SecurityControlId": i, "StandardsArn": f"arn:aws:securityhub:us-east-1::{s}"} for i, s in [("S3.8", CIS5), ("S3.8", "standards/nist-800-53/v/5.0.0"), ("ACM.3", CIS5), ("S3.8", "standards/of/v/tomorrow")]]
details = ask(ADMIN, "batch_get_standards_control_associations", StandardsControlAssociationIds=ids)
OUT["details"] = [d["StandardsControlArns"] for d in details["StandardsControlAssociationDetails"]] + [u["ErrorCode"] for u in details["UnprocessedAssociations"]]

json.dump(OUT, sys.stdout, default=str)
