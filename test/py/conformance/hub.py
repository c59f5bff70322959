"""Walks Security Hub's API operation by operation: success, pages, and each error that AWS documents.

    hub.py [--endpoint-url URL] [--region REGION]

Credentials come from the environment, as for any program that uses boto3. Without an endpoint it asks AWS itself, and leaves out what is
Parry's own or would change the account's settings; the lines say so. It imports a few findings of the account's custom integration, makes
automation rules, insights and custom actions and removes them, and archives its findings at the end. PARRY_READER_KEY and PARRY_READER_SECRET name a key that may only read.

One line for each check: "ok", "differs" where AWS is asked and known to do otherwise, or "FAIL". The exit code is 1 after a FAIL.
"""

import argparse
import datetime
import os
import sys
import time
import uuid

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from hub_model import sample, wrong

ARGS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGS.add_argument("--endpoint-url")
ARGS.add_argument("--region", default="us-east-1")
ARGS = ARGS.parse_args()
PARRY = bool(ARGS.endpoint_url)
FAILED = []
WALKED = set()


def client(service="securityhub", checked=True, attempts=6, **more):
    config = Config(retries={"mode": "standard", "total_max_attempts": attempts}, read_timeout=30, parameter_validation=checked)
    return boto3.client(service, endpoint_url=ARGS.endpoint_url, region_name=ARGS.region, config=config, **more)


HUB = client()
LOOSE = client(checked=False)  # sends what boto3 itself would refuse
ONCE = client(attempts=1)  # for limits: boto3 would ask again
ACCOUNT = client("sts").get_caller_identity()["Account"]
PRODUCT = f"arn:aws:securityhub:{ARGS.region}:{ACCOUNT}:product/{ACCOUNT}/default"
RUN = "conformance-" + uuid.uuid4().hex[:12]
MINE = {"GeneratorId": [{"Value": RUN, "Comparison": "EQUALS"}]}


def say(verdict, name, why=""):
    print(f"{verdict:8}{name:64}{why}".rstrip(), flush=True)
    if verdict == "FAIL":
        FAILED.append(name)


def check(name, condition, why=""):
    say("ok" if condition else "FAIL", name, "" if condition else str(why)[:600])


def differs(name, why):
    """Names what is not asked of AWS."""
    say("differs", name, why)


def note(hub, operation):
    WALKED.add(hub.meta.method_to_api_mapping[operation])
    return hub.meta.service_model.operation_model(hub.meta.method_to_api_mapping[operation])


def ask(operation, hub=HUB, **args):
    """Calls an operation and holds its answer against the model."""
    model = note(hub, operation)
    answer = getattr(hub, operation)(**args)
    complaints = list(wrong(model.output_shape, answer, model.name)) if model.output_shape else []
    check(f"{model.name} answers in form", not complaints, complaints)
    return answer


def refuses(name, operation, codes, hub=LOOSE, **args):
    """Checks that a call ends with one of the error codes."""
    model = note(hub, operation)
    try:
        answer = getattr(hub, operation)(**args)
    except ClientError as e:
        code = e.response["Error"]["Code"]
        documented = {s.name for s in model.error_shapes} | {"AccessDeniedException", "UnknownOperationException"}
        check(f"{model.name}: {name}", code in codes.split() and code in documented and e.response["Error"]["Message"], f"{e}, want {codes}")
        return
    check(f"{model.name}: {name}", False, f"answered {answer}")


def pages(operation, key, size=None, **args):
    """Reads all pages, in pages of one size and whole, and checks that both give the same."""
    note(HUB, operation)
    reader = HUB.get_paginator(operation)
    whole = [i for page in reader.paginate(**args) for i in page.get(key, [])]
    if size:
        parts = [page.get(key, []) for page in reader.paginate(**args, PaginationConfig={"PageSize": size})]
        check(f"{operation}: pages of {size}", [i for part in parts for i in part] == whole and all(len(part) <= size for part in parts), f"{sum(map(len, parts))} items, whole {len(whole)}")
    return whole


def eventually(read, want):
    """AWS shows a write after some seconds."""
    deadline = time.monotonic() + (10 if PARRY else 180)
    while True:
        got = read()
        if want(got) or time.monotonic() > deadline:
            return got
        time.sleep(0.2 if PARRY else 5)


