"""Opens every row and says what does not open: the proof of G3 for a whole store (`relay fsck`).

Nothing is changed. With the daemon down `check` does it all; the daemon itself calls `check_slice` again and
again between two commits, so that a long check never holds up a flash message.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from keys.rows import RowCipher
from relay.store.database import DATABASE_NAME, StoreLock, connect_to_read
from relay.store.sealed_table import SealedTable

SLICE_ROWS: Final = 500
"""Rows per slice: about 5 ms of small rows."""

KEYS_LISTED: Final = 100
"""Most damaged rows that a report names for each table; all are counted."""


class TableReport(msgspec.Struct):
    """One table: rows looked at, rows that do not open, and the keys of the first of those."""

    rows: int = 0
    damaged: int = 0
    damaged_keys: list[str] = []
    last_rowid: int = -(2**63)
    """Where the next slice goes on."""
    complete: bool = False


class Report(msgspec.Struct):
    """The whole store. `set_aside` counts rows that were found damaged earlier and moved aside."""

    schema: int
    integrity: list[str]
    set_aside: int
    tables: dict[str, TableReport]

    @property
    def ok(self) -> bool:
        """Whether every page and every row is sound, and none was moved aside."""
        return not self.integrity and not self.set_aside and not any(t.damaged for t in self.tables.values())

    def as_json(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {"ok": self.ok, **msgspec.to_builtins(self)}


def check(directory: Path, cipher: RowCipher, tables: Sequence[SealedTable]) -> Report:
    """Check the store in `directory` while no daemon runs.

    Raises `HomeInUse`, `FileNotFoundError`, and `sqlite3.DatabaseError` for a file that is no database.
    """
    path = directory / DATABASE_NAME
    path.stat()
    lock = StoreLock(directory)
    try:
        with closing(connect_to_read(path)) as connection:
            report = begin_check(connection, tables)
            for table in tables:
                while not report.tables[table.name].complete:
                    check_slice(connection, cipher, table, report)
            return report
    finally:
        lock.release()


def begin_check(connection: sqlite3.Connection, tables: Sequence[SealedTable]) -> Report:
    """A report with the findings of SQLite itself and no rows yet. `integrity_check` takes about 1 s per GiB."""
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    try:
        integrity = [line for (line,) in connection.execute("PRAGMA integrity_check(100)") if line != "ok"]
        (set_aside,) = connection.execute("SELECT count(*) FROM damaged").fetchone()
    except sqlite3.DatabaseError as error:
        integrity, set_aside = [str(error)], 0
    return Report(schema, integrity, set_aside, {table.name: TableReport() for table in tables})


def check_slice(connection: sqlite3.Connection, cipher: RowCipher, table: SealedTable, report: Report) -> None:
    """Look at the next `SLICE_ROWS` rows of a table and add them to the report."""
    progress = report.tables[table.name]
    before = progress.rows
    try:
        for rowid, *stored in table.slice(connection, progress.last_rowid, SLICE_ROWS):
            progress.rows += 1
            progress.last_rowid = rowid
            if table.open_stored(cipher, stored) is None:
                progress.damaged += 1
                if len(progress.damaged_keys) < KEYS_LISTED:
                    progress.damaged_keys.append(table.key_text(stored))
    except sqlite3.DatabaseError as error:
        # A page that cannot be read ends the table: what lies behind it cannot be reached in order.
        report.integrity.append(f"{table.name}: {error}")
        progress.complete = True
        return
    progress.complete = progress.rows - before < SLICE_ROWS
