"""Messages that were delivered or refused here and whose row is damaged: what our own receipts know of them (D10, G2).

A receipt is a row of its own, committed and purged together with the message. Where it stands alone the message was
here, so that whatever comes again is the same message and never a new one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from keys.signing import UnverifiedRecord
from protocol.cbor import loads
from protocol.errors import RemoteError
from protocol.ids import Digest, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.limits import CONTENT_BYTES, MAX_LIFE_US, RECEIPT_EXTRA_LIFE_US, RECORD_BYTES
from protocol.receipt import decode_receipt
from relay.store import inbox, retention
from relay.store.counters import blob, number
from relay.store.database import Txn
from relay.store.inbox import REDELIVERED, Received
from relay.store.sealed_table import Value
from relay.store.tables import INBOX, RECEIPTS

_ROW_BYTES: Final = 2 * CONTENT_BYTES + 2 * RECORD_BYTES
FIRST_WORDS: Final = ("delivered", "refused", "tombstone")
"""What this office may first have said of a message; of these it says one, and the same ever after (M26)."""
_ALONE: Final = "NOT EXISTS (SELECT 1 FROM inbox WHERE (sender, message_id) = (receipts.sender, receipts.message_id))"
_DELIVERED: Final = f"type = 'delivered' AND {_ALONE}"
_OVER: Final = (
    f"SELECT sender, message_id FROM receipts WHERE {_ALONE} "  # noqa: S608 - a constant
    "GROUP BY sender, message_id HAVING max(at_us) <= ? LIMIT ?"
)
_DECIDED: Final = ("signed_for", "returned", "refused")


@dataclass(frozen=True, slots=True)
class Lost:
    """A message of which only our receipts are left. `digest` is of its content, `lane` that of its receipts.

    `state` is what the receipts say, `dead` after a tombstone of ours; `handed` whether a reader may have had it.
    """

    sender: OfficeId
    message_id: MessageId
    digest: Digest
    lane: Lane
    expires_us: int
    state: str
    handed: bool


def of(txn: Txn, sender: bytes, message_id: bytes) -> Lost | None:
    """What is known of a message that has no row; None for one that never came."""
    where = "sender = ? AND message_id = ?"
    types = {row["type"] for row in RECEIPTS.unverified_clear(txn, where, (sender, message_id))}
    said = next((one for one in FIRST_WORDS if one in types), None)
    record = None if said is None else inbox.plain_receipt(txn, sender, message_id, said)
    if record is None:
        return None
    receipt = decode_receipt(UnverifiedRecord(record, max_bytes=RECORD_BYTES).payload)
    state = next((one for one in _DECIDED if one in types), "opened" if "opened" in types else "new")
    return Lost(
        sender=OfficeId(sender),
        message_id=MessageId(message_id),
        digest=receipt.digest,
        lane=receipt.lane,
        expires_us=receipt.expires_us - RECEIPT_EXTRA_LIFE_US,
        state="dead" if said == "tombstone" else state,
        handed=_may_have_been_handed(txn, sender, message_id),
    )


def delivered(txn: Txn, limit: int) -> list[Lost]:
    """Messages that were delivered, whose rows are damaged, and that their senders can still send again."""
    # No life is longer: what is known of older ones need not be opened.
    since_us = txn.now_us - MAX_LIFE_US
    found = RECEIPTS.unverified_clear(txn, f"at_us > ? AND {_DELIVERED}", (since_us,))
    return list(islice((one for one in _known(txn, found) if one.expires_us > txn.now_us), limit))


def gone(txn: Txn, limit: int) -> list[Lost]:
    """Messages that were delivered, whose rows are damaged, and that nobody can send again, the newest first."""
    found = RECEIPTS.unverified_clear(txn, _DELIVERED, order="at_us DESC")
    return list(islice((one for one in _known(txn, found) if one.expires_us <= txn.now_us), limit))


def over(txn: Txn, before_us: int, limit: int) -> list[tuple[bytes, bytes]]:
    """(sender, id) of messages without a row about which this office has said nothing since a time."""
    return txn.connection.execute(_OVER, (before_us, limit)).fetchall()


def forget(txn: Txn, sender: bytes, message_id: bytes, before_us: int) -> None:
    """What is left of a message that is `over` ends."""
    # A flipped bit is mended by this look, and may have been all that called a receipt old.
    rows = RECEIPTS.select(txn, "sender = ? AND message_id = ?", (sender, message_id))
    if all(number(row["at_us"]) <= before_us for row in rows):
        retention.forget_received(txn, sender, message_id)


def put_back(txn: Txn, lost: Lost, message: Received, copy_digest: Digest, forget_us: int) -> None:
    """The message again, where it stood: as new only when nobody can have had it."""
    again = lost.handed and lost.state not in _DECIDED
    state = "taken" if again else lost.state
    flags = message.flags | (REDELIVERED if lost.handed else 0)
    inbox.insert(txn, replace(message, state=state, flags=flags), copy_digest, forget_us)
    row = INBOX.get(txn, lost.sender, lost.message_id)
    if row is not None and again:
        INBOX.update(txn, row, handed_us=0)
    elif row is not None and lost.state in ("signed_for", "returned"):
        INBOX.update(txn, row, acked=1, done_us=txn.now_us)


def _known(txn: Txn, found: Sequence[Mapping[str, Value]]) -> Iterator[Lost]:
    """What is known of the messages of some receipts."""
    for row in found:
        one = of(txn, blob(row["sender"]), blob(row["message_id"]))
        if one is not None:
            yield one


def _may_have_been_handed(txn: Txn, sender: bytes, message_id: bytes) -> bool:
    """False only when all that is left of the row says so: a second time as new is worse than a needless flag."""
    query = (
        "SELECT columns FROM damaged WHERE table_name = 'inbox' AND key_text = ? AND mended = 0 ORDER BY number DESC"
    )
    found = txn.connection.execute(query, (f"{sender.hex()}/{message_id.hex()}",)).fetchone()
    if found is None:
        return True
    try:
        names, values = loads(found[0], max_bytes=_ROW_BYTES)
        row = dict(zip(names, values, strict=True))
        return not (row["state"] in (b"new", b"opened") and row["handed_us"] is None and row["acked"] == 0)
    except (RemoteError, ValueError, TypeError, KeyError):
        # What was set aside is not sealed, and may be damaged once more.
        return True
