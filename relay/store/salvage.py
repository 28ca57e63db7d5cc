"""A database whose structure is damaged gives up its rows to a new one (D10, G1, G3, G16).

Every row is sealed under its table's name, so that what opens is what was written, wherever it was found; of two
versions of a row the later one counts. What could not be read is treated like rows that were moved aside: made again
from other rows, or asked for again. The damaged file stays beside the new one for whoever wants to look at it, until
a prekey is forgotten, which must leave nothing in any file (D7).
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from keys.rows import RowCipher
from relay.ports import Entropy
from relay.store.ballast import sync_directory
from relay.store.damage import SALVAGED
from relay.store.database import (
    DAMAGED_NAME,
    DATABASE_NAME,
    SUSPECT_NAME,
    Database,
    StoreLock,
    StoreUnusable,
    make_empty,
)
from relay.store.mending import TRIES_MAX, Mender
from relay.store.pages import PAGE_BYTES, Value, rows
from relay.store.sealed_table import SealedTable
from relay.store.tables import ALL, HELD, INBOX, NUMBERS, RECIPIENTS, SENT, STREAMS
from relay.store.wal import write_home

_NEW_NAME: Final = "relay.db.salvaged"
_LOOKED_FOR: Final = (SENT, RECIPIENTS, HELD, INBOX, NUMBERS, STREAMS)
"""Tables of which it is looked for what is missing."""
_NOTE: Final = "INSERT INTO damaged (table_name, key_text, found_at_us, mended, columns) VALUES (?, ?, ?, ?, ?)"
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
_COMMITS_MAX: Final = 2**62
_NAMES: Final = frozenset(table.name for table in ALL)

_log = structlog.get_logger()


@dataclass(slots=True)
class Salvaged:
    """What came of it: rows that were kept, those of them that were mended, and those that could not be read."""

    kept: int = 0
    mended: int = 0
    lost: int = 0


def open_store(
    directory: Path, *, cipher: RowCipher, entropy: Entropy, migrations: Path, quota_bytes: int, ballast_bytes: int,
    now_us: int,
) -> Database:  # fmt: skip
    """The database of a store; one whose structure is damaged is salvaged first. `problems` then says what came of it.

    Raises what `Database.open` raises, also where no row of a damaged database can be read.
    """
    again = partial(
        Database.open, directory, cipher=cipher, entropy=entropy, migrations=migrations, quota_bytes=quota_bytes,
        ballast_bytes=ballast_bytes,
    )  # fmt: skip
    failure: Exception | None = None
    try:
        database = again()
        suspect = (directory / SUSPECT_NAME).exists()
        if not (database.problems or suspect):
            return _tell(database, ())
        problems = database.problems or ("a page made no sense when it was read",)
        database.close()
    except (sqlite3.DatabaseError, StoreUnusable) as error:
        if not _is_damage(error):
            raise
        problems, failure = (str(error),), error
    make = partial(make_empty, migrations=migrations, quota_bytes=quota_bytes)
    try:
        found = _salvage(directory, cipher, make, now_us)
    except (sqlite3.Error, OSError) as error:
        if failure is not None:
            raise
        # No room for a second database: as long as the first one opens it is better than none.
        return _tell(again(), (*problems, f"rows could not be salvaged: {error}"))
    if not found.kept and failure is not None:
        raise failure
    told = f"rows were salvaged into a new database: {found.kept} kept, {found.lost} could not be read"
    return _tell(again(), (told, *problems) if found.kept else problems)


def _tell(database: Database, problems: tuple[str, ...]) -> Database:
    """The database with what there is to say about its start."""
    if database.mended_bits:
        problems += ("a flipped bit of the write-ahead log was mended",)
    database.problems = problems
    return database


def _is_damage(error: Exception) -> bool:
    """Whether an error may come from what is written in the file, and not from the disk, its rights or its room."""
    if isinstance(error, StoreUnusable):
        return error.code in ("STORE_FOREIGN", "STORE_SETTINGS")
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF in _DAMAGE


def _salvage(directory: Path, cipher: RowCipher, make: Callable[[Path], sqlite3.Connection], now_us: int) -> Salvaged:
    """Put a new database in the place of a damaged one; `make` makes an empty one at a path.

    Nothing is in place before all of it is durable. Where no row opens the file is none of ours, and stays.
    Raises `HomeInUse`, `sqlite3.Error`, `OSError`.
    """
    lock = StoreLock(directory)
    path, new_path = directory / DATABASE_NAME, directory / _NEW_NAME
    try:
        _remove(new_path)
        found = _fill(path, new_path, cipher, make, now_us)
        if found.kept:
            damaged = directory / DAMAGED_NAME
            damaged.unlink(missing_ok=True)
            os.link(path, damaged)
            new_path.replace(path)
            (directory / SUSPECT_NAME).unlink(missing_ok=True)
            sync_directory(directory)
            _log.error("store_salvaged", kept=found.kept, mended=found.mended, lost=found.lost)
    finally:
        _remove(new_path)
        lock.release()
    return found


def _fill(
    path: Path, new_path: Path, cipher: RowCipher, make: Callable[[Path], sqlite3.Connection], now_us: int
) -> Salvaged:
    """A new database with the rows of another, durable when it is closed."""
    write_home(path, PAGE_BYTES)
    connection = make(new_path)
    try:
        with path.open("rb") as file:
            found = _Salvage(connection, cipher).take(partial(_page, file.fileno()), path.stat().st_size // PAGE_BYTES)
        for table in _LOOKED_FOR:
            connection.execute(_NOTE, (table.name, SALVAGED, now_us, 0, b""))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()
    return found


class _Salvage:
    """The rows of one database on their way into another."""

    def __init__(self, connection: sqlite3.Connection, cipher: RowCipher) -> None:
        self._connection = connection
        self._cipher = cipher
        self._mender = Mender()
        self._found = Salvaged()
        self._by_width: dict[int, list[SealedTable]] = {}
        for table in ALL:
            self._by_width.setdefault(len(table.columns) + 2, []).append(table)

    def take(self, page_of: Callable[[int], bytes], count: int) -> Salvaged:
        """Every row that opens, what the tables say that are not sealed, and what can be mended."""
        self._connection.execute("BEGIN")
        closed: list[tuple[Value, ...]] = []
        for row in rows(page_of, count):
            if row is None:
                self._found.lost += 1
            elif not (self._take(row) or self._is_unsealed(*row)) and len(row[1]) in self._by_width:
                self._found.lost += 1
                closed += [_stored(row)] if len(closed) < TRIES_MAX else []
        # Where nothing opens all this is somebody else's, and not worth a try.
        for stored in closed if self._found.kept else ():
            self._mend(stored)
        self._connection.execute("COMMIT")
        return self._found

    def _take(self, row: tuple[int, tuple[Value, ...]]) -> bool:
        """Whether a row opens, in any table that has so many columns."""
        stored = _stored(row)
        for table in self._by_width.get(len(stored), ()):
            if table.open_stored(self._cipher, stored) is not None:
                self._found.kept += table.restore(self._connection, stored)
                return True
        return False

    def _mend(self, stored: Sequence[Value]) -> None:
        for table in self._by_width[len(stored)]:
            mended = self._mender.mend(self._cipher, table.name, stored)
            if mended is not None and table.restore(self._connection, mended):
                self._found.kept += 1
                self._found.mended += 1
                self._found.lost -= 1
                return

    def _is_unsealed(self, rowid: int, columns: Sequence[Value]) -> bool:
        """The count of commits, the list of damaged rows, and SQLite's own list of tables."""
        match columns:
            case [None, int(commits)] if rowid == 1 and commits < _COMMITS_MAX:
                self._connection.execute("UPDATE life SET commits = max(commits, ?)", (commits,))
            case [None, str(table), str(key_text), int(found_at_us), int(mended), bytes(kept)] if table in _NAMES:
                self._connection.execute(_NOTE, (table, key_text, found_at_us, mended, kept))
            case [str("table" | "index"), str(), str(), int(), _]:
                pass
            case _:
                return False
        return True


def _stored(row: tuple[int, tuple[Value, ...]]) -> tuple[Value, ...]:
    """The columns with the rowid where it is one of them: no other can come first and be empty."""
    rowid, columns = row
    return (rowid, *columns[1:]) if columns[:1] == (None,) else columns


def _page(handle: int, number: int) -> bytes:
    """A page of a file, as far as it is there."""
    return os.pread(handle, PAGE_BYTES, (number - 1) * PAGE_BYTES)


def _remove(path: Path) -> None:
    """A new database that was never finished."""
    for name in (path.name, f"{path.name}-wal"):
        path.with_name(name).unlink(missing_ok=True)
