"""Sees whether moto's state has changed, and where: compares flat pictures, path -> value."""

import collections
import datetime
import decimal
import io
import re
import types
import uuid

from moto.core.base_backend import BaseBackend

# What a read may change in moto, each with its reason: a pattern for "service:Operation path".
IGNORED = {
    r"\._tick$": "ManagedState counts how often a resource was described, to act out one that becomes ready in time",
    r"^ec2:\w+ .*\['_ri_offerings(_generated)?'\]": "the fixed list of offerings is made when it is first asked for",
    r"^elbv2:DescribeLoadBalancers .*\.state$": "a load balancer acts out becoming active",
    r"^emr:List\w+ .*\['_(release_labels|instance_types)'\]": "fixed lists, loaded when they are first asked for",
    r"^s3:\w+ .*\._etag$": "the ETag of an object is computed when it is first asked for",
    r"^sts:\w+ (iam|sts)\..*\['(access_keys|assumed_roles)'\]": "moto remembers whose the credentials are; in AWS the token itself says so",
    r"^ses:GetIdentityDkimAttributes .*dkim_tokens": "the tokens are made when first asked for; in AWS VerifyDomainDkim makes them",
    r"^servicediscovery:ListOperations .*\['operations'\]": "operations of namespaces that are gone are dropped when they are listed",
    r"^ssm:DescribeParameters .*\['_resource_tags'\]\['Parameter'\]": "a defaultdict makes an empty entry when it is read",
    r"^cloudtrail:GetTrailStatus .*\.status\.": "the time of the last delivery is made up when it is asked for",
    r"^acm:\w+ .*\.status$": "a certificate is issued some time after the request, seen when it is looked at",
    r"^medialive:Describe\w+ .*\.(_previous_state|state)$": "channels and inputs act out becoming ready",
    r"^identitystore:\w+ .*\['identity_stores'\]": "an empty identity store is made for any id that is named",
    r"^panorama:DescribeDevice .*_status_manager\._status$": "a device acts out becoming ready",
    r"^resourcegroupstaggingapi:Get\w+ .*\['_pages'\]": "what is left of a listing is kept for its next page",
    r"^mediastore:DescribeContainer .*\.status$": "a container acts out becoming ready",
}

GLOBALS = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, types.MethodType)
ATOMS = {str, bytes, int, float, bool, complex, type(None)}
VALUES = {datetime.datetime, datetime.date, datetime.timedelta, decimal.Decimal, uuid.UUID}


def picture(root, name=""):
    """The state as {path: value}; what is met twice is named by its first path."""
    flat, seen, todo = {}, {}, [(name, root)]
    while todo:
        path, value = todo.pop()
        kind = type(value)
        if kind in ATOMS:
            flat[path] = value
            continue
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if kind in VALUES:
            flat[path] = repr(value)
        elif issubclass(kind, BaseBackend):
            flat[path] = kind.__qualname__  # itself, or another service's, which has its own picture
        elif not issubclass(kind, GLOBALS):
            flat[path] = kind.__qualname__
            todo += children(path, value)
    return flat


def children(path, value):
    found = []
    if isinstance(value, dict):
        found = [(f"{path}[{key!r:.80}]", item) for key, item in list(value.items())]
    elif isinstance(value, (list, tuple, collections.deque)):
        found = [(f"{path}[{i}]", item) for i, item in enumerate(list(value))]
    elif isinstance(value, (set, frozenset)):
        found = [(f"{path}{{{key}}}", True) for key in sorted(map(repr, value))]
    elif isinstance(value, io.BytesIO):
        found = [(f"{path}()", value.getvalue())]
    return found + [(f"{path}.{name}", item) for name, item in list(getattr(value, "__dict__", {}).items())]


def differences(what, before, after):
    """The paths that a call changed, the ignored ones left out; and which patterns were used."""
    paths, used = [], set()
    for path in sorted(before.keys() | after.keys()):
        if before.get(path, KeyError) == after.get(path, KeyError):
            continue
        pattern = next((p for p in IGNORED if re.search(p, f"{what} {path}")), None)
        if pattern:
            used.add(pattern)
        else:
            paths.append(path)
    return paths, used
