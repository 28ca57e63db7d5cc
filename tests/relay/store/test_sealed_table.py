"""Rows: what goes in comes out, and whatever was altered on the disk is noticed (G3, G11)."""

import os
import sqlite3
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.rows import RowCipher, RowDamaged
from protocol.cbor import loads
from protocol.lanes import Lane
from relay.store.damage import count_damaged
from relay.store.database import Txn, decode_text
from relay.store.fsck import check
from relay.store.sealed_table import Row, RowChanged, RowExists, SealedTable
from tests.inline_store import InlineStore
from tests.relay.store.place import LETTERS, NOTES, STORAGE_KEY, Place, letter, writing

OFFICE = b"o" * 16
COLUMNS = ("office", "number", "state", "lane", "due_us", "row_version", "sealed")


def tamper(store: InlineStore, sql: str, *args: object) -> None:
    """What somebody with the disk can do: change columns behind the program's back."""
    store.run(lambda txn: txn.connection.execute(sql, args))


@given(
    associated=st.binary(max_size=64),
    body=st.binary(max_size=200),
    salt=st.binary(min_size=24, max_size=24),
    data=st.data(),
)
def test_g03_any_flipped_bit_of_a_sealed_row_is_noticed(
    associated: bytes, body: bytes, salt: bytes, data: st.DataObject
) -> None:
    cipher = RowCipher(STORAGE_KEY)
    sealed = cipher.seal(associated, body, salt)
    assert cipher.open(associated, sealed) == body
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    flipped = bytearray(sealed)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RowDamaged):
        cipher.open(associated, bytes(flipped))
    with pytest.raises(RowDamaged):
        cipher.open(associated + b"x", sealed)
    with pytest.raises(RowDamaged):
        cipher.open(associated, sealed[: data.draw(st.integers(0, len(sealed) - 1))])
    with pytest.raises(RowDamaged):
        RowCipher(bytes(32)).open(associated, sealed)


def test_a_cipher_wants_whole_keys_and_salts_and_shows_neither() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        RowCipher(b"short")
    with pytest.raises(ValueError, match="24 random bytes"):
        RowCipher(STORAGE_KEY).seal(b"", b"", b"short")
    assert STORAGE_KEY.hex() not in repr(RowCipher(STORAGE_KEY))


def test_rows_are_read_as_written(store: InlineStore) -> None:
    row = store.run(lambda txn: LETTERS.insert(txn, letter(1, lane=Lane.BULK, state="新"), b"body"))
    found = store.run(lambda txn: LETTERS.get(txn, OFFICE, 1))
    assert found == row
    assert found is not None
    assert (found.body, found.version, found["state"], type(found["lane"])) == (b"body", 1, "新", int)
    assert store.run(lambda txn: LETTERS.get(txn, OFFICE, 2)) is None
    changed = store.run(lambda txn: LETTERS.update(txn, row, state="read", due_us=True))
    assert (changed.version, changed.body, changed["due_us"]) == (2, b"body", 1)
    assert store.run(lambda txn: LETTERS.get(txn, OFFICE, 1)) == changed
    assert store.run(lambda txn: LETTERS.put(txn, letter(1), b"again")).version == 3
    assert store.run(lambda txn: LETTERS.delete(txn, OFFICE, 1))
    assert not store.run(lambda txn: LETTERS.delete(txn, OFFICE, 1))


def test_a_table_knows_its_rows_by_all_of_their_key(store: InlineStore) -> None:
    """Made here and not with the others, by the same words."""
    table = SealedTable("letters", key=("office", "number"), clear=("state", "lane", "due_us"))
    other = {**letter(1), "office": b"p" * 16}

    def change(txn: Txn) -> None:
        rows = [table.insert(txn, values, b"1") for values in (letter(1), letter(2), other)]
        assert [table.get(txn, row["office"], row["number"]) for row in rows] == rows
        again = table.put(txn, letter(1, state="put", lane=2), b"2")
        changed = table.update(txn, again, b"3", state="changed", due_us=7)
        assert (again.version, changed.version, changed["lane"]) == (2, 3, 2)
        assert table.get(txn, OFFICE, 1) == changed
        assert table.select(txn, order="office, number") == [changed, *rows[1:]]
        assert table.select(txn, "state = ?", ("new",), order="number DESC", limit=1) == [rows[1]]
        assert table.unverified_clear(txn, "number = ?", (2,)) == [letter(2)]
        assert table.unverified_count(txn, "number = ?", (1,)) == 2
        first, *_ = txn.connection.execute(table.slice_sql, (1, 1)).fetchall()
        assert tuple(first[1:3]) == (OFFICE, 2)
        assert table.delete(txn, OFFICE, 1)
        assert table.select(txn, order="office, number") == rows[1:]

    store.run(change)


