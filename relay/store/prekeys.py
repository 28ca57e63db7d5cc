"""Prekeys: the highest record seen of every office, and our own with their private halves (D7)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from keys.prekeys import PrekeyRecord, parse_prekey
from protocol.cbor import dumps, loads
from protocol.fields import elements
from protocol.limits import RECORD_BYTES
from relay.store.counters import blob, number, recall, remember
from relay.store.database import Txn
from relay.store.sealed_table import Value
from relay.store.tables import OWN_PREKEYS, PREKEYS

_EPOCH: Final = "prekey_epoch"
_OWN_BYTES: Final = RECORD_BYTES + 64
"""A record with its seed."""


def keep(txn: Txn, record: PrekeyRecord) -> bool:
    """Keep a verified record if its rank is higher than that of the one kept; whether it was (D7)."""
    row = PREKEYS.get(txn, record.office_id)
    if row is None:
        PREKEYS.insert(txn, {"office": record.office_id, "epoch": record.epoch}, record.data)
        return True
    if record.rank <= parse_prekey(row.body).rank:
        return False
    PREKEYS.update(txn, row, record.data, epoch=record.epoch)
    return True


def forget(txn: Txn, office: bytes) -> None:
    """Forget the record of an office, with its epoch: the key that signed it counts no more (G14)."""
    PREKEYS.delete(txn, office)


def records(txn: Txn) -> list[bytes]:
    """The kept records of all offices."""
    return [row.body for row in PREKEYS.select(txn)]


def record_of(txn: Txn, office: bytes) -> bytes | None:
    """The kept record of an office, the one of the highest rank seen; None for one of which none was."""
    row = PREKEYS.get(txn, office)
    return None if row is None else row.body


def keep_own(txn: Txn, prekey_id: bytes, epoch: int, forget_us: int, seed: bytes, record: bytes) -> None:
    """Keep a prekey of this office with its private seed; once, also when it was forgotten since."""
    if epoch > own_epoch(txn):
        remember(txn, _EPOCH, epoch)
        with _leaving_nothing(txn):
            clear: dict[str, Value] = {"prekey_id": prekey_id, "epoch": epoch, "forget_us": forget_us}
            OWN_PREKEYS.insert(txn, clear, dumps([seed, record]))


def own(txn: Txn) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(prekey id, seed, record) of every prekey of this office that is still held, the oldest first."""
    for row in OWN_PREKEYS.select(txn, order="epoch"):
        seed, record = elements(loads(row.body, max_bytes=_OWN_BYTES), 2, "own prekey")
        yield blob(row["prekey_id"]), seed, record


def own_epoch(txn: Txn) -> int:
    """The highest epoch that this office has used, as far as it knows; 0 before the first."""
    return max(number(recall(txn, _EPOCH) or 0), *(number(row["epoch"]) for row in OWN_PREKEYS.select(txn)), 0)


def hear_own_epoch(txn: Txn, epoch: int) -> None:
    """Epochs go on above this one, also when its prekey is not held, or not any more."""
    if epoch > own_epoch(txn):
        remember(txn, _EPOCH, epoch)


def forget_own(txn: Txn) -> list[bytes]:
    """Delete our prekeys whose time has come, so that nothing of them stays in the files; their ids (D7)."""
    due = [blob(row["prekey_id"]) for row in OWN_PREKEYS.unverified_clear(txn, "forget_us <= ?", (txn.now_us,))]
    with _leaving_nothing(txn):
        for prekey_id in due:
            OWN_PREKEYS.delete(txn, prekey_id)
        if due:
            # What was moved aside as damaged may be mendable by whoever steals the disk.
            txn.connection.execute("DELETE FROM damaged WHERE table_name = ?", (OWN_PREKEYS.name,))
    if due:
        txn.erasures.append(OWN_PREKEYS.name)
    return due


@contextmanager
def _leaving_nothing(txn: Txn) -> Iterator[None]:
    """What is deleted or moved meanwhile is overwritten with zeros, also where that costs a write."""
    txn.connection.execute("PRAGMA secure_delete = ON").fetchall()
    try:
        yield
    finally:
        txn.connection.execute("PRAGMA secure_delete = FAST").fetchall()
