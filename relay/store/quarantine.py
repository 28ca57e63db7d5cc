"""What could not be verified: a bounded ring of samples for inspection (G13). Nothing here is ever acted on."""

from dataclasses import dataclass

from protocol.cbor import dumps, loads
from protocol.fields import elements
from protocol.limits import FRAME_BYTES
from relay.store.counters import number
from relay.store.database import Txn
from relay.store.sealed_table import Row, Value
from relay.store.tables import QUARANTINE

SAMPLE_BYTES = 4 * 1024
"""How much of each object is kept: enough to see what it is."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """An object that was not taken: why, where it came from, and its beginning."""

    at_us: int
    code: str
    detail: str
    source: str
    size: int
    sample: bytes
    seq: int = 0


def put(txn: Txn, suspects: list[Suspect], rows_max: int, bytes_max: int) -> None:
    """Add samples and drop the oldest ones beyond the bounds."""
    (last,) = txn.connection.execute("SELECT coalesce(max(seq), 0) FROM quarantine").fetchone()
    for seq, suspect in enumerate(suspects[-rows_max:], last + 1):
        sample = suspect.sample[:SAMPLE_BYTES]
        body = dumps([suspect.detail, suspect.source, suspect.size, sample])
        clear: dict[str, Value] = {"seq": seq, "at_us": suspect.at_us, "size": len(sample), "code": suspect.code}
        QUARANTINE.insert(txn, clear, body)
    txn.connection.execute("DELETE FROM quarantine WHERE seq <= (SELECT max(seq) FROM quarantine) - ?", (rows_max,))
    while True:
        held, oldest = txn.connection.execute("SELECT coalesce(sum(size), 0), min(seq) FROM quarantine").fetchone()
        if held <= bytes_max or oldest is None:
            return
        txn.connection.execute("DELETE FROM quarantine WHERE seq <= ?", (oldest + 99,))


def latest(txn: Txn, limit: int) -> list[Suspect]:
    """Samples, the newest first."""
    return [_suspect(row) for row in QUARANTINE.select(txn, order="seq DESC", limit=limit)]


def get(txn: Txn, seq: int) -> Suspect | None:
    """One sample."""
    row = QUARANTINE.get(txn, seq)
    return None if row is None else _suspect(row)


def _suspect(row: Row) -> Suspect:
    detail, source, size, sample = elements(loads(row.body, max_bytes=FRAME_BYTES), 4, "suspect")
    return Suspect(number(row["at_us"]), str(row["code"]), detail, source, size, sample, number(row["seq"]))
