"""Settings as TOML text (TOML 1.0); the standard library only reads it."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from protocol.errors import Refused


def toml_text(settings: Mapping[str, Any]) -> str:
    """The text of a settings tree: values of a table before its sub-tables, tables in the order given.

    Raises `Refused` BAD_FIELD for a value that has no place in settings, such as a date.
    """
    return "\n".join(_lines(settings, ())).lstrip("\n") + "\n"


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of both; where both have a value, that of `over`. Lists are taken whole."""
    result = dict(base)
    for name, value in over.items():
        known = result.get(name)
        tables = isinstance(known, Mapping) and isinstance(value, Mapping)
        result[name] = merged(dict(known or {}), value) if tables else value
    return result


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    below = {name: value for name, value in table.items() if isinstance(value, Mapping) or _is_tables(value)}
    for name, value in table.items():
        if name not in below:
            yield f"{_key(name)} = {_value(value)}"
    for name, value in below.items():
        here = (*path, name)
        header = ".".join(_key(step) for step in here)
        if isinstance(value, Mapping):
            yield from ("", f"[{header}]")
            yield from _lines(value, here)
        else:
            for item in value:
                yield from ("", f"[[{header}]]")
                yield from _lines(item, here)


def _is_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(item, Mapping) for item in value)


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _string(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + "}"
    raise Refused("BAD_FIELD", f"a {type(value).__name__} is no setting", field="settings")


def _string(text: str) -> str:
    """A basic string; control characters and what could end it are escaped."""
    escaped = "".join(
        f"\\u{ord(char):04x}" if ord(char) < 32 or ord(char) == 127 else f"\\{char}" if char in '"\\' else char
        for char in text
    )
    return f'"{escaped}"'
