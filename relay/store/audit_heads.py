"""The newest audit head of each neighbour, with the presence record that proves it (G15). Synchronous."""

from protocol.cbor import dumps, loads
from protocol.fields import elements
from protocol.limits import RECORD_BYTES
from relay.store.counters import blob
from relay.store.database import Txn
from relay.store.tables import AUDIT_HEADS


def keep(txn: Txn, office: bytes, at_us: int, record: bytes) -> None:
    """Remember a verified presence record in the place of the one before."""
    AUDIT_HEADS.put(txn, {"office": office}, dumps([at_us, record]))


def remembered(txn: Txn) -> list[tuple[bytes, int, bytes]]:
    """(office, time heard, presence record) of every neighbour."""
    found = []
    for row in AUDIT_HEADS.select(txn):
        at_us, record = elements(loads(row.body, max_bytes=2 * RECORD_BYTES), 2, "audit head of a neighbour")
        found.append((blob(row["office"]), at_us, record))
    return found
