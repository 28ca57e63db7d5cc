"""One transaction for a group of changes: what runs in the writer's thread, and inline in the simulator.

A change runs in a savepoint of its own. It must have no effect but on the transaction and its return value,
because it runs again, alone, when the group found no room, and again when it met a row that was damaged.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from keys.rows import RowDamaged
from protocol.errors import Refused
from relay.store.database import Database, Txn

Change: TypeAlias = Callable[[Txn], Any]

_OWN_CODES: Final = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
        # A damaged page concerns whoever meets it; the next start salvages the others' rows (G16).
        sqlite3.SQLITE_CORRUPT,
    }
)
"""Primary result codes that concern one change; every other one but SQLITE_FULL concerns the store."""


DAMAGED_MAX: Final = 20
"""Most damaged rows that one change may meet: each is moved aside, and the change runs again without it."""


class StoreFailed(Exception):
    """The store stopped for good: the disk may have lost what SQLite believes written. Never retried.

    After a failed fsync the kernel drops the pages and a second fsync "succeeds" (fsyncgate, 2018); only a new
    process that recovers from the disk knows the truth. For the caller the outcome is unknown (exit 74).
    """


class _NoRoom(Exception):
    """SQLITE_FULL: the quota or the disk is used up, and the transaction is undone."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change: its value, or the exception that undid it."""

    value: Any = None
    error: Exception | None = None


def commit_group(database: Database, changes: Sequence[Change], now_us: int) -> list[Outcome]:
    """Run the changes in one transaction and commit it; one outcome each, in order.

    When there is no room the ballast is given up and each change tries alone, in order, so that a large
    one does not take the others with it; the outcome is `Refused` STORE_FULL for those that still do not fit.
    Raises `StoreFailed`.
    """
    try:
        return _attempt(database, changes, now_us)
    except _NoRoom:
        _give_way(database)
    return [_attempt_alone(database, change, now_us) for change in changes]


def checkpoint(database: Database) -> None:
    """Bring the WAL into the database. A full disk only postpones it. Raises `StoreFailed`."""
    try:
        database.checkpoint()
    except sqlite3.Error as error:
        if _blame(error) != "room":
            raise StoreFailed(_describe(error)) from error
        _give_way(database)
    except OSError as error:
        raise StoreFailed(_describe(error)) from error


def _give_way(database: Database) -> None:
    """Give up the ballast if the disk is full. Raises `StoreFailed`."""
    try:
        database.give_way()
    except OSError as error:
        raise StoreFailed(_describe(error)) from error


def _attempt_alone(database: Database, change: Change, now_us: int) -> Outcome:
    """One change in a transaction of its own."""
    try:
        return _attempt(database, [change], now_us)[0]
    except _NoRoom:
        return Outcome(error=Refused("STORE_FULL", "no room for this in the store"))


def _attempt(database: Database, changes: Sequence[Change], now_us: int) -> list[Outcome]:
    """The transaction itself. Raises `_NoRoom` or `StoreFailed` with nothing left open."""
    try:
        txn = database.begin(now_us)
        outcomes = [_run(txn, change) for change in changes]
        if any(_is_corrupt(outcome.error) for outcome in outcomes):
            database.suspect()
        database.commit()
    except (sqlite3.Error, OSError) as error:
        _undo(database)
        if isinstance(error, sqlite3.Error) and _blame(error) == "room":
            raise _NoRoom from error
        if _is_corrupt(error):
            database.suspect()
        raise StoreFailed(_describe(error)) from error
    except BaseException:
        _undo(database)
        raise
    return outcomes


def _run(txn: Txn, change: Change) -> Outcome:
    """One change; where a damaged row was in its way, once more without that row: nobody may stumble over it twice."""
    outcome = _run_once(txn, change)
    for _ in range(DAMAGED_MAX):
        if not isinstance(outcome.error, RowDamaged):
            break
        outcome = _run_once(txn, change)
    return outcome


def _run_once(txn: Txn, change: Change) -> Outcome:
    """One change in its savepoint. Raises errors of the store, keeps those of the change."""
    execute = txn.connection.execute
    execute("SAVEPOINT change")
    try:
        outcome = Outcome(change(txn))
    except Exception as error:
        # Whatever a change raises belongs to its caller.
        if isinstance(error, sqlite3.Error) and _blame(error) != "change":
            raise
        outcome = Outcome(error=error)
    if not txn.connection.in_transaction:
        raise StoreFailed("a change ended the transaction of its group")
    if outcome.error is not None:
        execute("ROLLBACK TO change")
    execute("RELEASE change")
    if txn.set_asides:
        _move_damaged(txn)
    return outcome


def _move_damaged(txn: Txn) -> None:
    """Move the damaged rows that were met; one whose page is damaged too stays where it is."""
    for move in txn.set_asides:
        txn.connection.execute("SAVEPOINT aside")
        try:
            move()
        except sqlite3.Error as error:
            if _blame(error) != "change":
                raise
            txn.connection.execute("ROLLBACK TO aside")
        txn.connection.execute("RELEASE aside")
    txn.set_asides.clear()


def _undo(database: Database) -> None:
    """Roll back. Raises `StoreFailed`, since a transaction that stays open would mix with the next one."""
    try:
        database.roll_back()
    except sqlite3.Error as error:
        raise StoreFailed(_describe(error)) from error


def _is_corrupt(error: Exception | None) -> bool:
    """Whether SQLite met a page that makes no sense."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT


def _blame(error: sqlite3.Error) -> Literal["change", "room", "store"]:
    """Whose fault an error is: the change's own, missing room, or the store's."""
    # Errors that the sqlite3 module finds itself (wrong number of parameters) have no code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return "room"
    return "change" if code in _OWN_CODES else "store"


def _describe(error: Exception) -> str:
    """The error for a log, without parameters."""
    return f"{type(error).__name__} {getattr(error, 'sqlite_errorname', '')}: {error}"
