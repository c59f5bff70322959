"""Drives Security Hub's automation rules on Parry with the real boto3.

    rules.py ENDPOINT < {"keys": {name: {"id": ..., "secret": ...}}, "account": ..., "product": ...}

It writes one JSON object: what each call came to, by name.
"""

import json
import os
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

DATA = json.load(sys.stdin)
OUT = {}


def client(name, region="eu-central-1"):
    key = DATA["keys"][name]
    return boto3.client(
        "securityhub",
        endpoint_url=sys.argv[1],
        region_name=region,
        aws_access_key_id=key["id"],
        aws_secret_access_key=key["secret"],
        config=Config(retries={"mode": "standard", "total_max_attempts": 6}, read_timeout=20),
    )


def refused(call, **args):
    try:
        call(**args)
    except ClientError as e:
        return f"{type(e).__name__} {e.response['ResponseMetadata']['HTTPStatusCode']}: {e.response['Error']['Message']}"
    return "answered"


ADMIN, SOURCE, READER, OPERATOR, DEV = (client(n) for n in ("admin", "source", "reader", "operator", "dev-reader"))
UPDATED = iter(range(1, 60))


def send(name, **more):
    at = f"2026-02-01T00:{next(UPDATED):02d}:00Z"
    finding = {
        "SchemaVersion": "2018-10-08", "Id": name, "ProductArn": DATA["product"], "GeneratorId": "rules-check", "AwsAccountId": DATA["account"],
        "Types": ["Software and Configuration Checks"], "CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": at, "Severity": {"Label": "LOW"},
        "Title": "A title", "Description": "A description.", "Resources": [{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::" + name, "Tags": {"env": "prod"}}], **more,
    }
    answer = SOURCE.batch_import_findings(Findings=[finding])
    assert answer["SuccessCount"] == 1, answer
    return get(name)


def get(name):
    found = ADMIN.get_findings(Filters={"Id": [{"Value": name, "Comparison": "EQUALS"}]})["Findings"]
    assert len(found) == 1, found
    return found[0]


def rule(name, criteria, update, order=10, **more):
    return ADMIN.create_automation_rule(
        RuleName=name, Description="d", RuleOrder=order, Criteria={"GeneratorId": [{"Value": "rules-check", "Comparison": "EQUALS"}], **criteria},
        Actions=[{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": update}], **more,
    )["RuleArn"]


# AWS's own examples: every input is taken, every answer has the members of AWS's.
def forms():
    with open(os.path.join(os.path.dirname(__file__), "rules-examples.json"), encoding="utf-8") as f:
        examples = json.load(f)
    first = lambda op: examples[op][0]
    created = ADMIN.create_automation_rule(**first("CreateAutomationRule")["input"])
    arns = [created["RuleArn"], "arn:aws:securityhub:us-east-1:123456789012:automation-rule/a1b2c3d4-5678-90ab-cdef-EXAMPLE22222"]
    got = ADMIN.batch_get_automation_rules(AutomationRulesArns=arns)
    sent = first("CreateAutomationRule")["input"]
    same = all(got["Rules"][0][name] == value for name, value in sent.items() if name != "Tags")
    item = first("BatchUpdateAutomationRules")["input"]["UpdateAutomationRulesRequestItems"]
    updated = ADMIN.batch_update_automation_rules(UpdateAutomationRulesRequestItems=[{**item[0], "RuleArn": arns[0]}, {**item[1], "RuleArn": arns[1]}])
    listed = ADMIN.list_automation_rules(MaxResults=2)
    after = ADMIN.batch_get_automation_rules(AutomationRulesArns=arns[:1])["Rules"][0]
    deleted = ADMIN.batch_delete_automation_rules(AutomationRulesArns=arns)
    missing = []
    for op, answer in {
        "CreateAutomationRule": created, "BatchGetAutomationRules": got, "BatchUpdateAutomationRules": updated, "ListAutomationRules": listed, "BatchDeleteAutomationRules": deleted,
    }.items():
        missing += sorted(f"{op}.{path}" for path in members(first(op)["output"]) - members(answer) if "NextToken" not in path and "Unprocessed" not in path)
    OUT["forms"] = {
        "arn": created["RuleArn"].rsplit("/", 1)[0], "same": same, "missing": [m for m in missing if "Criteria." not in m and "FindingFieldsUpdate." not in m],
        "unprocessed": [[(u["ErrorCode"], u["ErrorMessage"].split(":")[0]) for u in a["UnprocessedAutomationRules"]] for a in (got, updated, deleted)],
        "updated": [after["RuleOrder"], after["RuleStatus"], after["CreatedBy"], updated["ProcessedAutomationRules"] == arns[:1]],
        "deleted": deleted["ProcessedAutomationRules"] == arns[:1],
    }


def members(value, path=""):
    if isinstance(value, dict):
        return {p for name, v in value.items() for p in members(v, f"{path}.{name}" if path else name) | {f"{path}.{name}" if path else name}}
    if isinstance(value, list):
        return {p for v in value for p in members(v, path)}
    return set()


forms()

# What a rule does, and that its history says so.
OUT["before"] = send("bucket-1")["Severity"]["Label"]
raised = rule("raise", {"ResourceTags": [{"Key": "env", "Value": "prod", "Comparison": "EQUALS"}]}, {"Severity": {"Label": "CRITICAL"}, "Note": {"Text": "tagged prod", "UpdatedBy": "rules"}}, Tags={"team": "a"})
OUT["not backwards"] = get("bucket-1")["Severity"]["Label"]
ADMIN.batch_update_findings(FindingIdentifiers=[{"Id": "bucket-1", "ProductArn": DATA["product"]}], Confidence=3)
OUT["not by updates"] = get("bucket-1")["Severity"]["Label"]
after = send("bucket-1")
OUT["updated finding"] = [after["Severity"]["Label"], after["Note"]["Text"], after["Confidence"]]
OUT["new finding"] = send("bucket-2")["Severity"]["Label"]

# Order, a terminal rule, a rule that is switched off.
last = rule("last word", {"ResourceId": [{"Value": "arn:aws:s3:::bucket-3", "Comparison": "EQUALS"}]}, {"Severity": {"Label": "MEDIUM"}}, order=5, IsTerminal=True)
OUT["terminal"] = send("bucket-3")["Severity"]["Label"]
OUT["terminal for its own only"] = send("bucket-4")["Severity"]["Label"]
off = ADMIN.batch_update_automation_rules(UpdateAutomationRulesRequestItems=[{"RuleArn": last, "RuleStatus": "DISABLED"}, {"RuleArn": raised, "RuleOrder": 0 + 20}])
OUT["switched off"] = [len(off["ProcessedAutomationRules"]), send("bucket-3")["Severity"]["Label"]]

# Refusals: for the request, and rule by rule.
bad = {"RuleName": "bad", "Description": "d", "RuleOrder": 1, "Criteria": {"Title": [{"Value": "x", "Comparison": "EQUALS"}]}, "Actions": [{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": {"Confidence": 1}}]}
OUT["reader creates"] = refused(READER.create_automation_rule, **bad)
OUT["operator creates"] = refused(OPERATOR.create_automation_rule, **bad)
OUT["source lists"] = refused(SOURCE.list_automation_rules)
OUT["limited key lists"] = refused(DEV.list_automation_rules)
OUT["limited key gets"] = refused(DEV.batch_get_automation_rules, AutomationRulesArns=[raised])
OUT["mixed comparisons"] = refused(ADMIN.create_automation_rule, **{**bad, "Criteria": {"Title": [{"Value": "x", "Comparison": "EQUALS"}, {"Value": "y", "Comparison": "NOT_EQUALS"}]}})
OUT["many values"] = refused(ADMIN.create_automation_rule, **{**bad, "Criteria": {"ProductName": [{"Value": str(i), "Comparison": "EQUALS"} for i in range(21)]}})
OUT["no change"] = refused(ADMIN.create_automation_rule, **{**bad, "Actions": [{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": {}}]})
OUT["blank name"] = refused(ADMIN.create_automation_rule, **{**bad, "RuleName": " "})
OUT["foreign token"] = refused(ADMIN.list_automation_rules, NextToken="abcd")
mixed = ADMIN.batch_update_automation_rules(UpdateAutomationRulesRequestItems=[
    {"RuleArn": raised, "RuleName": "renamed"}, {"RuleArn": raised, "RuleOrder": 3},
    {"RuleArn": last, "Criteria": {"Title": [{"Value": "x", "Comparison": "EQUALS"}, {"Value": "y", "Comparison": "NOT_CONTAINS"}]}},
])
OUT["rule by rule"] = [mixed["ProcessedAutomationRules"] == [raised], [(u["ErrorCode"], u["ErrorMessage"].split(":")[0]) for u in mixed["UnprocessedAutomationRules"]]]

# Pages, and tags as Terraform asks for them.
for i in range(5):
    rule(f"page {i}", {"Title": [{"Value": "never", "Comparison": "EQUALS"}]}, {"Confidence": i}, order=500 - i)
pages, token = [], {}
while True:
    page = ADMIN.list_automation_rules(MaxResults=3, **token)
    pages.append([r["RuleName"] for r in page["AutomationRulesMetadata"]])
    if "NextToken" not in page:
        break
    token = {"NextToken": page["NextToken"]}
OUT["pages"] = pages
ADMIN.tag_resource(ResourceArn=raised, Tags={"cost-center": "x"})
ADMIN.untag_resource(ResourceArn=raised, TagKeys=["team"])
OUT["tags"] = ADMIN.list_tags_for_resource(ResourceArn=raised)["Tags"]
OUT["tags of nothing"] = refused(ADMIN.list_tags_for_resource, ResourceArn="arn:aws:securityhub:us-east-1:1:hub/default")

# Version 2, on the same engine: criteria over OCSF, fractions as order, a client token.
V2 = {
    "RuleName": "second", "Description": "d", "RuleOrder": 1.5,
    "Criteria": {"OcsfFindingCriteria": {"CompositeOperator": "AND", "CompositeFilters": [
        {"StringFilters": [{"FieldName": "finding_info.uid", "Filter": {"Value": "v2-", "Comparison": "PREFIX"}}], "NumberFilters": [{"FieldName": "severity_id", "Filter": {"Lte": 2}}], "Operator": "AND"},
        {"MapFilters": [{"FieldName": "resources.tags", "Filter": {"Key": "env", "Value": "prod", "Comparison": "EQUALS"}}]},
    ]}},
    "Actions": [{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": {"StatusId": 3, "Comment": "accepted"}}],
}
made = ADMIN.create_automation_rule_v2(**V2, ClientToken="one")
again = ADMIN.create_automation_rule_v2(**V2, ClientToken="one")
got = ADMIN.get_automation_rule_v2(Identifier=made["RuleArn"])
OUT["v2"] = [made["RuleArn"].rsplit("/", 1)[0], again["RuleId"] == made["RuleId"], got["RuleOrder"], got["RuleStatus"], got["Criteria"] == V2["Criteria"], got["Actions"] == V2["Actions"]]
suppressed = send("v2-one")
OUT["v2 applies"] = [suppressed["Workflow"]["Status"], suppressed["Note"]["Text"], send("v2-two", Severity={"Label": "HIGH"})["Workflow"]["Status"]]
ADMIN.update_automation_rule_v2(Identifier=made["RuleId"], RuleStatus="DISABLED", RuleOrder=2.25)
OUT["v2 updated"] = [send("v2-three")["Workflow"]["Status"], [(r["RuleName"], r["RuleOrder"], r["RuleStatus"], r["Actions"]) for r in ADMIN.list_automation_rules_v2()["Rules"]]]
OUT["v2 in v1"] = [len([r for r in ADMIN.list_automation_rules()["AutomationRulesMetadata"] if r["RuleName"] == "second"]), ADMIN.batch_get_automation_rules(AutomationRulesArns=[made["RuleArn"]])["UnprocessedAutomationRules"][0]["ErrorCode"]]
OUT["v2 token"] = refused(ADMIN.create_automation_rule_v2, **{**V2, "RuleName": "another"}, ClientToken="one")
OUT["v2 reader"] = refused(READER.create_automation_rule_v2, **V2)
OUT["v2 limited key"] = refused(DEV.get_automation_rule_v2, Identifier=made["RuleId"])
OUT["v2 connector"] = refused(ADMIN.create_automation_rule_v2, **{**V2, "Actions": [{"Type": "EXTERNAL_INTEGRATION", "ExternalIntegrationConfiguration": {"ConnectorArn": "arn:aws:x"}}]})
ADMIN.delete_automation_rule_v2(Identifier=made["RuleId"])
OUT["v2 deleted"] = refused(ADMIN.get_automation_rule_v2, Identifier=made["RuleId"])

everything = [r["RuleArn"] for r in ADMIN.list_automation_rules()["AutomationRulesMetadata"]]
OUT["cleaned"] = [len(ADMIN.batch_delete_automation_rules(AutomationRulesArns=everything)["ProcessedAutomationRules"]), ADMIN.list_automation_rules()["AutomationRulesMetadata"]]
OUT["after"] = send("bucket-5")["Severity"]["Label"]

json.dump(OUT, sys.stdout, default=str)
