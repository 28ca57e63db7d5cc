"""Messages by id or by the beginning of one (CONTRACT section 7)."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, TypeVar

from protocol.errors import Refused

T = TypeVar("T")

_PREFIX: Final = re.compile(r"[0-9a-f-]{1,36}")


def id_range(prefix: str) -> tuple[bytes, bytes]:
    """The lowest and highest id that begin so; raises `Refused` BAD_FIELD."""
    digits = prefix.replace("-", "")
    written = "-".join(part for part in _parts(digits) if part)
    if not _PREFIX.fullmatch(prefix) or not digits or prefix.rstrip("-") not in (written, digits):
        raise Refused("BAD_FIELD", f"{prefix[:40]!r} is not an id or the beginning of one", field="id")
    return bytes.fromhex(digits.ljust(32, "0")), bytes.fromhex(digits.ljust(32, "f"))


def only(found: Sequence[T], prefix: str) -> T:
    """The one that was found; raises `Refused` NOT_FOUND or AMBIGUOUS."""
    if not found:
        raise Refused("NOT_FOUND", f"no message {prefix}", field="id")
    if len(found) > 1:
        raise Refused("AMBIGUOUS", f"several messages begin with {prefix}", field="id")
    return found[0]


def _parts(digits: str) -> list[str]:
    edges = [0, 8, 12, 16, 20, 32]
    return [digits[start:end] for start, end in pairwise(edges)]
