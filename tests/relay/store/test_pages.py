"""The pages of a database are read as SQLite wrote them, and what it has deleted is not (G1, G3)."""

import sqlite3
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.store.pages import PAGE_BYTES, rows

EDGES = [sign * (1 << bits) + step for bits in (7, 15, 23, 31, 47, 62) for sign in (-1, 1) for step in (-1, 0)]
VALUES = st.one_of(
    st.none(), st.sampled_from((0, 1, *EDGES)), st.text(max_size=9), st.binary(max_size=9),
    # Around what fits into a page, and what leads over one or more of others.
    st.sampled_from((4000, 4040, 4050, 4055, 4060, 8140, 20_000)).map(lambda size: b"x" * size),
)  # fmt: skip
ROWIDS = st.sampled_from((-(2**63), -1, 0, 127, 128, 2**14, 2**32, 2**55, 2**56, 2**63 - 1)) | st.integers(1, 99)
SCHEMA = "CREATE TABLE kept (a, b, c); CREATE TABLE gone (a); CREATE INDEX by_a ON kept (a, b);"


def read(connection: sqlite3.Connection) -> list[tuple[int, tuple[Any, ...]] | None]:
    """What lies in the pages, but for SQLite's own table."""
    found = read_bytes(connection.serialize())
    own = connection.execute("SELECT * FROM sqlite_schema").fetchall()
    assert [row[1] for row in found[: len(own)] if row is not None] == own
    return found[len(own) :]


