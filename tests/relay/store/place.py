"""A small store for a test: two tables, a clock that is told, and how to open it."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from keys.rows import RowCipher
from relay.store.database import Database, Txn
from relay.store.sealed_table import SealedTable
from tests.inline_store import InlineStore

SCHEMA = """
CREATE TABLE letters (
    office BLOB NOT NULL, number INTEGER NOT NULL,
    state TEXT NOT NULL, lane INTEGER NOT NULL, due_us INTEGER,
    row_version INTEGER NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (office, number)
) STRICT;
CREATE INDEX letters_by_state ON letters (state, lane);
CREATE TABLE notes (
    id BLOB PRIMARY KEY, row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
"""
LETTERS = SealedTable("letters", key=("office", "number"), clear=("state", "lane", "due_us"))
NOTES = SealedTable("notes", key=("id",))
STORAGE_KEY = bytes(range(32))


class SystemEntropy:
    """Real randomness: nothing here depends on its values."""

    def bytes(self, count: int) -> bytes:
        return os.urandom(count)


@dataclass
class HandClock:
    """Time that moves when told."""

    us: int = 1_000_000

    def now_us(self) -> int:
        return self.us

    def monotonic_us(self) -> int:
        return self.us


@dataclass
class Place:
    """A directory for a store, and how to open it."""

    directory: Path
    quota_bytes: int = 64 << 20
    ballast_bytes: int = 0
    clock: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        self.migrations = self.directory / "migrations"
        self.migrations.mkdir()
        (self.migrations / "0001-letters.sql").write_text(SCHEMA)
        self.store = self.directory / "store"
        self.store.mkdir()

    @property
    def database(self) -> Path:
        return self.store / "relay.db"

    def opener(self) -> "partial[Database]":
        return partial(
            Database.open,
            self.store,
            cipher=RowCipher(STORAGE_KEY),
            entropy=SystemEntropy(),
            migrations=self.migrations,
            quota_bytes=self.quota_bytes,
            ballast_bytes=self.ballast_bytes,
        )

    def open(self) -> InlineStore:
        return InlineStore(self.opener()(), self.clock)


def letter(number: int, **changes: int | str | bytes | None) -> dict[str, int | str | bytes | None]:
    return {"office": b"o" * 16, "number": number, "state": "new", "lane": 3, "due_us": None, **changes}


def write_letter(txn: Txn, number: int, body: bytes = b"body") -> None:
    LETTERS.insert(txn, letter(number), body)


def writing(number: int, body: bytes = b"body") -> Callable[[Txn], None]:
    """The change that inserts one letter."""
    return lambda txn: write_letter(txn, number, body)
