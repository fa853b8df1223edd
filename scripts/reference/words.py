"""Tables of Markdown, and what a value has to be, in words."""

from collections.abc import Iterator

import msgspec
from msgspec import inspect as shapes


def cell(text: str) -> str:
    """Text as it can stand in a table."""
    return text.replace("\n", " ").replace("|", "\\|").replace("<", "\\<")


def code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`" if text else ""


def table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A table of these rows; nothing where there are none."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines, ""])


def fields_of(kind: type) -> tuple[shapes.Field, ...]:
    found = shapes.type_info(kind)
    assert isinstance(found, shapes.StructType)
    return found.fields


def key_table(keys: list[shapes.Field]) -> str:
    return table(
        ("key", "type", "default"),
        ((code(key.encode_name), cell(shape(key.type)), default_of(key)) for key in keys),
    )


def default_of(key: shapes.Field) -> str:
    text = plain(key)
    return text if text in ("none", "has to be given") else code(text)


def plain(key: shapes.Field) -> str:
    """What holds where the key is not given, as it would be written in the file."""
    if key.required:
        return "has to be given"
    default = key.default
    if default is msgspec.NODEFAULT:
        default = key.default_factory() if callable(key.default_factory) else None
    if default is None:
        return "none"
    if isinstance(default, float):
        return f"{default:.10g}" if default % 1 == 0 else f"{default:.4g}"
    if isinstance(default, tuple):
        default = list(default)
    return msgspec.json.encode(default).decode()


def shape(kind: shapes.Type) -> str:
    """What a value has to be, in words."""
    match kind:
        case shapes.UnionType(types=types):
            return " or ".join(shape(one) for one in types if not isinstance(one, shapes.NoneType))
        case shapes.ListType(item_type=item, min_length=least, max_length=most):
            exactly = f"{least} of: " if least and least == most else ""
            return f"list of {exactly}{shape(item)}"
        case shapes.VarTupleType(item_type=item):
            return f"list of {shape(item)}"
        case shapes.TupleType(item_types=items):
            return f"list of {len(items)} of: {shape(items[0])}"
        case shapes.DictType(value_type=value):
            return f"table of {shape(value)}"
        case _:
            return _plain_shape(kind)


def _plain_shape(kind: shapes.Type) -> str:
    match kind:
        case shapes.LiteralType(values=values):
            return ", ".join(f'`"{value}"`' for value in values)
        case shapes.IntType():
            return f"whole number{_bounds(kind)}"
        case shapes.FloatType():
            return f"number{_bounds(kind)}"
        case shapes.StrType(max_length=longest):
            return "text" + (f", up to {longest} characters" if longest else "")
        case shapes.BytesType(max_length=longest):
            return f"{longest} bytes"
        case shapes.BoolType():
            return "true or false"
        case _:
            return "a value"


def _bounds(kind: shapes.IntType | shapes.FloatType) -> str:
    words = [
        f"{word} {bound:.10g}"
        for word, bound in (
            ("above", kind.gt),
            ("from", kind.ge),
            ("below", kind.lt),
            ("up to", kind.le),
        )
        if bound is not None and bound < 2**31
    ]
    return f" {' '.join(words)}" if words else ""
