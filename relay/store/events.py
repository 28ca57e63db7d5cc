"""What happened to messages, in order: appended, never changed (CONTRACT section 7, G8)."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from protocol.cbor import dumps, loads
from protocol.fields import elements
from protocol.limits import RECORD_BYTES
from relay.store.counters import blob, number, recall, remember
from relay.store.database import Txn
from relay.store.sealed_table import Row, Value
from relay.store.tables import EVENTS, PROOFS

EVENT_BYTES = 4 * RECORD_BYTES
_LAST: Final = "last_event"
OTHER_LIFE: Final = 1 << 20
"""Numbers left to another life of this home: a month of a busy province."""


class Event(msgspec.Struct, frozen=True):
    """`by` said at `at_us` that `type` happened to the copy of `message_id` for `office`.

    `verified`: we checked a signature that says so, which is `record` (or the frame record `proof` in `proofs`).
    `code` and `detail` as in `protocol.receipt`.
    """

    message_id: bytes
    office: bytes
    type: str
    at_us: int
    by: bytes
    verified: bool = False
    code: str = ""
    detail: str = ""
    record: bytes = b""
    proof: bytes = b""
    seq: int = 0


def append(txn: Txn, events: list[Event]) -> list[Event]:
    """Record events; they come back with their sequence numbers."""
    if not events:
        return []
    numbered = []
    for seq, event in enumerate(events, last_seq(txn) + 1):
        clear: dict[str, Value] = {
            "seq": seq, "message_id": event.message_id, "office": event.office, "type": event.type,
            "at_us": event.at_us,
        }  # fmt: skip
        body = [event.by, event.verified, event.code, event.detail, event.record, event.proof]
        EVENTS.insert(txn, clear, dumps(body))
        numbered.append(replace(event, seq=seq))
    return numbered


def of_message(txn: Txn, message_id: bytes) -> list[Event]:
    """All events of a message, in order."""
    return [_event(row) for row in EVENTS.select(txn, "message_id = ?", (message_id,), order="seq")]


def of_recipient(txn: Txn, message_id: bytes, office: bytes) -> list[Event]:
    """The events of one recipient of a message, in order; a broadcast has thousands of others."""
    where = "message_id = ? AND office = ?"
    return [_event(row) for row in EVENTS.select(txn, where, (message_id, office), order="seq")]


def after(txn: Txn, seq: int, limit: int) -> list[Event]:
    """Events that follow a sequence number, for the event stream."""
    return [_event(row) for row in EVENTS.select(txn, "seq > ?", (seq,), order="seq", limit=limit)]


def said_by(txn: Txn, offices: Sequence[bytes], types: Sequence[str], after: int, span: int) -> list[Event]:
    """Events of these types about recipients that are among these offices, in so many places after a number."""
    places = "seq > ? AND seq <= ?"
    marks = [",".join("?" * len(group)) for group in (offices, types)]
    where = f"{places} AND office IN ({marks[0]}) AND type IN ({marks[1]})"
    return [_event(row) for row in EVENTS.select(txn, where, (after, after + span, *offices, *types), order="seq")]


def last_seq(txn: Txn) -> int:
    """The number of the newest event that ever was, 0 without any, also when it was forgotten or its row is damaged:
    whoever listens may have read it, and would miss another one of its number.
    """
    query = (
        "SELECT coalesce(max(seq), 0) FROM (SELECT max(seq) AS seq FROM events UNION ALL "
        "SELECT CAST(key_text AS INTEGER) FROM damaged WHERE table_name = 'events')"
    )
    (last,) = txn.connection.execute(query).fetchone()
    return max(int(last), number(recall(txn, _LAST) or 0))


def leave_room(txn: Txn) -> None:
    """Another life of this home told its listeners of later events: they would take ours for those that they have."""
    remember(txn, _LAST, last_seq(txn) + OTHER_LIFE)


def forget(txn: Txn, message_id: bytes, office: bytes) -> None:
    """The story of one message with one office ends; numbers go on after the newest event, whichever it is."""
    newest = "SELECT max(seq) FROM events"
    (before,) = txn.connection.execute(newest).fetchone()
    txn.connection.execute("DELETE FROM events WHERE message_id = ? AND office = ?", (message_id, office))
    if txn.connection.execute(newest).fetchone() != (before,):
        remember(txn, _LAST, max(before, last_seq(txn)))


def last_is(txn: Txn, event: Event) -> bool:
    """Whether the newest event of this message and recipient is of the same type: then it says nothing new."""
    known = of_recipient(txn, event.message_id, event.office)
    return bool(known) and known[-1].type == event.type


def keep_proof(txn: Txn, digest: bytes, at_us: int, record: bytes) -> None:
    """Keep a signed frame record that proves custody; once."""
    if PROOFS.get(txn, digest) is None:
        PROOFS.insert(txn, {"digest": digest, "at_us": at_us}, record)


def proof(txn: Txn, digest: bytes) -> bytes | None:
    """The frame record with this digest."""
    row = PROOFS.get(txn, digest)
    return None if row is None else row.body


def _event(row: Row) -> Event:
    by, verified, code, detail, record, proof_digest = elements(loads(row.body, max_bytes=EVENT_BYTES), 6, "event")
    return Event(
        message_id=blob(row["message_id"]),
        office=blob(row["office"]),
        type=str(row["type"]),
        at_us=number(row["at_us"]),
        by=by,
        verified=verified,
        code=code,
        detail=detail,
        record=record,
        proof=proof_digest,
        seq=number(row["seq"]),
    )
