"""A store that no daemon holds: one question to it, which changes nothing."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from keys.rows import RowCipher
from relay.clock import SystemEntropy
from relay.store.database import DATABASE_NAME, Space, StoreLock, Txn, connect_to_read

T = TypeVar("T")


def ask(folder: Path, cipher: RowCipher, query: Callable[[Txn], T]) -> T:
    """The answer of a stopped store. It has no time and no room; what can be mended is read mended, and stays as it is.

    Raises `HomeInUse`, `FileNotFoundError` for a home that never ran, `sqlite3.DatabaseError`, and what `query` raises.
    """
    file = folder / DATABASE_NAME
    file.stat()
    lock = StoreLock(folder)
    try:
        with closing(connect_to_read(file)) as connection:
            return query(Txn(connection, cipher, SystemEntropy(), 0, Space(0, 0, 0, 0)))
    finally:
        lock.release()
