"""Makes connections and API destinations with the real boto3.

    destinations.py ENDPOINT < {"keys": {name: {"id": ..., "secret": ...}}, "receiver": URL, "hub": ...}

It writes one JSON object: what each call came to, by name.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

DATA = json.load(sys.stdin)
AT = DATA["receiver"]
EVENTS = f"arn:aws:events:us-east-1:{DATA['hub']}:"
OUT = {}


def client(name):
    key = DATA["keys"][name]
    config = Config(retries={"mode": "standard", "total_max_attempts": 4}, read_timeout=20)
    return boto3.client("events", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id=key["id"], aws_secret_access_key=key["secret"], config=config)


def refused(call, **args):
    try:
        call(**args)
    except ClientError as e:
        return f"{e.response['Error']['Code']}: {e.response['Error']['Message']}"
    return "answered"


ADMIN, OPERATOR, READER, SOURCE = (client(n) for n in ("admin", "operator", "reader", "scanner"))
AUTH = {
    "basic": ("BASIC", {"BasicAuthParameters": {"Username": "ada", "Password": "hush-basic"}}),
    "key": ("API_KEY", {"ApiKeyAuthParameters": {"ApiKeyName": "X-Shop-Key", "ApiKeyValue": "hush-key"}}),
    "oauth": (
        "OAUTH_CLIENT_CREDENTIALS",
        {
            "OAuthParameters": {
                "ClientParameters": {"ClientID": "parry", "ClientSecret": "hush-oauth"},
                "AuthorizationEndpoint": AT + "/token",
                "HttpMethod": "POST",
                "OAuthHttpParameters": {"BodyParameters": [{"Key": "pin", "Value": "hush-pin", "IsValueSecret": True}]},
            }
        },
    ),
}
EXTRA = {
    "HeaderParameters": [{"Key": "X-Tenant", "Value": "hush-tenant", "IsValueSecret": True}],
    "QueryStringParameters": [{"Key": "from", "Value": "parry", "IsValueSecret": False}],
    "BodyParameters": [{"Key": "pass", "Value": "hush-body", "IsValueSecret": True}],
}
arns, states, shown = {}, [], []
for name, (kind, auth) in AUTH.items():
    if name == "basic":
        auth = {**auth, "InvocationHttpParameters": EXTRA}
    made = ADMIN.create_connection(Name=name, AuthorizationType=kind, AuthParameters=auth)
    states.append(made["ConnectionState"])
    shown.append(READER.describe_connection(Name=name))
    arns[name] = ADMIN.create_api_destination(
        Name=name, ConnectionArn=made["ConnectionArn"], InvocationEndpoint=f"{AT}/{name}/*?fixed=1", HttpMethod="PUT" if name == "key" else "POST", InvocationRateLimitPerSecond=50
    )["ApiDestinationArn"]
OUT["states"] = states
OUT["secrets"] = "hush" in repr(shown)
OUT["seen"] = shown[0]["AuthParameters"]["InvocationHttpParameters"]["QueryStringParameters"]
OUT["destination"] = {k: READER.describe_api_destination(Name="key")[k] for k in ("ApiDestinationState", "HttpMethod", "InvocationRateLimitPerSecond")}
first = READER.list_connections(Limit=2)
OUT["connections"] = [c["Name"] for c in first["Connections"] + READER.list_connections(NextToken=first["NextToken"])["Connections"]]
OUT["destinations"] = [d["Name"] for d in READER.list_api_destinations(ConnectionArn=shown[1]["ConnectionArn"])["ApiDestinations"]]

# Who may not, and what is not served.
for name, other in {"operator": OPERATOR, "reader": READER, "source": SOURCE}.items():
    OUT[name + " makes"] = refused(other.create_connection, Name="x", AuthorizationType="BASIC", AuthParameters=AUTH["basic"][1])
    OUT[name + " changes"] = refused(other.update_api_destination, Name="basic", InvocationEndpoint=AT)
OUT["source reads"] = refused(SOURCE.describe_connection, Name="basic")
OUT["elsewhere"] = refused(ADMIN.update_api_destination, Name="basic", InvocationEndpoint="https://evil.example/")
OUT["metadata"] = refused(ADMIN.update_api_destination, Name="basic", InvocationEndpoint="http://169.254.169.254/latest/meta-data/")
OUT["private"] = refused(
    ADMIN.update_connection,
    Name="basic",
    InvocationConnectivityParameters={"ResourceParameters": {"ResourceConfigurationArn": ""}},
)
bad = {"OAuthParameters": {**AUTH["oauth"][1]["OAuthParameters"], "ClientParameters": {"ClientID": "nobody", "ClientSecret": "hush-no"}}}
OUT["nobody"] = ADMIN.create_connection(Name="nobody", AuthorizationType="OAUTH_CLIENT_CREDENTIALS", AuthParameters=bad)["ConnectionState"]
OUT["why"] = READER.describe_connection(Name="nobody")["StateReason"]
OUT["deleted"] = ADMIN.delete_connection(Name="nobody")["ConnectionState"]

# A rule with all of them as targets.
ADMIN.put_rule(Name="sold", EventPattern=json.dumps({"source": ["shop"]}))
targets = [
    {"Id": n, "Arn": arn, "InputPath": "$.detail", "HttpParameters": {"PathParameterValues": ["$.detail.id"], "HeaderParameters": {"X-Event": "$.id", "User-Agent": "me"}, "QueryStringParameters": {"n": "$.detail.n"}}}
    for n, arn in arns.items()
]
OUT["put"] = ADMIN.put_targets(Rule="sold", Targets=targets)["FailedEntryCount"]
failed = ADMIN.put_targets(
    Rule="sold", Targets=[{"Id": "x", "Arn": arns["key"]}, {"Id": "y", "Arn": EVENTS + "api-destination/key/00000000-0000-0000-0000-000000000000", "HttpParameters": {"PathParameterValues": ["a"]}}]
)["FailedEntries"]
OUT["failed"] = {f["TargetId"]: f["ErrorCode"] for f in failed}
OUT["rules of"] = READER.list_rule_names_by_target(TargetArn=arns["oauth"])["RuleNames"]
json.dump(OUT, sys.stdout)
