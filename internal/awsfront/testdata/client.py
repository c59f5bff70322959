"""Talks to Parry with the real boto3: one scenario per run, JSON out.

    client.py SCENARIO ENDPOINT < input.json
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def client(service, mode="standard"):
    return boto3.client(
        service,
        endpoint_url=sys.argv[2],
        config=Config(retries={"mode": mode, "total_max_attempts": 3 if mode == "standard" else 5}, read_timeout=10),
    )


def strip(response):
    meta = response.pop("ResponseMetadata")
    return {"response": response, "retries": meta["RetryAttempts"], "request": meta["RequestId"]}


def attempt(call, **kw):
    try:
        return strip(call(**kw))
    except ClientError as e:
        return {
            "error": e.response["Error"]["Code"],
            "message": e.response["Error"]["Message"],
            "status": e.response["ResponseMetadata"]["HTTPStatusCode"],
            "type": type(e).__name__,
        }


def story(data):
    hub = client("securityhub")
    out = {
        "identity": attempt(client("sts").get_caller_identity),
        "hub": attempt(hub.describe_hub),
        "enable": attempt(hub.enable_security_hub, EnableDefaultStandards=False),
        "imported": attempt(hub.batch_import_findings, Findings=data["findings"]),
        "found": attempt(hub.get_findings, Filters={"AwsAccountId": [{"Value": "222222222222", "Comparison": "EQUALS"}]},
                         SortCriteria=[{"Field": "UpdatedAt", "SortOrder": "desc"}], MaxResults=10),
        "updated": attempt(
            hub.batch_update_findings,
            FindingIdentifiers=[{"Id": f["Id"], "ProductArn": f["ProductArn"]} for f in data["findings"]],
            Workflow={"Status": "NOTIFIED"},
            Note={"Text": "looked at", "UpdatedBy": "ada"},
        ),
        "unserved": attempt(hub.get_resources_v2),
    }
    return out


def importing(data):
    return {mode: attempt(client("securityhub", mode).batch_import_findings, Findings=data["findings"]) for mode in data["modes"]}


def whoami(data):
    return {"identity": attempt(client("sts").get_caller_identity), "hub": attempt(client("securityhub").describe_hub)}


json.dump({"story": story, "import": importing, "whoami": whoami}[sys.argv[1]](json.load(sys.stdin)), sys.stdout, default=str)
