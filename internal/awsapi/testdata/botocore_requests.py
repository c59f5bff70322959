"""Writes requests with botocore's serializers, for comparison with ours.

Reads JSON lines on stdin: {"service", "operation", "input"}; prints a JSON line
for each: {"method", "path", "query", "headers", "body"} or {"error": text}.
The body is base64.
"""

import base64
import datetime
import json
import sys
import urllib.parse

import botocore.serialize
import botocore.session
from botocore.model import ServiceModel


def fill(value):
    """Turns the test's marks into bytes and times."""
    if isinstance(value, dict):
        if list(value) == ["$bytes"]:
            return base64.b64decode(value["$bytes"])
        if list(value) == ["$time"]:
            return datetime.datetime.fromisoformat(value["$time"])
        return {k: fill(v) for k, v in value.items()}
    if isinstance(value, list):
        return [fill(v) for v in value]
    return value


def query(value):
    """Gives a query as sorted pairs, whatever botocore has it in."""
    if isinstance(value, str):
        return [list(p) for p in urllib.parse.parse_qsl(value, keep_blank_values=True)]
    pairs = value.items() if isinstance(value, dict) else value
    out = []
    for k, v in pairs:
        for item in v if isinstance(v, list) else [v]:
            out.append([k, str(item)])
    return sorted(out)


def main():
    loader = botocore.session.get_session().get_component("data_loader")
    models = {}
    for line in sys.stdin:
        case = json.loads(line)
        name = case["service"]
        if name not in models:
            models.clear()
            model = ServiceModel(loader.load_service_model(name, "service-2"), name)
            models[name] = (
                model,
                botocore.serialize.create_serializer(
                    model.resolved_protocol, include_validation=False
                ),
            )
        model, serializer = models[name]
        try:
            r = serializer.serialize_to_request(
                fill(case["input"]), model.operation_model(case["operation"])
            )
            body = r["body"]
            if isinstance(body, dict):
                body = urllib.parse.urlencode(body, doseq=True)
            if isinstance(body, str):
                body = body.encode()
            path, _, rest = r["url_path"].partition("?")
            pairs = query(r["query_string"]) + query(rest)
            answer = {
                "method": r["method"],
                "path": path,
                "query": sorted(pairs),
                "headers": {k.lower(): str(v) for k, v in r["headers"].items()},
                "body": base64.b64encode(bytes(body)).decode(),
            }
        except Exception as e:  # the test shows it
            answer = {"error": repr(e)}
        print(json.dumps(answer))


main()
