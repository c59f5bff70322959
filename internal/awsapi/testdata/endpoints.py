"""Says where botocore sends calls and what it signs them for.

Reads one JSON object on stdin: {"regions": [...], "services": {name: operation},
"calls": [{"service", "operation", "region", "input"}]}. Prints
{"services": {name: [outcome, ...]}, "calls": [outcome, ...]}: the outcomes of a
service are those of its operation without input for each region, without and with
FIPS, without and with dual stack. An outcome is {"url", "region", "name"}, with
"headers" where the endpoint adds some, or {"error": text}.
"""

import itertools
import json
import os
import sys

import botocore.client
import botocore.exceptions
import botocore.session


class Sent(Exception):
    """Ends a call when its request is there."""


def signing(client, context):
    """Gives the scope of a signature."""
    found = context.get("signing", {})
    signer = client._request_signer
    return {
        "region": found.get("region", signer.region_name),
        "name": found.get("signing_name", signer.signing_name),
    }


def resolve(client, operation, fips, dual):
    """Gives the endpoint of a call without input."""
    builtins = client._ruleset_resolver._builtins
    builtins["AWS::UseFIPS"], builtins["AWS::UseDualStack"] = fips, dual
    context = {"client_config": client.meta.config}
    model = client.meta.service_model.operation_model(operation)
    try:
        url, headers, _ = client._resolve_endpoint_ruleset(model, {}, context)
    except Exception as e:  # the test compares what was raised
        return {"error": str(e), "kind": type(e).__name__}
    return {"url": url, **signing(client, context)}


def request(session, call):
    """Gives the request of a whole call."""
    seen = {}

    def stop(request, **kwargs):
        scope = request.headers.get("Authorization", b"")
        scope = scope.decode() if isinstance(scope, bytes) else scope
        parts = scope.split("Credential=")[-1].split("/")
        seen.update(url=request.url, region=parts[2], name=parts[3])
        extra = {
            k.lower(): v.decode() if isinstance(v, bytes) else v
            for k, v in request.headers.items()
            if k.lower() in ("x-amz-account-id", "x-amz-outpost-id")
        }
        if extra:
            seen["headers"] = extra
        raise Sent

    try:
        client = session.create_client(call["service"], region_name=call["region"])
        client.meta.events.register("before-send", stop)
        client._make_api_call(call["operation"], call.get("input", {}))
    except Sent:
        return seen
    except Exception as e:  # the test compares what was raised
        return {"error": str(e), "kind": type(e).__name__}
    return {"error": "nothing was sent"}


def main():
    for name in list(os.environ):
        if name.startswith("AWS_"):
            del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    asked = json.load(sys.stdin)
    session = botocore.session.get_session()
    session.set_credentials("AKIAPARRYTEST0000000", "secret", account_id="111122223333")
    out = {"services": {}, "calls": [request(session, c) for c in asked["calls"]]}
    # Methods are not called below, and making them takes most of the time.
    botocore.client.ClientCreator._create_client_class = (
        lambda self, name, model: botocore.client.BaseClient
    )
    for service, operation in asked["services"].items():
        found = out["services"][service] = []
        for region in asked["regions"]:
            client = session.create_client(service, region_name=region)
            for fips, dual in itertools.product([False, True], repeat=2):
                found.append(resolve(client, operation, fips, dual))
    json.dump(out, sys.stdout)


main()
