"""Sends AWS's own examples of Security Hub's API to Parry, and holds the answers against AWS's model.

    hub_examples.py ENDPOINT EXAMPLES.json HUB_ACCOUNT < {"admin": {"id": ..., "secret": ...}, "source": {...}}

One line for each example: "ok", "refused" where Parry refuses it by design, or "FAIL". The examples are as AWS
wrote them, but for the account, which is the hub's, and for what only an earlier answer tells, such as the ARN of a rule.
"""

import datetime
import json
import sys

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from hub_model import wrong

ENDPOINT, EXAMPLES, HUB = sys.argv[1:4]
KEYS = json.load(sys.stdin)
TEXT = open(EXAMPLES, encoding="utf-8").read().replace("123456789012", HUB)
EXAMPLE = {name: cases[0] for name, cases in json.loads(TEXT)["examples"].items()}
NOW = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")

# What Parry refuses by design: the code of AWS's error.
REFUSED = {
    **dict.fromkeys(
        "AcceptAdministratorInvitation CreateMembers DeclineInvitations DeleteInvitations DeleteMembers DisassociateFromAdministratorAccount"
        " DisassociateMembers InviteMembers DisableOrganizationAdminAccount EnableOrganizationAdminAccount UpdateOrganizationConfiguration"
        " BatchDisableStandards BatchEnableStandards BatchUpdateStandardsControlAssociations UpdateSecurityControl UpdateStandardsControl"
        " BatchGetConfigurationPolicyAssociations CreateConfigurationPolicy DeleteConfigurationPolicy GetConfigurationPolicy"
        " GetConfigurationPolicyAssociation StartConfigurationPolicyAssociation StartConfigurationPolicyDisassociation"
        " UpdateConfigurationPolicy UpdateSecurityHubConfiguration DisableSecurityHub DisableImportFindingsForProduct"
        " CreateFindingAggregator DeleteFindingAggregator UpdateFindingAggregator".split(),
        "InvalidAccessException",
    ),
    # A partner's product that no key names.
    "EnableImportFindingsForProduct": "InvalidInputException",
}
# What AWS's example has and Parry's answer has not.
WITHOUT = {
    "GetAdministratorAccount": "Administrator",  # Parry is the administrator itself, to which AWS gives none.
    "GetFindingAggregator": "Regions",  # Parry's links all.
}
PLACEHOLDER = {"NULL", "example-token", "U1FsdGVkX19nBV2zoh+Gou9NgnulLJHWpn9xnG4hqSOhvw3o2JqjI86QDxdf"}


def client(key, region):
    return boto3.client(
        "securityhub",
        endpoint_url=ENDPOINT,
        region_name=region,
        aws_access_key_id=KEYS[key]["id"],
        aws_secret_access_key=KEYS[key]["secret"],
        config=Config(retries={"mode": "standard", "total_max_attempts": 5}, read_timeout=30),
    )


def finding(id, product, generator, **more):
    return {
        "SchemaVersion": "2018-10-08", "Id": id, "ProductArn": product, "GeneratorId": generator, "AwsAccountId": HUB, "CreatedAt": NOW,
        "UpdatedAt": NOW, "Title": "t", "Description": "d", "Severity": {"Label": "HIGH"}, "Compliance": {"Status": "FAILED"},
        "Resources": [{"Type": "AwsAccount", "Id": "AWS::::Account:" + HUB}], **more,
    }