def test_a_table_refuses_what_it_cannot_keep(store: InlineStore) -> None:
    row = store.run(lambda txn: LETTERS.insert(txn, letter(1), b""))
    store.run(lambda txn: LETTERS.update(txn, row, b"new"))
    refused: list[tuple[type[Exception], Callable[..., object]]] = [
        (RowExists, lambda txn: LETTERS.insert(txn, letter(1), b"")),
        (RowChanged, lambda txn: LETTERS.update(txn, row, b"newer")),
        (ValueError, lambda txn: LETTERS.update(txn, row, number=2)),
        (ValueError, lambda txn: LETTERS.insert(txn, {**letter(2), "extra": 1}, b"")),
        (TypeError, lambda txn: LETTERS.insert(txn, letter(2, due_us=1.5), b"")),  # type: ignore[arg-type]
        (sqlite3.IntegrityError, lambda txn: LETTERS.insert(txn, letter(2, state=None), b"")),
    ]
    for error, change in refused:
        with pytest.raises(error):
            store.run(change)
    assert store.run(LETTERS.unverified_count) == 1


@pytest.fixture
def placed(store: InlineStore) -> SealedTable:
    """A table with a second column that is unique."""
    columns = "name TEXT PRIMARY KEY, place INTEGER UNIQUE, row_version INTEGER NOT NULL, sealed BLOB NOT NULL"
    store.run(lambda txn: txn.connection.execute(f"CREATE TABLE placed ({columns}) STRICT"))
    return SealedTable("placed", key=("name",), clear=("place",))


def test_a_row_that_would_stand_in_the_place_of_another_is_refused_by_the_name_of_its_table(
    store: InlineStore, placed: SealedTable
) -> None:
    def change(txn: Txn) -> None:
        first = placed.insert(txn, {"name": "a", "place": 1}, b"")
        other = placed.insert(txn, {"name": "b", "place": 2}, b"")
        for name, place in (("a", 3), ("c", 1)):
            with pytest.raises(RowExists, match=r"^placed$"):
                placed.insert(txn, {"name": name, "place": place}, b"")
        with pytest.raises(RowExists, match=r"^placed$"):
            placed.update(txn, other, place=1)
        assert placed.update(txn, first, place=3).version == 2
        with pytest.raises(RowChanged, match=r"^placed$"):
            placed.update(txn, first, place=4)
        with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT"):
            placed.update(txn, other, place="text")
        assert [row.clear for row in placed.select(txn, order="place")] == [
            {"name": "b", "place": 2}, {"name": "a", "place": 3},
        ]  # fmt: skip

    store.run(change)


def test_g01_a_row_of_another_database_comes_back_unless_a_later_one_is_here(
    store: InlineStore, placed: SealedTable
) -> None:
    def change(txn: Txn) -> None:
        def lies(name: str) -> tuple[object, ...]:
            (stored,) = txn.connection.execute("SELECT * FROM placed WHERE name = ?", (name,)).fetchall()
            return tuple(stored)

        first = placed.insert(txn, {"name": "a", "place": 1}, b"first")
        old = lies("a")
        second = placed.update(txn, first, b"second", place=2)
        new = lies("a")
        placed.delete(txn, "a")
        came = [placed.restore(txn.connection, stored) for stored in (old, new, new, old)]  # type: ignore[arg-type]
        assert came == [True, True, False, False]
        assert placed.get(txn, "a") == second
        placed.delete(txn, "a")
        kept = placed.insert(txn, {"name": "b", "place": 2}, b"")
        assert placed.restore(txn.connection, new) is False  # type: ignore[arg-type]
        assert placed.select(txn) == [kept]

    store.run(change)


def test_g01_a_table_is_looked_through_in_slices_whatever_its_columns_say(store: InlineStore) -> None:
    """What bits made of a row is mended in passing, and what cannot be is moved aside after the change."""
    store.run(lambda txn: [writing(number)(txn) for number in range(1, 6)])
    tamper(store, "UPDATE letters SET state = 'nev' WHERE number = 2")
    tamper(store, "UPDATE letters SET sealed = zeroblob(60) WHERE number = 4")

    def look(txn: Txn) -> None:
        assert LETTERS.look_through(txn, -(2**63), 1) == (1, 1)
        assert txn.set_asides == []
        assert LETTERS.look_through(txn, 1, 3) == (3, 4)
        assert len(txn.set_asides) == 1
        # The mended one has a new place at the end.
        assert LETTERS.look_through(txn, 4, 3) == (2, 6)
        assert LETTERS.look_through(txn, 6, 3) == (0, 6)

    store.run(look)
    assert store.run(lambda txn: LETTERS.unverified_clear(txn, order="number")) == [letter(n) for n in (1, 2, 3, 5)]
    assert store.run(count_damaged) == 2


