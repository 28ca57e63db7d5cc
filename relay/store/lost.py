"""Messages that were delivered or refused here and whose row is damaged: what our own receipts know of them (D10, G2).

A receipt is a row of its own, committed and purged together with the message. Where it stands alone the message was
here, so that whatever comes again is the same message and never a new one.
"""

from dataclasses import dataclass, replace
from typing import Final

from keys.signing import UnverifiedRecord
from protocol.cbor import loads
from protocol.errors import RemoteError
from protocol.ids import Digest, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.limits import CLOCK_AHEAD_US, CONTENT_BYTES, MAX_LIFE_US, RECEIPT_EXTRA_LIFE_US, RECORD_BYTES
from protocol.receipt import decode_receipt
from relay.store import inbox
from relay.store.counters import blob
from relay.store.database import Txn
from relay.store.inbox import REDELIVERED, Received
from relay.store.tables import INBOX, RECEIPTS

_ROW_BYTES: Final = 2 * CONTENT_BYTES + 2 * RECORD_BYTES
_ALONE: Final = (
    "type = 'delivered' AND NOT EXISTS (SELECT 1 FROM inbox "
    "WHERE inbox.sender = receipts.sender AND inbox.message_id = receipts.message_id)"
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
    for said in ("delivered", "refused", "tombstone"):
        record = inbox.plain_receipt(txn, sender, message_id, said) if said in types else None
        if record is not None:
            receipt = decode_receipt(UnverifiedRecord(record, max_bytes=RECORD_BYTES).payload)
            state = next((one for one in _DECIDED if one in types), "opened" if "opened" in types else "new")
            state = "dead" if said == "tombstone" else state
            return Lost(
                sender=OfficeId(sender),
                message_id=MessageId(message_id),
                digest=receipt.digest,
                lane=receipt.lane,
                expires_us=receipt.expires_us - RECEIPT_EXTRA_LIFE_US,
                state=state,
                handed=_may_have_been_handed(txn, sender, message_id),
            )
    return None


def delivered(txn: Txn, limit: int) -> list[Lost]:
    """Messages that were delivered, whose rows are damaged, and that their senders can still send again."""
    living: list[Lost] = []
    # Those whose time is over stay, and the limit is not theirs: with them it would be used up one day, for ever.
    since_us = txn.now_us - MAX_LIFE_US - CLOCK_AHEAD_US
    for row in RECEIPTS.unverified_clear(txn, f"at_us > ? AND {_ALONE}", (since_us,)):
        one = of(txn, blob(row["sender"]), blob(row["message_id"]))
        if one is not None and one.expires_us > txn.now_us:
            living.append(one)
        if len(living) == limit:
            break
    return living


def gone(txn: Txn, limit: int) -> list[Lost]:
    """Messages that were delivered, whose rows are damaged, and that nobody can send again, the newest first."""
    found = RECEIPTS.unverified_clear(txn, _ALONE, order="at_us DESC", limit=limit)
    known = [of(txn, blob(row["sender"]), blob(row["message_id"])) for row in found]
    return [one for one in known if one is not None and one.expires_us <= txn.now_us]


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
