"""Rows of a SQLite database as they lie in its pages, whatever has become of the tree that leads to them.

SQLite reads a table from its root and gives up at the first page that makes no sense. Our rows prove themselves, so
that here every page is looked at for itself: what is no row of ours does not open. Pages that SQLite has listed as free
are left out, since they hold what was deleted, unless its list is damaged too. Format: https://www.sqlite.org/fileformat2.html
"""

from collections.abc import Callable, Iterator
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
    free = _free_pages(page_of)
    for number in range(1, count + 1):
        page = page_of(number)
        if page and number not in free:
            yield from _rows_of(page_of, page, FILE_HEADER_BYTES if number == 1 else 0)


def _rows_of(page_of: PageOf, page: bytes, start: int) -> Iterator[tuple[int, tuple[Value, ...]] | None]:
    """The rows of a page, taken for a leaf of a table unless it is of an index."""
    if page[start] in _INDEX_PAGES:
        return
    first = start + _LEAF_HEADER_BYTES
    is_leaf = page[start] == 0x0D
    cells = _number(page[start + 3 : start + 5])
    for at in range(first, min(first + 2 * cells, len(page)), 2):
        try:
            yield _row(page_of, page, _number(page[at : at + 2]))
        except _NoRow:
            if is_leaf:
                yield None


def _row(page_of: PageOf, page: bytes, at: int) -> tuple[int, tuple[Value, ...]]:
    size, at = _varint(page, at)
    rowid, at = _varint(page, at)
    if size > _PAYLOAD_MAX:
        raise _NoRow
    local = size
    if size > _LOCAL_MAX:
        local = _LOCAL_MIN + (size - _LOCAL_MIN) % (PAGE_BYTES - 4)
        local = local if local <= _LOCAL_MAX else _LOCAL_MIN
    payload = bytearray(page[at : at + local])
    following = _number(page[at + local : at + local + 4])
    while len(payload) < size:
        if not following:
            raise _NoRow
        more = page_of(following)
        following = _number(more[:4])
        payload += more[4 : 4 + size - len(payload)]
    return rowid - (1 << 64) if rowid >= 1 << 63 else rowid, _columns(bytes(payload))


def _columns(payload: bytes) -> tuple[Value, ...]:
    end, at = _varint(payload, 0)
    if not at < end <= len(payload):
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


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 1 to 9 bytes and where it ends."""
    value = 0
    for place, byte in enumerate(data[at : at + 8], start=at):
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    if len(data) <= at + 8:
        raise _NoRow
    return value << 8 | data[at + 8], at + 9


def _number(data: bytes) -> int:
    """A number of so many bytes; 0 of none."""
    return int.from_bytes(data, "big")


def _free_pages(page_of: PageOf) -> set[int]:
    """The pages that SQLite has listed as free; none when they are not as many as it says elsewhere: what was deleted
    and comes again does less harm than what is left out.
    """
    free = set[int]()
    header = page_of(1)
    trunk = _number(header[32:36])
    while trunk and trunk not in free:
        page = page_of(trunk)
        listed = page[8 : 8 + 4 * _number(page[4:8])]
        free |= {trunk, *(_number(listed[at : at + 4]) for at in range(0, len(listed), 4))}
        trunk = _number(page[:4])
    return free if len(free) == _number(header[36:40]) else set()
