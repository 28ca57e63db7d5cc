"""Messages for this office: their states and numbers (G2, G4, G7). Synchronous changes and queries."""

from collections.abc import Sequence
from dataclasses import dataclass

from keys.signing import UnverifiedRecord
from protocol.cbor import dumps, loads
from protocol.content import Bundle, decode_bundle, encode_bundle
from protocol.copy import OUTER_BYTES, copy_digest, decode_header
from protocol.errors import Refused
from protocol.fields import elements
from protocol.ids import Digest, Epoch, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.limits import CONTENT_BYTES, SECOND_US, UINT_MAX
from protocol.receipt import SEALED_TYPES
from relay.store import lives
from relay.store.counters import blob, number
from relay.store.database import Txn
from relay.store.sealed_table import Row, Value
from relay.store.sent import MESSAGE_BYTES
from relay.store.tables import INBOX, RECEIPTS

DRILL, LATE, GAP, FILLS_GAP, DOUBTED, REDELIVERED = 1, 2, 4, 8, 16, 32
FLAGS = {
    "drill": DRILL,
    "late": LATE,
    "gap": GAP,
    "fills_gap": FILLS_GAP,
    "doubted": DOUBTED,
    "redelivered": REDELIVERED,
}
"""Bits of the `flags` column by their names in CONTRACT sections 6 and 11."""
LOOKED_AT = 1_000
"""Most rows looked at for those that are wanted, about 2 ms where none is."""
UNHEARD_US = 60 * SECOND_US
"""After so long a sealed receipt is sent again, if its reader has not said that it has it: there and back take less."""
LISTED_ROWS = 200
"""Most messages listed at once, about 10 ms."""
LISTED_BYTES = 2 * CONTENT_BYTES
"""Words read at once for a list, which shows none of them."""
SHOWN = "state NOT IN ('refused', 'purged', 'dead')"


@dataclass(frozen=True, slots=True)
class Received:
    """A message in the inbox. `outer` is the signed header record of the copy that brought it; somebody other than its
    sender has had it since `witnessed_us` (G14).
    """

    sender: OfficeId
    message_id: MessageId
    lane: Lane
    state: str
    received_us: int
    flags: int
    digest: Digest
    bundle: Bundle
    outer: bytes
    witnessed_us: int
    seq: int = 0


@dataclass(frozen=True, slots=True)
class SealedReceipt:
    """A receipt that left sealed: when it was made, the bytes as they left, and the signed record within."""

    sender: OfficeId
    message_id: bytes
    type: str
    at_us: int
    left: bytes
    plain: bytes


def digests(txn: Txn, sender: bytes, message_id: bytes) -> tuple[bytes, bytes] | None:
    """(content digest, copy digest) of a message or refusal that is known here."""
    found = INBOX.unverified_clear(txn, "sender = ? AND message_id = ?", (sender, message_id))
    return (blob(found[0]["digest"]), blob(found[0]["copy_digest"])) if found else None


def of_copy(txn: Txn, copy_digest: bytes) -> tuple[OfficeId, MessageId] | None:
    """(sender, id) of the message that a copy brought."""
    found = INBOX.unverified_clear(txn, "copy_digest = ?", (copy_digest,))
    return (OfficeId(blob(found[0]["sender"])), MessageId(blob(found[0]["message_id"]))) if found else None


def insert(txn: Txn, message: Received, copy_digest: Digest, forget_us: int) -> None:
    """Store a message (or, in state refused, only the memory of it); raises `RowExists` for a known one."""
    (last,) = txn.connection.execute("SELECT coalesce(max(seq), 0) FROM inbox").fetchone()
    refused = message.state == "refused"
    body = b"" if refused else dumps([encode_bundle(message.bundle), message.outer])
    clear: dict[str, Value] = {
        "sender": message.sender, "message_id": message.message_id, "seq": last + 1, "state": message.state,
        "lane": message.lane, "received_us": message.received_us, "witnessed_us": message.witnessed_us,
        "handed_us": None, "handed_start": None, "acked": int(refused), "done_us": None, "flags": message.flags,
        "digest": message.digest, "copy_digest": copy_digest, "size": len(body), "forget_us": forget_us,
    }  # fmt: skip
    INBOX.insert(txn, clear, body)


