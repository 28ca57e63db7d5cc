"""One flipped bit of a row is mended; more are noticed, kept for inspection, and cost a bounded time (G1, G3)."""

import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.rows import RowCipher
from protocol.cbor import dumps, loads
from relay.store.damage import count_damaged
from relay.store.database import Txn
from relay.store.mending import MENDABLE_BYTES, TRIES_MAX, Mender
from relay.store.sealed_table import Row
from tests.inline_store import InlineStore
from tests.relay.store.place import LETTERS, NOTES, STORAGE_KEY, Place, letter, writing

OFFICE = b"o" * 16
CIPHER = RowCipher(STORAGE_KEY)
COLUMNS = ("office", "number", "state", "lane", "due_us", "row_version", "sealed")


def flip(data: bytes, bit: int) -> bytes:
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def write(store: InlineStore, column: str, value: object) -> None:
    change = f"UPDATE letters SET {column} = ?"  # noqa: S608 - a column of the test's table
    store.run(lambda txn: txn.connection.execute(change, (value,)))


@settings(max_examples=settings().max_examples // 5 * 3)
@given(body=st.binary(max_size=300), column=st.sampled_from(COLUMNS), data=st.data())
def test_g01_g03_any_single_flipped_bit_of_a_row_is_mended(body: bytes, column: str, data: st.DataObject) -> None:
    # Columns of ours are negative as well: a stage is.
    values = [OFFICE, 7, "new 完", 3, data.draw(st.sampled_from((None, -1, -(2**40), 0)) | st.integers(0, 2**40))]
    stored = [*values, 5, CIPHER.seal(_associated(values, 5), body, bytes(range(24)))]
    damaged = list(stored)
    damaged[COLUMNS.index(column)] = _with_one_flip(stored[COLUMNS.index(column)], data)
    mended = Mender().mend(CIPHER, "letters", damaged)
    assert mended == tuple(stored) or damaged == stored


@settings(max_examples=settings().max_examples // 4)
@given(size=st.integers(0, 70 * 1024), column=st.sampled_from(COLUMNS), data=st.data())
def test_g01_a_flipped_bit_of_a_large_row_is_mended(size: int, column: str, data: st.DataObject) -> None:
    values = [OFFICE, 7, "new 完", 3, 11]
    stored = [*values, 5, CIPHER.seal(_associated(values, 5), bytes(size), bytes(range(24)))]
    damaged = list(stored)
    damaged[COLUMNS.index(column)] = _with_one_flip(stored[COLUMNS.index(column)], data)
    assert Mender().mend(CIPHER, "letters", damaged) == tuple(stored)


def test_g01_a_mended_row_is_read_as_if_nothing_had_happened(store: InlineStore) -> None:
    written = store.run(lambda txn: LETTERS.insert(txn, letter(1), b"body"))
    for column, value in (("lane", 2), ("state", "nev"), ("row_version", 3), ("number", 1 + 1024)):
        write(store, column, value)
        (row,) = store.run(LETTERS.select)
        assert row == written, column
        changed = store.run(lambda txn, row=row: LETTERS.update(txn, row, lane=3))
        written = Row(changed.clear, changed.body, changed.version)
        store.run(lambda txn: LETTERS.delete(txn, OFFICE, 1))
        written = store.run(lambda txn: LETTERS.insert(txn, letter(1), b"body"))
    kept = store.run(lambda txn: txn.connection.execute("SELECT mended, columns FROM damaged").fetchall())
    assert [mended for mended, _ in kept] == [1, 1, 1, 1]
    assert all(tuple(loads(columns, max_bytes=4096)[0]) == COLUMNS for _, columns in kept)


def test_g01_a_query_answers_with_what_was_written_and_not_with_what_a_flipped_bit_made_of_it(
    store: InlineStore,
) -> None:
    """Else what is read as due, or as waiting, is purged or sent again, mended though it is."""
    for values in (letter(1, due_us=8), letter(2, due_us=9), letter(3)):
        store.run(lambda txn, values=values: LETTERS.insert(txn, values, b""))  # type: ignore[misc]
    change = "UPDATE letters SET due_us = 0 WHERE number = 1"
    store.run(lambda txn: txn.connection.execute(change))
    assert store.run(lambda txn: LETTERS.select(txn, "due_us <= ?", (4,))) == []
    store.run(lambda txn: txn.connection.execute(change))
    store.run(lambda txn: txn.connection.execute("UPDATE letters SET number = 18 WHERE number = 2"))
    found = store.run(lambda txn: LETTERS.select(txn, order="number DESC", limit=2))
    assert [row["number"] for row in found] == [3, 2]
    assert [row["due_us"] for row in store.run(lambda txn: LETTERS.select(txn, order="number"))] == [8, 9, None]
    assert store.run(lambda txn: txn.connection.execute("SELECT mended FROM damaged").fetchall()) == [(1,)] * 3


def test_g03_a_mended_row_whose_change_failed_is_mended_again(store: InlineStore) -> None:
    store.run(writing(1))
    write(store, "lane", 2)

    def fail(txn: object) -> None:
        assert LETTERS.get(txn, OFFICE, 1) is not None  # type: ignore[arg-type]
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        store.run(fail)
    row = store.run(lambda txn: LETTERS.get(txn, OFFICE, 1))
    assert row is not None
    assert row["lane"] == 3
    assert store.run(count_damaged) == 1


def test_g03_a_row_whose_place_is_taken_is_not_put_back(store: InlineStore) -> None:
    """It is kept aside as it is, and who took its place stays."""
    store.run(writing(2, b"first"))
    write(store, "number", 3)
    store.run(writing(2, b"second"))
    assert [row.body for row in store.run(LETTERS.select)] == [b"second"]
    assert store.run(lambda txn: txn.connection.execute("SELECT mended FROM damaged").fetchall()) == [(0,)]
    assert store.run(LETTERS.unverified_count) == 1


def test_g13_mending_is_bounded_in_size_and_number(store: InlineStore) -> None:
    store.run(lambda txn: NOTES.insert(txn, {"id": b"large"}, bytes(MENDABLE_BYTES)))
    (sealed,) = store.run(lambda txn: txn.connection.execute("SELECT sealed FROM notes").fetchone())
    store.run(lambda txn: txn.connection.execute("UPDATE notes SET sealed = ?", (flip(sealed, 4_000),)))
    assert store.run(lambda txn: NOTES.get(txn, b"large")) is None
    mender = Mender()
    stored = (b"n", 1, flip(CIPHER.seal(b"", b"", bytes(24)), 200))
    for left in range(TRIES_MAX - 1, -1, -1):
        assert mender.mend(CIPHER, "notes", stored) is None
        assert mender.tries_left == left
    good = CIPHER.seal(_associated([b"n"], 1, "notes"), b"", bytes(24))
    assert Mender().mend(CIPHER, "notes", (b"n", 1, flip(good, 0))) == (b"n", 1, good)
    assert mender.mend(CIPHER, "notes", (b"n", 1, flip(good, 0))) is None
    untried = Mender()
    assert untried.mend(CIPHER, "notes", (b"n", None, good)) is None
    assert untried.mend(CIPHER, "notes", (b"n", 1, "text")) is None
    assert untried.tries_left == TRIES_MAX


def test_g13_the_bound_is_one_for_all_that_a_process_does(store: InlineStore) -> None:
    store.run(writing(1))
    write(store, "lane", 2)

    def use_up(txn: Txn) -> None:
        txn.mender.tries_left = 0

    store.run(use_up)
    assert store.run(lambda txn: LETTERS.get(txn, OFFICE, 1)) is None
    assert store.run(count_damaged) == 1


def test_g01_a_flipped_bit_of_the_log_is_mended_when_the_store_opens(place: Place) -> None:
    store = place.open()
    for number in range(5):
        store.run(writing(number))
    killed = place.directory / "killed"
    shutil.copytree(place.store, killed)
    store.close()
    log = killed / "relay.db-wal"
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    place.store = killed
    store = place.open()
    assert (store.database.mended_bits, store.run(LETTERS.unverified_count)) == (1, 5)
    store.close()


def _associated(values: list[object], version: int, table: str = "letters") -> bytes:
    return dumps([table, version, values])


def _with_one_flip(value: object, data: st.DataObject) -> object:
    """The value with one bit changed; None stays, and text only as long as it stays text."""
    if value is None:
        return None
    if isinstance(value, int):
        return value ^ (1 << data.draw(st.integers(0, 40)))
    raw = value.encode() if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]
    flipped = flip(raw, data.draw(st.integers(0, 8 * len(raw) - 1)))
    return flipped.decode("utf-8", "surrogateescape") if isinstance(value, str) else flipped