def stamp(minute=0):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def finding(name, minute=0, **more):
    return {
        "SchemaVersion": "2018-10-08", "Id": f"{RUN}/{name}", "ProductArn": PRODUCT, "GeneratorId": RUN, "AwsAccountId": ACCOUNT, "CreatedAt": stamp(-60),
        "UpdatedAt": stamp(minute), "Title": f"Conformance {name}", "Description": "Made by a conformance program.", "Severity": {"Label": "LOW"},
        "Types": ["Software and Configuration Checks"], "Resources": [{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::" + name, "Tags": {"team": name}}], **more,
    }


def send(*findings):
    return ask("batch_import_findings", Findings=list(findings))


def mine(**filters):
    return pages("get_findings", "Findings", Filters={**MINE, **filters})


def one(name):
    found = mine(Id=[{"Value": f"{RUN}/{name}", "Comparison": "EQUALS"}])
    return found[0] if found else {}


def who(name):
    return {"Id": f"{RUN}/{name}", "ProductArn": PRODUCT}


# The hub and what is around it.


def hub():
    if PARRY:
        ask("enable_security_hub")
    else:
        differs("EnableSecurityHub", "left out on AWS: it would change the account")
    arn = ask("describe_hub")["HubArn"]
    ask("describe_hub", HubArn=arn)
    refuses("a hub that is not", "describe_hub", "ResourceNotFoundException InvalidAccessException InvalidInputException", HubArn=arn.replace(ACCOUNT, "000000000000"))
    products = pages("describe_products", "Products", size=3 if PARRY else None)
    check("DescribeProducts names AWS's own", any(p["ProductArn"].endswith(":product/aws/guardduty") for p in products), len(products))
    check("DescribeProducts by ARN", [p["ProductArn"] for p in ask("describe_products", ProductArn=products[0]["ProductArn"])["Products"]] == [products[0]["ProductArn"]])
    pages("list_enabled_products_for_import", "ProductSubscriptions", size=2)
    if PARRY:
        ask("enable_import_findings_for_product", ProductArn=PRODUCT)
    refuses("no ARN", "enable_import_findings_for_product", "InvalidInputException", ProductArn="x")
    refuses("pages of 101", "describe_products", "InvalidInputException", MaxResults=101)
    refuses("a token that is none", "describe_products", "InvalidInputException", NextToken="x")


def organization():
    members = pages("list_members", "Members", size=1)
    refuses("pages of 51", "list_members", "InvalidInputException", MaxResults=51)
    ids = [m["AccountId"] for m in members[:2]] + ["000000000001"]
    got = ask("get_members", AccountIds=ids)
    check("GetMembers tells members from others", [m["AccountId"] for m in got["Members"]] == ids[:-1] and got["UnprocessedAccounts"][0]["AccountId"] == ids[-1], got)
    refuses("nobody", "get_members", "InvalidInputException", AccountIds=[])
    ask("get_administrator_account"), ask("get_master_account"), ask("get_invitations_count")
    pages("list_invitations", "Invitations")
    if PARRY:
        pages("list_organization_admin_accounts", "AdminAccounts")
        ask("describe_organization_configuration")
    else:
        differs("ListOrganizationAdminAccounts", "on AWS it is for the management account")
    aggregators = pages("list_finding_aggregators", "FindingAggregators")
    for a in aggregators:
        ask("get_finding_aggregator", FindingAggregatorArn=a["FindingAggregatorArn"])
    refuses("none such", "get_finding_aggregator", "ResourceNotFoundException InvalidInputException", FindingAggregatorArn=f"arn:aws:securityhub:{ARGS.region}:{ACCOUNT}:finding-aggregator/00000000-0000-0000-0000-000000000000")
    if PARRY:
        pages("list_configuration_policies", "ConfigurationPolicySummaries")
        pages("list_configuration_policy_associations", "ConfigurationPolicyAssociationSummaries")


# Findings.


def imports():
    got = send(finding("a"), finding("b", Severity={"Normalized": 75}, Confidence=40), finding("c", FindingProviderFields={"Severity": {"Label": "CRITICAL"}, "Types": ["TTPs"]}))
    check("BatchImportFindings takes three", (got["SuccessCount"], got["FailedCount"]) == (3, 0), got)
    bad = [
        (finding("bad-label", Severity={"Label": "URGENT"}), "InvalidInput"),
        (finding("bad-title", Title="x" * 257), "InvalidInput"),
        (finding("bad-time", UpdatedAt="yesterday"), "InvalidInput"),
        (finding("bad-details", Resources=[{"Type": "AwsEc2Instance", "Id": "i", "Details": {"AwsEc2Instance": {"LaunchedAt": "2018-05-08 16:46:19"}}}]), "InvalidInput"),
        (finding("bad-tags", Resources=[{"Type": "Other", "Id": "i", "Tags": {}}]), "InvalidInput"),
        (finding("bad-size", ProductFields={f"k{i}": "x" * 2048 for i in range(49)} | {"l": "x" * 2048}, Resources=[{"Type": "Other", "Id": "i", "Details": {"Other": {"a": "x" * (160 << 10)}}}]), "InvalidInput"),
    ]
    got = send(*[f for f, _ in bad])
    failed = {f["Id"]: f["ErrorCode"] for f in got["FailedFindings"]}
    for f, code in bad:
        check(f"BatchImportFindings refuses {f['Id'].split('/')[1]}", failed.get(f["Id"]) == code, got["FailedFindings"])
    if PARRY:  # On AWS this is an error of the whole call.
        got = send({**finding("other-product"), "ProductArn": "no product"})
        check("BatchImportFindings refuses a product that is none", got["FailedFindings"][0]["ErrorCode"] == "InvalidInput", got)
    refuses("no findings", "batch_import_findings", "InvalidInputException", Findings=[])
    refuses("101 findings", "batch_import_findings", "InvalidInputException", Findings=[finding(f"many-{i}") for i in range(101)])
    found = {f["Id"].split("/")[1]: f for f in eventually(mine, lambda got: len(got) == 3)}
    check("GetFindings finds what was imported", sorted(found) == ["a", "b", "c"], sorted(found))
    check("a label gets its number", found["a"]["Severity"]["Normalized"] == 1, found["a"]["Severity"])
    check("a number gets its label", found["b"]["Severity"]["Label"] == "HIGH", found["b"]["Severity"])
    check("provider fields fill the top level", found["c"]["Severity"]["Label"] == "CRITICAL" and found["c"]["Types"] == ["TTPs"], found["c"])
    check("the service fills in its members", all(found["a"].get(m) for m in ("Region", "CompanyName", "ProductName", "RecordState", "Workflow")), found["a"])
    send(finding("a", minute=-30, Title="Older"))
    send(finding("a", minute=1, Title="Newer", Workflow={"Status": "RESOLVED"}))
    got = eventually(lambda: one("a"), lambda f: f.get("Title") == "Newer")
    check("an older version is ignored, a newer is taken", got["Title"] == "Newer", got["Title"])
    check("a provider cannot set the workflow of an old finding", got["Workflow"]["Status"] == "NEW", got["Workflow"])


def filters():
    total = len(mine())
    for field, values, want in [
        ("SeverityLabel", [{"Value": "HIGH", "Comparison": "EQUALS"}], 1),
        ("SeverityLabel", [{"Value": "HIGH", "Comparison": "NOT_EQUALS"}, {"Value": "LOW", "Comparison": "NOT_EQUALS"}], 1),
        ("Id", [{"Value": RUN, "Comparison": "PREFIX"}], total),
        ("Id", [{"Value": RUN + "/a", "Comparison": "PREFIX_NOT_EQUALS"}], total - 1),
        ("Id", [{"Value": RUN, "Comparison": "PREFIX"}, {"Value": RUN + "/b", "Comparison": "NOT_EQUALS"}], total - 1),
        ("Confidence", [{"Gte": 40, "Lte": 40}], 1),
        ("ResourceTags", [{"Key": "team", "Value": "b", "Comparison": "EQUALS"}], 1),
        ("UpdatedAt", [{"DateRange": {"Value": 1, "Unit": "DAYS"}}], total),
        ("UpdatedAt", [{"Start": stamp(-60), "End": stamp(60)}], total),
        ("Type", [{"Value": "TTPs", "Comparison": "EQUALS"}], 1),
    ]:
        got = eventually(lambda: mine(**{field: values}), lambda got: len(got) == want)
        check(f"GetFindings by {field} {values[0].get('Comparison', '')}", len(got) == want, f"{len(got)} findings, want {want}")
    up = [f["Id"] for f in pages("get_findings", "Findings", size=1, Filters=MINE, SortCriteria=[{"Field": "Id", "SortOrder": "asc"}])]
    down = [f["Id"] for f in pages("get_findings", "Findings", size=2, Filters=MINE, SortCriteria=[{"Field": "Id", "SortOrder": "desc"}])]
    check("GetFindings sorts both ways", up == sorted(up) and down == up[::-1], (up, down))
    bad = {
        "a mix that AWS refuses": {"Title": [{"Value": "a", "Comparison": "EQUALS"}, {"Value": "b", "Comparison": "NOT_EQUALS"}]},
        "21 values": {"Title": [{"Value": str(i), "Comparison": "EQUALS"} for i in range(21)]},
        "a date that is none": {"UpdatedAt": [{"Start": "today", "End": "tomorrow"}]},
        "a unit that is none": {"UpdatedAt": [{"DateRange": {"Value": 1, "Unit": "WEEKS"}}]},
        "a comparison that is none": {"Title": [{"Value": "a", "Comparison": "LIKE"}]},
        "a CIDR that is none": {"NetworkSourceIpV4": [{"Cidr": "ten"}]},
    }
    for name, f in bad.items():
        refuses(name, "get_findings", "InvalidInputException", Filters=f)
    refuses("pages of 101", "get_findings", "InvalidInputException", MaxResults=101)
    refuses("a token that is none", "get_findings", "InvalidInputException", NextToken="x")


def updates():
    before = one("b")
    got = ask("batch_update_findings", FindingIdentifiers=[who("b"), who("nobody")], Note={"Text": "seen", "UpdatedBy": RUN}, Workflow={"Status": "NOTIFIED"},
              Severity={"Label": "MEDIUM"}, UserDefinedFields={"ticket": "1"}, VerificationState="TRUE_POSITIVE", Confidence=99, Criticality=1, Types=["Effects"],
              RelatedFindings=[who("a")])
    check("BatchUpdateFindings does what it can", got["ProcessedFindings"] == [who("b")] and got["UnprocessedFindings"][0]["ErrorCode"] == "FindingNotFound", got)
    after = eventually(lambda: one("b"), lambda f: f["Workflow"]["Status"] == "NOTIFIED")
    check("the update is there", (after["Severity"]["Label"], after["Severity"]["Normalized"], after["Confidence"], after["Types"]) == ("MEDIUM", 40, 99, ["Effects"]), after)
    check("the note has a time", after["Note"]["Text"] == "seen" and after["Note"]["UpdatedAt"], after["Note"])
    check("UpdatedAt stays", after["UpdatedAt"] == before["UpdatedAt"], after["UpdatedAt"])
    send(finding("b", minute=2, Severity={"Label": "CRITICAL"}))
    after = eventually(lambda: one("b"), lambda f: f["UpdatedAt"] != before["UpdatedAt"])
    check("a provider does not undo what a customer set", after["Severity"]["Label"] == "MEDIUM", after["Severity"])
    check("and its own view is kept beside", after["FindingProviderFields"]["Severity"]["Label"] == "CRITICAL", after["FindingProviderFields"])
    refuses("a status that is none", "batch_update_findings", "InvalidInputException", FindingIdentifiers=[who("a")], Workflow={"Status": "DONE"})
    refuses("101 findings", "batch_update_findings", "InvalidInputException", FindingIdentifiers=[who(str(i)) for i in range(101)], Workflow={"Status": "NEW"})
    refuses("a note without a name", "batch_update_findings", "InvalidInputException", FindingIdentifiers=[who("a")], Note={"Text": "x", "UpdatedBy": ""})
    history = eventually(lambda: pages("get_finding_history", "Records", FindingIdentifier=who("b")), lambda got: len(got) > 1)
    types = {r["UpdateSource"]["Type"] for r in history}
    check("GetFindingHistory tells who changed what", types == {"BATCH_IMPORT_FINDINGS", "BATCH_UPDATE_FINDINGS"} and any(r.get("FindingCreated") for r in history), history)
    pages("get_finding_history", "Records", size=1, FindingIdentifier=who("b"))
    check("GetFindingHistory within times", ask("get_finding_history", FindingIdentifier=who("b"), StartTime="2126-01-01T00:00:00Z", EndTime="2126-01-02T00:00:00Z")["Records"] == [])
    refuses("pages of 101", "get_finding_history", "InvalidInputException", FindingIdentifier=who("b"), MaxResults=101)
    if PARRY:
        note(HUB, "get_finding_history")
        try:
            HUB.get_finding_history(FindingIdentifier=who("nobody"))
            check("GetFindingHistory of nothing", False, "answered")
        except ClientError as e:  # AWS documents no such error for it.
            check("GetFindingHistory of nothing", e.response["Error"]["Code"] == "ResourceNotFoundException", e)
    else:
        differs("GetFindingHistory of nothing", "Parry says ResourceNotFoundException, which AWS does not document")


# Automation rules.


def rules():
    def make(name, order, **more):
        return ask("create_automation_rule", RuleName=f"{RUN} {name}", Description="d", RuleOrder=order, RuleStatus="DISABLED", Criteria={**MINE, "Title": [{"Value": "ruled", "Comparison": "CONTAINS"}]},
                   Actions=[{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": {"Workflow": {"Status": "SUPPRESSED"}}}], **more)["RuleArn"]

    first, second = make("first", 900, Tags={"team": "one"}), make("second", 901)
    gone = first[:-12] + "000000000000"
    got = ask("batch_get_automation_rules", AutomationRulesArns=[first, gone])
    check("BatchGetAutomationRules tells rules from none", got["Rules"][0]["RuleArn"] == first and len(got["UnprocessedAutomationRules"]) == 1, got)
    listed, token = [], None
    while True:
        page = ask("list_automation_rules", MaxResults=1, **({"NextToken": token} if token else {}))
        listed += page["AutomationRulesMetadata"]
        token = page.get("NextToken")
        if not token:
            break
    check("ListAutomationRules pages", {first, second} <= {r["RuleArn"] for r in listed}, listed)
    got = ask("batch_update_automation_rules", UpdateAutomationRulesRequestItems=[{"RuleArn": first, "RuleStatus": "ENABLED"}, {"RuleArn": gone, "RuleOrder": 1}])
    check("BatchUpdateAutomationRules does what it can", got["ProcessedAutomationRules"] == [first] and len(got["UnprocessedAutomationRules"]) == 1, got)
    ask("tag_resource", ResourceArn=first, Tags={"more": "two"})
    check("ListTagsForResource", ask("list_tags_for_resource", ResourceArn=first)["Tags"] == {"team": "one", "more": "two"})
    ask("untag_resource", ResourceArn=first, TagKeys=["team"])
    check("UntagResource", ask("list_tags_for_resource", ResourceArn=first)["Tags"] == {"more": "two"})
    refuses("of nothing", "list_tags_for_resource", "ResourceNotFoundException InvalidInputException", ResourceArn=gone)
    send(finding("ruled", Title="Conformance ruled"))
    got = eventually(lambda: one("ruled"), bool)
    check("a rule applies as a finding comes", got.get("Workflow") == {"Status": "SUPPRESSED"}, got.get("Workflow"))
    ask("batch_update_findings", FindingIdentifiers=[who("ruled")], Workflow={"Status": "NOTIFIED"})
    got = eventually(lambda: one("ruled"), lambda f: f["Workflow"]["Status"] == "NOTIFIED")
    check("no rule applies to a customer's update", got["Workflow"]["Status"] == "NOTIFIED", got["Workflow"])
    action = [{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": {"Workflow": {"Status": "NEW"}}}]
    base = {"RuleName": RUN, "Description": "d", "RuleOrder": 1, "Criteria": MINE, "Actions": action}
    refuses("order 0", "create_automation_rule", "InvalidInputException", **{**base, "RuleOrder": 1001})
    refuses("a mix that AWS refuses", "create_automation_rule", "InvalidInputException", **{**base, "Criteria": {"Title": [{"Value": "a", "Comparison": "CONTAINS"}, {"Value": "b", "Comparison": "EQUALS"}]}})
    refuses("two actions", "create_automation_rule", "InvalidInputException", **{**base, "Actions": action * 2})
    refuses("an action that is none", "create_automation_rule", "InvalidInputException", **{**base, "Actions": [{"Type": "DELETE"}]})
    refuses("a token that is none", "list_automation_rules", "InvalidInputException", NextToken="x")
    got = ask("batch_delete_automation_rules", AutomationRulesArns=[first, second, gone])
    check("BatchDeleteAutomationRules does what it can", sorted(got["ProcessedAutomationRules"]) == sorted([first, second]) and len(got["UnprocessedAutomationRules"]) == 1, got)


# Insights and custom actions.


def insights():
    made = []

    def make(name, group="SeverityLabel"):
        made.append(ask("create_insight", Name=f"{RUN} {name}", Filters=MINE, GroupByAttribute=group)["InsightArn"])
        return made[-1]

    def get(arn):
        return ask("get_insights", InsightArns=[arn])["Insights"][0]

    def counted(arn):
        return {v["GroupByAttributeValue"]: v["Count"] for v in ask("get_insight_results", InsightArn=arn)["InsightResults"]["ResultValues"]}

    def expected(values):
        return {v: values.count(v) for v in values}

    managed = "arn:aws:securityhub:::insight/securityhub/default/1"
    base = {"Name": RUN, "Filters": MINE, "GroupByAttribute": "SeverityLabel"}
    try:
        first, second, third = make("first"), make("second"), make("third")
        gone = first[:-12] + "000000000000"
        listed = eventually(lambda: [i["InsightArn"] for i in pages("get_insights", "Insights", size=2)], lambda got: set(made) <= set(got))
        check("GetInsights lists what was made, and none of AWS's", set(made) <= set(listed) and managed not in listed, listed)
        got = ask("get_insights", InsightArns=[third, first])["Insights"]
        check("GetInsights by ARN gives them as sent", got == [{**base, "Name": f"{RUN} {n}", "InsightArn": arn} for n, arn in (("third", third), ("first", first))], got)
        check("GetInsights by ARN gives AWS's too", get(managed)["GroupByAttribute"] == "ResourceId")
        found = mine()
        want = expected([f["Severity"]["Label"] for f in found])
        got = eventually(lambda: counted(first), lambda got: got == want)
        check("GetInsightResults counts findings", got == want, f"{got}, want {want}")
        check("GetInsightResults has the most first", list(got.values()) == sorted(got.values(), reverse=True), got)
        ask("update_insight", InsightArn=first, Name=f"{RUN} renamed")
        got = eventually(lambda: get(first), lambda i: i["Name"] != f"{RUN} first")
        check("UpdateInsight changes what is named alone", got == {**base, "Name": f"{RUN} renamed", "InsightArn": first}, got)
        ask("update_insight", InsightArn=first, GroupByAttribute="ResourceId", Filters={**MINE, "SeverityLabel": [{"Value": "CRITICAL", "Comparison": "EQUALS"}]})
        want = expected([r["Id"] for f in found if f["Severity"]["Label"] == "CRITICAL" for r in f["Resources"]])
        got = eventually(lambda: counted(first), lambda got: got == want)
        check("UpdateInsight changes the answer", got == want, f"{got}, want {want}")
        mix = {"Title": [{"Value": "a", "Comparison": "EQUALS"}, {"Value": "b", "Comparison": "NOT_EQUALS"}]}
        bad = {
            "no name": {"Name": ""}, "a mix that AWS refuses": {"Filters": mix}, "a comparison that is none": {"Filters": {"Title": [{"Value": "a", "Comparison": "LIKE"}]}},
            "an attribute that is none": {"GroupByAttribute": "Nope"},
        }
        for name, more in bad.items():
            refuses(name, "create_insight", "InvalidInputException", **{**base, **more})
            refuses(name, "update_insight", "InvalidInputException", InsightArn=second, **more)
        for name in base:
            refuses(f"without {name}", "create_insight", "InvalidInputException", **{k: v for k, v in base.items() if k != name})
        check("a refused update changes nothing", get(second) == {**base, "Name": f"{RUN} second", "InsightArn": second})
        refuses("pages of 101", "get_insights", "InvalidInputException", MaxResults=101)
        refuses("a token that is none", "get_insights", "InvalidInputException", NextToken="x")
        refuses("none such, beside one", "get_insights", "ResourceNotFoundException", InsightArns=[first, gone])
        refuses("AWS's own", "update_insight", "InvalidInputException InvalidAccessException", InsightArn=managed, Name=RUN)
        refuses("AWS's own", "delete_insight", "InvalidInputException InvalidAccessException", InsightArn=managed)
        if PARRY:
            for i in range(100 - len(pages("get_insights", "Insights"))):
                made.append(HUB.create_insight(**{**base, "Name": f"{RUN} many {i}"})["InsightArn"])
            refuses("one over 100", "create_insight", "LimitExceededException", hub=ONCE, **base)
        else:
            differs("CreateInsight: one over 100", "left out on AWS")
    finally:
        for arn in made[3:]:
            HUB.delete_insight(InsightArn=arn)
        for arn in made[:3]:
            check("DeleteInsight names what is gone", ask("delete_insight", InsightArn=arn)["InsightArn"] == arn)
    eventually(lambda: pages("get_insights", "Insights"), lambda got: not set(made) & {i["InsightArn"] for i in got})
    for operation, args in {"get_insights": {"InsightArns": [first]}, "get_insight_results": {"InsightArn": first}, "update_insight": {"InsightArn": first, "Name": RUN}, "delete_insight": {"InsightArn": first}}.items():
        refuses("one that is deleted", operation, "ResourceNotFoundException", **args)
        refuses("no ARN", operation, "ResourceNotFoundException InvalidInputException", **{**args, **({"InsightArns": ["x"]} if "InsightArns" in args else {"InsightArn": "x"})})


def actions():
    made, key = [], RUN.split("-")[1]  # An id has letters and digits alone, twenty at most.

    def make(name):
        made.append(ask("create_action_target", Id=key + name, Name=f"{key} {name}", Description="d")["ActionTargetArn"])
        return made[-1]

    def get(arn):
        return ask("describe_action_targets", ActionTargetArns=[arn])["ActionTargets"][0]

    try:
        first, second, third = make("a"), make("b"), make("c")
        gone = first + "0"
        check("CreateActionTarget names it by its id", first == f"arn:aws:securityhub:{ARGS.region}:{ACCOUNT}:action/custom/{key}a", first)
        listed = eventually(lambda: [a["ActionTargetArn"] for a in pages("describe_action_targets", "ActionTargets", size=2)], lambda got: set(made) <= set(got))
        check("DescribeActionTargets lists what was made", set(made) <= set(listed), listed)
        got = ask("describe_action_targets", ActionTargetArns=[third, first])["ActionTargets"]
        check("DescribeActionTargets by ARN", [(a["ActionTargetArn"], a["Name"], a["Description"]) for a in got] == [(third, key + " c", "d"), (first, key + " a", "d")], got)
        ask("update_action_target", ActionTargetArn=first, Name=key + " x")
        got = eventually(lambda: get(first), lambda a: a["Name"] == key + " x")
        check("UpdateActionTarget changes what is named alone", (got["Name"], got["Description"]) == (key + " x", "d"), got)
        ask("update_action_target", ActionTargetArn=first, Description="e")
        got = eventually(lambda: get(first), lambda a: a["Description"] == "e")
        check("UpdateActionTarget changes the description", (got["Name"], got["Description"]) == (key + " x", "e"), got)
        base = {"Id": key + "d", "Name": key, "Description": "d"}
        refuses("an id that is taken", "create_action_target", "ResourceConflictException", **{**base, "Id": key + "a"})
        for name, more in {"an id of 21 characters": {"Id": "i" * 21}, "an id with a dash": {"Id": "a-b"}, "no id": {"Id": ""}}.items():
            refuses(name, "create_action_target", "InvalidInputException", **{**base, **more})
        for name, more in {"a name of 21 characters": {"Name": "n" * 21}, "no name": {"Name": ""}, "no description": {"Description": ""}}.items():
            refuses(name, "create_action_target", "InvalidInputException", **{**base, **more})
            refuses(name, "update_action_target", "InvalidInputException", ActionTargetArn=second, **more)
        for name in base:
            refuses(f"without {name}", "create_action_target", "InvalidInputException", **{k: v for k, v in base.items() if k != name})
        refuses("pages of 101", "describe_action_targets", "InvalidInputException", MaxResults=101)
        refuses("a token that is none", "describe_action_targets", "InvalidInputException", NextToken="x")
        refuses("none such, beside one", "describe_action_targets", "ResourceNotFoundException", ActionTargetArns=[first, gone])
        if PARRY:
            for i in range(50 - len(pages("describe_action_targets", "ActionTargets"))):
                made.append(HUB.create_action_target(Id=f"{key}m{i}", Name=key, Description="d")["ActionTargetArn"])
            refuses("one over 50", "create_action_target", "LimitExceededException", hub=ONCE, **base)
        else:
            differs("CreateActionTarget: one over 50", "left out on AWS")
    finally:
        for arn in made[3:]:
            HUB.delete_action_target(ActionTargetArn=arn)
        for arn in made[:3]:
            check("DeleteActionTarget names what is gone", ask("delete_action_target", ActionTargetArn=arn)["ActionTargetArn"] == arn)
    eventually(lambda: pages("describe_action_targets", "ActionTargets"), lambda got: not set(made) & {a["ActionTargetArn"] for a in got})
    for operation, args in {"describe_action_targets": {"ActionTargetArns": [first]}, "update_action_target": {"ActionTargetArn": first, "Name": "x"}, "delete_action_target": {"ActionTargetArn": first}}.items():
        refuses("one that is deleted", operation, "ResourceNotFoundException", **args)
        refuses("no ARN", operation, "ResourceNotFoundException InvalidInputException", **{**args, **({"ActionTargetArns": ["x"]} if "ActionTargetArns" in args else {"ActionTargetArn": "x"})})


# Standards and controls.


def standards():
    known = pages("describe_standards", "Standards", size=5)
    check("DescribeStandards has FSBP", any("aws-foundational-security-best-practices" in s["StandardsArn"] for s in known), len(known))
    if PARRY:
        hub = f"arn:aws:securityhub:{ARGS.region}::product/aws/securityhub"
        send({**finding("control"), "ProductArn": hub, "GeneratorId": "aws-foundational-security-best-practices/v/1.0.0/S3.1", "Compliance": {"Status": "FAILED"}})
        enabled = eventually(lambda: pages("get_enabled_standards", "StandardsSubscriptions"), bool)
    else:
        enabled = pages("get_enabled_standards", "StandardsSubscriptions")
    if enabled:
        arn = enabled[0]["StandardsSubscriptionArn"]
        ask("get_enabled_standards", StandardsSubscriptionArns=[arn])
        controls = pages("describe_standards_controls", "Controls", size=50, StandardsSubscriptionArn=arn)
        check("DescribeStandardsControls", len(controls) > 0)
        refuses("pages of 101", "describe_standards_controls", "InvalidInputException", StandardsSubscriptionArn=arn, MaxResults=101)
    refuses("no ARN", "get_enabled_standards", "InvalidInputException", StandardsSubscriptionArns=["x"])
    refuses("no ARN", "describe_standards_controls", "InvalidInputException", StandardsSubscriptionArn="x")
    refuses("a token that is none", "describe_standards", "InvalidInputException", NextToken="x")
    definitions = pages("list_security_control_definitions", "SecurityControlDefinitions", size=100)
    check("ListSecurityControlDefinitions has S3.1", any(d["SecurityControlId"] == "S3.1" for d in definitions), len(definitions))
    refuses("no ARN", "list_security_control_definitions", "InvalidInputException", StandardsArn="x")
    check("GetSecurityControlDefinition", ask("get_security_control_definition", SecurityControlId="S3.1")["SecurityControlDefinition"]["SecurityControlId"] == "S3.1")
    refuses("none such", "get_security_control_definition", "ResourceNotFoundException InvalidInputException", SecurityControlId="Nope.1")
    got = ask("batch_get_security_controls", SecurityControlIds=["S3.1", "Nope.1"])
    check("BatchGetSecurityControls tells controls from none", len(got["SecurityControls"]) == 1 and got["UnprocessedIds"][0]["SecurityControlId"] == "Nope.1", got)
    refuses("101 controls", "batch_get_security_controls", "InvalidInputException", SecurityControlIds=["S3.1"] * 101)
    associations = pages("list_standards_control_associations", "StandardsControlAssociationSummaries", size=1, SecurityControlId="S3.1")
    asked = [{"SecurityControlId": "S3.1", "StandardsArn": a["StandardsArn"]} for a in associations[:1]] + [{"SecurityControlId": "Nope.1", "StandardsArn": known[0]["StandardsArn"]}]
    got = ask("batch_get_standards_control_associations", StandardsControlAssociationIds=asked)
    check("BatchGetStandardsControlAssociations tells them from none", len(got["StandardsControlAssociationDetails"]) == len(asked) - 1 and len(got["UnprocessedAssociations"]) == 1, got)
    refuses("none such", "list_standards_control_associations", "InvalidInputException", SecurityControlId="Nope.1")


# Version 2.


def version2():
    if not PARRY:
        differs("Version 2", "left out on AWS: it has to be enabled, and findings of version 1 are not its own")
        return
    ask("enable_security_hub_v2"), ask("describe_security_hub_v2")
    for a in pages("list_aggregators_v2", "AggregatorsV2"):
        ask("get_aggregator_v2", AggregatorV2Arn=a["AggregatorV2Arn"])
    refuses("none such", "get_aggregator_v2", "ResourceNotFoundException", AggregatorV2Arn="x")
    ours = {"CompositeFilters": [{"StringFilters": [{"FieldName": "finding_info.title", "Filter": {"Value": "Conformance", "Comparison": "CONTAINS_WORD"}}]}]}
    found = pages("get_findings_v2", "Findings", size=1, Filters=ours)
    check("GetFindingsV2 gives them in OCSF", len(found) >= 3 and all(f["metadata"]["uid"] and f["class_uid"] for f in found), len(found))
    got = ask("get_finding_statistics_v2", GroupByRules=[{"GroupByField": "severity", "Filters": ours}])
    check("GetFindingStatisticsV2 counts them", sum(v["Count"] for v in got["GroupByResults"][0]["GroupByValues"]) == len(found), got)
    uid = found[0]["metadata"]["uid"]
    got = ask("batch_update_findings_v2", MetadataUids=[uid, "nobody"], Comment="seen", StatusId=2, SeverityId=4)
    check("BatchUpdateFindingsV2 does what it can", len(got["ProcessedFindings"]) == 1 and got["UnprocessedFindings"][0]["ErrorCode"] == "ResourceNotFoundException", got)
    refuses("a field that is none", "get_findings_v2", "ValidationException", Filters={"CompositeFilters": [{"StringFilters": [{"FieldName": "colour", "Filter": {"Value": "x", "Comparison": "EQUALS"}}]}]})
    refuses("pages of 101", "get_findings_v2", "ValidationException", MaxResults=101)
    refuses("a token that is none", "get_findings_v2", "ValidationException", NextToken="x")
    refuses("six rules", "get_finding_statistics_v2", "ValidationException", GroupByRules=[{"GroupByField": "severity"}] * 6)
    refuses("a status that is none", "batch_update_findings_v2", "ValidationException", MetadataUids=[uid], StatusId=77)
    refuses("both ways to name findings", "batch_update_findings_v2", "ValidationException", MetadataUids=[uid], FindingIdentifiers=[{"CloudAccountUid": ACCOUNT, "FindingInfoUid": "x", "MetadataProductUid": "y"}], Comment="c")
    rule = {"RuleName": f"{RUN} v2", "Description": "d", "RuleOrder": 900.5, "RuleStatus": "DISABLED", "Criteria": {"OcsfFindingCriteria": {"CompositeFilters": [{"StringFilters": [{"FieldName": "finding_info.title", "Filter": {"Value": "Conformance", "Comparison": "PREFIX"}}]}]}},
            "Actions": [{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": {"StatusId": 3}}]}
    made = ask("create_automation_rule_v2", ClientToken=RUN, **rule)
    check("CreateAutomationRuleV2 once for a token", ask("create_automation_rule_v2", ClientToken=RUN, **rule)["RuleId"] == made["RuleId"])
    refuses("the token for another rule", "create_automation_rule_v2", "ConflictException", ClientToken=RUN, **{**rule, "RuleName": RUN + " other"})
    refuses("the token with another order", "create_automation_rule_v2", "ConflictException", ClientToken=RUN, **{**rule, "RuleOrder": 902.5})
    ask("update_automation_rule_v2", Identifier=made["RuleId"], RuleOrder=901.25)
    check("GetAutomationRuleV2", ask("get_automation_rule_v2", Identifier=made["RuleArn"])["RuleOrder"] == 901.25)
    check("ListAutomationRulesV2", any(r["RuleId"] == made["RuleId"] for r in ask("list_automation_rules_v2")["Rules"]))
    ask("delete_automation_rule_v2", Identifier=made["RuleId"])
    refuses("none such", "get_automation_rule_v2", "ResourceNotFoundException", Identifier=made["RuleId"])
    refuses("none such", "update_automation_rule_v2", "ResourceNotFoundException", Identifier=made["RuleId"], RuleOrder=1.5)
    refuses("none such", "delete_automation_rule_v2", "ResourceNotFoundException", Identifier=made["RuleId"])


# What is refused.


def reader():
    if "PARRY_READER_KEY" not in os.environ:
        differs("a key that may only read", "PARRY_READER_KEY names none")
        return
    key = client(checked=False, aws_access_key_id=os.environ["PARRY_READER_KEY"], aws_secret_access_key=os.environ["PARRY_READER_SECRET"])
    rule = {"RuleName": RUN, "Description": "d", "RuleOrder": 1, "Criteria": MINE, "Actions": [{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": {"Workflow": {"Status": "NEW"}}}]}
    insight, action = f"arn:aws:securityhub:{ARGS.region}:{ACCOUNT}:insight/{ACCOUNT}/custom/x", f"arn:aws:securityhub:{ARGS.region}:{ACCOUNT}:action/custom/x"
    ask("get_findings", hub=key, Filters=MINE), ask("get_insights", hub=key), ask("describe_action_targets", hub=key)
    for operation, args in {
        "batch_import_findings": {"Findings": [finding("reader")]},
        "batch_update_findings": {"FindingIdentifiers": [who("a")], "Workflow": {"Status": "NEW"}},
        "create_automation_rule": rule,
        "create_insight": {"Name": RUN, "Filters": MINE, "GroupByAttribute": "Type"},
        "update_insight": {"InsightArn": insight, "Name": RUN},
        "delete_insight": {"InsightArn": insight},
        "create_action_target": {"Id": "x", "Name": "x", "Description": "d"},
        "update_action_target": {"ActionTargetArn": action, "Name": "x"},
        "delete_action_target": {"ActionTargetArn": action},
        "enable_security_hub": {},
        "batch_update_findings_v2": {"MetadataUids": ["x"], "Comment": "c"},
    }.items():
        refuses("a key that may only read", operation, "AccessDeniedException", hub=key, **args)


def unserved():
    """Every operation of the model that nothing above has walked is refused by its name. On AWS it would be done."""
    if not PARRY:
        differs("operations that Parry does not serve", "left out on AWS: they would be done")
        return
    left = sorted(set(LOOSE.meta.method_to_api_mapping.values()) - WALKED)
    methods = {api: method for method, api in LOOSE.meta.method_to_api_mapping.items()}
    for api in left:
        model = LOOSE.meta.service_model.operation_model(api)
        refuses("is refused by name", methods[api], "InvalidAccessException AccessDeniedException UnknownOperationException", **(sample(model.input_shape) if model.input_shape else {}))
    say("ok", f"{len(WALKED)} operations walked, {len(left)} of them refused")
    request = AWSRequest(method="POST", url=ARGS.endpoint_url + "/nothing", data=b"{}", headers={"Content-Type": "application/json"})
    SigV4Auth(boto3.Session().get_credentials().get_frozen_credentials(), "securityhub", ARGS.region).add_auth(request)
    answer = URLLib3Session().send(request.prepare())
    check("a path that is none", answer.status_code == 501 and answer.headers.get("x-amzn-errortype") == "UnknownOperationException", (answer.status_code, answer.text))


def end():
    """Archives what was made here. Findings of Security Hub's own product are Parry's alone."""
    left = [f for f in mine() if f["ProductArn"] == PRODUCT]
    keep = ("SchemaVersion", "Id", "ProductArn", "GeneratorId", "AwsAccountId", "CreatedAt", "Title", "Description", "Severity", "Types")
    got = send(*[{**{k: f[k] for k in keep}, "Resources": [{"Type": "Other", "Id": "x"}], "UpdatedAt": stamp(5), "RecordState": "ARCHIVED"} for f in left])
    check("the findings are archived", got["FailedCount"] == 0, got)


for walk in (hub, organization, imports, filters, updates, insights, actions, rules, standards, version2, reader, unserved, end):
    try:
        walk()
    except Exception as e:  # The other walks are worth their lines still.
        say("FAIL", walk.__name__, f"{type(e).__name__}: {e}")
sys.exit(1 if FAILED else 0)
