"""Holds answers of Security Hub's API against botocore's model of it."""


def wrong(shape, value, at):
    """Names what of an answer the model does not have so: required members, allowed values."""
    if shape.type_name == "structure":
        for member in shape.required_members:
            if member not in value:
                yield f"{at} has no {member}"
        for name, inner in value.items():
            if name in shape.members:
                yield from wrong(shape.members[name], inner, f"{at}.{name}")
            elif name != "ResponseMetadata":
                yield f"{at}.{name} is not in the model"
    elif shape.type_name == "list":
        for i, inner in enumerate(value):
            yield from wrong(shape.member, inner, f"{at}[{i}]")
    elif shape.type_name == "map":
        for key, inner in value.items():
            yield from wrong(shape.value, inner, f"{at}[{key}]")
    elif shape.type_name == "string" and getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{at} is {value}"


def sample(shape):
    """Gives the least input that the model allows."""
    if shape.type_name == "structure":
        return {name: sample(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [sample(shape.member)]
    if shape.type_name == "map":
        return {"k": sample(shape.value)}
    if shape.type_name == "string":
        return (shape.enum or ["x"])[0] if hasattr(shape, "enum") else "x"
    return {"boolean": True, "timestamp": "2026-01-01T00:00:00Z"}.get(shape.type_name, 1)
