"""Says what botocore's rules engine makes of the endpoint cases.

Reads the cases' file that is named; prints one JSON list with a list of outcomes
for each service in it: {"endpoint": ...} or {"error": text}, or null for a
service that botocore does not have.
"""

import gzip
import json
import sys

import botocore.session
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError


def outcome(provider, params):
    """Gives what the rules say."""
    try:
        found = provider.resolve_endpoint(**params)
    except EndpointProviderError as e:
        return {"error": str(e)}
    return {
        "endpoint": {
            "url": found.url,
            "headers": found.headers,
            "properties": found.properties,
        }
    }


def main():
    loader = botocore.session.get_session().get_component("data_loader")
    partitions = loader.load_data("partitions")
    names = {}
    for name in loader.list_available_services("service-2"):
        rules = loader.load_service_model(name, "endpoint-rule-set-1")
        names[name] = EndpointProvider(rules, partitions)
    wanted = json.loads(sys.argv[2])
    out = []
    for cases in json.load(gzip.open(sys.argv[1])):
        provider = names.get(wanted.get(cases["id"]))
        if provider is None:
            out.append(None)
            continue
        out.append([outcome(provider, c["params"] or {}) for c in cases["testCases"]])
    json.dump(out, sys.stdout)


main()
