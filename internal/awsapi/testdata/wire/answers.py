"""Writes answers of a service from botocore's model of an operation.

botocore has no writer for answers; this one follows the protocols' descriptions
and knows nothing of any parser.
"""

import base64
import email.utils
import hashlib
import json
import math
import struct
import zlib
from xml.sax.saxutils import escape, quoteattr

WHEN = {"epoch": 1714979289, "iso": "2024-05-06T07:08:09Z"}


def local(shape, name):
    return shape.serialization.get("name", name)


def number(value):
    """Writes a float as JSON and XML have it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def time_text(value, form):
    form = (form or "iso8601").lower()
    if form == "unixtimestamp":
        seconds = value.timestamp()
        return int(seconds) if seconds == int(seconds) else seconds
    if form == "rfc822":
        return email.utils.formatdate(value.timestamp(), usegmt=True)
    return value.astimezone(__import__("datetime").timezone.utc).isoformat().replace("+00:00", "Z")


# JSON


def as_json(shape, value):
    kind = shape.type_name
    if kind == "structure":
        if shape.is_document_type:
            return value
        return {local(shape.members[k], k): as_json(shape.members[k], v) for k, v in value.items()}
    if kind == "list":
        return [as_json(shape.member, v) for v in value]
    if kind == "map":
        return {k: as_json(shape.value, v) for k, v in value.items()}
    if kind == "timestamp":
        return time_text(value, shape.serialization.get("timestampFormat", "unixtimestamp"))
    if kind == "blob":
        return base64.b64encode(value).decode()
    if kind in ("float", "double"):
        return number(value)
    if kind == "string" and not isinstance(value, str):
        return json.dumps(value)
    return value


# XML


def scalar_text(shape, value, form="iso8601"):
    kind = shape.type_name
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "timestamp":
        return str(time_text(value, shape.serialization.get("timestampFormat", form)))
    if kind == "blob":
        return base64.b64encode(value).decode()
    if kind in ("float", "double"):
        return str(number(value))
    return str(value)


def xml_text(text):
    return escape(text, {"\r": "&#xD;"})


def element(name, inner, attributes=""):
    return f"<{name}{attributes}>{inner}</{name.split(' ')[0]}>"


def tag(member, name):
    flat = member.type_name == "list" and member.serialization.get("flattened")
    return flat and member.member.serialization.get("name") or local(member, name)


def xml_members(shape, value):
    """Gives the attributes and the children of a structure's element."""
    attributes, children = "", []
    namespace = shape.serialization.get("xmlNamespace")
    if isinstance(namespace, dict) and namespace.get("prefix"):
        attributes += f" xmlns:{namespace['prefix']}={quoteattr(namespace['uri'])}"
    seen = [tag(shape.members[n], n) for n in value]
    done = set()
    for name, v in value.items():
        member = shape.members[name]
        own = tag(member, name)
        if seen.count(own) > 1:  # an old and a new member for the same element
            if own in done:
                continue
            done.add(own)
            v = v[:1] if isinstance(v, list) else v
        if member.serialization.get("xmlAttribute"):
            attributes += f" {local(member, name)}={quoteattr(str(v))}"
            continue
        children.append(as_xml(member, v, local(member, name)))
    return attributes, "".join(children)


def as_xml(shape, value, name):
    kind = shape.type_name
    flat = shape.serialization.get("flattened")
    if kind == "structure":
        attributes, inner = xml_members(shape, value)
        return element(name, inner, attributes)
    if kind == "list":
        item = shape.member.serialization.get("name")
        if flat:
            return "".join(as_xml(shape.member, v, item or name) for v in value)
        return element(name, "".join(as_xml(shape.member, v, item or "member") for v in value))
    if kind == "map":
        key, val = local(shape.key, "key"), local(shape.value, "value")
        pairs = [as_xml(shape.key, k, key) + as_xml(shape.value, v, val) for k, v in value.items()]
        if flat:
            return "".join(element(name, p) for p in pairs)
        return element(name, "".join(element("entry", p) for p in pairs))
    return element(name, xml_text(scalar_text(shape, value)))


# CBOR


def head(major, n):
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 24:
            return bytes([major << 5 | n])
        if n < 1 << 8 * size:
            return bytes([major << 5 | info]) + n.to_bytes(size, "big")
    raise ValueError(n)


