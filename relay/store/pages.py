"""Rows of a SQLite database as they lie in its pages, whatever has become of the tree that leads to them.

SQLite reads a table from its root and gives up at the first page that makes no sense. Our rows prove themselves, so
that here every page is looked at for itself: what is no row of ours does not open. Pages that SQLite has listed as free
are left out, since they hold what was deleted. Format: https://www.sqlite.org/fileformat2.html
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

Value: TypeAlias = int | str | bytes | None
PageOf: TypeAlias = Callable[[int], bytes]

PAGE_BYTES: Final = 4096
FILE_HEADER_BYTES: Final = 100
_LEAF_HEADER_BYTES: Final = 8
_INDEX_PAGES: Final = frozenset({0x02, 0x0A})
_LOCAL_MAX: Final = PAGE_BYTES - 35
_LOCAL_MIN: Final = (PAGE_BYTES - 12) * 32 // 255 - 23
_PAYLOAD_MAX: Final = 16 * 1024 * 1024
"""Longest row that is followed: more than any table holds."""
_COLUMNS_MAX: Final = 64
_INTEGER_BYTES: Final = (0, 1, 2, 3, 4, 6, 8)
"""Bytes of an integer by its serial type."""


class _NoRow(Exception):
    """These bytes are no row."""


def rows(page_of: PageOf, count: int) -> Iterator[tuple[int, tuple[Value, ...]] | None]:
    """(rowid, columns) of every row in the pages that are in use; None for what should be one and cannot be read.

    A column that is the rowid itself is None. Floats are no value of ours.
    """
    free = _free_pages(page_of, count)
    for number in range(1, count + 1):
        page = page_of(number)
        if page and number not in free and page[_start(number)] not in _INDEX_PAGES:
            yield from _rows_of(page_of, page, _start(number))


def _start(number: int) -> int:
    return FILE_HEADER_BYTES if number == 1 else 0


def _rows_of(page_of: PageOf, page: bytes, start: int) -> Iterator[tuple[int, tuple[Value, ...]] | None]:
    """The rows of a page, taken for a leaf of a table."""
    first = start + _LEAF_HEADER_BYTES
    is_leaf = page[start] == 0x0D
    cells = int.from_bytes(page[start + 3 : start + 5], "big")
    for at in range(first, min(first + 2 * cells, PAGE_BYTES - 1), 2):
        try:
            yield _row(page_of, page, int.from_bytes(page[at : at + 2], "big"))
        except _NoRow:
            if is_leaf:
                yield None


def _row(page_of: PageOf, page: bytes, at: int) -> tuple[int, tuple[Value, ...]]:
    size, at = _varint(page, at)
    rowid, at = _varint(page, at)
    if not 0 < size <= _PAYLOAD_MAX:
        raise _NoRow
    local = size
    if size > _LOCAL_MAX:
        local = _LOCAL_MIN + (size - _LOCAL_MIN) % (PAGE_BYTES - 4)
        local = local if local <= _LOCAL_MAX else _LOCAL_MIN
    payload = bytearray(page[at : at + local])
    following = int.from_bytes(page[at + local : at + local + 4], "big") if local < size else 0
    while len(payload) < size:
        more = page_of(following) if following else b""
        if not more:
            raise _NoRow
        following = int.from_bytes(more[:4], "big")
        payload += more[4 : 4 + size - len(payload)]
    if len(payload) != size:
        raise _NoRow
    return rowid - (1 << 64) if rowid >= 1 << 63 else rowid, _columns(bytes(payload))


def _columns(payload: bytes) -> tuple[Value, ...]:
    end, at = _varint(payload, 0)
    if not at <= end <= len(payload):
        raise _NoRow
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if len(kinds) > _COLUMNS_MAX:
        raise _NoRow
    values = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    if at != len(payload):
        raise _NoRow
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    """A column and where the next one begins."""
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind < len(_INTEGER_BYTES):
        end = at + _INTEGER_BYTES[kind]
        return int.from_bytes(payload[at:end], "big", signed=True), end
    if kind < 12:
        raise _NoRow
    end = at + (kind - 12) // 2
    data = payload[at:end]
    return (data.decode("utf-8", "surrogateescape") if kind % 2 else data), end


def _varint(data: Sequence[int], at: int) -> tuple[int, int]:
    """A number of 1 to 9 bytes and where it ends."""
    value = 0
    for place in range(at, at + 9):
        if place >= len(data):
            raise _NoRow
        byte = data[place]
        if place == at + 8:
            return value << 8 | byte, place + 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    raise AssertionError


def _free_pages(page_of: PageOf, count: int) -> set[int]:
    """The pages that SQLite has listed as free, as far as the list makes sense."""
    free = set[int]()
    trunk = int.from_bytes(page_of(1)[32:36], "big")
    while 0 < trunk <= count and trunk not in free:
        page = page_of(trunk)
        free.add(trunk)
        listed = min(int.from_bytes(page[4:8], "big"), PAGE_BYTES // 4 - 2)
        free |= {int.from_bytes(page[at : at + 4], "big") for at in range(8, 8 + 4 * listed, 4)}
        trunk = int.from_bytes(page[:4], "big")
    return free