def bury(txn: Txn, sender: OfficeId, message_id: MessageId, lane: Lane, digest: Digest, forget_us: int) -> None:
    """Remember that a message which never came will never be new; raises `RowExists` for a known one (G8)."""
    (last,) = txn.connection.execute("SELECT coalesce(max(seq), 0) FROM inbox").fetchone()
    clear: dict[str, Value] = {
        "sender": sender, "message_id": message_id, "seq": last + 1, "state": "dead", "lane": lane,
        "received_us": txn.now_us, "witnessed_us": txn.now_us, "handed_us": None, "handed_start": None, "acked": 1,
        "done_us": None, "flags": 0, "digest": digest, "copy_digest": b"", "size": 0, "forget_us": forget_us,
    }  # fmt: skip
    INBOX.insert(txn, clear, b"")


def get(txn: Txn, sender: bytes, message_id: bytes) -> Received | None:
    """One message, also a purged one, which is its bare record; raises `RowDamaged`."""
    row = INBOX.get(txn, sender, message_id)
    if row is None or row["state"] in ("refused", "dead"):
        return None
    return _received(row, lives.doubt_us(txn))


def find(txn: Txn, low: bytes, high: bytes, *, purged: bool = False) -> list[tuple[bytes, bytes]]:
    """(sender, id) of messages whose id is between two ids, at most three; of purged ones only on demand."""
    known = "state NOT IN ('refused', 'dead')" if purged else SHOWN
    rows = INBOX.unverified_clear(txn, f"message_id BETWEEN ? AND ? AND {known}", (low, high), limit=3)
    return [(blob(row["sender"]), blob(row["message_id"])) for row in rows]


def listed(txn: Txn, state: str | None, limit: int, below: int = UINT_MAX) -> list[Received]:
    """Messages in the order they came, the newest last; all states, or one: a page of those whose `seq` is below."""
    where, args = ("", ()) if state is None else (" AND state = ?", (state,))
    rows = INBOX.select(
        txn, f"{SHOWN} AND seq < ?{where}", (below, *args), order="seq DESC", limit=min(limit, LISTED_ROWS),
        max_bytes=LISTED_BYTES,
    )  # fmt: skip
    doubt_us = lives.doubt_us(txn)
    return [_received(row, doubt_us) for row in reversed(rows)]


def of_sender(txn: Txn, sender: bytes, from_us: int, after: bytes, limit: int) -> tuple[list[Received], bytes | None]:
    """Messages of an office that came at a time or later and are not doubted yet, by their ids, after one; and the id
    to go on after, None at the end. There may be more where none was found: so many rows are looked at, and no more.
    """
    fits = f"received_us >= ? AND flags & {DOUBTED} = 0 AND {SHOWN}"
    query = f"SELECT message_id, {fits} FROM inbox WHERE sender = ? AND message_id > ? ORDER BY message_id LIMIT ?"  # noqa: S608 - constants
    ids: list[bytes] = []
    until, looked = after, 0
    for until, found in txn.connection.execute(query, (from_us, sender, after, LOOKED_AT)):
        looked += 1
        ids += [until] if found else []
        if len(ids) == limit:
            break
    where = f"sender = ? AND message_id > ? AND message_id <= ? AND {fits}"
    rows = INBOX.select(txn, where, (sender, after, until, from_us), order="message_id") if ids else []
    ended = looked < LOOKED_AT and len(ids) < limit
    return [_received(row, 0) for row in rows], None if ended else until


def last_epoch(txn: Txn, sender: bytes, lane: Lane) -> Epoch | None:
    """The epoch of the newest message of an office on a lane; None without any."""
    where = "sender = ? AND lane = ? AND state NOT IN ('refused', 'dead')"
    for row in INBOX.select(txn, where, (sender, int(lane)), order="seq DESC", limit=1):
        _, outer = elements(loads(row.body, max_bytes=MESSAGE_BYTES), 2, "received message")
        payload = UnverifiedRecord(outer, max_bytes=OUTER_BYTES).payload
        header, _ = elements(loads(payload, max_bytes=OUTER_BYTES), 2, "outer payload")
        return decode_header(header).epoch
    return None


