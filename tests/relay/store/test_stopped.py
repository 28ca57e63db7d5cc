"""One question to a store that no daemon holds: it is answered, and nothing is changed (G1, G3)."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from keys.rows import RowCipher, RowDamaged
from relay.store.database import HomeInUse, Space, Txn
from relay.store.fsck import check
from relay.store.sealed_table import Row
from relay.store.stopped import ask
from tests.relay.store.place import LETTERS, STORAGE_KEY, Place, letter, write_letter, writing

CIPHER = RowCipher(STORAGE_KEY)


def files(folder: Path) -> dict[str, bytes]:
    """What a store holds. The empty log and its index that SQLite makes for a reader are nothing."""
    return {path.name: data for path in folder.iterdir() if path.suffix != ".db-shm" and (data := path.read_bytes())}


def listed(txn: Txn) -> list[Row]:
    return LETTERS.select(txn, order="number")


def numbers(txn: Txn) -> list[object]:
    return [row["number"] for row in listed(txn)]


def damage(folder: Path, change: str) -> None:
    """With the relay down, behind its back."""
    connection = sqlite3.connect(folder / "relay.db")
    with connection:
        connection.execute(change)
    connection.close()


def test_g01_what_a_kill_left_is_read_and_stays_as_it_lies(place: Place) -> None:
    store = place.open()
    for number in range(3):
        store.run(writing(number))
    killed = place.directory / "killed"
    shutil.copytree(place.store, killed)
    store.close()
    before = files(killed)
    assert before["relay.db-wal"]
    for _ in range(2):
        assert ask(killed, CIPHER, numbers) == [0, 1, 2]
        assert check(killed, CIPHER, [LETTERS]).ok
        assert files(killed) == before


def test_a_question_has_no_time_and_no_room_and_can_change_nothing(place: Place) -> None:
    place.open().close()
    before = files(place.store)
    assert ask(place.store, CIPHER, lambda txn: (txn.now_us, txn.space)) == (0, Space(0, 0, 0, 0))
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        ask(place.store, CIPHER, lambda txn: write_letter(txn, 1))
    assert files(place.store) == before
    # Whoever asked in vain is in nobody's way.
    assert ask(place.store, CIPHER, numbers) == []


def test_a_store_is_asked_only_where_there_is_one_and_nobody_holds_it(place: Place) -> None:
    with pytest.raises(FileNotFoundError):
        ask(place.store, CIPHER, numbers)
    assert files(place.store) == {}
    store = place.open()
    with pytest.raises(HomeInUse):
        ask(place.store, CIPHER, numbers)
    store.close()
    assert ask(place.store, CIPHER, numbers) == []


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ("lane = 2", letter(1)),
        ("state = CAST(x'6eff77' AS TEXT)", None),
        ("lane = 0", None),
        ("sealed = zeroblob(60)", None),
    ],
)
def test_g03_a_row_that_can_be_mended_is_read_as_it_was_written_and_mended_by_the_next_start(
    place: Place, change: str, read: dict[str, object] | None
) -> None:
    """One flipped bit does not keep an office from `doctor` and `audit verify`; more of them are never believed."""
    store = place.open()
    store.run(writing(1))
    store.run(writing(2))
    store.close()
    damage(place.store, f"UPDATE letters SET {change} WHERE number = 1")  # noqa: S608 - the damage is ours
    before = files(place.store)
    rows = ask(place.store, CIPHER, listed)
    assert [row.clear for row in rows] == [one for one in (read, letter(2)) if one]
    if read is None:
        with pytest.raises(RowDamaged):
            ask(place.store, CIPHER, lambda txn: LETTERS.get(txn, b"o" * 16, 1))
    assert files(place.store) == before
    store = place.open()
    assert [row.clear for row in store.run(listed)] == [row.clear for row in rows]
    store.close()
