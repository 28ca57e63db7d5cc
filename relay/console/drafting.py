"""From options or a JSON line to a draft that the daemon can judge, with every check that needs no directory.

The daemon checks everything again. Checking here first means that nothing classified and nothing malformed
leaves the process, and that file names stay on the side that has the files.
"""

import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from protocol.errors import Refused
from protocol.ids import is_address, is_group, message_id_text, parse_message_id, uuid7
from protocol.lanes import KINDS, LEVELS, URGENCIES
from protocol.limits import ATTACHMENTS, CONTENT_BYTES, NAME_BYTES, RECIPIENTS, SECOND_US, TITLE_CHARS
from relay.given import read_given
from relay.times import parse_duration_us, parse_time_us

CLASSIFICATIONS: Final = ("none", "work_secret")
_CLASSIFIED: Final = re.compile(r"mimi|jimi|juemi|秘密|机密|绝密", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NOT_ONE_LINE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FIELDS: Final = frozenset(
    "id to cc urgency kind title body attach attachments expires_in deliver_within occurred_at event_level thread "
    "reply_to classification bulk drill reviewer issuer salt signatures".split()
)


def new_id() -> str:
    """A fresh UUIDv7, made before anything is sent."""
    return message_id_text(uuid7(time.time_ns() // 1000, os.urandom(10)))


def parse_duration_s(text: str, *, field: str) -> float:
    """Seconds of `500ms`, `60s`, `5m`, `6h` or `3d`; `Refused` BAD_FIELD for anything else or zero."""
    return parse_duration_us(text, field=field) / SECOND_US


def check_fields(fields: Mapping[str, Any]) -> None:
    """Refuse what can be seen to be wrong without a directory; a classified marking first of all.

    Raises `Refused` CLASSIFIED or BAD_FIELD.
    """
    check_classification(fields.get("classification", "none"))
    for name in fields:
        if name not in _FIELDS:
            raise Refused("BAD_FIELD", f"there is no field {name[:40]!r}", field=name[:40])
    parse_message_id(_text(fields, "id"))
    _check_recipients(_names(fields, "to"), _names(fields, "cc"))
    _check_title(_text(fields, "title"))
    check_body(_text(fields, "body", ""))
    _one_of(fields, "urgency", URGENCIES)
    _one_of(fields, "kind", KINDS)
    _one_of(fields, "event_level", LEVELS)
    if "occurred_at" in fields:
        parse_time_us(_text(fields, "occurred_at"), field="occurred_at")
    for name in ("expires_in", "deliver_within"):
        if name in fields:
            parse_duration_us(_text(fields, name), field=name)
    for name in ("thread", "reply_to"):
        if name in fields:
            parse_message_id(_text(fields, name), field=name)
    for name in ("reviewer", "issuer"):
        if name in fields:
            _text(fields, name)
    for name in ("bulk", "drill"):
        if not isinstance(fields.get(name, False), bool):
            raise Refused("BAD_FIELD", "must be true or false", field=name)


def check_classification(marking: Any) -> None:
    """`none` and `work_secret` pass; a classified marking is CLASSIFIED, anything else BAD_FIELD."""
    if marking in CLASSIFICATIONS:
        return
    if isinstance(marking, str) and _CLASSIFIED.search(marking):
        raise Refused("CLASSIFIED", field="classification")
    raise Refused("BAD_FIELD", f"must be {' or '.join(CLASSIFICATIONS)}", field="classification")


def check_body(body: str) -> None:
    """Refuse control characters other than tab, LF and CR, and text that UTF-8 cannot hold."""
    found = _CONTROL.search(body)
    if found is not None:
        raise Refused("BAD_FIELD", f"control character U+{ord(found[0]):04X} at {found.start()}", field="body")
    _check_utf8(body, "body")


def check_prefix(text: str) -> str:
    """An id or the beginning of one, perhaps with `@ADDRESS` of its sender; else `Refused` BAD_FIELD."""
    if re.fullmatch(r"[0-9a-f][0-9a-f-]{0,35}(@[0-9A-Z-]{1,20})?", text) is None:
        raise Refused("BAD_FIELD", f"{text[:40]!r} is not a lower-case UUID or the beginning of one", field="id")
    return text


def read_body(name: str) -> str:
    """The text of a file, `-` for standard input.

    Raises `Refused` FILE_MISSING, FILE_UNREADABLE, NOT_PERMITTED, TOO_LARGE, or BAD_FIELD when it is not UTF-8.
    """
    data = sys.stdin.buffer.read(CONTENT_BYTES + 1) if name == "-" else read_bytes(Path(name), "body")
    if len(data) > CONTENT_BYTES:
        raise Refused("TOO_LARGE", f"more than {CONTENT_BYTES} bytes", field="body")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("BAD_FIELD", f"{name}: not UTF-8 text at byte {error.start}", field="body") from None


def read_attachments(names: list[str], folder: Path) -> list[dict[str, Any]]:
    """The attachments as the API takes them; relative names are looked up in `folder`. Refuses like `read_body`."""
    if len(names) > ATTACHMENTS:
        raise Refused("TOO_LARGE", f"more than {ATTACHMENTS} attachments", field="attach")
    found: list[dict[str, Any]] = []
    total = 0
    for name in names:
        path = folder / name
        data = read_bytes(path, "attach")
        total += len(data)
        if total > CONTENT_BYTES:
            raise Refused("TOO_LARGE", f"more than {CONTENT_BYTES} bytes with {name}", field="attach")
        _check_utf8(path.name, "attach")
        if len(path.name.encode()) > NAME_BYTES or _NOT_ONE_LINE.search(path.name):
            raise Refused("BAD_FIELD", f"the name of {name[:80]!r} cannot be sent", field="attach")
        found.append({"name": path.name, "data": data})
    return found


def read_bytes(path: Path, field: str) -> bytes:
    """The bytes of a file that a content can hold. Raises like `read_given`, and `Refused` TOO_LARGE."""
    data = read_given(path, field, CONTENT_BYTES)
    if len(data) > CONTENT_BYTES:
        raise Refused("TOO_LARGE", f"{path} has more than {CONTENT_BYTES} bytes", field=field)
    return data


def _text(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise Refused("BAD_FIELD", "is missing" if value is None else "must be text", field=name)
    return value


def _names(fields: Mapping[str, Any], name: str) -> list[str]:
    value = fields.get(name, [])
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise Refused("BAD_FIELD", "must be an address or a list of addresses", field=name)
    for each in names:
        if not is_address(each) and not is_group(each):
            raise Refused("BAD_FIELD", f"{each[:40]!r} is not an address such as 320924-GO", field=name)
    return names


def _check_recipients(to: list[str], cc: list[str]) -> None:
    if not to:
        raise Refused("BAD_FIELD", "no recipient", field="to")
    if len(to) + len(cc) > RECIPIENTS:
        raise Refused("TOO_LARGE", f"more than {RECIPIENTS} recipients", field="to")
    seen: set[str] = set()
    for field, names in (("to", to), ("cc", cc)):
        for name in names:
            if name in seen:
                raise Refused("BAD_FIELD", f"{name} is named twice", field=field)
            seen.add(name)


def _check_title(title: str) -> None:
    if not title.strip():
        raise Refused("BAD_FIELD", "the title is empty", field="title")
    if len(title) > TITLE_CHARS:
        raise Refused("BAD_FIELD", f"{len(title)} characters, at most {TITLE_CHARS}", field="title")
    if _NOT_ONE_LINE.search(title):
        raise Refused("BAD_FIELD", "must be one line without control characters", field="title")
    _check_utf8(title, "title")


def _check_utf8(text: str, field: str) -> None:
    """Half a surrogate pair can be written in JSON and come from a file name, but not be sent."""
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Refused("BAD_FIELD", "is not UTF-8 text", field=field) from None


def _one_of(fields: Mapping[str, Any], name: str, known: Any) -> None:
    if name in fields and fields[name] not in known:
        raise Refused("BAD_FIELD", f"{str(fields[name])[:40]!r} is not one of {', '.join(known)}", field=name)