def doubt(txn: Txn, sender: bytes, message_id: bytes) -> bool:
    """Mark a message whose author's key was revoked; false when it is marked, or is not there any more (G14)."""
    row = INBOX.get(txn, sender, message_id)
    if row is None or number(row["flags"]) & DOUBTED:
        return False
    INBOX.update(txn, row, flags=number(row["flags"]) | DOUBTED)
    return True


def take(
    txn: Txn, limit: int, redeliver_before_us: int, start: int = 0, max_bytes: int = CONTENT_BYTES
) -> list[Received]:
    """Hand messages to a program: each once as new, in lane order; after a while again, flagged as redelivered (G2),
    and so what another `start` of this home handed out. None after the one with which they reach `max_bytes`.

    Opened ones are still new to the program.
    """
    # A plus keeps SQLite to the index that has the order, instead of sorting all that is new or handed out.
    rows = INBOX.select(
        txn, "acked = 0 AND +state IN ('new', 'opened') AND handed_us IS NULL", order="lane, seq", limit=limit,
        max_bytes=max_bytes,
    )  # fmt: skip
    late = "acked = 0 AND +handed_us IS NOT NULL AND (handed_start IS NOT ? OR handed_us <= ?)"
    left, room_bytes = limit - len(rows), max_bytes - sum(len(row.body) for row in rows)
    args = (start, redeliver_before_us)
    again = INBOX.select(txn, late, args, order="lane, seq", limit=left, max_bytes=room_bytes) if room_bytes > 0 else []
    result = []
    doubt_us = lives.doubt_us(txn)
    for row, flag in [*((row, 0) for row in rows), *((row, REDELIVERED) for row in again)]:
        flags = _flags(row, doubt_us) | flag
        handed = INBOX.update(txn, row, state="taken", handed_us=txn.now_us, handed_start=start, flags=flags)
        result.append(_received(handed, doubt_us))
    return result


def acknowledge(txn: Txn, sender: bytes, message_id: bytes) -> str:
    """The program has it for good: `acked`, `known` when it was so before, `untaken` when it was never handed out."""
    row = INBOX.get(txn, sender, message_id)
    if row is None:
        raise Refused("NOT_FOUND", "no such message in the inbox")
    if number(row["acked"]):
        return "known"
    if row["handed_us"] is None:
        return "untaken"
    INBOX.update(txn, row, acked=1, done_us=txn.now_us)
    return "acked"


def change_state(txn: Txn, sender: bytes, message_id: bytes, state: str, allowed: Sequence[str]) -> bool:
    """Move a message to a state from one of the allowed ones; false when it is in none of these."""
    row = INBOX.get(txn, sender, message_id)
    if row is None or row["state"] not in allowed:
        return False
    if state in ("signed_for", "returned"):
        INBOX.update(txn, row, state=state, acked=1, done_us=txn.now_us)
    else:
        INBOX.update(txn, row, state=state)
    return True


def keep_receipt(txn: Txn, sender: bytes, message_id: bytes, type_: str, at_us: int, sent: bytes, plain: bytes) -> None:
    """Keep a receipt that this office made: `sent` as it leaves (duplicates are answered with the same bytes, D1),
    `plain` the signed record within, which is what evidence shows.
    """
    sealed = type_ in SEALED_TYPES
    clear: dict[str, Value] = {
        "sender": sender, "message_id": message_id, "type": type_, "at_us": at_us,
        "copy_digest": copy_digest(sent) if sealed else None, "again_us": at_us + UNHEARD_US if sealed else None,
    }  # fmt: skip
    RECEIPTS.insert(txn, clear, dumps([sent, None if plain == sent else plain]))


def receipt(txn: Txn, sender: bytes, message_id: bytes, type_: str) -> bytes | None:
    """The receipt of a type as it left, if it was made."""
    row = RECEIPTS.get(txn, sender, message_id, type_)
    return None if row is None else _receipt_parts(row)[0]


