"""Pages and waits with boto3 against moto, for comparison with the gate's.

Argument: moto's address. Reads a JSON list: {"service", "paginator", "input",
"config"} or {"service", "waiter", "input", "config"}; "resume" takes the
NextToken of the listing before. Prints a JSON list of results.
"""

import json
import sys

import boto3
import botocore.exceptions

from client import plain


def run(c, client, token):
    try:
        if "waiter" in c:
            client.get_waiter(c["waiter"]).wait(WaiterConfig=c.get("config", {}), **c["input"])
            return {"waited": True}
        config = dict(c.get("config", {}))
        if c.get("resume"):
            config["StartingToken"] = token
        pages = client.get_paginator(c["paginator"]).paginate(PaginationConfig=config, **c["input"])
        return {"output": plain(pages.build_full_result())}
    except (botocore.exceptions.WaiterError, botocore.exceptions.ClientError) as e:
        return {"failed": str(e)}


def main():
    results, token = [], None
    for c in json.load(sys.stdin):
        client = boto3.client(
            c["service"],
            region_name="us-east-1",
            endpoint_url=sys.argv[1],
            aws_access_key_id="AKIAPARRYTEST0000000",
            aws_secret_access_key="secret",
        )
        result = run(c, client, token)
        token = result.get("output", {}).get("NextToken")
        results.append(result)
    json.dump(results, sys.stdout)


main()
