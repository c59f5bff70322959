"""Prints endpoints.json: where AWS services are, as far as it is not the rule.

The rule is https://{endpoint prefix}.{region}.{suffix of the partition}, signed
for the region. botocore's endpoint rule sets are asked for two regions of each
partition; what differs from the rule is printed, with {region} where the region
stands. `make models` writes the file; a test compares.
"""

import json
import sys

import botocore.session
from botocore.endpoint_provider import EndpointProvider

PARTITIONS = {
    "aws": ("amazonaws.com", ["us-east-1", "eu-west-1", "us-west-2"]),
    "aws-cn": ("amazonaws.com.cn", ["cn-north-1", "cn-northwest-1"]),
    "aws-us-gov": ("amazonaws.com", ["us-gov-west-1", "us-gov-east-1"]),
}


def ask(provider, rules, resolver, prefix, region):
    """Gives URL and signing region, or None where the service is not."""
    args = {}
    for name, parameter in rules["parameters"].items():
        if "default" in parameter:
            args[name] = parameter["default"]
        elif parameter["type"].lower() == "boolean":
            args[name] = False
    # Services that are one for a partition have a region of their own name in
    # botocore's older table, which botocore asks first.
    legacy = resolver.construct_endpoint(prefix, region) or {}
    name = legacy.get("endpointName", region)
    args["Region"] = name if name.endswith("-global") else region
    if "UseGlobalEndpoint" in rules["parameters"]:
        args["UseGlobalEndpoint"] = False
    try:
        found = provider.resolve_endpoint(**args)
    except Exception:  # it needs what only a call has, such as a resource
        return None
    schemes = found.properties.get("authSchemes", [])
    signing = next(
        (s["signingRegion"] for s in schemes if s.get("signingRegion")), None
    )
    scope = legacy.get("credentialScope", {}).get("region")
    return found.url, signing or scope or region


def entry(found, usual):
    """Gives one line for all regions where one says it all."""
    urls = {url.replace(r, "{region}") for r, (url, _) in found.items()}
    signing = {s for _, s in found.values()}
    own = all(s == r for r, (_, s) in found.items())
    if len(set(found.values())) == 1:
        return {"*": list(next(iter(found.values())))}
    if len(urls) == 1 and (own or len(signing) == 1):
        return {"*": [urls.pop(), "" if own else signing.pop()]}
    return {r: list(got) for r, got in found.items() if got != usual[r]}


def main():
    session = botocore.session.get_session()
    loader = session.get_component("data_loader")
    resolver = session.get_component("endpoint_resolver")
    partitions = loader.load_data("partitions")
    table = {}
    for service in session.get_available_services():
        model = loader.load_service_model(service, "service-2")
        prefix = model["metadata"]["endpointPrefix"]
        rules = loader.load_service_model(service, "endpoint-rule-set-1")
        provider = EndpointProvider(rules, partitions)
        for partition, (suffix, regions) in PARTITIONS.items():
            found = {
                r: got
                for r in regions
                if (got := ask(provider, rules, resolver, prefix, r))
            }
            usual = {r: (f"https://{prefix}.{r}.{suffix}", r) for r in found}
            if found != usual:
                table.setdefault(service, {})[partition] = entry(found, usual)
    lines = [f'  {json.dumps(k)}: {json.dumps(v)}' for k, v in sorted(table.items())]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


main()
