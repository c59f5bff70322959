"""Drives Security Hub's operations of V2 on Parry with the real boto3.

    ocsf.py ENDPOINT < {"keys": {name: {"id": ..., "secret": ...}}, "account": ..., "other": ..., "product": ...}

It writes one JSON object: what each call came to, by name.
"""

import json
import sys
import urllib.error
import urllib.request

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

DATA = json.load(sys.stdin)
OUT = {}
V2 = "arn:aws:securityhub:us-east-1::productv2/aws/securityhub"


def client(name):
    key = DATA["keys"][name]
    return boto3.client(
        "securityhub", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id=key["id"], aws_secret_access_key=key["secret"],
        config=Config(retries={"mode": "standard", "total_max_attempts": 6}, read_timeout=30),
    )


def refused(call, **args):
    try:
        call(**args)
    except ClientError as e:
        return f"{e.response['Error']['Code']} {e.response['ResponseMetadata']['HTTPStatusCode']}: {e.response['Error']['Message']}"
    return "answered"


def send(name, path, body):
    """Signs what boto3 would not send: OCSF to BatchImportFindings, or nonsense."""
    key = DATA["keys"][name]
    request = AWSRequest("POST", sys.argv[1] + path, data=json.dumps(body), headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials(key["id"], key["secret"]), "securityhub", "us-east-1").add_auth(request)
    try:
        with urllib.request.urlopen(urllib.request.Request(request.url, request.data.encode(), dict(request.headers), method="POST")) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as e:
        return json.load(e)


def ocsf(uid, account=None, product=V2, **more):
    return {
        "class_uid": 2004, "class_name": "Detection Finding", "category_uid": 2, "activity_id": 1, "severity_id": 6, "severity": "Fatal", "status_id": 1,
        "time": 1770000000000, "metadata": {"version": "1.4.0", "product": {"uid": product, "name": "Scanner", "vendor_name": "AWS"}},
        "cloud": {"provider": "AWS", "region": "eu-west-1", "account": {"uid": account or DATA["account"]}},
        "finding_info": {"uid": uid, "title": "A port is open", "desc": "Port 22 is open to everyone.", "types": ["TTPs/Discovery"]},
        "resources": [{"uid": "arn:aws:ec2:eu-west-1:" + (account or DATA["account"]) + ":instance/i-1", "type": "AwsEc2Instance", "tags": [{"name": "env", "value": "prod"}]}],
        "evidences": [{"src_endpoint": {"ip": "203.0.113.7", "port": 22}}], **more,
    }


