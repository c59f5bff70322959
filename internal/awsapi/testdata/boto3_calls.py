"""Makes AWS calls with boto3 and prints the answers, for comparison with ours.

Reads a JSON list of calls on stdin: {"service", "operation", "region", "input"}.
A text "$3.Vpc.VpcId" in an input stands for a member of the answer to call 3.
Prints one JSON list: {"output": ...}, {"error": ...} or {"invalid": text}.
"""

import base64
import datetime
import json
import sys

import boto3
import botocore.exceptions
from botocore.config import Config


def plain(value):
    """Gives a form of value that JSON can hold."""
    if isinstance(value, datetime.datetime):
        return {"$time": value.astimezone(datetime.timezone.utc).isoformat()}
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    if hasattr(value, "read"):
        return plain(value.read())
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def fill(value, answers):
    """Puts members of earlier answers, bytes and times into an input."""
    if isinstance(value, str) and value.startswith("$"):
        number, *path = value[1:].split(".")
        found = answers[int(number)]["output"]
        for part in path:
            found = found[int(part)] if isinstance(found, list) else found[part]
        return found
    if isinstance(value, dict):
        if list(value) == ["$bytes"]:
            return base64.b64decode(value["$bytes"])
        if list(value) == ["$time"]:
            return datetime.datetime.fromisoformat(value["$time"])
        return {k: fill(v, answers) for k, v in value.items()}
    if isinstance(value, list):
        return [fill(v, answers) for v in value]
    return value


def call(c, endpoint, answers):
    """Makes one call."""
    client = boto3.client(
        c["service"],
        region_name=c.get("region", "us-east-1"),
        endpoint_url=endpoint,
        aws_access_key_id="AKIAPARRYTEST0000000",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    names = {
        v.lower().replace("_", ""): k
        for k, v in client.meta.method_to_api_mapping.items()
    }
    method = getattr(client, names[c["operation"].lower().replace("_", "")])
    try:
        return {"output": plain(method(**fill(c.get("input", {}), answers)))}
    except botocore.exceptions.ClientError as e:
        error = e.response["Error"]
        return {
            "error": {
                "Code": error["Code"],
                "Message": error.get("Message", ""),
                "HTTPStatusCode": e.response["ResponseMetadata"]["HTTPStatusCode"],
                "Text": str(e),
            }
        }
    except botocore.exceptions.ParamValidationError as e:
        return {"invalid": str(e)}
    except Exception as e:  # the test shows what boto3 raised
        return {"raised": repr(e)}


def main():
    endpoint = sys.argv[1]
    answers = []
    for c in json.load(sys.stdin):
        answers.append(call(c, endpoint, answers))
    json.dump(answers, sys.stdout)


main()
