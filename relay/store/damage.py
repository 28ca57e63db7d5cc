"""Rows that were found damaged: moved aside, and counted for `status` and for the alarm."""

import sqlite3
from dataclasses import dataclass
from typing import Final

from protocol.cbor import dumps
from relay.store.database import Txn

SALVAGED: Final = "salvage"
"""What `damaged` names as the key where rows may have been lost and nobody knows which."""
_OF_SENT: Final = ("sent", "recipients", "held")


@dataclass(frozen=True, slots=True)
class Damage:
    """Rows that were moved aside: all, those found lately and how many of these were mended, those of the inbox, and
    those of messages that this office sent, that were not, and the tables of the recent ones.
    """

    total: int
    recent: int
    mended: int
    of_inbox: int
    of_sent: int
    tables: tuple[str, ...]


def count_damaged(txn: Txn) -> int:
    """How many rows were moved aside since the store began, mended ones included."""
    return int(txn.connection.execute("SELECT count(*) FROM damaged").fetchone()[0])


def read_damage(txn: Txn, since_us: int) -> Damage:
    """What was moved aside, and how much of it since a time."""
    query = "SELECT table_name, mended, found_at_us >= ?, count(*) FROM damaged GROUP BY 1, 2, 3"
    rows = txn.connection.execute(query, (since_us,)).fetchall()
    return Damage(
        total=sum(count for *_, count in rows),
        recent=sum(count for _, _, recent, count in rows if recent),
        mended=sum(count for _, mended, recent, count in rows if recent and mended),
        of_inbox=sum(count for table, mended, _, count in rows if table == "inbox" and not mended),
        of_sent=sum(count for table, mended, _, count in rows if table in _OF_SENT and not mended),
        tables=tuple(sorted({table for table, _, recent, _ in rows if recent})),
    )


def move_aside(txn: Txn, table: str, rowid: int, key_text: str, *, mended: bool = False) -> None:
    """Move a row that does not open into `damaged`, as it is: nothing is deleted, and no query meets it again."""
    cursor = txn.connection.execute(f"SELECT * FROM {table} WHERE rowid = ?", (rowid,))  # noqa: S608 - constant name
    names = [column[0] for column in cursor.description]
    row = cursor.fetchone()
    if row is None:
        return
    columns = dumps([names, [_as_bytes(value) if isinstance(value, str) else value for value in row]])
    txn.connection.execute(
        "INSERT INTO damaged (table_name, key_text, found_at_us, mended, columns) VALUES (?, ?, ?, ?, ?)",
        (table, key_text, txn.now_us, int(mended), columns),
    )
    delete = f"DELETE FROM {table} WHERE rowid = ?"  # noqa: S608
    try:
        txn.connection.execute(delete, (rowid,))
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        # A flipped bit in an indexed column: the index has no entry for what the row says now.
        txn.connection.execute(f"REINDEX {table}")
        txn.connection.execute(delete, (rowid,))


def was_moved_aside(txn: Txn, table: str, key_text: str) -> bool:
    """Whether a row of this key was damaged and could not be mended."""
    query = "SELECT count(*) FROM damaged WHERE table_name = ? AND key_text = ? AND mended = 0"
    return bool(txn.connection.execute(query, (table, key_text)).fetchone()[0])


def _as_bytes(text: str) -> bytes:
    """The bytes that `decode_text` was given."""
    return text.encode("utf-8", "surrogateescape")
