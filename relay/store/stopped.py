"""A store that no daemon holds: one question to it, which changes nothing."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from keys.rows import RowCipher
from relay.clock import SystemEntropy
from relay.store.database import DATABASE_NAME, Space, StoreLock, Txn, decode_text

T = TypeVar("T")


def ask(folder: Path, cipher: RowCipher, query: Callable[[Txn], T]) -> T:
    """The answer of a stopped store.

    Raises `HomeInUse`, `FileNotFoundError` for a home that never ran, `sqlite3.DatabaseError`, and what `query` raises.
    """
    file = folder / DATABASE_NAME
    file.stat()
    lock = StoreLock(folder)
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            connection.text_factory = decode_text
            return query(Txn(connection, cipher, SystemEntropy(), 0, Space(0, 0, 0, 0)))
        finally:
            connection.close()
    finally:
        lock.release()
