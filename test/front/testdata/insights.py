"""Drives Security Hub's insights and action targets on Parry with the real boto3.

    insights.py ENDPOINT < {"keys": {name: {"id": ..., "secret": ...}}, "dev": ..., "prod": ..., "product": ...}

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
REGION = "eu-central-1"


def client(name, region=REGION, attempts=3):
    key = DATA["keys"][name]
    return boto3.client(
        "securityhub", endpoint_url=sys.argv[1], region_name=region, aws_access_key_id=key["id"], aws_secret_access_key=key["secret"],
        config=Config(retries={"mode": "standard", "total_max_attempts": attempts}, read_timeout=20),
    )


def refused(call, **args):
    try:
        call(**args)
    except ClientError as e:
        return f"{type(e).__name__} {e.response['ResponseMetadata']['HTTPStatusCode']}: {e.response['Error']['Message']}"
    return "answered"


ADMIN, OPERATOR, READER, SOURCE, DEV, DEV_OPERATOR = (client(n) for n in ("admin", "operator", "reader", "source", "dev-reader", "dev-operator"))
EQ = lambda *values: [{"Value": v, "Comparison": "EQUALS"} for v in values]


def send():
    findings = []
    for i, (account, kind, severity) in enumerate([("dev", "AwsIamRole", "CRITICAL"), ("dev", "AwsIamRole", "CRITICAL"), ("prod", "AwsIamRole", "CRITICAL"), ("dev", "AwsS3Bucket", "LOW")]):
        findings.append({
            "SchemaVersion": "2018-10-08", "Id": f"insight-{i}", "ProductArn": DATA["product"], "GeneratorId": "insights-check", "AwsAccountId": DATA[account],
            "Types": ["TTPs/Discovery/Recon" if i else "Effects/Data Exposure"], "CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-01T00:00:00Z", "Severity": {"Label": severity},
            "Title": "A title", "Description": "A description.", "Resources": [{"Type": kind, "Id": f"{kind}-{account}"}, {"Type": "AwsAccount", "Id": "AWS::::Account:" + DATA[account]}],
        })
    for account in ("dev", "prod"):
        batch = [f for f in findings if f["AwsAccountId"] == DATA[account]]
        assert SOURCE.batch_import_findings(Findings=batch)["SuccessCount"] == len(batch)


def values(c, arn):
    return [[v["GroupByAttributeValue"], v["Count"]] for v in c.get_insight_results(InsightArn=arn)["InsightResults"]["ResultValues"]]


def examples():
    with open(os.path.join(os.path.dirname(__file__), "insights-examples.json"), encoding="utf-8") as f:
        return json.load(f)


def insights():
    ex = examples()
    sent = ex["CreateInsight"]["input"]
    arn = ADMIN.create_insight(**sent)["InsightArn"]
    OUT["arn"] = [arn.rsplit("/", 1)[0], len(arn.rsplit("/", 1)[1])]
    got = ADMIN.get_insights(InsightArns=[arn])["Insights"]
    OUT["as sent"] = got == [{**sent, "InsightArn": arn}]
    OUT["members"] = sorted(got[0]) == sorted(ex["GetInsights"]["output"]["Insights"][0])
    answer = ADMIN.get_insight_results(InsightArn=arn)["InsightResults"]
    OUT["result members"] = [sorted(answer) == sorted(ex["GetInsightResults"]["output"]["InsightResults"]), sorted(answer["ResultValues"][0])]
    OUT["results"] = values(ADMIN, arn)
    OUT["results in scope"] = values(DEV, arn)
    ADMIN.update_insight(InsightArn=arn, GroupByAttribute="AwsAccountId", Filters={"GeneratorId": EQ("insights-check")})
    OUT["updated"] = [ADMIN.get_insights(InsightArns=[arn])["Insights"][0][k] for k in ("Name", "GroupByAttribute")] + [values(READER, arn), values(DEV, arn)]
    managed = "arn:aws:securityhub:::insight/securityhub/default/"
    OUT["managed"] = [ADMIN.get_insights(InsightArns=[managed + "29", managed + "40"])["Insights"][0]["Name"], values(DEV, managed + "22"), values(DEV, managed + "10"), values(ADMIN, managed + "1")[:2]]
    more = [ADMIN.create_insight(Name=f"page {i}", Filters={}, GroupByAttribute="Type")["InsightArn"] for i in range(4)]
    pages = client("reader").get_paginator("get_insights").paginate(PaginationConfig={"PageSize": 2})
    OUT["pages"] = [[i["Name"] for i in p["Insights"]] for p in pages]
    OUT["another region"] = client("admin", "us-east-1").get_insights()["Insights"]
    OUT["across regions"] = client("admin", "us-east-1").get_insights(InsightArns=[more[0]])["Insights"][0]["Name"]
    for name, args in {
        "group by a date": {"Name": "x", "Filters": {}, "GroupByAttribute": "CreatedAt"},
        "group by nothing known": {"Name": "x", "Filters": {}, "GroupByAttribute": "Nope"},
        "blank name": {"Name": " ", "Filters": {}, "GroupByAttribute": "Type"},
        "mixed filters": {"Name": "x", "Filters": {"Title": EQ("a") + [{"Value": "b", "Comparison": "NOT_EQUALS"}]}, "GroupByAttribute": "Type"},
        "eleven attributes": {"Name": "x", "GroupByAttribute": "Type", "Filters": {n: EQ("x") for n in "Title Description Id Region Type CompanyName ProductName ProductArn SourceUrl GeneratorId ProcessName".split()}},
    }.items():
        OUT[name] = refused(ADMIN.create_insight, **args)
    OUT["reader creates"] = refused(READER.create_insight, Name="x", Filters={}, GroupByAttribute="Type")
    OUT["limited key creates"] = refused(DEV_OPERATOR.create_insight, Name="x", Filters={}, GroupByAttribute="Type")
    OUT["limited key deletes"] = refused(DEV_OPERATOR.delete_insight, InsightArn=arn)
    OUT["managed deleted"] = refused(ADMIN.delete_insight, InsightArn=managed + "1")
    OUT["managed updated"] = refused(ADMIN.update_insight, InsightArn=managed + "1", Name="x")
    for op in ("get_insight_results", "update_insight", "delete_insight"):
        OUT[op + " of nothing"] = refused(getattr(ADMIN, op), InsightArn=arn[:-4] + "0000")
    OUT["parry's own"] = refused(ADMIN.get_insight_results, InsightArn="arn:aws:securityhub:::insight/parry/default/overdue")
    OUT["get of nothing"] = refused(ADMIN.get_insights, InsightArns=[arn, arn[:-4] + "0000"])
    OUT["foreign token"] = refused(ADMIN.get_insights, NextToken="bm8")
    OUT["operator's"] = OPERATOR.create_insight(Name="operator's", Filters={}, GroupByAttribute="Type")["InsightArn"].split(":")[3]
    left = 100 - len([i for p in ADMIN.get_paginator("get_insights").paginate() for i in p["Insights"]])
    for i in range(left):
        ADMIN.create_insight(Name=f"many {i}", Filters={}, GroupByAttribute="Type")
    OUT["one too many"] = refused(client("admin", attempts=1).create_insight, Name="one too many", Filters={}, GroupByAttribute="Type")
    gone = [ADMIN.delete_insight(InsightArn=i["InsightArn"])["InsightArn"] for p in ADMIN.get_paginator("get_insights").paginate() for i in p["Insights"]]
    OUT["deleted"] = [len(gone), ADMIN.get_insights()["Insights"]]


def actions():
    ex = examples()["CreateActionTarget"]
    arn = ADMIN.create_action_target(**ex["input"])["ActionTargetArn"]
    OUT["action"] = [arn, arn.split(":")[5:] == ex["output"]["ActionTargetArn"].split(":")[5:]]
    OUT["described"] = READER.describe_action_targets(ActionTargetArns=[arn])["ActionTargets"]
    ADMIN.update_action_target(ActionTargetArn=arn, Name="Fix")
    OUT["renamed"] = [[a["Name"], a["Description"]] for a in ADMIN.describe_action_targets()["ActionTargets"]]
    for i in range(4):
        ADMIN.create_action_target(Id=f"a{i}", Name=f"action {i}", Description="d")
    OUT["action pages"] = [[a["Name"] for a in p["ActionTargets"]] for p in READER.get_paginator("describe_action_targets").paginate(PaginationConfig={"PageSize": 3})]
    for name, args in {
        "action taken": {**ex["input"]}, "action long name": {"Id": "x", "Name": "x" * 21, "Description": "d"}, "action long id": {"Id": "x" * 21, "Name": "x", "Description": "d"},
        "action id with a dash": {"Id": "a-b", "Name": "x", "Description": "d"}, "action blank": {"Id": "x", "Name": "x", "Description": " "},
    }.items():
        OUT[name] = refused(ADMIN.create_action_target, **args)
    OUT["operator makes action"] = refused(OPERATOR.create_action_target, Id="x", Name="x", Description="d")
    OUT["limited key updates action"] = refused(client("dev-approver").update_action_target, ActionTargetArn=arn, Name="x")
    for op in ("update_action_target", "delete_action_target"):
        OUT[op + " of nothing"] = refused(getattr(ADMIN, op), ActionTargetArn=arn + "0")
    OUT["describe of nothing"] = refused(ADMIN.describe_action_targets, ActionTargetArns=[arn + "0"])
    for i in range(45):
        ADMIN.create_action_target(Id=f"b{i}", Name="x", Description="d")
    OUT["action 51"] = refused(client("admin", attempts=1).create_action_target, Id="c", Name="x", Description="d")
    gone = [ADMIN.delete_action_target(ActionTargetArn=a["ActionTargetArn"])["ActionTargetArn"] for p in ADMIN.get_paginator("describe_action_targets").paginate() for a in p["ActionTargets"]]
    OUT["actions deleted"] = [len(gone), gone[0] == arn, ADMIN.describe_action_targets()["ActionTargets"]]


send()
insights()
actions()
json.dump(OUT, sys.stdout)
