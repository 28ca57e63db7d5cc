"""A group of changes: whose fault an error is, and that nothing but its own change suffers from it (D10, G1, G13)."""

import errno
import sqlite3
from collections.abc import Callable

import pytest

from protocol.errors import Refused
from relay.store.database import SUSPECT_NAME, Database, Txn
from relay.store.group import StoreFailed, checkpoint, commit_group
from tests.relay.store.place import LETTERS, Place, write_letter, writing


def sqlite_error(code: int, name: str, text: str) -> sqlite3.OperationalError:
    """As the sqlite3 module raises it."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error


IO_ERROR = sqlite_error(sqlite3.SQLITE_IOERR | 1 << 8, "SQLITE_IOERR_READ", "disk I/O error")
FULL = sqlite_error(sqlite3.SQLITE_FULL, "SQLITE_FULL", "database or disk is full")
CORRUPT = sqlite_error(sqlite3.SQLITE_CORRUPT | 2 << 8, "SQLITE_CORRUPT_SEQUENCE", "malformed")
CORRUPT_PAGE = sqlite_error(sqlite3.SQLITE_CORRUPT, "SQLITE_CORRUPT", "malformed")
CONSTRAINT = sqlite_error(sqlite3.SQLITE_CONSTRAINT | 8 << 8, "SQLITE_CONSTRAINT_UNIQUE", "not unique")
NO_CODE = sqlite3.ProgrammingError("Incorrect number of bindings")


@pytest.fixture
def database(place: Place) -> Database:
    return place.opener()()


def failing(error: Exception) -> Callable[[Txn], None]:
    def change(txn: Txn) -> None:
        write_letter(txn, 2)
        raise error

    return change


def suspected(place: Place) -> bool:
    """Whether the next start is told to salvage."""
    return any(place.directory.rglob(SUSPECT_NAME))


def numbers(database: Database) -> list[object]:
    (found,) = commit_group(database, [lambda txn: LETTERS.select(txn, order="number")], 1)
    return [row["number"] for row in found.value]


@pytest.mark.parametrize("error", [CORRUPT, NO_CODE, ValueError("no")])
def test_g01_an_error_of_a_change_is_its_own(database: Database, error: Exception) -> None:
    outcomes = commit_group(database, [writing(1), failing(error), writing(3)], 1)
    assert [outcome.error for outcome in outcomes] == [None, error, None]
    assert numbers(database) == [1, 3]
    database.close()


@pytest.mark.parametrize(
    ("error", "told"),
    [(CORRUPT, True), (CORRUPT_PAGE, True), (NO_CODE, False), (ValueError("no"), False), (CONSTRAINT, False)],
)
def test_g16_a_page_that_makes_no_sense_is_remembered_for_the_next_start_and_nothing_else_is(
    place: Place, database: Database, error: Exception, told: bool
) -> None:
    assert commit_group(database, [writing(1)], 1)[0].error is None
    assert not suspected(place)
    outcomes = commit_group(database, [failing(error), writing(3)], 1)
    assert [outcome.error for outcome in outcomes] == [error, None]
    assert suspected(place) is told
    database.close()


@pytest.mark.parametrize(("error", "told"), [(CORRUPT, True), (CORRUPT_PAGE, True), (IO_ERROR, False)])
def test_g16_such_a_page_that_stops_the_store_is_remembered_too(
    place: Place, database: Database, monkeypatch: pytest.MonkeyPatch, error: Exception, told: bool
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(database, "commit", fails)
    with pytest.raises(StoreFailed):
        commit_group(database, [writing(1)], 1)
    assert suspected(place) is told


def test_g01_an_error_of_the_disk_stops_the_store_and_is_named(database: Database) -> None:
    with pytest.raises(StoreFailed) as failed:
        commit_group(database, [writing(1), failing(IO_ERROR), writing(3)], 1)
    assert str(failed.value) == "OperationalError SQLITE_IOERR_READ: disk I/O error"
    assert not database.connection.in_transaction
    assert numbers(database) == []
    database.close()


def test_g13_what_finds_no_room_is_refused_alone_and_the_others_have_the_time_of_their_group(
    database: Database,
) -> None:
    seen = []

    def change(txn: Txn) -> None:
        seen.append(txn.now_us)
        write_letter(txn, 1)

    outcomes = commit_group(database, [change, failing(FULL), writing(3)], 77)
    assert [type(outcome.error) for outcome in outcomes] == [type(None), Refused, type(None)]
    assert isinstance(outcomes[1].error, Refused)
    assert outcomes[1].error.code == "STORE_FULL"
    assert seen == [77, 77]
    assert numbers(database) == [1, 3]
    database.close()


def test_g01_a_change_may_not_end_the_transaction_of_its_group(database: Database) -> None:
    with pytest.raises(StoreFailed, match=r"^a change ended the transaction of its group$"):
        commit_group(database, [writing(1), lambda txn: txn.connection.execute("COMMIT").rowcount], 1)
    assert not database.connection.in_transaction
    database.close()


def test_g03_a_damaged_row_whose_page_is_damaged_stays_where_it_is(database: Database) -> None:
    """What was moved before it stays moved; what its own move did is undone."""

    def change(txn: Txn) -> None:
        write_letter(txn, 1)
        txn.set_asides.extend((lambda: write_letter(txn, 5), failing_move(txn, CORRUPT), lambda: write_letter(txn, 6)))

    assert commit_group(database, [change], 1)[0].error is None
    assert numbers(database) == [1, 5, 6]
    database.close()


def test_g01_a_disk_that_fails_while_a_damaged_row_is_moved_stops_the_store(database: Database) -> None:
    with pytest.raises(StoreFailed, match="disk I/O error"):
        commit_group(database, [lambda txn: txn.set_asides.append(failing_move(txn, IO_ERROR))], 1)
    assert not database.connection.in_transaction
    database.close()


def failing_move(txn: Txn, error: Exception) -> Callable[[], None]:
    def move() -> None:
        write_letter(txn, 9)
        raise error

    return move


@pytest.mark.parametrize("work", ["begin", "roll_back", "give_way"])
def test_g01_whatever_else_fails_stops_the_store_and_says_why(
    database: Database, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "gone") if work != "roll_back" else IO_ERROR

    monkeypatch.setattr(database, work, fails)
    changes = [failing(FULL if work == "give_way" else IO_ERROR)]
    with pytest.raises(StoreFailed, match="gone" if work != "roll_back" else "disk I/O error"):
        commit_group(database, changes, 1)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (IO_ERROR, "OperationalError SQLITE_IOERR_READ: disk I/O error"),
        (OSError(errno.EIO, "gone"), f"OSError : [Errno {errno.EIO}] gone"),
    ],
)
def test_g01_a_checkpoint_that_fails_stops_the_store(
    database: Database, monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(database, "checkpoint", fails)
    with pytest.raises(StoreFailed) as failed:
        checkpoint(database)
    assert str(failed.value) == text


def test_g13_a_checkpoint_without_room_is_postponed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    gave_way = []

    def fails() -> None:
        raise FULL

    monkeypatch.setattr(database, "checkpoint", fails)
    monkeypatch.setattr(database, "give_way", lambda: gave_way.append(True))
    checkpoint(database)
    assert gave_way == [True]