def test_g03_a_query_meets_a_row_that_cannot_be_mended_once(store: InlineStore) -> None:
    store.run(writing(1))
    tamper(store, "UPDATE letters SET sealed = zeroblob(60)")
    assert store.run(lambda txn: (LETTERS.select(txn), len(txn.set_asides))) == ([], 1)


def test_g03_what_is_no_sealed_row_does_not_open() -> None:
    values = tuple(letter(1).values())
    for last in ((1, "text" * 30), (None, bytes(60)), ("1", bytes(60)), (1, None)):
        assert LETTERS.open_stored(RowCipher(STORAGE_KEY), (*values, *last)) is None


@pytest.mark.parametrize(
    ("key", "text"), [("XaX", "XaX"), ("完", r"\u5b8c"), (7, "7"), (b"\x01X", "0158"), (None, "None")]
)
def test_a_key_is_shown_to_any_terminal(key: int | str | bytes | None, text: str) -> None:
    assert NOTES.key_text((key, 1, b"")) == text
    assert LETTERS.key_text((key, key, "new")) == f"{text}/{text}"


def test_queries_order_limit_and_say_when_they_do_not_verify(store: InlineStore) -> None:
    for number in range(5):
        store.run(writing(number))
    rows = store.run(lambda txn: LETTERS.select(txn, "number > ?", (1,), order="number DESC", limit=2))
    assert [row["number"] for row in rows] == [4, 3]
    clear = store.run(lambda txn: LETTERS.unverified_clear(txn, "number > ?", (1,), order="number DESC", limit=2))
    assert clear == [letter(4), letter(3)]
    assert store.run(lambda txn: LETTERS.unverified_count(txn, "number < ?", (2,))) == 2


@pytest.mark.parametrize(
    "damage",
    [
        "office = x'00112233445566778899aabbccddeeff'",
        "number = 7",
        "state = 'old'",
        "state = CAST(x'ff' AS TEXT)",
        "lane = 0",
        "due_us = 0",
        "row_version = 2",
        "row_version = -1",
        "sealed = zeroblob(40)",
        "sealed = x''",
        "sealed = zeroblob(length(sealed))",
    ],
)
def test_g03_an_altered_column_is_noticed_and_the_row_is_kept_aside(store: InlineStore, damage: str) -> None:
    store.run(writing(1))
    store.run(writing(2))
    tamper(store, f"UPDATE letters SET {damage} WHERE number = 1")  # noqa: S608 - the damage is ours
    rows = store.run(lambda txn: LETTERS.select(txn, order="number"))
    assert [row["number"] for row in rows] == [2], "the sound row is still there"
    assert store.run(count_damaged) == 1
    assert store.run(LETTERS.unverified_count) == 1
    kept, mended = store.run(lambda txn: txn.connection.execute("SELECT columns, mended FROM damaged").fetchone())
    assert not mended
    names, values = loads(kept, max_bytes=4096)
    assert tuple(names) == COLUMNS
    assert len(values) == len(COLUMNS)


def test_g03_get_raises_for_a_damaged_row_and_the_change_runs_again_without_it(store: InlineStore) -> None:
    store.run(writing(1))
    tamper(store, "UPDATE letters SET lane = 0")
    caught: list[RowDamaged] = []

    def change(txn: Txn) -> Row | None:
        try:
            return LETTERS.get(txn, OFFICE, 1)
        except RowDamaged as damage:
            caught.append(damage)
            raise

    assert store.run(change) is None
    (damage,) = caught
    assert (damage.table, damage.key) == ("letters", (OFFICE, 1))
    assert store.run(count_damaged) == 1
    store.run(writing(1))


@pytest.mark.parametrize(("found", "written"), [(7, 8), (2**62 - 1, 2**62), (2**62, 1), (2**63 - 1, 1), (-5, 1)])
def test_g03_put_replaces_a_damaged_row(store: InlineStore, found: int, written: int) -> None:
    """The version goes on counting, unless it is one that no row of ours has."""
    store.run(lambda txn: NOTES.put(txn, {"id": b"n"}, b"old"))
    tamper(store, "UPDATE notes SET row_version = ?, sealed = x''", found)
    put = store.run(lambda txn: NOTES.put(txn, {"id": b"n"}, b"new"))
    assert (put.body, put.version) == (b"new", written)
    assert store.run(lambda txn: NOTES.get(txn, b"n")) == put


