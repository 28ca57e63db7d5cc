"""What commands print: JSON for programs, tables and time lines for people."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from relay.console.choices import Choices
from relay.console.phrases import say
from relay.console.terms import FIELDS, term
from relay.details import in_chinese

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH: Final = 200
"""Columns when the output is no terminal: tables for `grep` are not folded."""

URGENT_STYLE: Final = {"flash": "bold red", "urgent": "red", "priority": "yellow"}


def encoded(found: Mapping[str, Any]) -> bytes:
    """The JSON of an object. What a file name has that is not UTF-8 becomes `?`: JSON cannot hold it."""
    try:
        return msgspec.json.encode(found)
    except UnicodeEncodeError:
        return json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")


def emit(found: Mapping[str, Any]) -> None:
    """One JSON object on one line, with its version first."""
    click.echo(encoded({"v": 1, **found}))


def emit_all(found: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line."""
    for each in found:
        emit(each)


def console() -> "Console":
    """A console of rich: colours only on a terminal and without NO_COLOR, Chinese characters two columns wide."""
    from rich.console import Console

    made = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not made.is_terminal:
        return Console(highlight=False, markup=False, emoji=False, width=PLAIN_WIDTH, no_color=True)
    return made


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[str | None] | None = None) -> None:
    """A table without frame. `styles` is one style a row, None for a plain one."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, head in enumerate(heads):
        made.add_column(head, no_wrap=place == 0, overflow="fold")
    for place, row in enumerate(rows):
        made.add_row(*(printable(cell) for cell in row), style=styles[place] if styles else None)
    console().print(made)


def fields(rows: Iterable[tuple[str, str]]) -> None:
    """Names and values beneath each other; empty values are left out."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        if value:
            made.add_row(name, printable(value))
    console().print(made)


def tell_object(found: Mapping[str, Any], lang: str, indent: str = "") -> None:
    """Names and values, lists of objects beneath their names."""
    nested = {name: value for name, value in found.items() if isinstance(value, list) and _holds_objects(value)}
    heads = FIELDS if lang == "zh_CN" else {}
    plain = [(name, value) for name, value in found.items() if name not in nested and name != "v"]
    fields((indent + heads.get(name, name), cell(value, name, lang)) for name, value in plain)
    for name, value in nested.items():
        click.echo(f"{indent}{heads.get(name, name)}{'：' if heads else ':'}")
        for one in value:
            tell_object(one, lang, indent + "  ")


def _holds_objects(value: list[Any]) -> bool:
    return bool(value) and isinstance(value[0], Mapping)


def printable(text: str) -> str:
    """Text of others, safe for a terminal: no escape sequences, no characters that turn the writing around."""
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)


def local_time(text: Any) -> str:
    """An RFC 3339 time in the reader's own zone, to the second; other text as it is."""
    if not isinstance(text, str):
        return ""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return text


def local_time_exact(text: Any) -> str:
    """Like `local_time`, to the millisecond."""
    if not isinstance(text, str):
        return ""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError):
        return text


def duration(seconds: Any) -> str:
    """`3d 4h`, `5m 10s`, `0.25s`: the two largest units."""
    if not isinstance(seconds, int | float):
        return ""
    if seconds < 10:
        return f"{seconds:.2g}s"
    left, parts = int(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def size(count: Any) -> str:
    """Bytes in binary units."""
    if not isinstance(count, int | float):
        return ""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def listing(choices: Choices, found: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """A list: JSON lines, or a table with the `columns` (field → phrase of its head)."""
    if choices.json:
        emit_all(found)
        return
    rows = list(found)
    if not rows:
        click.echo(say("nothing", choices.lang))
        return
    styles = [URGENT_STYLE.get(str(row.get("urgency", row.get("lane", "")))) for row in rows]
    heads = [say(head, choices.lang) for head in columns.values()]
    table(heads, [[cell(row.get(name), name, choices.lang) for name in columns] for row in rows], styles)


def cell(value: Any, name: str, lang: str) -> str:
    """One value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "✓" if value else ""
    if isinstance(value, list):
        return " ".join(cell(each, name, lang) for each in value)
    if isinstance(value, Mapping):
        return " ".join(f"{key}={cell(each, key, lang)}" for key, each in value.items())
    if name.endswith(("_at", "_since", "until")) or name in ("deadline", "at", "since", "created", "from"):
        return local_time(value)
    if name.endswith("_s"):
        return duration(value)
    if name.endswith("bytes"):
        return size(value)
    if name == "detail" and lang == "zh_CN":
        return in_chinese(str(value))
    if name in ("state", "urgency", "lane", "kind", "flags", "type", "class", "standing", "roles", "stage", "what"):
        return term(str(value), lang)
    return str(value)
