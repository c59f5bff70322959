"""Spoils inputs, so that the texts of validation can be compared."""

BAD = {
    "string": [7, ["x"], None, {"a": "it's"}],
    "integer": ["7", [1], {}],
    "long": ["x", 1.5],
    "float": ["1.5", [], None],
    "double": ["x", {}],
    "boolean": ["true", 1],
    "timestamp": [["t"], "yesterday"],
    "blob": [7, ["b"]],
    "structure": ["text", [1], 5],
    "list": ["text", {"a": 1}, 5],
    "map": ["text", [1], True],
}


def sort(value):
    """Orders members by name. boto3 reports in the order of the caller's dict; a
    Go map has none."""
    if isinstance(value, dict):
        return {k: sort(value[k]) for k in sorted(value)}
    if isinstance(value, list):
        return [sort(v) for v in value]
    return value


def spoil(value, shape, rng):
    """Gives value, an input of shape, with one to three things wrong."""
    for _ in range(rng.randint(1, 3)):
        damage(value, shape, rng)
    return sort(value)


def damage(value, shape, rng):
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict) and not shape.is_document_type:
        return structure(value, shape, rng)
    if kind == "list" and isinstance(value, list):
        return items(value, shape, rng)
    if kind == "map" and isinstance(value, dict):
        return entries(value, shape, rng)
    return None


def structure(value, shape, rng):
    required = [n for n in shape.required_members if n in value]
    inner = [n for n in shape.members if n in value]
    pick = rng.random()
    if shape.is_tagged_union and pick < 0.4:
        value.clear()
        if pick < 0.2:
            value.update({n: "x" for n in list(shape.members)[:2]})
    elif required and pick < 0.3:
        del value[rng.choice(required)]
    elif pick < 0.4 or not inner:
        value["Unknown" + rng.choice("AB")] = 1
    else:
        name = rng.choice(inner)
        value[name] = part(value[name], shape.members[name], rng)


def items(value, shape, rng):
    if value:
        i = rng.randrange(len(value))
        value[i] = part(value[i], shape.member, rng)


def entries(value, shape, rng):
    if value:
        key = rng.choice(sorted(value))
        value[key] = part(value[key], shape.value, rng)


def part(value, shape, rng):
    """Gives a wrong value for shape, or value with something wrong inside."""
    kind = shape.type_name
    if kind in ("structure", "list", "map") and value and rng.random() < 0.75:
        damage(value, shape, rng)
        return value
    least = shape.metadata.get("min")
    if least is not None and rng.random() < 0.5:
        return short(kind, least, value)
    if shape.serialization.get("jsonvalue") or kind == "structure" and shape.is_document_type:
        return value
    return rng.choice(BAD.get(kind, [7]))


def short(kind, least, value):
    if kind == "string":
        return ""
    if kind == "list":
        return []
    if kind in ("integer", "long"):
        return int(least) - 1
    if kind in ("float", "double"):
        return least - 0.5
    return value
