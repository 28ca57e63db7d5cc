"""What `fsck` says of a store whose rows are sound, damaged, or on pages that cannot be read (G3)."""

import sqlite3

import pytest

from keys.rows import RowCipher
from relay.store.database import PAGE_BYTES, HomeInUse
from relay.store.fsck import KEYS_LISTED, SLICE_ROWS, check
from tests.relay.store.place import LETTERS, NOTES, STORAGE_KEY, Place, writing

CIPHER = RowCipher(STORAGE_KEY)
TABLES = [LETTERS, NOTES]


def fill(place: Place, count: int) -> None:
    store = place.open()
    store.run(lambda txn: [writing(number)(txn) for number in range(count)])
    store.close()


def change(place: Place, sql: str) -> None:
    """With the relay down, behind its back."""
    connection = sqlite3.connect(place.database)
    with connection:
        connection.execute(sql)
    connection.close()


def test_a_sound_store_is_ok_and_says_which_schema_it_has(place: Place) -> None:
    fill(place, SLICE_ROWS)
    report = check(place.store, CIPHER, TABLES)
    assert report.ok
    sound = {"damaged": 0, "damaged_keys": [], "complete": True}
    letters = {"rows": SLICE_ROWS, "last_rowid": SLICE_ROWS, **sound}
    notes = {"rows": 0, "last_rowid": -(2**63), **sound}
    tables = {"letters": letters, "notes": notes}
    assert report.as_json() == {"ok": True, "schema": 1, "integrity": [], "set_aside": 0, "tables": tables}


def test_g03_all_damaged_rows_are_counted_and_the_first_are_named(place: Place) -> None:
    fill(place, SLICE_ROWS + 3)
    first = SLICE_ROWS + 2 - KEYS_LISTED
    change(place, f"UPDATE letters SET sealed = x'' WHERE number >= {first}")  # noqa: S608 - the damage is ours
    report = check(place.store, CIPHER, TABLES)
    found = report.tables["letters"]
    assert (report.ok, found.rows, found.damaged) == (False, SLICE_ROWS + 3, KEYS_LISTED + 1)
    assert found.damaged_keys == [f"{b'o'.hex() * 16}/{number}" for number in range(first, first + KEYS_LISTED)]


def test_g03_a_table_that_cannot_be_read_is_named_and_the_others_are_checked(place: Place) -> None:
    fill(place, SLICE_ROWS)
    change(place, "UPDATE letters SET sealed = x'' WHERE number < 3")
    data = bytearray(place.database.read_bytes())
    # A page in the middle of the file is one of rows, or of their index.
    page = data.index(b"o" * 16, len(data) // 3) // PAGE_BYTES * PAGE_BYTES
    data[page : page + PAGE_BYTES] = bytes(PAGE_BYTES)
    place.database.write_bytes(data)
    report = check(place.store, CIPHER, TABLES)
    assert not report.ok
    assert report.integrity[-1] == "letters: database disk image is malformed"
    assert all(table.complete for table in report.tables.values())


def test_g03_what_sqlite_itself_cannot_check_is_said(place: Place) -> None:
    fill(place, 1)
    change(place, "DROP TABLE damaged")
    report = check(place.store, CIPHER, TABLES)
    assert (report.ok, report.integrity, report.set_aside) == (False, ["no such table: damaged"], 0)
    assert report.tables["letters"].rows == 1


def test_a_store_is_checked_only_while_nobody_holds_it(place: Place) -> None:
    with pytest.raises(FileNotFoundError):
        check(place.store, CIPHER, TABLES)
    store = place.open()
    with pytest.raises(HomeInUse):
        check(place.store, CIPHER, TABLES)
    store.close()
    for _ in range(2):
        assert check(place.store, CIPHER, TABLES).ok
