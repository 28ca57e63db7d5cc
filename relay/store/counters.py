"""Counters of recipient copies since the home began, and small facts of the home itself."""

from collections.abc import Mapping
from typing import Final

from protocol.cbor import Value, dumps, loads
from protocol.limits import RECORD_BYTES
from relay.store.database import Txn
from relay.store.tables import COUNTERS, META

NAMES: Final = ("accepted", "delivered", "received", "forwarded", "duplicates", "quarantined", "refused", "expired")


def count(txn: Txn, changes: Mapping[str, int]) -> None:
    """Raise counters by what happened in this change; in the same commit, so that they never lie."""
    for name, by in changes.items():
        if by:
            row = COUNTERS.get(txn, name)
            if row is None:
                COUNTERS.insert(txn, {"name": name, "value": by}, b"")
            else:
                COUNTERS.update(txn, row, value=number(row["value"]) + by)


def counters(txn: Txn) -> dict[str, int]:
    """All counters, zero where nothing was counted."""
    found = {str(row["name"]): number(row["value"]) for row in COUNTERS.select(txn)}
    return {name: found.get(name, 0) for name in NAMES}


def remember(txn: Txn, name: str, value: Value) -> None:
    """Keep a small fact of the home."""
    META.put(txn, {"name": name}, dumps(value))


def recall(txn: Txn, name: str) -> Value:
    """A fact that was kept, or None."""
    row = META.get(txn, name)
    return None if row is None else loads(row.body, max_bytes=RECORD_BYTES)


def number(value: object) -> int:
    """A clear column as the integer that its table declares."""
    if type(value) is not int:
        raise TypeError("an INTEGER column holds no integer")
    return value


def blob(value: object) -> bytes:
    """A clear column as the byte string that its table declares."""
    if type(value) is not bytes:
        raise TypeError("a BLOB column holds no bytes")
    return value
