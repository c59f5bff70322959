"""Drives Parry's EventBridge API with the real boto3: one story per name.

    events.py ENDPOINT < {"keys": {name: {"id": ..., "secret": ...}}, "account": ..., "hub": ...}

It writes one JSON object: what each call came to, by name.
"""

import datetime
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

DATA = json.load(sys.stdin)
HUB, ACCOUNT = DATA["hub"], DATA["account"]
EVENTS, PARRY = f"arn:aws:events:us-east-1:{HUB}:", f"arn:aws:parry:us-east-1:{HUB}:"
OUT = {}


def client(name):
    key = DATA["keys"][name]
    return boto3.client(
        "events",
        endpoint_url=sys.argv[1],
        region_name="eu-central-1",
        aws_access_key_id=key["id"],
        aws_secret_access_key=key["secret"],
        config=Config(retries={"mode": "standard", "total_max_attempts": 4}, read_timeout=20),
    )


def refused(call, **args):
    try:
        call(**args)
    except ClientError as e:
        return f"{type(e).__name__}: {e.response['Error']['Message']}"
    return "answered"


def plain(answer):
    answer.pop("ResponseMetadata", None)
    return answer


ADMIN, OPERATOR, READER, SOURCE, SCANNER, DEV = (client(n) for n in ("admin", "operator", "reader", "source", "scanner", "dev-source"))
PATTERN = json.dumps({"source": ["shop"], "detail": {"price": [{"numeric": [">", 10]}]}})

# Buses.
OUT["bus"] = ADMIN.create_event_bus(Name="orders", Description="of the shop", Tags=[{"Key": "team", "Value": "a"}])["EventBusArn"]
OUT["bus again"] = refused(ADMIN.create_event_bus, Name="orders")
OUT["operator makes a bus"] = refused(OPERATOR.create_event_bus, Name="x")
OUT["buses"] = [b["Name"] for b in READER.list_event_buses()["EventBuses"]]
OUT["updated"] = ADMIN.update_event_bus(Name="orders", Description="of both shops")["Description"]
OUT["described"] = type(READER.describe_event_bus(Name=OUT["bus"])["CreationTime"]).__name__
OUT["no bus"] = refused(READER.describe_event_bus, Name="none")

# Rules and targets.
OUT["rule"] = ADMIN.put_rule(Name="dear", EventBusName="orders", EventPattern=PATTERN)["RuleArn"]
OUT["pattern"] = refused(ADMIN.put_rule, Name="x", EventPattern='{"source": "x"}')
OUT["schedule"] = refused(ADMIN.put_rule, Name="x", EventBusName="orders", ScheduleExpression="rate(5 minutes)")
OUT["managed"] = refused(ADMIN.delete_rule, Name="production", Force=True)
OUT["by the file"] = {r["Name"]: r.get("ManagedBy") for r in READER.list_rules()["Rules"]}
hook = {
    "Id": "hook",
    "Arn": PARRY + "webhook/hook",
    "InputTransformer": {"InputPathsMap": {"item": "$.detail.item"}, "InputTemplate": '{"sold": "<item>", "rule": <aws.events.rule-name>}'},
}
put = ADMIN.put_targets(
    Rule="dear",
    EventBusName="orders",
    Targets=[
        hook,
        {"Id": "listed", "Arn": f"arn:aws:sqs:us-east-1:{HUB}:listed", "DeadLetterConfig": {"Arn": f"arn:aws:sqs:us-east-1:{HUB}:listed"}},
        {"Id": "other", "Arn": f"arn:aws:sqs:us-east-1:{HUB}:other"},
        {"Id": "playbook", "Arn": PARRY + "playbook/Nothing"},
    ],
)
OUT["failed"] = {f["TargetId"]: f["ErrorCode"] + ": " + f["ErrorMessage"] for f in put["FailedEntries"]}
ADMIN.remove_targets(Rule="dear", EventBusName="orders", Ids=["listed"])
OUT["targets"] = READER.list_targets_by_rule(Rule="dear", EventBusName="orders")["Targets"] == [hook]
OUT["rules of"] = READER.list_rule_names_by_target(TargetArn=PARRY + "webhook/hook", EventBusName="orders")["RuleNames"]
OUT["with targets"] = refused(ADMIN.delete_rule, Name="dear", EventBusName="orders")
OUT["bus with rules"] = refused(ADMIN.delete_event_bus, Name="orders")

