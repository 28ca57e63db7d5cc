"""Rows in which a single bit flipped are mended: their seal knows which one it was (D10, G1, G3).

Of all rows that differ from a damaged one in one bit, none opens but the one that was written, so that a mended row is
as good as if nothing had happened. What lost more than a bit is set aside and, where somebody else has it, asked for
again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from keys.rows import RowCipher
from protocol.cbor import dumps

Value: TypeAlias = int | str | bytes | None

MENDABLE_BYTES: Final = 2 * 1024 * 1024
"""Largest sealed body whose bits are looked for: that takes about 0.3 s, one of 48 KiB 10 ms, and the store waits."""
TRIES_MAX: Final = 64
"""Most rows that one process tries: a disk on which more than these fail has lost sectors and not bits."""
_INTEGER_BYTES: Final = 8


@dataclass(slots=True)
class Mender:
    """Tries rows, within the bound of `TRIES_MAX`."""

    tries_left: int = TRIES_MAX

    def mend(self, cipher: RowCipher, table: str, stored: Sequence[Value]) -> tuple[Value, ...] | None:
        """The row as it was written (columns, version, sealed body); None when more than one bit is wrong."""
        *values, version, sealed = stored
        if type(version) is not int or type(sealed) is not bytes or self.tries_left <= 0:
            return None
        self.tries_left -= 1
        for number, shown in ((version, values), *_flipped_columns(version, values)):
            # Only with the columns as they are can the fault be in the body.
            whole = shown is not values or number != version
            try:
                associated = dumps([table, number, shown])
            except UnicodeEncodeError:
                continue
            if whole and cipher.opens(associated, sealed):
                return (*shown, number, sealed)
            if not whole and len(sealed) <= MENDABLE_BYTES:
                mended = cipher.mend(associated, sealed)
                if mended is not None:
                    return (*shown, number, mended)
        return None


def _flipped_columns(version: int, values: Sequence[Value]) -> Iterator[tuple[int, Sequence[Value]]]:
    """Version and columns with one bit changed, for each of their bits."""
    for number in _flipped(version):
        if type(number) is int:
            yield number, values
    for at, value in enumerate(values):
        for flipped in _flipped(value):
            yield version, [*values[:at], flipped, *values[at + 1 :]]


def _flipped(value: Value) -> Iterator[Value]:
    """The values that differ from this one in one bit, and are values of the same type."""
    if value is None:
        return
    if isinstance(value, int):
        data = bytearray(value.to_bytes(_INTEGER_BYTES, "big", signed=True))
    else:
        data = bytearray(value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value)
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        if isinstance(value, int):
            yield int.from_bytes(data, "big", signed=True)
        elif isinstance(value, bytes):
            yield bytes(data)
        else:
            yield data.decode("utf-8", "surrogateescape")
        data[bit // 8] ^= 1 << bit % 8
