"""Values on the socket: JSON, with what JSON has no form for under a "$" key.

Bytes, times, decimals and floats that are not finite have a tag each; an object
whose own keys begin with "$" is sent as a list of pairs. Nothing here builds an
object of a class that the other side names.
"""
import base64
import datetime
import decimal
import json
import math

MAX_DEPTH = 100


class CodecError(TypeError):
    """A value has no form on the socket."""


def encode(value, limit):
    """Gives value as bytes; limit bounds what file-like objects may hold."""
    return json.dumps(_plain(value, limit, 0), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _plain(value, limit, depth):
    if depth > MAX_DEPTH:
        raise CodecError(f"the value is nested deeper than {MAX_DEPTH}")
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$f": repr(float(value))}
    if isinstance(value, dict):
        pairs = []
        for key, item in value.items():
            if not isinstance(key, str):
                raise CodecError(f"the key {key!r} is no string")
            pairs.append((str(key), _plain(item, limit, depth + 1)))
        if any(key.startswith("$") for key, _ in pairs):
            return {"$o": [list(pair) for pair in pairs]}
        return dict(pairs)
    if isinstance(value, (list, tuple)):
        return [_plain(item, limit, depth + 1) for item in value]
    return _tagged(value, limit)


def _tagged(value, limit):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$b": base64.b64encode(value).decode()}
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            value = value.astimezone()
        return {"$t": value.isoformat()}
    if isinstance(value, datetime.date):
        return {"$t": datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.timezone.utc).isoformat()}
    if isinstance(value, decimal.Decimal):
        return {"$d": str(value)}
    if hasattr(value, "read"):
        data = value.read(limit + 1)
        if isinstance(data, str):
            data = data.encode()
        if len(data) > limit:
            raise CodecError(f"the stream holds more than {limit} bytes")
        return {"$b": base64.b64encode(data).decode()}
    raise CodecError(f"a value of type {type(value).__name__} cannot be sent")


def decode(raw):
    """Gives the value that raw holds."""
    return _value(json.loads(raw))


def _value(value):
    if isinstance(value, list):
        return [_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (key, item), = value.items()
        if key == "$b":
            return base64.b64decode(item)
        if key == "$t":
            return _time(item)
        if key == "$d":
            return decimal.Decimal(item)
        if key == "$f":
            return float(item)
        if key == "$o":
            return {name: _value(member) for name, member in item}
    return {name: _value(item) for name, item in value.items()}


def _time(text):
    from dateutil import parser, tz

    return parser.isoparse(text).astimezone(tz.tzutc())
