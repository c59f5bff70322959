"""Makes inputs for operations from botocore's models.

Names, ids and ARNs come from a pool of what earlier calls sent and answered, found
by the member's name; everything else is made from the shape: enum, pattern, limits.
"""

import collections
import datetime
import json
import re

ACCOUNT, REGION = "123456789012", "us-east-1"
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]})
GENERIC = ("id", "arn", "name", "identifier", "url", "resourcearn", "resourceid", "resourcename", "value")
ENDINGS = ("identifier", "name", "arn", "id", "url", "")
TEXTS = [
    "parry-test", "parrytest", "parry_test", "Parry", "parry", "1", "12", "123456789012", "arn:aws:iam::123456789012:role/parry",
    "us-east-1", "us-east-1a", "10.0.0.0/16", "10.0.0.1", "parry@example.com", "https://example.com/parry", "example.com", "/parry",
    "2024-01-01", "2024-01-01T00:00:00Z", "{}", "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "0123456789abcdef0123456789abcdef", "ab", "+12065550100",
    "r-abcd", "ou-abcd-abcdefgh", "v1", "1.0", "1.0.0", "rate(1 day)", "parry-test-parry-test-parry-test-parry-test",
]  # fmt: skip


def fold(name):
    return re.sub(r"[^a-z0-9]", "", name.lower())


def noun(operation):
    """What an operation is about: "DescribeDBClusters" is about "dbcluster"."""
    words = re.sub(r"^(Batch|Admin)?[A-Z][a-z]+", "", operation) or operation
    return singular(fold(words))


def singular(word):
    for end, to in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if word.endswith(end) and not word.endswith("ss"):
            return word[: -len(end)] + to
    return word


class Pool:
    """Values by member name, the first seen first: the known resources before what was tried later."""

    def __init__(self):
        self.values = collections.defaultdict(list)

    def add(self, name, value):
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            known = self.values[fold(name)]
            if value not in known and len(known) < 6:
                known.append(value)

    def harvest(self, what, data, parent=""):
        if isinstance(data, dict):
            for key, value in data.items():
                if key == "ResponseMetadata" or not isinstance(key, str):
                    continue
                self.add(key, value)
                if fold(key) in GENERIC or fold(key) in ("key", "arn"):
                    for owner in (what, singular(fold(parent))):
                        self.add(owner + key, value)
                if isinstance(value, list) and value and isinstance(value[0], str):
                    self.add(singular(fold(key)), value[0])
                if isinstance(value, str) and value.startswith("arn:"):
                    self.add("resourcearn", value)
                self.harvest(what, value, key)
        elif isinstance(data, list):
            for item in data[:20]:
                self.harvest(what, item, parent)

    def exact(self, name):
        return list(self.values.get(fold(name), ()))

    def find(self, member, what):
        """Candidates for a member, the likeliest first."""
        name, out = fold(member), []
        keys = [what + name] if name in GENERIC else []
        keys.append(name)
        keys.append(singular(name))
        for end in ENDINGS:
            if end and name.endswith(end):
                stem = name[: -len(end)] or what
                keys += [stem + e for e in ENDINGS] + [what + e for e in ENDINGS if what]
        keys += [name + e for e in ENDINGS if e]
        if name in GENERIC and what:
            keys += [what + e for e in ENDINGS]
        for key in dict.fromkeys(keys):
            out += [v for v in self.values.get(key, ()) if v not in out]
        return out


class Inputs:
    """Inputs for the operations of one service."""

    def __init__(self, own, shared, fixed):
        self.own, self.shared, self.fixed = own, shared, fixed

    def make(self, operation, shape, optional, variant=0):
        """An input; optional: none, "known" (what the pool has) or "all" the members without structure."""
        if shape is None:
            return {}
        what = noun(operation)
        required = shape.required_members
        out = {}
        for name, member in shape.members.items():
            if name in required:
                out[name] = self.value(name, member, what, variant, 0)
            elif optional and member.type_name in ("string", "integer", "long") and not re.search("(?i)token|marker|dryrun|max|limit", name):
                known = self.known(name, member, what, variant)
                if known is not None:
                    out[name] = known
                elif optional == "all":
                    out[name] = self.value(name, member, what, variant, 0)
        return out

    def known(self, name, shape, what, variant):
        enum = getattr(shape, "enum", None)
        if enum:
            return None
        found = [v for v in self.own.find(name, what) + self.shared.find(name, "") if fits(v, shape)]
        return found[variant % len(found)] if found else None

    def value(self, name, shape, what, variant, depth):
        kind = shape.type_name
        if kind == "structure":
            if depth > 6:
                return {}
            members = shape.members
            wanted = shape.required_members or ([next(iter(members))] if getattr(shape, "is_tagged_union", False) and members else [])
            if not wanted and depth < 2:
                wanted = [m for m in members if members[m].type_name in ("string", "integer")][:3]
            return {m: self.value(m, members[m], what, variant, depth + 1) for m in wanted}
        if kind == "list":
            return [self.value(singular(fold(name)), shape.member, what, variant, depth + 1)] * max(1, shape.metadata.get("min", 1))
        if kind == "map":
            return {self.value("key", shape.key, what, variant, depth + 1): self.value("value", shape.value, what, variant, depth + 1)}
        if kind == "boolean":
            return False
        if kind == "timestamp":
            return datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(days="end" in name.lower())
        if kind == "blob":
            return b"{}"
        if kind in ("integer", "long", "float", "double"):
            known = self.known(name, shape, what, variant) if kind in ("integer", "long") else None
            return known if known is not None else max(1, shape.metadata.get("min", 1))
        return self.text(name, shape, what, variant)

    def text(self, name, shape, what, variant):
        if getattr(shape, "enum", None):
            return shape.enum[variant % len(shape.enum)]
        if fold(name) in self.fixed:
            return self.fixed[fold(name)]
        known = self.known(name, shape, what, variant)
        if known is not None:
            return known
        if "policy" in fold(name) and fold(name).endswith(("document", "policy", "text")):
            return POLICY
        return next((t for t in TEXTS if fits(t, shape)), "a" * max(1, shape.metadata.get("min", 1)))


def fits(value, shape):
    """Whether a value may stand for the shape: its type, length and pattern."""
    if shape.type_name in ("integer", "long"):
        return isinstance(value, int) and value >= shape.metadata.get("min", value)
    if shape.type_name != "string" or not isinstance(value, str):
        return False
    if not shape.metadata.get("min", 0) <= len(value) <= shape.metadata.get("max", 1 << 20):
        return False
    pattern = shape.metadata.get("pattern")
    if not pattern:
        return True
    try:
        return re.search(f"^(?:{pattern})$", value) is not None
    except re.error:
        return True