def as_cbor(shape, value):
    kind = shape.type_name
    if kind == "structure":
        out = head(5, len(value))
        for k, v in value.items():
            name = local(shape.members[k], k).encode()
            out += head(3, len(name)) + name + as_cbor(shape.members[k], v)
        return out
    if kind == "list":
        return head(4, len(value)) + b"".join(as_cbor(shape.member, v) for v in value)
    if kind == "map":
        return head(5, len(value)) + b"".join(as_cbor(shape.key, k) + as_cbor(shape.value, v) for k, v in value.items())
    if kind == "timestamp":
        return b"\xc1" + b"\xfb" + struct.pack(">d", value.timestamp())
    if kind == "blob":
        return head(2, len(value)) + value
    if kind in ("float", "double"):
        return b"\xfb" + struct.pack(">d", value)
    if kind == "boolean":
        return b"\xf5" if value else b"\xf4"
    if kind in ("integer", "long"):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    text = value.encode()
    return head(3, len(text)) + text


# Whole answers


def split(shape, value, rest):
    """Gives the headers, the status and the members of the body."""
    headers, status, body = {}, 200, {}
    for name, v in value.items():
        member = shape.members[name]
        where = member.serialization.get("location") if rest else None
        if where == "header":
            headers[local(member, name)] = header_text(member, v)
        elif where == "headers":
            headers.update({local(member, name) + k: x for k, x in v.items()})
        elif where == "statusCode":
            status = 203
        else:
            body[name] = v
    return {k: v for k, v in headers.items() if v != ""}, status, body


def header_text(shape, value):
    if shape.type_name == "list":
        return ", ".join(header_text(shape.member, v).replace(",", "") for v in value)
    if shape.serialization.get("jsonvalue"):
        return base64.b64encode(json.dumps(value).encode()).decode()
    return scalar_text(shape, value, "rfc822").encode("ascii", "replace").decode().replace("\n", " ").replace("\t", " ").strip()


def success(protocol, operation, value):
    """Gives status, headers and body of a success."""
    shape = operation.output_shape
    headers, status, body = {"x-amzn-RequestId": "req-1", "Content-Type": "application/octet-stream"}, 200, b""
    name = operation.name
    if protocol == "query":
        inner = xml_members(shape, value)[1] if shape else ""
        wrapper = shape.serialization.get("resultWrapper") if shape else None
        if wrapper:
            inner = element(wrapper, inner)
        inner += "<ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata>"
        body = element(name + "Response", inner, ' xmlns="http://example.com/doc/"').encode()
        headers = {"Content-Type": "text/xml"}
    elif protocol == "ec2":
        inner = "<requestId>req-1</requestId>" + (xml_members(shape, value)[1] if shape else "")
        body = element(name + "Response", inner, ' xmlns="http://example.com/doc/"').encode()
        headers = {"Content-Type": "text/xml"}
    elif shape is not None:
        more, status, members = split(shape, value, protocol.startswith("rest"))
        headers.update(more)
        body = payload(protocol, shape, members, name)
        fit_checksums(headers, body)
    if protocol == "smithy-rpc-v2-cbor":
        headers["smithy-protocol"] = "rpc-v2-cbor"
    return status, headers, body


def fit_checksums(headers, body):
    """Makes the checksums of an answer those of its body."""
    known = {
        "x-amz-checksum-crc32": zlib.crc32(body).to_bytes(4, "big"),
        "x-amz-checksum-sha1": hashlib.sha1(body).digest(),
        "x-amz-checksum-sha256": hashlib.sha256(body).digest(),
    }
    for name in [n for n in headers if n.lower().startswith("x-amz-checksum-")]:
        if name.lower() in known:
            headers[name] = base64.b64encode(known[name.lower()]).decode()
        elif name.lower() != "x-amz-checksum-type":
            del headers[name]


def payload(protocol, shape, members, name):
    target = shape.serialization.get("payload") if protocol.startswith("rest") else None
    if target is not None:
        inner = shape.members[target]
        if target not in members:
            return b""
        value = members[target]
        if inner.type_name == "blob":
            return value
        if inner.type_name == "string":
            return value.encode()
        if protocol == "rest-xml":
            return as_xml(inner, value, local(inner, target)).encode()
        return json.dumps(as_json(inner, value)).encode()
    if protocol == "rest-xml":
        if not members and shape.members:
            return b""
        attributes, inner = xml_members(shape, members)
        return ('<?xml version="1.0" encoding="UTF-8"?>\n' + element(name + "Result", inner, ' xmlns="http://example.com/doc/"')).encode()
    if protocol == "smithy-rpc-v2-cbor":
        return as_cbor(shape, members)
    return json.dumps(as_json(shape, members), ensure_ascii=False).encode()


