"""Messages of this office that end by time or by will, by recipient (G8, G9). Synchronous changes and queries."""

from relay.store.counters import number
from relay.store.database import Txn
from relay.store.sent import AWAITING_PREKEY, ON_ITS_WAY, TO_SEAL, Standing, standing_of
from relay.store.tables import RECIPIENTS


def unasked(txn: Txn, now_us: int, limit: int) -> list[Standing]:
    """Recipients without a verdict whose time is over, and of whom nothing was asked yet."""
    where = "stage < 2 AND asked_us IS NULL AND expires_us <= ?"
    return [standing_of(row) for row in RECIPIENTS.select(txn, where, (now_us,), order="expires_us", limit=limit)]


def unanswered(txn: Txn, before_us: int, limit: int) -> list[Standing]:
    """Recipients without a verdict whose time was over by then, and who were asked by then."""
    where = "stage < 2 AND asked_us IS NOT NULL AND asked_us <= ? AND expires_us <= ?"
    rows = RECIPIENTS.select(txn, where, (before_us, before_us), order="asked_us", limit=limit)
    return [standing_of(row) for row in rows]


def to_ask_again(txn: Txn, now_us: int, limit: int) -> list[Standing]:
    """Recipients to whom a tombstone is to be sent once more."""
    rows = RECIPIENTS.select(txn, "again_us IS NOT NULL AND again_us <= ?", (now_us,), order="again_us", limit=limit)
    return [standing_of(row) for row in rows]


def mark_asked(txn: Txn, one: Standing, asked_us: int, again_us: int) -> None:
    """A tombstone was made for this recipient: no copy is sealed any more, and it is sent again at a time."""
    row = RECIPIENTS.get(txn, one.message_id, one.office)
    if row is not None:
        stage = number(row["stage"])
        stage = ON_ITS_WAY if stage in (AWAITING_PREKEY, TO_SEAL) else stage
        RECIPIENTS.update(txn, row, stage=stage, asked_us=asked_us, again_us=again_us)


def mark_answered(txn: Txn, message_id: bytes, office: bytes) -> None:
    """The recipient has said what became of it, or cannot any more: nothing is sent again."""
    row = RECIPIENTS.get(txn, message_id, office)
    if row is not None and row["again_us"] is not None:
        RECIPIENTS.update(txn, row, again_us=None)