def plain_receipt(txn: Txn, sender: bytes, message_id: bytes, type_: str) -> bytes | None:
    """The signed receipt of a type that this office made about a message."""
    row = RECEIPTS.get(txn, sender, message_id, type_)
    return None if row is None else _receipt_parts(row)[1]


def plain_receipts(txn: Txn, sender: bytes, message_id: bytes) -> list[bytes]:
    """The signed receipts that this office made about a message, in order, none of them sealed."""
    rows = RECEIPTS.select(txn, "sender = ? AND message_id = ?", (sender, message_id), order="at_us")
    return [plain for row in rows for _, plain in (_receipt_parts(row),)]


def find_sealed_receipt(txn: Txn, sender: bytes, digest: bytes) -> SealedReceipt | None:
    """Which receipt for an office left as the copy with this digest; None when none did."""
    for row in RECEIPTS.select(txn, "copy_digest = ? AND sender = ?", (digest, sender)):
        return _sealed_receipt(row)
    return None


def unheard_receipts(txn: Txn, now_us: int, limit: int) -> list[SealedReceipt]:
    """Sealed receipts that are to be sent again: nobody has said that their readers have them (SPEC M42)."""
    rows = RECEIPTS.select(txn, "again_us IS NOT NULL AND again_us <= ?", (now_us,), order="again_us", limit=limit)
    return [_sealed_receipt(row) for row in rows]


def mark_unheard(txn: Txn, one: SealedReceipt, again_us: int | None) -> None:
    """When a sealed receipt is sent again; None: its reader has it, or its life is over."""
    row = RECEIPTS.get(txn, one.sender, one.message_id, one.type)
    if row is not None and row["again_us"] is not None:
        RECEIPTS.update(txn, row, again_us=again_us)


def replace_receipt(txn: Txn, old: SealedReceipt, sent: bytes) -> bool:
    """The same signed receipt leaves as another copy from now on; false when it was replaced meanwhile."""
    row = RECEIPTS.get(txn, old.sender, old.message_id, old.type)
    if row is None or _receipt_parts(row)[0] != old.left:
        return False
    RECEIPTS.update(txn, row, dumps([sent, old.plain]), copy_digest=copy_digest(sent))
    return True


def counts(txn: Txn) -> dict[str, int]:
    """How many messages are in each state."""
    query = f"SELECT state, count(*) FROM inbox WHERE {SHOWN} GROUP BY state"  # noqa: S608 - a constant
    return dict(txn.connection.execute(query).fetchall())


def _flags(row: Row, doubt_us: int) -> int:
    """The flags of a message: what was here and not acknowledged when this home was found to have had another life
    may have been handed out in that one (SPEC M62).
    """
    doubtful = not number(row["acked"]) and number(row["received_us"]) <= doubt_us
    return number(row["flags"]) | (REDELIVERED if doubtful else 0)


def _received(row: Row, doubt_us: int) -> Received:
    bundle, outer = elements(loads(row.body, max_bytes=MESSAGE_BYTES), 2, "received message")
    return Received(
        sender=OfficeId(blob(row["sender"])),
        message_id=MessageId(blob(row["message_id"])),
        lane=Lane(number(row["lane"])),
        state=str(row["state"]),
        received_us=number(row["received_us"]),
        flags=_flags(row, doubt_us),
        digest=Digest(blob(row["digest"])),
        bundle=decode_bundle(bundle),
        outer=outer,
        witnessed_us=number(row["witnessed_us"]),
        seq=number(row["seq"]),
    )


def _sealed_receipt(row: Row) -> SealedReceipt:
    left, plain = _receipt_parts(row)
    sender, message_id = OfficeId(blob(row["sender"])), blob(row["message_id"])
    return SealedReceipt(sender, message_id, str(row["type"]), number(row["at_us"]), left, plain)


def _receipt_parts(row: Row) -> tuple[bytes, bytes]:
    """(as it left, the signed record within)."""
    left, plain = elements(loads(row.body, max_bytes=CONTENT_BYTES), 2, "kept receipt")
    return left, left if plain is None else plain