def prepare():
    """Stores what the examples speak of, and gives what stands for their ids."""
    hub = "arn:aws:securityhub:us-west-1::product/aws/securityhub"
    lambda2 = f"arn:aws:securityhub:us-west-1:{HUB}:subscription/pci-dss/v/3.2.1/PCI.Lambda.2/finding/a1b2c3d4-5678-90ab-cdef-EXAMPLE"
    batch = [finding(lambda2 + n, hub, "pci-dss/v/3.2.1/PCI.Lambda.2") for n in ("11111", "22222")]
    batch.append(finding("a1b2c3d4-5678-90ab-cdef-EXAMPLE11111", f"arn:aws:securityhub:us-west-2:{HUB}:product/{HUB}/default", "g"))
    cis = "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/2.1"
    batch.append(finding("cis", hub, cis))
    batch.append(finding("fsbp", hub, "aws-foundational-security-best-practices/v/1.0.0/S3.1"))
    answer = client("source", "us-west-1").batch_import_findings(Findings=batch)
    assert answer["FailedCount"] == 0, answer
    admin, rules = client("admin", "us-east-1"), {}
    for n in ("11111", "22222"):
        made = admin.create_automation_rule(**{**EXAMPLE["CreateAutomationRule"]["input"], "RuleName": "example " + n})
        rules[f"arn:aws:securityhub:us-east-1:{HUB}:automation-rule/a1b2c3d4-5678-90ab-cdef-EXAMPLE{n}"] = made["RuleArn"]
    aggregator = admin.list_finding_aggregators()["FindingAggregators"][0]["FindingAggregatorArn"]
    return rules, {
        f"arn:aws:securityhub:us-east-1:{HUB}:finding-aggregator/a1b2c3d4-5678-90ab-cdef-EXAMPLE11111": aggregator,
        # Parry keeps tags of rules alone.
        f"arn:aws:securityhub:us-west-1:{HUB}:hub/default": next(iter(rules.values())),
    }


def run(name, stands_for, made):
    example = EXAMPLE[name]
    text = json.dumps(example.get("input") or {})
    for theirs, ours in stands_for.items():
        text = text.replace(theirs, ours)
    args = json.loads(text)
    if args.get("NextToken") in PLACEHOLDER:
        del args["NextToken"]
    if args.get("EndTime") == "2021-09-31T15:53:35.573Z":  # There is no such day.
        args["EndTime"] = "2021-10-01T15:53:35.573Z"
    for f in args.get("Findings", []):
        f["UpdatedAt"] = NOW
    region = "us-west-1" if "us-west-1" in text else "us-east-1"
    hub = client("source" if name == "BatchImportFindings" else "admin", region)
    try:
        answer = getattr(hub, xform_name(name))(**args)
    except ClientError as e:
        code = e.response["Error"]["Code"]
        if REFUSED.get(name) == code:
            return "refused", f"{code}: {e.response['Error']['Message']}"
        return "FAIL", str(e)
    if name in REFUSED:
        return "FAIL", f"{REFUSED[name]} is expected"
    shape = hub.meta.service_model.operation_model(name).output_shape
    complaints = list(wrong(shape, answer, name)) if shape else []
    for member in example.get("output") or {}:
        if member not in answer and member not in ("NextToken", WITHOUT.get(name)):
            complaints.append(f"{name} has no {member}, AWS's example has")
    for member in ("UnprocessedFindings", "FailedFindings", "UnprocessedAutomationRules", "UnprocessedIds", "UnprocessedAssociations"):
        if answer.get(member):
            complaints.append(f"{member}: {answer[member]}")
    # What it made stands for what AWS's other examples speak of.
    for member in ("InsightArn", "ActionTargetArn"):
        if name.startswith("Create") and member in answer:
            made[example["output"][member]] = answer[member]
    return ("FAIL", "; ".join(complaints)) if complaints else ("ok", "")


made, others = prepare()
# What deletes comes last.
last = ("UntagResource", "BatchDeleteAutomationRules", "DeleteActionTarget", "DeleteInsight")
for name in sorted(EXAMPLE, key=lambda n: (last.index(n) + 1 if n in last else 0, n)):
    # The hub's ARN is a rule's where tags are spoken of.
    stands_for = {**made, **{k: v for k, v in others.items() if "hub/default" not in k or "tag" in name.lower()}}
    verdict, why = run(name, stands_for, made)
    print(f"{verdict:8}{name:48}{why}".rstrip())
