"""What is kept how long, and what is never purged (CONTRACT section 8, G2, G13). Synchronous changes.

A finished message is purged twice: first its words, so that only the signed record of its content is left, then,
with everything that was recorded about it, its memory. Nothing unread, unacknowledged or without a verdict is touched,
and an id is remembered for as long as any copy or receipt of it can live, whatever the settings say. Nothing is purged
that does not prove its age: a flipped bit would do.
"""

from dataclasses import dataclass
from typing import Final

from protocol.cbor import dumps, loads
from protocol.content import Bundle, decode_bundle, encode_bundle
from protocol.fields import elements
from protocol.limits import CLOCK_AHEAD_US, MAX_LIFE_US, SALT_BYTES
from relay.store import events
from relay.store.counters import blob, number
from relay.store.database import Txn
from relay.store.sealed_table import PIECE_BYTES
from relay.store.sent import MESSAGE_BYTES
from relay.store.tables import INBOX, PROOFS, RECEIPTS, RECIPIENTS, SENT

FORGET_AFTER_US: Final = 2 * MAX_LIFE_US + CLOCK_AHEAD_US
"""Memory of digests and ids beyond a message's expiry: longer than any copy or receipt of it can live (G2)."""
BATCH: Final = 200
"""Most rows that one turn purges of a kind: about 10 ms of the writer, so that a flash message waits no longer."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long finished things are kept, in microseconds; from settings."""

    inbox_us: int
    sent_us: int
    evidence_us: int

    @property
    def longest_us(self) -> int:
        """How long what names no expiry is kept: as evidence, and longer than any message that refers to it."""
        return max(self.evidence_us, MAX_LIFE_US + FORGET_AFTER_US)


def purge(txn: Txn, keeping: Keeping) -> bool:
    """Purge one bounded batch of every kind; whether there may be more."""
    # Of what is opened with its words fewer are taken at a time.
    large = (
        _strip_inbox(txn, txn.now_us - keeping.inbox_us),
        _strip_sent(txn, txn.now_us - keeping.sent_us),
        _forget_proofs(txn, txn.now_us - keeping.longest_us),
    )
    counts = (
        _forget_inbox(txn, "purged", txn.now_us - keeping.evidence_us),
        _forget_inbox(txn, "refused", txn.now_us - keeping.evidence_us),
        _forget_inbox(txn, "dead", txn.now_us - keeping.evidence_us),
        _forget_sent(txn, txn.now_us - keeping.evidence_us),
    )
    return any(large) or BATCH in counts


def _strip_inbox(txn: Txn, done_before_us: int) -> int:
    """Received messages that were acknowledged or decided long ago lose their words."""
    rows = INBOX.select(txn, "done_us <= ?", (done_before_us,), order="done_us", limit=BATCH, max_bytes=PIECE_BYTES)
    for row in rows:
        bundle, outer = elements(loads(row.body, max_bytes=MESSAGE_BYTES), 2, "received message")
        body = dumps([_bare(bundle), outer])
        INBOX.update(txn, row, body, state="purged", done_us=None, size=len(body))
    return len(rows)


def _forget_inbox(txn: Txn, state: str, received_before_us: int) -> int:
    """Memories of what came, was refused or died end with their receipts, and never before these can come again."""
    # Left to itself SQLite would read every row of the state and sort them.
    query = (
        f"SELECT sender, message_id FROM inbox INDEXED BY inbox_{state} "  # noqa: S608 - constants of this module
        f"WHERE state = '{state}' AND forget_us <= ? AND received_us <= ? ORDER BY forget_us LIMIT ?"
    )
    rows = txn.connection.execute(query, (txn.now_us, received_before_us, BATCH)).fetchall()
    for sender, message_id in rows:
        row = INBOX.get(txn, sender, message_id)
        # A flipped bit is mended by this look, and may have been all that called the row old.
        if row is None or number(row["forget_us"]) > txn.now_us or number(row["received_us"]) > received_before_us:
            continue
        forget_received(txn, sender, message_id)
    return len(rows)


def forget_received(txn: Txn, sender: bytes, message_id: bytes) -> None:
    """The memory of one message that came, with or without its row; a story that is also of one sent stays."""
    INBOX.delete(txn, sender, message_id)
    _delete(txn, RECEIPTS.name, "sender = ? AND message_id = ?", sender, message_id)
    if not RECIPIENTS.unverified_count(txn, "message_id = ? AND office = ?", (message_id, sender)):
        events.forget(txn, message_id, sender)


def _strip_sent(txn: Txn, accepted_before_us: int) -> int:
    """Sent messages lose their words when every recipient is final and nobody can ask for them again."""
    where = (
        "bare = 0 AND accepted_us <= ? AND expires_us <= ? AND NOT EXISTS "
        "(SELECT 1 FROM recipients WHERE recipients.message_id = sent.message_id AND stage < 2)"
    )
    args = (accepted_before_us, txn.now_us)
    rows = SENT.select(txn, where, args, order="accepted_us", limit=BATCH, max_bytes=PIECE_BYTES)
    for row in rows:
        bundle, *rest = elements(loads(row.body, max_bytes=MESSAGE_BYTES), 4, "sent message")
        body = dumps([_bare(bundle), *rest])
        SENT.update(txn, row, body, bare=1, size=len(body))
    return len(rows)


def _forget_sent(txn: Txn, accepted_before_us: int) -> int:
    """Memories of sent messages end with all that was recorded about them."""
    where = "bare = 1 AND accepted_us <= ? AND expires_us <= ?"
    args = (accepted_before_us, txn.now_us - FORGET_AFTER_US)
    rows = SENT.select(txn, where, args, order="accepted_us", limit=BATCH)
    for row in rows:
        message_id = blob(row["message_id"])
        for one in RECIPIENTS.unverified_clear(txn, "message_id = ?", (message_id,)):
            office = blob(one["office"])
            if not INBOX.unverified_count(txn, "sender = ? AND message_id = ?", (office, message_id)):
                events.forget(txn, message_id, office)
        _delete(txn, RECIPIENTS.name, "message_id = ?", message_id)
        SENT.delete(txn, message_id)
    return len(rows)


def _forget_proofs(txn: Txn, before_us: int) -> int:
    """Custody frames are kept longer than any message that refers to them."""
    rows = PROOFS.select(txn, "at_us <= ?", (before_us,), order="at_us", limit=BATCH, max_bytes=PIECE_BYTES)
    for row in rows:
        PROOFS.delete(txn, row["digest"])
    return len(rows)


def _delete(txn: Txn, table: str, where: str, *args: bytes) -> None:
    txn.connection.execute(f"DELETE FROM {table} WHERE {where}", args)  # noqa: S608 - constants of this module


def _bare(encoded: bytes) -> bytes:
    """The bundle with nothing but its signed record, which still commits to the words; the salt goes with them."""
    return encode_bundle(Bundle(decode_bundle(encoded).record, bytes(SALT_BYTES), "", (), None))
