"""Makes inputs for an operation from botocore's model of it."""

import datetime
import math

# Text that every format has to escape somehow.
TEXTS = ["plain", "täxt/ & <more>", "a \"b\" 'c' + d=e%20?;", "line\nbreak\ttab", "€ 日本 😀", " edge ", "x,y", ""]
ASCII = ["plain", "a,b", 'say "hi"', "k=v; w", "x/y+z~ %41"]
LABELS = ["plain", "a b/ü+&%=~'()*!", "arn:aws:x:y:1:z/w", "..dot", "$x@y"]

# What has to have a certain form for botocore to send it at all, by service and
# member. "*" is any service.
FORMS = {
    ("s3", "Bucket"): "example-bucket",
    ("s3control", "AccountId"): "111122223333",
    ("s3control", "Bucket"): "example-bucket",
    ("s3control", "Name"): "example-access-point",
    ("s3control", "OutpostId"): None,
    ("events", "EndpointId"): None,  # signed with SigV4A, which neither side has here
    ("sesv2", "EndpointId"): None,
    ("cloudfront-keyvaluestore", "KvsARN"): "arn:aws:cloudfront::111122223333:key-value-store/abc",
    ("rds", "SourceRegion"): "eu-west-1",
    ("neptune", "SourceRegion"): "eu-west-1",
    ("docdb", "SourceRegion"): "eu-west-1",
    ("ec2", "SourceRegion"): "eu-west-1",
    # These need the C runtime in botocore.
    ("*", "ChecksumAlgorithm"): ["CRC32", "SHA1", "SHA256"],
}
MAX_DEPTH = 5


class Values:
    """A seeded source of values of a service's shapes."""

    def __init__(self, service, rng, endpoint):
        self.service, self.rng, self.endpoint = service, rng, endpoint

    def form(self, name):
        if (self.service, name) == ("machinelearning", "PredictEndpoint"):
            return self.endpoint + "/predict"
        for service in (self.service, "*"):
            if (service, name) in FORMS:
                return FORMS[service, name]
        return False

    def input(self, shape, full):
        """Gives an input with all members, or with the required and some."""
        if shape is None:
            return {}
        return self.structure(shape, full, 0, [])

    def structure(self, shape, full, depth, above):
        above = above + [shape.name]
        members = list(shape.members.items())
        if getattr(shape, "is_tagged_union", False):
            fit = [m for m in members if above.count(m[1].name) == 0] or members
            members = [self.rng.choice(fit)]
        out = {}
        for name, member in members:
            required = name in shape.required_members or getattr(shape, "is_tagged_union", False)
            if member.serialization.get("hostLabel"):
                required = True
            if not required and (depth >= MAX_DEPTH or above.count(member.name) > 1):
                continue
            if not required and not full and self.rng.random() < 0.6:
                continue
            if member.metadata.get("idempotencyToken") and not full and not required and self.rng.random() < 0.5:
                continue
            value = self.member(name, member, full, depth, above)
            if value is not None:
                out[name] = value
        return out

    def member(self, name, shape, full, depth, above):
        form = self.form(name)
        if form is None or shape.serialization.get("name", "").lower() == "content-length":
            return None
        if form and shape.type_name == "string":
            return self.rng.choice(form) if isinstance(form, list) else form
        return self.value(shape, full, depth, above)

    def value(self, shape, full, depth, above):
        kind = shape.type_name
        if kind == "structure":
            if shape.is_document_type:
                return self.document()
            return self.structure(shape, full, depth + 1, above)
        if kind == "list":
            return self.list(shape, full, depth, above)
        if kind == "map":
            return self.map(shape, full, depth, above)
        return getattr(self, kind)(shape)

    def count(self, shape, full, depth, above, inner):
        least = int(shape.metadata.get("min", 0))
        if depth >= MAX_DEPTH or above.count(inner.name) > 1:
            return least
        return max(least, 2 if full else self.rng.randint(0, 2))

    def list(self, shape, full, depth, above):
        n = self.count(shape, full, depth, above, shape.member)
        return [self.value(shape.member, full, depth + 1, above) for _ in range(n)]

    def map(self, shape, full, depth, above):
        n = self.count(shape, full, depth, above, shape.value)
        out = {}
        header = shape.serialization.get("location") == "headers"
        query = shape.serialization.get("location") == "querystring"
        for i in range(n):
            key = self.value(shape.key, full, depth + 1, above)
            if header or query or key in out or not key:
                key = ("key-%d" if header or not shape.key.enum else "%d") % i
                key = key.ljust(int(shape.key.metadata.get("min", 0)), "k")
            value = self.rng.choice(ASCII) if header else self.value(shape.value, full, depth + 1, above)
            out[key] = value
        # The order of a dict is the caller's; a Go map has none and is sorted.
        return {k: out[k] for k in sorted(out, key=lambda k: k.encode())}

    def document(self):
        return self.rng.choice([{"free": ["form", 1.5, True, None, {"n": 7}]}, ["a", 1], "text", 7, True, {}])

    def string(self, shape):
        where = shape.serialization
        if where.get("hostLabel"):
            return "label-1"
        if where.get("jsonvalue") and where.get("location") == "header":
            return {"a": [1, "ü", None]}
        if shape.enum:
            # Services add values faster than models are made: any is sent.
            return self.rng.choice(shape.enum)
        texts = {"uri": LABELS, "header": ASCII, "headers": ASCII}.get(where.get("location"), TEXTS)
        text = self.rng.choice(texts)
        least = max(int(shape.metadata.get("min", 0)), 1 if where.get("location") == "uri" else 0)
        return text + "m" * (least - len(text))

    character = string

    def integer(self, shape):
        return max(int(float(shape.metadata.get("min", -3))), self.rng.choice([0, 1, -3, 7, 2**31 - 1]))

    def long(self, shape):
        return max(int(float(shape.metadata.get("min", -3))), self.rng.choice([0, 7, -3, 2**53 + 1, 2**62]))

    def float(self, shape):
        pick = self.rng.choice([1.5, -0.25, 0.0, 3.0, 1e-7, 1e21, 123456789.125, math.inf, -math.inf, math.nan])
        return max(float(shape.metadata.get("min", pick)), pick) if pick == pick else pick

    double = float

    def boolean(self, shape):
        return self.rng.random() < 0.5

    def timestamp(self, shape):
        zone = datetime.timezone(datetime.timedelta(hours=self.rng.choice([0, 0, 2])))
        micro = self.rng.choice([0, 0, 120000, 123456])
        return datetime.datetime(2024, 5, 6, 7, 8, 9, micro, zone)

    def blob(self, shape):
        return self.rng.choice([b"\x00\xffhi", b"text", b""]) + b"m" * int(shape.metadata.get("min", 0))
