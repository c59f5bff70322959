"""What boto3's data files say: operations behind waiters and resources.

The files are read, boto3 is not imported.
"""
import functools
import gzip
import importlib.util
import json
import os
import re


def snake(name):
    """Gives "describe_db_instances" for "DescribeDBInstances"."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z\d])([A-Z])", r"\1_\2", name).lower().replace("-", "_")


@functools.lru_cache(maxsize=None)
def _folders(package):
    spec = importlib.util.find_spec(package)
    return [os.path.join(p, "data") for p in (spec.submodule_search_locations or [])] if spec else []


@functools.lru_cache(maxsize=200)
def _data(package, service, name):
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,60}", service):
        return {}
    for folder in _folders(package):
        base = os.path.join(folder, service)
        if not os.path.isdir(base):
            continue
        for version in sorted(os.listdir(base), reverse=True):
            for suffix, opener in (("", open), (".gz", gzip.open)):
                path = os.path.join(base, version, name + ".json" + suffix)
                if os.path.isfile(path):
                    with opener(path, "rb") as f:
                        return json.load(f)
    return {}


def waiter(service, name):
    """Gives the operation that a waiter polls, or None."""
    for key, value in _data("botocore", service, "waiters-2").get("waiters", {}).items():
        if snake(key) == snake(name):
            return value.get("operation")
    return None


class Found:
    """What an attribute of a resource is."""

    def __init__(self, operations=(), kind=None, collection=None, called=False):
        self.operations = list(operations)  # named by using it, or by calling it
        self.kind = kind  # the resource that it gives
        self.collection = collection  # (operation, kind)
        self.called = called  # operations count when it is called


# Members that boto3 adds to the data by hand.
CUSTOM = {
    ("s3", "upload_file"): ["PutObject"], ("s3", "upload_fileobj"): ["PutObject"],
    ("s3", "download_file"): ["HeadObject", "GetObject"], ("s3", "download_fileobj"): ["HeadObject", "GetObject"],
    ("s3", "copy"): ["HeadObject", "CopyObject"], ("s3", "load"): ["ListBuckets"],
    ("dynamodb", "batch_writer"): ["BatchWriteItem"], ("ec2", "create_tags"): ["CreateTags"], ("ec2", "delete_tags"): ["DeleteTags"],
}


def resource(service, kind, name):
    """Says what the attribute name of a resource is; kind "" is the service."""
    data = _data("boto3", service, "resources-1")
    if not data:
        return None
    shape = data.get("resources", {}).get(kind, {}) if kind else data.get("service", {})
    for key, action in shape.get("actions", {}).items():
        if snake(key) == name:
            return Found([action["request"]["operation"]], action.get("resource", {}).get("type"), called=True)
    if name in ("load", "reload") and "load" in shape:
        return Found([shape["load"]["request"]["operation"]], called=True)
    if (service, name) in CUSTOM:
        return Found(CUSTOM[service, name], called=True)
    for key, has in shape.get("has", {}).items():
        if name in (key, snake(key)):
            return Found(kind=has["resource"]["type"])
    for key, many in shape.get("hasMany", {}).items():
        if snake(key) == name:
            return Found(collection=(many["request"]["operation"], many.get("resource", {}).get("type")))
    for key, wait in shape.get("waiters", {}).items():
        if name == "wait_until_" + snake(key):
            operation = waiter(service, wait.get("waiterName", key))
            return Found([operation] if operation else [], called=True)
    known = [snake(i["name"]) for i in shape.get("identifiers", [])]
    if name in known or name in ("meta", "get_available_subresources"):
        return Found()
    if "load" in shape:
        return Found([shape["load"]["request"]["operation"]])
    return Found()


def batch(service, kind, name):
    """Gives the operation of a collection's batch action, or None."""
    shape = _data("boto3", service, "resources-1").get("resources", {}).get(kind or "", {})
    for key, action in shape.get("batchActions", {}).items():
        if snake(key) == name:
            return action["request"]["operation"]
    return None
