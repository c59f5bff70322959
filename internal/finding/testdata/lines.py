"""Prints a finding for each line of botocore's model of ASFF: what it allows and what it refuses.

One JSON object a line: the finding, and the end of the message that it must be refused with, "" where it must be accepted. The limits
that the model has in its documentation only are read from there.
"""

import copy
import json
import re

import botocore.session

MODEL = botocore.session.get_session().get_service_model("securityhub")
SHAPES = MODEL._shape_resolver._shape_map  # There is no public way to the shapes as they are written.
DATE = r"(\d\d\d\d)-[0-1](\d)-[0-3](\d)[Tt](?:[0-2](\d):[0-5](\d):[0-5](\d)|23:59:60)(?:\.(\d)+)?(?:[Zz]|[+-](\d\d)(?::?(\d\d))?)$"
TIMESTAMP = "#timestamps"
# What a bare valid finding says already.
BASE = {
    "SchemaVersion": "2018-10-08",
    "Id": "f1",
    "ProductArn": "arn:aws:securityhub:eu-west-1:111122223333:product/111122223333/default",
    "GeneratorId": "g",
    "AwsAccountId": "111122223333",
    "CreatedAt": "2024-01-01T00:00:00Z",
    "UpdatedAt": "2024-01-02T00:00:00Z",
    "Title": "t",
    "Description": "d",
    "Severity": {"Label": "HIGH"},
    "Resources": [{"Type": "Other", "Id": "x"}],
}
# Members whose texts are checked by a rule of their own: what is said here of other texts does not hold for them.
OWN = {"SchemaVersion", "ProductArn", "AwsAccountId", "Types", "Labels", "Partition", "Severity"}


def limits(doc):
    """Gives least and most as the documentation words them: "Minimum of 1 length. Maximum of 512 length."."""
    least = re.search(r"[Mm]inimum (?:length |number )?of (\d+)", doc)
    most = re.search(r"[Mm]aximum (?:length |number )?of (\d+)", doc)
    exact = re.search(r"Length Constraints: (\d+)\.", doc)
    if "Constraints" not in doc and "Array Members" not in doc:
        return None, None
    return (int(least[1]) if least else None), (int(most[1]) if most else int(exact[1]) if exact else None)


def valid(name, member=None):
    """Gives a value that the shape allows."""
    shape, doc = SHAPES[name], (member or {}).get("documentation", "")
    kind = shape["type"]
    if kind == "string":
        return "2024-01-01T00:00:00Z" if TIMESTAMP in doc else shape.get("enum", ["x"])[0]
    if kind in ("integer", "long"):
        return 1
    if kind == "double":
        return 1.5
    if kind == "boolean":
        return True
    if kind == "list":
        return [valid(shape["member"]["shape"])]
    if kind == "map":
        return {"k": "v"}
    return {m: BASE["ProductArn"] if m == "ProductArn" else valid(shape["members"][m]["shape"], shape["members"][m]) for m in shape.get("required", [])}


def put(path, value):
    """Gives a finding with value at path, over the bare one."""
    finding = copy.deepcopy(BASE)
    at = finding
    for i, (key, shape, member) in enumerate(path):
        last = i == len(path) - 1
        if isinstance(at, list):
            if not at:
                at.append(None)
            at[0] = value if last else at[0] if isinstance(at[0], (dict, list)) else valid(shape, member)
            at = at[0]
        else:
            at[key] = value if last else at[key] if isinstance(at.get(key), (dict, list)) else valid(shape, member)
            at = at[key]
    return finding


def name(path):
    return "data" + "".join("[0]" if key is None else "." + key for key, _, _ in path)


def say(path, value, want):
    print(json.dumps({"Finding": put(path, value), "Want": want and f"{name(path)} {want}"}))


def lines(path):
    """Says all that the model has to say of the member at path."""
    key, shape_name, member = path[-1]
    shape, doc = SHAPES[shape_name], member.get("documentation", "")
    kind = shape["type"]
    stamp = TIMESTAMP in doc and kind == "string"
    least, most = limits(doc)
    if key not in OWN:
        say(path, valid(shape_name, member), "")
    words = {"structure": "object", "map": "object", "list": "array", "long": "integer", "double": "number"}.get(kind, kind)
    wrong = {"string": 7, "integer": "1", "long": "1", "double": "1.5", "boolean": "true", "structure": [], "map": [], "list": {}}[kind]
    say(path, wrong, f"should be {words}")
    if kind in ("integer", "long"):
        say(path, 1.5, "should be integer")
    if kind == "integer" and "max" not in shape and key not in ("Confidence", "Criticality", "Normalized"):
        say(path, 1 << 31, "should be <= 2147483647")
    if "enum" in shape and key not in OWN:
        say(path, "NOPE", "should be equal to one of the allowed values")
    if stamp:
        say(path, "yesterday", f'should match pattern "{DATE}"')
    if kind == "string" and "enum" not in shape and not stamp and key not in OWN:
        say(path, "", "should NOT be shorter than 1 characters")
        say(path, " \t", r'should match pattern ".*\S.*"')
        top = most or shape.get("max")
        if top:
            say(path, "é" * top, "")
            say(path, "é" * (top + 1), f"should NOT be longer than {top} characters")
    if kind == "list":
        top, low = most or shape.get("max"), least or shape.get("min")
        item = "2" if key in ("Types", "Labels") else valid(shape["member"]["shape"])
        if top:
            say(path, [item] * top, "")
            say(path, [item] * (top + 1), f"should NOT have more than {top} items")
        if low:
            say(path, [], f"should NOT have fewer than {low} items")
    for required in shape.get("required", []):
        value = valid(shape_name)
        del value[required]
        say(path, value, f"should have required property '{required}'")
    if "max" in shape and kind == "integer":
        say(path, shape["max"] + 1, f"should be <= {shape['max']}")
        say(path, shape["min"] - 1, f"should be >= {shape['min']}")


def walk(path, shape_name, done):
    shape = SHAPES[shape_name]
    if shape["type"] == "list":
        item = shape["member"]
        lines(path + [(None, item["shape"], item)]) if SHAPES[item["shape"]]["type"] != "structure" and path[-1][0] not in OWN else None
        walk(path + [(None, item["shape"], item)], item["shape"], done)
        return
    if shape["type"] != "structure" or shape_name in done:
        return
    done.add(shape_name)
    for key, member in shape["members"].items():
        here = path + [(key, member["shape"], member)]
        lines(here)
        walk(here, member["shape"], done)


walk([], "AwsSecurityFinding", set())
