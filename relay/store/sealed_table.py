"""Tables whose rows are sealed one by one (DESIGN D10, G3, G11).

A sealed table is a STRICT table with rowids that has exactly: its key columns, its clear columns,
`row_version INTEGER NOT NULL` and `sealed BLOB NOT NULL`. Clear columns are what SQL must see to search and
sort; everything else is in the sealed body. Table name, key, version and every clear column are bound to the
body as associated data, so that no column can be altered and no two rows can be swapped unnoticed.
What sealing cannot show: that a row is missing, or that all of it is an older version of itself (G12 does).
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec

from keys.rows import SALT_BYTES, RowCipher, RowDamaged
from protocol.cbor import dumps
from protocol.limits import CONTENT_BYTES
from relay.store.damage import move_aside
from relay.store.database import Txn

Value: TypeAlias = int | str | bytes | None
"""What a key or clear column holds. Booleans and IntEnums are stored as their number; floats are refused."""

BEGINNING: Final = -(2**63)
"""Before the first rowid."""
PIECE_BYTES: Final = 4 * CONTENT_BYTES
"""Sealed bodies read at once where a table is gone through."""
_PLAIN: Final = frozenset({int, str, bytes, type(None)})
_VERSION_MAX: Final = 2**62
_LAST: Final = ("row_version", "sealed")
"""What stands behind the clear columns of every table."""
_MISPLACED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CONSTRAINT})


class RowExists(Exception):
    """An insert met a row with the same key, or the same value of another UNIQUE column."""


class RowChanged(Exception):
    """An update met another version of the row than the one it was made from, or none."""


class Row(msgspec.Struct, frozen=True):
    """A row that opened: `clear` holds key and clear columns by name, `body` what was sealed."""

    clear: Mapping[str, Value]
    body: bytes
    version: int

    def __getitem__(self, column: str) -> Value:
        return self.clear[column]


class SealedTable:
    """The one way to rows of one table. Names are constants of the program, never input."""

    def __init__(self, name: str, *, key: tuple[str, ...], clear: tuple[str, ...] = ()) -> None:
        self.name = name
        self.key = key
        self.columns = key + clear
        self._shape = len(key)
        stored = (*self.columns, *_LAST)
        listed = ", ".join(stored)
        marks = ", ".join("?" * len(stored))
        matches = " AND ".join(f"{column} = ?" for column in key)
        replaced = ", ".join(f"{column} = excluded.{column}" for column in stored if column not in key)
        self._insert_sql = f"INSERT INTO {name} ({listed}) VALUES ({marks})"  # noqa: S608 - constant names
        self._put_sql = f"{self._insert_sql} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {replaced}"
        rest = ", ".join((*clear, *_LAST))
        self._restore_sql = f"{self._put_sql} WHERE excluded.row_version > {name}.row_version"
        self._get_sql = f"SELECT rowid, {rest} FROM {name} WHERE {matches}"  # noqa: S608
        self._version_sql = f"SELECT row_version FROM {name} WHERE {matches}"  # noqa: S608
        self._delete_sql = f"DELETE FROM {name} WHERE {matches}"  # noqa: S608
        self._select_sql = f"SELECT rowid, {listed} FROM {name} WHERE "  # noqa: S608
        self.slice_sql = f"{self._select_sql}rowid > ? ORDER BY rowid LIMIT ?"
        self._unverified_sql = f"SELECT {', '.join(self.columns)} FROM {name} WHERE "  # noqa: S608
        self._count_sql = f"SELECT count(*) FROM {name} WHERE "  # noqa: S608
        self._matches = matches
        # One text per shape of call; the shapes are written in the program, so the maps stay small.
        self._update_texts: dict[tuple[str, ...], str] = {}

    def insert(self, txn: Txn, values: Mapping[str, Value], body: bytes) -> Row:
        """Store a new row. `values` has every key and clear column. Raises `RowExists`."""
        clear, parameters = self._sealed(txn, values, body, 1)
        try:
            txn.connection.execute(self._insert_sql, parameters)
        except txn.connection.IntegrityError as error:
            if error.sqlite_errorname in {"SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE"}:
                raise RowExists(self.name) from error
            raise
        return Row(clear, body, 1)

    def put(self, txn: Txn, values: Mapping[str, Value], body: bytes) -> Row:
        """Store a row whether or not there is one with its key, damaged or not; the version goes on counting."""
        key = tuple(values[column] for column in self.key)
        found = txn.connection.execute(self._version_sql, key).fetchone()
        # A damaged row is replaced as well, whatever its version column says now.
        version = found[0] + 1 if found and type(found[0]) is int and 0 < found[0] < _VERSION_MAX else 1
        clear, parameters = self._sealed(txn, values, body, version)
        txn.connection.execute(self._put_sql, parameters)
        return Row(clear, body, version)

    def restore(self, connection: sqlite3.Connection, stored: Sequence[Value]) -> bool:
        """Store a row as it lay in another database, unless a later version of it is here; whether it was stored."""
        try:
            return connection.execute(self._restore_sql, stored).rowcount > 0
        except sqlite3.IntegrityError:
            # Another row has its place in a UNIQUE column: one of the two was deleted once.
            return False

    def get(self, txn: Txn, *key: Value) -> Row | None:
        """The row with this key, or None. Raises `RowDamaged` for one that cannot be mended; it is moved aside then."""
        found = txn.connection.execute(self._get_sql, key).fetchone()
        if found is None:
            return None
        # The key is taken from the caller, not from the row: an index that points to another row is noticed.
        stored = (*map(_plain, key), *found[1:])
        row = self.open_stored(txn.cipher, stored) or self.mended(txn, found[0], stored)
        if row is None:
            raise RowDamaged(self.name, key)
        return row

    def update(self, txn: Txn, row: Row, body: bytes | None = None, **changes: Value) -> Row:
        """Store changed clear columns and, if given, another body. Raises `RowChanged`, or `RowExists` (UNIQUE)."""
        names = tuple(changes)
        text = self._update_texts.get(names) or self._update_text(names)
        version = row.version + 1
        content = row.body if body is None else body
        clear, parameters = self._sealed(txn, {**row.clear, **changes}, content, version)
        key = parameters[: self._shape]
        settings = [clear[name] for name in names]
        try:
            cursor = txn.connection.execute(text, (*settings, version, parameters[-1], *key, row.version))
        except txn.connection.IntegrityError as error:
            if error.sqlite_errorname == "SQLITE_CONSTRAINT_UNIQUE":
                raise RowExists(self.name) from error
            raise
        if cursor.rowcount != 1:
            raise RowChanged(self.name)
        return Row(clear, content, version)

    def delete(self, txn: Txn, *key: Value) -> bool:
        """Delete the row with this key, opened or not; whether there was one."""
        return txn.connection.execute(self._delete_sql, key).rowcount > 0

    def select(
        self, txn: Txn, where: str = "1", args: Sequence[Value] = (), *, order: str = "", limit: int | None = None,
        max_bytes: int | None = None,
    ) -> list[Row]:  # fmt: skip
        """The rows that match and open. Damaged ones that cannot be mended are left out, and moved aside then.

        `where` and `order` are constant SQL of the program; `args` fill its question marks. None is read after the one
        with which their bodies reach `max_bytes`.
        """
        query = _tail(self._select_sql, where, args, order, limit)
        before = txn.connection.total_changes
        rows = self._opened(txn, query, max_bytes)
        # What was mended may not match any more, and another place in the order is its own.
        return rows if txn.connection.total_changes == before else self._opened(txn, query, max_bytes)

    def look_through(self, txn: Txn, after: int, limit: int) -> tuple[int, int]:
        """Open the rows after a rowid, whatever their columns say; what does not open is mended, or moved aside then.

        How many rows, fewer than the limit at the end of the table, and the last one's rowid.
        """
        looked = 0
        for rowid, *stored in self.slice(txn.connection, after, limit):
            looked, after = looked + 1, rowid
            if self.open_stored(txn.cipher, stored) is None:
                self.mended(txn, rowid, stored)
        return looked, after

    def slice(self, connection: sqlite3.Connection, after: int, limit: int) -> Iterator[Sequence[Any]]:
        """(rowid, key, clear columns, version, sealed body) of the rows after a rowid, as they lie on the disk.

        They are read in pieces, so that large bodies fill no memory and whoever changes a row disturbs no query.
        """
        while limit > 0:
            piece = _up_to(connection.execute(self.slice_sql, (after, limit)), PIECE_BYTES)
            if not piece:
                return
            yield from piece
            after, limit = piece[-1][0], limit - len(piece)

    def unverified_clear(
        self, txn: Txn, where: str = "1", args: Sequence[Value] = (), *, order: str = "", limit: int | None = None
    ) -> list[dict[str, Value]]:
        """Key and clear columns of the rows that match, straight from the disk: for lists and counts, not for trust."""
        found = txn.connection.execute(*_tail(self._unverified_sql, where, args, order, limit)).fetchall()
        return [self._named(row) for row in found]

    def unverified_count(self, txn: Txn, where: str = "1", args: Sequence[Value] = ()) -> int:
        """How many rows match, without opening any."""
        return int(txn.connection.execute(self._count_sql + where, args).fetchone()[0])

    def open_stored(self, cipher: RowCipher, stored: Sequence[Value]) -> Row | None:
        """The row made of key, clear columns, version and sealed body as they lie on the disk; None if damaged."""
        *values, version, sealed = stored
        if type(version) is not int or type(sealed) is not bytes:
            return None
        try:
            body = cipher.open(dumps([self.name, version, values]), sealed)
        except (RowDamaged, UnicodeEncodeError):
            # Text that is no UTF-8 any more comes with lone surrogates (see database.py) and cannot be encoded.
            return None
        return Row(self._named(values), body, version)

    def _opened(self, txn: Txn, query: tuple[str, Sequence[Value]], max_bytes: int | None) -> list[Row]:
        """The rows of a query as they lie there, or mended."""
        cursor = txn.connection.execute(*query)
        found = cursor.fetchall() if max_bytes is None else _up_to(cursor, max_bytes)
        rows = (self.open_stored(txn.cipher, one[1:]) or self.mended(txn, one[0], one[1:]) for one in found)
        return [row for row in rows if row is not None]

    def mended(self, txn: Txn, rowid: int, stored: Sequence[Value]) -> Row | None:
        """A damaged row as it was written, put back in its place; None, and it is moved aside after the change."""
        written = txn.mender.mend(txn.cipher, self.name, stored)
        key_text = self.key_text(stored)
        if written is not None:
            txn.connection.execute("SAVEPOINT mending")
            try:
                move_aside(txn, self.name, rowid, key_text, mended=True)
                txn.connection.execute(self._insert_sql, written)
            except txn.connection.DatabaseError as error:
                code = error.sqlite_errorcode & 0xFF
                if code not in _MISPLACED and code != sqlite3.SQLITE_READONLY:
                    raise
                txn.connection.execute("ROLLBACK TO mending")
                # Its page or its index is damaged too, or another row has taken its place: it is not put back. Where
                # nothing can be changed (`relay.store.stopped`) it is shown as it was written.
                written = None if code in _MISPLACED else written
            txn.connection.execute("RELEASE mending")
        if written is None:
            txn.set_asides.append(partial(move_aside, txn, self.name, rowid, key_text))
            return None
        return self.open_stored(txn.cipher, written)

    def _sealed(
        self, txn: Txn, values: Mapping[str, Value], body: bytes, version: int
    ) -> tuple[dict[str, Value], tuple[Value, ...]]:
        """The clear columns as they will be read back, and the parameters of an insert."""
        if len(values) != len(self.columns):
            raise ValueError(f"{self.name} has the columns {', '.join(self.columns)}")
        plain = [_plain(values[column]) for column in self.columns]
        sealed = txn.cipher.seal(dumps([self.name, version, plain]), body, txn.entropy.bytes(SALT_BYTES))
        return self._named(plain), (*plain, version, sealed)

    def _named(self, values: Sequence[Value]) -> dict[str, Value]:
        """Key and clear columns by name."""
        return dict(zip(self.columns, values, strict=True))

    def _update_text(self, names: tuple[str, ...]) -> str:
        """The UPDATE that sets these columns; indexes on other columns are not touched."""
        if foreign := set(names) - set(self.columns[self._shape :]):
            raise ValueError(f"{self.name} cannot change {', '.join(sorted(foreign))}")
        settings = ", ".join(f"{column} = ?" for column in (*names, *_LAST))
        text = f"UPDATE {self.name} SET {settings} WHERE {self._matches} AND row_version = ?"  # noqa: S608
        self._update_texts[names] = text
        return text

    def key_text(self, stored: Sequence[Value]) -> str:
        """The key for a human eye."""
        return "/".join(_readable(value) for value in stored[: self._shape])


def _plain(value: Value) -> Value:
    """The value as SQLite gives it back, so that what is sealed is what will be read."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"a column cannot hold a {type(value).__name__}")


def _readable(value: Value) -> str:
    """Hexadecimal for bytes, else text that any terminal can show."""
    return value.hex() if isinstance(value, bytes) else ascii(value).strip("'")


def _up_to(cursor: sqlite3.Cursor, max_bytes: int) -> list[Sequence[Any]]:
    """The rows of a query, up to the one with which their sealed bodies reach so many bytes."""
    rows: list[Sequence[Any]] = []
    size = 0
    for row in cursor:
        rows.append(row)
        size += len(row[-1]) if isinstance(row[-1], bytes) else 0
        if size >= max_bytes:
            break
    cursor.close()
    return rows


def _tail(head: str, where: str, args: Sequence[Value], order: str, limit: int | None) -> tuple[str, Sequence[Value]]:
    """Statement and parameters of a query."""
    text = f"{head}{where} ORDER BY {order}" if order else head + where
    return (text, args) if limit is None else (f"{text} LIMIT ?", (*args, limit))