def read_bytes(data: bytes) -> list[tuple[int, tuple[Any, ...]] | None]:
    """What lies in the pages of a file."""
    return list(rows(lambda number: page_of(data, number), len(data) // PAGE_BYTES))


def page_of(data: bytes, number: int) -> bytes:
    """A page, or nothing behind the end."""
    assert number > 0
    return data[(number - 1) * PAGE_BYTES : number * PAGE_BYTES]


def filled(script: str = SCHEMA) -> sqlite3.Connection:
    """An empty database that leaves on its pages what it deletes."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(f"PRAGMA page_size = {PAGE_BYTES}; PRAGMA secure_delete = OFF; {script}")
    return connection


@settings(max_examples=settings().max_examples // 5)
@given(st.dictionaries(ROWIDS, st.tuples(VALUES, VALUES, VALUES), max_size=12))
def test_g01_rows_are_read_as_they_were_written(written: dict[int, tuple[Any, ...]]) -> None:
    with closing(filled()) as connection:
        for rowid, columns in written.items():
            connection.execute("INSERT INTO kept (rowid, a, b, c) VALUES (?, ?, ?, ?)", (rowid, *columns))
        found = [row for row in read(connection) if row is not None]
        assert sorted(found, key=lambda row: row[0]) == sorted(written.items())


def test_g11_what_was_deleted_is_not_read_from_any_page_that_is_free() -> None:
    """More pages than one page of SQLite's list has room for."""
    with closing(filled()) as connection:
        connection.executemany("INSERT INTO gone VALUES (?)", ((b"x" * 1900,) for _ in range(2300)))
        assert len(read(connection)) == 2300
        connection.execute("INSERT INTO kept VALUES (1, 2, 3)")
        connection.execute("DELETE FROM gone")
        assert read(connection) == [(1, (1, 2, 3))]
        data = bytearray(connection.serialize())
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'kept'").fetchone()
    trunk = int.from_bytes(data[32:36], "big")
    assert [row for row in rows(partial(page_of, bytes(data)), trunk) if row and len(row[1]) != 5] == [(1, (1, 2, 3))]
    # What lies behind the end of the list was in it once.
    at = (trunk - 1) * PAGE_BYTES
    end = at + 8 + 4 * int.from_bytes(data[at + 4 : at + 8], "big")
    data[end : end + 4] = root.to_bytes(4, "big")
    assert read_bytes(bytes(data))[-1] == (1, (1, 2, 3))


@pytest.fixture(scope="module")
def full() -> bytes:
    """A file with rows of every size, an index, and pages that are free."""
    with closing(filled()) as connection:
        connection.executemany("INSERT INTO gone VALUES (?)", ((b"x" * 900,) for _ in range(20)))
        rows_of = ((number, "y" * 60 * number, b"z" * 300 * number) for number in range(30))
        connection.executemany("INSERT INTO kept VALUES (?, ?, ?)", rows_of)
        connection.execute("DELETE FROM gone")
        return connection.serialize()


OFFSETS = st.one_of(st.integers(0, 11), st.integers(100, 111), st.integers(8, 80), st.integers(0, PAGE_BYTES - 1))
"""Most of them where a page says what it is and where its rows are."""


@given(st.lists(st.tuples(st.integers(0, 1 << 20), OFFSETS, st.integers(0, 255)), min_size=20, max_size=60))
@settings(max_examples=20)
def test_g13_any_bytes_are_rows_or_none_and_come_to_an_end(full: bytes, changes: list[tuple[int, int, int]]) -> None:
    data, count = bytearray(full), len(full) // PAGE_BYTES
    for page, offset, byte in changes:
        data[page % count * PAGE_BYTES + offset] = byte
    assert all(row is None or isinstance(row[1], tuple) for row in read_bytes(bytes(data)))


FREE_LIST = range(32, 40)
"""Bytes of the file's header: the first page of the list, and how many are listed."""


@pytest.mark.parametrize("place", FREE_LIST)
@pytest.mark.parametrize("bit", range(0, 8, 2))
def test_g01_no_row_is_left_out_because_a_bit_of_the_free_list_flipped(place: int, bit: int) -> None:
    with closing(filled("CREATE TABLE kept (a);")) as connection:
        connection.executemany("INSERT INTO kept VALUES (?)", ((b"x" * 900,) for _ in range(60)))
        data, whole = bytearray(connection.serialize()), read(connection)
    data[place] ^= 1 << bit
    assert read_bytes(bytes(data))[1:] == whole


def test_g01_a_list_of_free_pages_that_contradicts_itself_is_not_believed() -> None:
    with closing(filled()) as connection:
        connection.executemany("INSERT INTO gone VALUES (?)", ((b"x" * 900,) for _ in range(60)))
        connection.execute("INSERT INTO kept VALUES (1, 2, 3)")
        connection.execute("DELETE FROM gone")
        assert read(connection) == [(1, (1, 2, 3))]
        data = connection.serialize()
    at = (int.from_bytes(data[32:36], "big") - 1) * PAGE_BYTES
    for place in (*FREE_LIST, at + 3, at + 4, at + 7):
        rotten = bytearray(data)
        rotten[place] ^= 1
        assert len(read_bytes(bytes(rotten))) > 40
    # One that leads back to its beginning comes to an end.
    rotten = bytearray(data)
    rotten[at : at + 4] = data[32:36]
    assert read_bytes(bytes(rotten))[3:] == [(1, (1, 2, 3))]


def test_g01_a_page_full_of_the_smallest_rows_is_read_to_its_end() -> None:
    with closing(filled("CREATE TABLE kept (a);")) as connection:
        connection.executemany("INSERT INTO kept VALUES (?)", ((None,) for _ in range(600)))
        assert read(connection) == [(number, (None,)) for number in range(1, 601)]


def test_g03_a_float_and_a_row_whose_end_is_gone_are_none() -> None:
    with closing(filled("CREATE TABLE kept (a);")) as connection:
        connection.executemany("INSERT INTO kept VALUES (?)", [(0.5,), (b"x" * 5000,), (7,)])
        data = bytearray(connection.serialize())
    # The row that leads to the third page leads nowhere.
    at = data.index(b"x" + (3).to_bytes(4, "big"))
    data[at + 1 : at + 5] = bytes(4)
    assert read_bytes(bytes(data))[1:] == [None, None, (3, (7,))]


@pytest.mark.parametrize("longest", range(PAGE_BYTES - 45, PAGE_BYTES - 30))
def test_g01_a_row_may_end_anywhere_about_the_end_of_its_page(longest: int) -> None:
    """With as much of it on other pages as SQLite leaves there, none, or one byte."""
    bodies = [b"x" * (longest + more) for more in (0, PAGE_BYTES - 4, 2 * (PAGE_BYTES - 4))]
    with closing(filled("CREATE TABLE kept (a);")) as connection:
        connection.executemany("INSERT INTO kept VALUES (?)", ((body,) for body in bodies))
        assert sorted(row for row in read(connection) if row) == [(at, (body,)) for at, body in enumerate(bodies, 1)]


def test_g03_text_that_is_no_text_any_more_comes_as_it_lies_there() -> None:
    with closing(filled("CREATE TABLE kept (a TEXT);")) as connection:
        connection.execute("INSERT INTO kept VALUES (CAST(x'61ff' AS TEXT))")
        assert read(connection) == [(1, ("a\udcff",))]


@pytest.mark.parametrize(("count", "is_read"), [(64, True), (65, False)])
def test_g13_a_row_of_more_columns_than_any_table_has_is_none(count: int, is_read: bool) -> None:
    names = ", ".join(f"c{number}" for number in range(count))
    with closing(filled(f"CREATE TABLE wide ({names});")) as connection:
        connection.execute("INSERT INTO wide (c0) VALUES (7)")
        assert read(connection) == [(1, (7, *[None] * (count - 1))) if is_read else None]


def numbered() -> bytearray:
    """A file of two pages: SQLite's own table, and one with the rows 0, 1 and 2."""
    with closing(filled("CREATE TABLE kept (a);")) as connection:
        connection.executemany("INSERT INTO kept VALUES (?)", ((number,) for number in range(3)))
        return bytearray(connection.serialize())


@pytest.mark.parametrize("where", [0, 3, PAGE_BYTES - 8, PAGE_BYTES - 1])
def test_g03_what_should_be_a_row_and_is_none_is_counted(where: int) -> None:
    data = numbered()
    # The third row lies at the end of the page when the first is gone: a length there may have no end.
    data[-8:] = b"\xff" * 8
    # The second of the three places of rows, behind the head of the table's only page.
    data[PAGE_BYTES + 10 : PAGE_BYTES + 12] = where.to_bytes(2, "big")
    assert read_bytes(bytes(data))[1:] == [None, None, (3, (2,))]


def test_g03_the_first_page_is_read_like_any_other_and_no_page_behind_the_last() -> None:
    data = numbered()
    first = list(rows(partial(page_of, bytes(data)), 1))
    assert [row and row[1][1] for row in first] == ["kept"]
    data[108:110] = (PAGE_BYTES - 1).to_bytes(2, "big")
    assert list(rows(partial(page_of, bytes(data)), 1)) == [None]


def test_g03_a_row_without_columns_is_none() -> None:
    data = numbered()
    at = int.from_bytes(data[PAGE_BYTES + 8 : PAGE_BYTES + 10], "big") + PAGE_BYTES
    for size in (1, 0):
        # Its size, its rowid, and the size of its list of columns.
        data[at : at + 3] = bytes((size, 1, 1))
        assert read_bytes(bytes(data))[1:] == [None, (2, (1,)), (3, (2,))]


def test_g13_a_row_longer_than_any_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 6000
    monkeypatch.setattr("relay.store.pages._PAYLOAD_MAX", longest)
    # With the sizes of the list of columns and of the one column before it.
    bodies = [b"x" * (longest - 3 + more) for more in (0, 1)]
    with closing(filled("CREATE TABLE kept (a);")) as connection:
        connection.executemany("INSERT INTO kept VALUES (?)", ((body,) for body in bodies))
        assert read(connection) == [(1, (bodies[0],)), None]