def test_g03_swapped_and_rolled_back_bodies_are_noticed(store: InlineStore) -> None:
    for number in (1, 2):
        store.run(writing(number))
    old = store.run(lambda txn: txn.connection.execute("SELECT sealed FROM letters WHERE number = 1").fetchone())[0]
    row = store.run(lambda txn: LETTERS.get(txn, OFFICE, 1))
    assert row is not None
    store.run(lambda txn: LETTERS.update(txn, row, b"second"))
    tamper(store, "UPDATE letters SET sealed = ? WHERE number = 1", old)
    assert store.run(lambda txn: LETTERS.get(txn, OFFICE, 1)) is None
    assert store.run(count_damaged) == 1
    store.run(writing(1))
    bodies = store.run(lambda txn: txn.connection.execute("SELECT sealed FROM letters ORDER BY number").fetchall())
    for number, (sealed,) in zip((2, 1), bodies, strict=True):
        tamper(store, "UPDATE letters SET sealed = ? WHERE number = ?", sealed, number)
    assert store.run(LETTERS.select) == []
    assert store.run(count_damaged) == 3


def test_g03_a_row_of_another_table_is_noticed(store: InlineStore) -> None:
    store.run(lambda txn: NOTES.insert(txn, {"id": b"n"}, b"body"))
    stored = store.run(lambda txn: txn.connection.execute("SELECT * FROM notes").fetchone())
    tamper(store, "CREATE TABLE other (id BLOB PRIMARY KEY, row_version INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT")
    tamper(store, "INSERT INTO other VALUES (?, ?, ?)", *stored)
    other = type(NOTES)("other", key=("id",))
    assert store.run(lambda txn: other.get(txn, b"n")) is None
    assert store.run(count_damaged) == 1


def test_g03_random_bit_flips_of_the_file_never_give_a_wrong_body(place: Place) -> None:
    """As in the measurement behind D10: SQLite's own check misses most of these."""
    store = place.open()
    bodies = {number: bytes([number]) * 900 for number in range(40)}
    for number, body in bodies.items():
        store.run(writing(number, body))
    store.close()
    sound = place.database.read_bytes()
    first = sound.index(b"o" * 16)
    for step in range(60):
        damaged = bytearray(sound)
        position = first + (step * 7919) % (len(sound) - first)
        damaged[position] ^= 1 << step % 8
        place.database.write_bytes(damaged)
        try:
            store = place.open()
        except sqlite3.DatabaseError:
            continue  # Damage that SQLite sees at once is not what this test is about.
        try:
            for row in store.run(LETTERS.select):
                assert isinstance(row["number"], int)
                assert row.body == bodies[row["number"]]
                assert row["state"] == "new"
        except sqlite3.DatabaseError as error:
            assert error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CORRUPT  # noqa: PT017 - not always raised
        finally:
            store.close()


def test_g03_a_damaged_index_entry_does_not_stop_the_row_from_being_moved(place: Place) -> None:
    store = place.open()
    store.run(lambda txn: LETTERS.insert(txn, letter(1, state="findme-state"), b"body"))
    store.close()
    data = place.database.read_bytes()
    # The table's page comes before those of its indexes; only the row is altered.
    place.database.write_bytes(data.replace(b"findme-state", b"findme-stbte", 1))
    store = place.open()
    assert store.run(LETTERS.select) == []
    assert store.run(count_damaged) == 1
    assert store.run(LETTERS.unverified_count) == 0
    store.close()
    assert check(place.store, RowCipher(STORAGE_KEY), [LETTERS]).integrity == []


def test_g11_the_files_hold_no_body_and_are_private(place: Place) -> None:
    store = place.open()
    canary = os.urandom(16).hex().encode()
    store.run(writing(1, b"title " + canary))
    for path in place.store.iterdir():
        assert canary not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0, path.name
    store.close()


def test_text_that_is_no_utf8_survives_reading() -> None:
    assert decode_text("江苏".encode()) == "江苏"
    assert decode_text(b"\xff").encode("utf-8", "surrogateescape") == b"\xff"


def test_fsck_finds_every_damaged_row_and_changes_nothing(place: Place) -> None:
    store = place.open()
    for number in range(1200):
        store.run(writing(number))
    tamper(store, "UPDATE letters SET lane = 1 WHERE number IN (3, 700)")
    store.close()
    before = place.database.read_bytes()
    report = check(place.store, RowCipher(STORAGE_KEY), [LETTERS, NOTES])
    assert not report.ok
    assert report.integrity == []
    assert (report.tables["letters"].rows, report.tables["letters"].damaged) == (1200, 2)
    assert report.tables["letters"].damaged_keys == [f"{OFFICE.hex()}/3", f"{OFFICE.hex()}/700"]
    assert report.as_json()["tables"]["notes"]["rows"] == 0
    assert place.database.read_bytes() == before
    healthy = place.open()
    healthy.run(LETTERS.select)
    healthy.close()
    after = check(place.store, RowCipher(STORAGE_KEY), [LETTERS, NOTES])
    assert (after.tables["letters"].damaged, after.set_aside, after.ok) == (0, 2, False)