def failure(protocol, service, shape, value, rng, method):
    """Gives status, headers and body of an error: shape is None for one that the
    model does not have."""
    code, status = "SomethingElse", rng.choice([400, 403, 404, 500, 503])
    if shape is not None:
        code = shape.error_code or shape.name
        status = shape.metadata.get("error", {}).get("httpStatusCode", 400)
    headers = {"x-amzn-RequestId": "req-2"}
    kind = rng.randrange(8)
    if kind == 0 or method == "HEAD":  # nothing but a status
        return status, headers, b""
    if kind == 1:  # not of the protocol
        page = rng.choice([b"<html><body><b>Http/1.1 Service Unavailable</b></body></html>", b"<!DOCTYPE html><html><p>x</html>", b"no"])
        return rng.choice([502, 503]), headers, page
    message = rng.choice(["täxt & <more>", "said so", ""])
    if protocol in ("json", "rest-json", "smithy-rpc-v2-cbor"):
        return json_failure(protocol, service, shape, value, rng, code, status, headers, message)
    inner = f"<Code>{code}</Code><Message>{xml_text(message)}</Message>"
    if shape is not None:
        for name in [n for n in value if n.lower() in ("message", "code", "type")]:
            del value[name]
        more, _, value = split(shape, value, protocol == "rest-xml")
        headers.update(more)
        inner += xml_members(shape, value)[1]
    if protocol == "ec2":
        body = f"<Response><Errors>{element('Error', inner)}</Errors><RequestID>req-2</RequestID></Response>"
    elif service == "s3":
        headers.update({"x-amz-request-id": "req-2", "x-amz-id-2": "host-2"})
        headers.pop("x-amzn-RequestId")
        body = element("Error", inner + "<RequestId>req-2</RequestId><HostId>host-2</HostId>")
    else:
        body = element("ErrorResponse", element("Error", "<Type>Sender</Type>" + inner) + "<RequestId>req-2</RequestId>", ' xmlns="http://example.com/doc/"')
    if protocol in ("query", "ec2"):
        headers.pop("x-amzn-RequestId")
    return status, headers, body.encode()


def json_failure(protocol, service, shape, value, rng, code, status, headers, message):
    body = {}
    if shape is not None:
        for name in [n for n in value if n.lower() in ("message", "code")]:
            del value[name]
        more, _, members = split(shape, value, protocol == "rest-json")
        headers.update(more)
        if protocol == "smithy-rpc-v2-cbor":
            return cbor_failure(shape, members, status, headers, message)
        body = as_json(shape, members)
    if protocol == "smithy-rpc-v2-cbor":
        text = b"\xbf\x66__type" + head(3, len("a.b#" + code)) + ("a.b#" + code).encode() + b"\xff"
        return status, headers, text
    body[rng.choice(["message", "Message"])] = message
    form = rng.choice(["%s", "com.amazonaws.x#%s", "%s:http://internal.amazon.com/coral/x/", "a.b#%s:http://x/"]) % code
    if protocol == "rest-json" and rng.random() < 0.6:
        headers["x-amzn-ErrorType"] = form
    elif protocol == "rest-json" and rng.random() < 0.3:
        body["code"] = form
    else:
        body["__type"] = form
    if rng.random() < 0.3:
        headers["x-amzn-query-error"] = rng.choice(["AWS.Simple.Old;Sender", "odd", ";x"])
    return status, headers, json.dumps(body).encode()


def cbor_failure(shape, members, status, headers, message):
    name = ("a.b#" + shape.name).encode()
    out = head(5, len(members) + 2) + b"\x66__type" + head(3, len(name)) + name
    text = message.encode()
    out += b"\x67message" + head(3, len(text)) + text
    for k, v in members.items():
        key = local(shape.members[k], k).encode()
        out += head(3, len(key)) + key + as_cbor(shape.members[k], v)
    return status, headers, out
