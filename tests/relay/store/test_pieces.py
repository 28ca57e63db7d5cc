"""Rows with large bodies are read a few at a time (G13)."""

import pytest

from keys.rows import OVERHEAD_BYTES
from relay.store import sealed_table
from relay.store.database import Txn
from relay.store.sealed_table import _up_to
from tests.inline_store import InlineStore
from tests.relay.store.place import LETTERS, writing


def test_g13_rows_are_read_up_to_the_one_with_which_their_bodies_are_large_enough(store: InlineStore) -> None:
    for number, size in enumerate((10, 0, 30, 20, 5)):
        store.run(writing(number, bytes(size)))
    sealed = OVERHEAD_BYTES

    def read(txn: Txn, max_bytes: int) -> list[object]:
        return [row["number"] for row in LETTERS.select(txn, order="number", max_bytes=max_bytes)]

    sizes = [0, 1, sealed + 10, sealed + 11, 2 * sealed + 10, 2 * sealed + 11, 4 * sealed + 60, 5 * sealed + 65, 10_000]
    read_up_to = [store.run(lambda txn, size=size: read(txn, size)) for size in sizes]  # type: ignore[misc]
    assert read_up_to == [list(range(count)) for count in (1, 1, 1, 2, 2, 3, 4, 5, 5)]
    # The same where one was mended, and what is no sealed body counts for nothing.
    store.run(lambda txn: txn.connection.execute("UPDATE letters SET lane = 2 WHERE number = 0"))
    assert store.run(lambda txn: read(txn, sealed + 11)) == [0, 1]
    rows = [("text",), (b"12",), (None,), (b"3",), (b"4",)]
    for size, count in ((1, 2), (2, 2), (3, 4), (4, 5)):
        values = "VALUES ('text'), (x'3132'), (NULL), (x'33'), (x'34')"
        assert _up_to(store.database.connection.execute(values), size) == rows[:count]


def test_g13_a_slice_is_read_in_pieces_and_as_long_as_was_said(
    store: InlineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.run(lambda txn: [writing(number)(txn) for number in (1, 3, 4, 6, 7)])
    asked = list[str]()
    connection = store.database.connection
    connection.set_trace_callback(asked.append)
    for piece_bytes, pieces in ((1, 3), (10_000, 1)):
        monkeypatch.setattr(sealed_table, "PIECE_BYTES", piece_bytes)
        asked.clear()
        assert [row[2] for row in LETTERS.slice(connection, 1, 3)] == [3, 4, 6]
        assert len(asked) == pieces
    assert [row[0] for row in LETTERS.slice(connection, 3, 9)] == [4, 5]
    assert list(LETTERS.slice(connection, 5, 9)) == list(LETTERS.slice(connection, 0, 0)) == []
    connection.set_trace_callback(None)
