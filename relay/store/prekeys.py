"""Prekeys: the highest record seen of every office, and our own with their private halves (D7)."""

from collections.abc import Iterator

from protocol.cbor import dumps, loads
from protocol.fields import elements
from protocol.limits import RECORD_BYTES
from relay.store.counters import blob, number
from relay.store.database import Txn
from relay.store.tables import OWN_PREKEYS, PREKEYS


def keep(txn: Txn, office: bytes, epoch: int, record: bytes) -> bool:
    """Keep a verified record if its epoch is higher than the one kept; whether it was (D7)."""
    row = PREKEYS.get(txn, office)
    if row is None:
        PREKEYS.insert(txn, {"office": office, "epoch": epoch}, record)
        return True
    if epoch <= number(row["epoch"]):
        return False
    PREKEYS.update(txn, row, record, epoch=epoch)
    return True


def forget(txn: Txn, office: bytes) -> None:
    """Forget the record of an office, with its epoch: the key that signed it counts no more (G14)."""
    PREKEYS.delete(txn, office)


def records(txn: Txn) -> list[bytes]:
    """The kept records of all offices."""
    return [row.body for row in PREKEYS.select(txn)]


def keep_own(txn: Txn, prekey_id: bytes, epoch: int, forget_us: int, seed: bytes, record: bytes) -> None:
    """Keep a prekey of this office with its private seed; once."""
    if OWN_PREKEYS.get(txn, prekey_id) is None:
        OWN_PREKEYS.insert(txn, {"prekey_id": prekey_id, "epoch": epoch, "forget_us": forget_us}, dumps([seed, record]))


def own(txn: Txn) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(prekey id, seed, record) of every prekey of this office that is still held, the oldest first."""
    for row in OWN_PREKEYS.select(txn, order="epoch"):
        seed, record = elements(loads(row.body, max_bytes=RECORD_BYTES), 2, "own prekey")
        yield blob(row["prekey_id"]), seed, record
