"""Prints what boto3 would send for calls. It sends nothing.

    sent.py CALLS.json
        CALLS.json is a list of {"service", "operation", "input"}; prints the list of
        their bodies as text, in order

Only calls that are whole in their bodies: where a member goes into the path, the
query or a header, the exit status is 1.
"""

import json
import sys

import boto3
from botocore.config import Config


class Caught(Exception):
    """Ends a call that is ready to be sent."""


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        calls = json.load(file)
    clients, bodies = {}, []

    def catch(request, **_):
        body = request.body or b""
        text = body if isinstance(body, str) else bytes(body).decode()
        bodies.append((request.method, request.url, text))
        raise Caught

    for call in calls:
        service = call["service"]
        if service not in clients:
            clients[service] = boto3.client(
                service,
                region_name="us-east-1",
                endpoint_url="http://127.0.0.1:9",
                aws_access_key_id="none",
                aws_secret_access_key="none",
                config=Config(retries={"total_max_attempts": 1}),
            )
            clients[service].meta.events.register("before-send", catch)
        try:
            clients[service]._make_api_call(call["operation"], call["input"] or {})
        except Caught:
            pass
        method, url, _ = bodies[-1]
        if (method, url) != ("POST", "http://127.0.0.1:9/"):
            sys.exit(f"{service}:{call['operation']} is not whole in its body: {method} {url}")
    json.dump([text for _, _, text in bodies], sys.stdout)


if __name__ == "__main__":
    main()
