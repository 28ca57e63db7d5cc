"""The highest moments of neighbours, with the records that prove them (G12). Synchronous changes and queries."""

from collections.abc import Sequence

from protocol.cbor import dumps, loads
from protocol.fields import elements
from protocol.ids import KeyId, OfficeId
from protocol.limits import RECORD_BYTES
from protocol.moment import moment_fields, read_moment
from protocol.witness import Shown
from relay.store.counters import blob
from relay.store.database import Txn
from relay.store.tables import WITNESSES


def keep(txn: Txn, shown: Sequence[tuple[OfficeId, Shown]]) -> None:
    """Remember what neighbours showed, in the place of what is remembered of them."""
    for office, one in shown:
        WITNESSES.put(txn, {"office": office}, dumps([moment_fields(one.moment), one.key_id, one.record]))


def remembered(txn: Txn) -> list[tuple[OfficeId, Shown]]:
    """All of them."""
    return [(OfficeId(blob(row["office"])), _shown(row.body)) for row in WITNESSES.select(txn)]


def _shown(body: bytes) -> Shown:
    moment, key_id, record = elements(loads(body, max_bytes=2 * RECORD_BYTES), 3, "witness")
    return Shown(read_moment(moment), record, KeyId(key_id))
