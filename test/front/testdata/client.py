"""Talks to Parry with the real boto3: a list of calls in, a list of outcomes out.

    client.py ENDPOINT < calls.json
"""

import datetime
import json
import sys
from unittest import mock

import boto3
import botocore.auth
from botocore.config import Config
from botocore.exceptions import ClientError


def client(call):
    return boto3.client(
        call.get("service", "securityhub"),
        endpoint_url=sys.argv[1],
        region_name="us-east-1",
        aws_access_key_id=call["id"],
        aws_secret_access_key=call["secret"],
        config=Config(parameter_validation=False, retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=20),
    )


def run(call):
    shift = datetime.timedelta(minutes=call.get("minutes", 0))
    now = datetime.datetime.now(datetime.timezone.utc) + shift
    try:
        with mock.patch.object(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: now.replace(tzinfo=None) if remove_tzinfo else now):
            answer = getattr(client(call), call["op"])(**call.get("args", {}))
        answer.pop("ResponseMetadata")
        return {"status": 200, "answer": answer}
    except ClientError as e:
        return {
            "status": e.response["ResponseMetadata"]["HTTPStatusCode"],
            "code": e.response["Error"]["Code"],
            "message": e.response["Error"]["Message"],
            "type": type(e).__name__,
        }


json.dump([run(call) for call in json.load(sys.stdin)], sys.stdout, default=str)