def asff(uid, account=None, **more):
    return {
        "SchemaVersion": "2018-10-08", "Id": uid, "ProductArn": DATA["product"], "GeneratorId": "security-control/S3.8", "AwsAccountId": account or DATA["account"],
        "CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-02T00:00:00Z", "Severity": {"Label": "HIGH"}, "Title": "Bucket is public", "Description": "It is.",
        "Types": ["Software and Configuration Checks"], "Resources": [{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::" + uid, "Tags": {"env": "dev"}}],
        "Compliance": {"Status": "FAILED", "SecurityControlId": "S3.8"}, **more,
    }


def string(field, value, comparison="EQUALS"):
    return {"FieldName": field, "Filter": {"Value": value, "Comparison": comparison}}


def where(*strings, operator="AND", **more):
    return {"CompositeFilters": [{"StringFilters": list(strings), "Operator": operator, **more}]}


MINE = string("finding_info.uid", "v2-", "PREFIX")
ADMIN, READER, SOURCE, DEV = (client(n) for n in ("admin", "reader", "source", "dev-reader"))


def uids(as_client=ADMIN, filters=None, **more):
    filters = filters or where(MINE)
    found, token = [], {}
    while True:
        page = as_client.get_findings_v2(Filters=filters, **more, **token)
        found += [f["finding_info"]["uid"] for f in page["Findings"]]
        if "NextToken" not in page:
            return sorted(found)
        token = {"NextToken": page["NextToken"]}


OUT["import"] = send("source", "/findings/import", {"Findings": [ocsf("v2-a"), ocsf("v2-b", DATA["other"], severity_id=2, severity="Low"), ocsf("v2-c", product="prowler"), {**ocsf("v2-d"), "class_uid": 3002}]})
assert SOURCE.batch_import_findings(Findings=[asff("v2-e"), asff("v2-f", DATA["other"], RecordState="ARCHIVED")])["SuccessCount"] == 2

OUT["all"] = uids()
OUT["scope of a key"] = uids(DEV)
OUT["pages of one"] = uids(MaxResults=1)
OUT["severe"] = uids(filters=where(MINE, NumberFilters=[{"FieldName": "severity_id", "Filter": {"Gte": 4}}]))
OUT["fatal"] = uids(filters=where(MINE, string("severity", "Fatal")))
OUT["either"] = uids(filters={"CompositeFilters": [{"StringFilters": [MINE], "Operator": "AND", "NestedCompositeFilters": [
    {"StringFilters": [string("class_name", "Compliance Finding"), string("cloud.account.uid", DATA["other"])], "Operator": "OR"}]}], "CompositeOperator": "AND"})
OUT["words"] = uids(filters=where(MINE, string("finding_info.title", "port", "CONTAINS_WORD")))
OUT["addresses"] = uids(filters=where(MINE, IpFilters=[{"FieldName": "evidences.src_endpoint.ip", "Filter": {"Cidr": "203.0.113.0/24"}}]))
OUT["tags"] = uids(filters=where(MINE, MapFilters=[{"FieldName": "resources.tags", "Filter": {"Key": "env", "Value": "dev", "Comparison": "EQUALS"}}]))
OUT["closed"] = uids(filters=where(MINE, string("activity_name", "Close")))
OUT["resource"] = uids(filters=where(MINE, string("resources.uid", "arn:aws:s3:::v2-e")))
OUT["sorted"] = [f["finding_info"]["uid"] for f in ADMIN.get_findings_v2(Filters=where(MINE), SortCriteria=[{"Field": "finding_info.uid", "SortOrder": "desc"}])["Findings"]]


def one(uid):
    found = ADMIN.get_findings_v2(Filters=where(string("finding_info.uid", uid)))["Findings"]
    assert len(found) == 1, found
    return found[0]


before = one("v2-a")
OUT["as it came"] = {k: before[k] for k in ("severity_id", "severity", "status", "evidences", "class_uid", "resources")} | {"version": before["metadata"]["version"]}
OUT["from ASFF"] = {k: v for k, v in one("v2-e").items() if k in ("class_uid", "severity", "status", "compliance", "activity_name")}

update = ADMIN.batch_update_findings_v2(MetadataUids=[before["metadata"]["uid"], "nobody's"], Comment="looked at", SeverityId=99, StatusId=5)
OUT["update"] = [[p["MetadataUid"] == before["metadata"]["uid"] for p in update["ProcessedFindings"]], [[u["MetadataUid"], u["ErrorCode"]] for u in update["UnprocessedFindings"]]]
after = one("v2-a")
OUT["updated"] = [after[k] for k in ("severity_id", "severity", "status_id", "status", "comment")] + [after["finding_info"]["modified_time_dt"] == before["finding_info"]["modified_time_dt"]]
asff_after = ADMIN.get_findings(Filters={"Id": [{"Value": "v2-a", "Comparison": "EQUALS"}]})["Findings"][0]
OUT["in ASFF"] = [asff_after["Severity"]["Label"], asff_after["Workflow"]["Status"], asff_after["Note"]["Text"], asff_after["Note"]["UpdatedBy"], sorted(k for k in asff_after if k.startswith("Ocsf"))]
ADMIN.batch_update_findings(FindingIdentifiers=[{"Id": "v2-a", "ProductArn": asff_after["ProductArn"]}], Workflow={"Status": "SUPPRESSED"})
OUT["updated in ASFF"] = [one("v2-a")[k] for k in ("severity", "status_id", "status")]
named = {"CloudAccountUid": DATA["account"], "FindingInfoUid": "v2-e", "MetadataProductUid": DATA["product"]}
update = ADMIN.batch_update_findings_v2(FindingIdentifiers=[named, named, {**named, "CloudAccountUid": DATA["other"]}], StatusId=2)
OUT["by identifiers"] = [[p["FindingIdentifier"] == named for p in update["ProcessedFindings"]], [u["ErrorCode"] for u in update["UnprocessedFindings"]], one("v2-e")["status"]]


def groups(field, filters=None, as_client=ADMIN, **more):
    rule = {"GroupByField": field, "Filters": filters or where(MINE)}
    return [[v["FieldValue"], v["Count"]] for v in as_client.get_finding_statistics_v2(GroupByRules=[rule], **more)["GroupByResults"][0]["GroupByValues"]]


OUT["by class"] = groups("class_name")
OUT["by severity"] = groups("severity")
OUT["by type, one"] = groups("resources.type", MaxStatisticResults=1)
OUT["by severity, least"] = groups("severity", SortOrder="asc")
OUT["by account, of a key"] = groups("cloud.account.uid", as_client=DEV)
everything = dict(groups("cloud.account.uid", {"CompositeFilters": [{"StringFilters": [string("activity_name", "Close", "NOT_EQUALS")], "Operator": "AND"}]}))
counted = {}
for page in ADMIN.get_paginator("get_findings").paginate(Filters={"RecordState": [{"Value": "ACTIVE", "Comparison": "EQUALS"}]}):
    for f in page["Findings"]:
        counted[f["AwsAccountId"]] = counted.get(f["AwsAccountId"], 0) + 1
OUT["from the counters"] = everything == counted and len(counted) > 1

OUT["refused"] = {
    "reader updates": refused(READER.batch_update_findings_v2, MetadataUids=["x"], Comment="c"),
    "limited key names a unit": refused(DEV.get_findings_v2, Scopes={"AwsOrganizations": [{"OrganizationalUnitId": "ou-ab12-cd345678"}]}),
    "unknown unit": refused(ADMIN.get_findings_v2, Scopes={"AwsOrganizations": [{"OrganizationalUnitId": "nothing"}]}),
    "CONTAINS": refused(ADMIN.get_findings_v2, Filters=where(string("finding_info.title", "x", "CONTAINS"))),
    "field": refused(ADMIN.get_findings_v2, Filters=where(string("Title", "x"))),
    "token": refused(ADMIN.get_findings_v2, NextToken="AAAA"),
    "sort": refused(ADMIN.get_findings_v2, SortCriteria=[{"Field": "unmapped", "SortOrder": "asc"}]),
    "group": refused(ADMIN.get_finding_statistics_v2, GroupByRules=[{"GroupByField": "comment"}]),
    "severity": refused(ADMIN.batch_update_findings_v2, MetadataUids=["x"], SeverityId=7),
    "nothing": refused(ADMIN.batch_update_findings_v2, MetadataUids=["x"]),
    "both": refused(ADMIN.batch_update_findings_v2, MetadataUids=["x"], FindingIdentifiers=[named], Comment="c"),
    "unserved": refused(ADMIN.get_resources_v2),
}
foreign = one("v2-b")["metadata"]["uid"]
limited = client("dev-operator").batch_update_findings_v2(MetadataUids=[foreign], StatusId=3)
OUT["limited key updates another account's"] = [len(limited["ProcessedFindings"]), [u["ErrorCode"] for u in limited["UnprocessedFindings"]], one("v2-b")["status"]]
OUT["member that is not to be changed"] = send("admin", "/findingsv2/statistics", {"GroupByRules": [{"GroupByField": "severity", "X": 1}]}).get("message")
json.dump(OUT, sys.stdout)