# Events.
def entry(price, **more):
    return {"Source": "shop", "DetailType": "Sold", "Detail": json.dumps({"price": price, "item": 'a "dear" one'}), "EventBusName": "orders", **more}


answer = SCANNER.put_events(Entries=[entry(5), entry(50, Time=datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)), entry(1, Source="aws.s3"), entry(1, Detail="[]"), entry(1, EventBusName="none")])
OUT["put"] = [answer["FailedEntryCount"]] + [e.get("ErrorCode", len(e.get("EventId", ""))) for e in answer["Entries"]]
OUT["reader puts"] = refused(READER.put_events, Entries=[entry(5)])
OUT["two accounts"] = refused(SOURCE.put_events, Entries=[entry(5)])
OUT["foreign"] = refused(DEV.put_events, Entries=[entry(5)])
ADMIN.put_permission(EventBusName="orders", Action="events:PutEvents", Principal=DATA["dev"], StatementId="dev")
OUT["allowed"] = DEV.put_events(Entries=[entry(5)])["FailedEntryCount"]
OUT["policy"] = json.loads(READER.describe_event_bus(Name="orders")["Policy"])["Statement"][0]["Sid"]
ADMIN.remove_permission(EventBusName="orders", StatementId="dev")
OUT["no more"] = refused(DEV.put_events, Entries=[entry(5)])
OUT["test"] = READER.test_event_pattern(
    EventPattern=PATTERN,
    Event=json.dumps({"id": "1", "account": HUB, "source": "shop", "time": "2026-03-01T00:00:00Z", "region": "x", "resources": [], "detail-type": "Sold", "detail": {"price": 11}}),
)["Result"]

# Archives and replays.
OUT["archive"] = ADMIN.create_archive(ArchiveName="sold", EventSourceArn=OUT["bus"], RetentionDays=2)["State"]
SCANNER.put_events(Entries=[entry(7), entry(8)])
OUT["archived"] = READER.describe_archive(ArchiveName="sold")["EventCount"]
OUT["replay"] = refused(ADMIN.start_replay, ReplayName="again", EventSourceArn=EVENTS + "archive/sold", EventStartTime=2, EventEndTime=1, Destination={"Arn": OUT["bus"]})
ADMIN.update_archive(ArchiveName="sold", RetentionDays=3)
OUT["archives"] = [(a["ArchiveName"], a["RetentionDays"]) for a in READER.list_archives()["Archives"]]
ADMIN.delete_archive(ArchiveName="sold")

# Tags, pages, and the end.
ADMIN.tag_resource(ResourceARN=OUT["rule"], Tags=[{"Key": "a", "Value": "b"}])
OUT["tags"] = READER.list_tags_for_resource(ResourceARN=OUT["rule"])["Tags"]
ADMIN.untag_resource(ResourceARN=OUT["rule"], TagKeys=["a"])
for i in range(7):
    ADMIN.put_rule(Name=f"page-{i}", EventBusName="orders", EventPattern=PATTERN, State="DISABLED")
names = [r["Name"] for page in READER.get_paginator("list_rules").paginate(EventBusName="orders", NamePrefix="page", PaginationConfig={"PageSize": 100}) for r in page["Rules"]]
first = READER.list_rules(EventBusName="orders", NamePrefix="page", Limit=3)
more = READER.list_rules(EventBusName="orders", NamePrefix="page", Limit=100, NextToken=first["NextToken"])
OUT["pages"] = names == [f"page-{i}" for i in range(7)] == [r["Name"] for r in first["Rules"] + more["Rules"]] and "NextToken" not in more
for name in names:
    ADMIN.delete_rule(Name=name, EventBusName="orders")
ADMIN.remove_targets(Rule="dear", EventBusName="orders", Ids=["hook"])
ADMIN.disable_rule(Name="dear", EventBusName="orders")
OUT["disabled"] = READER.describe_rule(Name="dear", EventBusName="orders")["State"]
ADMIN.delete_rule(Name="dear", EventBusName="orders")
ADMIN.delete_event_bus(Name="orders")
OUT["unserved"] = refused(ADMIN.list_endpoints)
json.dump(OUT, sys.stdout)
