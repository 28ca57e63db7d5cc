"""Parcels in this relay's custody, and the memory of those that went on (D1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.cbor import dumps, loads
from protocol.fields import elements
from protocol.frame import COPY_ITEM, RECEIPT_ITEM
from protocol.ids import Digest, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.limits import FRAME_BYTES
from protocol.parcel import Parcel
from relay.store.counters import blob, number
from relay.store.database import Txn
from relay.store.sealed_table import PIECE_BYTES, Row, Value
from relay.store.tables import HELD, PASSED

BODY_BYTES = FRAME_BYTES + 1024
SHOWN_MAX = 1_000
"""Most copies that are shown of one message; a broadcast has thousands."""


@dataclass(frozen=True, slots=True)
class Held:
    """A parcel with its bytes, its end of life and its place in the lane."""

    parcel: Parcel
    expires_us: int
    data: bytes
    seq: int = 0


def hold(txn: Txn, parcels: Sequence[Held]) -> list[Held]:
    """Take custody: insert what is not held yet. Those inserted come back with their sequence numbers."""
    if not parcels:
        return []
    last: dict[Lane, int] = {}
    taken = []
    for held in parcels:
        parcel = held.parcel
        if is_held(txn, parcel.digest):
            continue
        if parcel.lane not in last:
            # Places are counted by lane: the highest of all lanes would be looked for through the whole index.
            where = "SELECT coalesce(max(seq), 0) FROM held WHERE lane = ?"
            (last[parcel.lane],) = txn.connection.execute(where, (int(parcel.lane),)).fetchone()
        last[parcel.lane] += 1
        clear: dict[str, Value] = {
            "digest": parcel.digest, "seq": last[parcel.lane], "kind": parcel.kind, "lane": parcel.lane,
            "origin": parcel.origin, "recipient": parcel.recipient, "message_id": parcel.message_id,
            "size": parcel.size, "own": int(parcel.is_origin), "share": parcel.share, "since_us": txn.now_us,
            "expires_us": held.expires_us,
        }  # fmt: skip
        HELD.insert(txn, clear, dumps([held.data, list(parcel.trail), parcel.attempt, parcel.witnessed_us]))
        taken.append(Held(parcel, held.expires_us, held.data, last[parcel.lane]))
    return taken


def is_held(txn: Txn, digest: bytes) -> bool:
    """Whether a parcel is in custody here."""
    return HELD.unverified_count(txn, "digest = ?", (digest,)) > 0


def get(txn: Txn, digest: bytes) -> Held | None:
    """A parcel with its bytes; raises `RowDamaged`."""
    row = HELD.get(txn, digest)
    return None if row is None else _held(row)


def forget(txn: Txn, digest: bytes) -> None:
    """End custody without a trace: the verdict is known, or life has ended."""
    HELD.delete(txn, digest)


def pass_on(txn: Txn, digest: bytes, to: OfficeId, proof: Digest, memory_us: int) -> None:
    """End custody because `to` has it now; the memory of that answers duplicates `memory_us` beyond its expiry."""
    found = HELD.unverified_clear(txn, "digest = ?", (digest,))
    if found:
        HELD.delete(txn, digest)
        forget_us = number(found[0]["expires_us"]) + memory_us
        PASSED.put(txn, {"digest": digest, "forget_us": forget_us}, dumps([to, proof]))


def passed_to(txn: Txn, digest: bytes) -> OfficeId | None:
    """The office that gave custody of a parcel that went on from here; None also when that memory is damaged."""
    for row in PASSED.select(txn, "digest = ?", (digest,)):
        to, _ = elements(loads(row.body, max_bytes=BODY_BYTES), 2, "passed parcel")
        return OfficeId(to)
    return None


def gone_to(txn: Txn, digest: bytes) -> OfficeId | None:
    """The office that has custody of a parcel which is not held here any more; None also when nobody took it."""
    return None if is_held(txn, digest) else passed_to(txn, digest)


def of_way(txn: Txn, lane: Lane, recipient: OfficeId, after_seq: int, limit: int) -> list[Held]:
    """Parcels to a recipient on a lane in the order they came, after a place; for the window."""
    where = "lane = ? AND recipient = ? AND seq > ?"
    return [_held(row) for row in HELD.select(txn, where, (int(lane), recipient, after_seq), order="seq", limit=limit)]


def to_office(txn: Txn, recipient: OfficeId, limit: int) -> list[Held]:
    """Parcels to an office, on whatever lane."""
    found: list[Held] = []
    for lane in Lane:
        found += of_way(txn, lane, recipient, 0, limit - len(found))
    return found


def is_way(txn: Txn, recipient: OfficeId) -> bool:
    """Whether there are parcels to an office."""
    where = "lane = ? AND recipient = ?"
    return any(HELD.unverified_clear(txn, where, (int(lane), recipient), limit=1) for lane in Lane)


def own_copies_to(txn: Txn, recipient: OfficeId, limit: int) -> list[Held]:
    """Copies of our own messages to an office, on whatever lane."""
    found: list[Held] = []
    where = "lane = ? AND recipient = ? AND own = 1 AND kind = ?"
    for lane in Lane:
        args, left = (int(lane), recipient, COPY_ITEM), limit - len(found)
        found += [_held(row) for row in HELD.select(txn, where, args, order="seq", limit=left)]
    return found


def of_origin(txn: Txn, origin: OfficeId, after: bytes, limit: int) -> list[Held]:
    """Parcels that another office made and that are carried here, in the order of their digests, after one."""
    where = "origin = ? AND digest > ? AND own = 0"
    return [_held(row) for row in HELD.select(txn, where, (origin, after), order="digest", limit=limit)]


def ways(txn: Txn) -> list[tuple[Lane, OfficeId]]:
    """Lanes and recipients of all that is held, in as many steps as there are, however many parcels they have."""
    found: list[tuple[Lane, OfficeId]] = []
    # A damaged row may say anything here; it is moved aside when it is met.
    following = "SELECT recipient FROM held WHERE lane = ? AND recipient > ? ORDER BY recipient LIMIT 1"
    for lane in Lane:
        recipient = b""
        while (row := txn.connection.execute(following, (int(lane), recipient)).fetchone()) is not None:
            (recipient,) = row
            found.append((lane, OfficeId(recipient)))
    return found


def of_copy(txn: Txn, message_id: bytes, recipient: bytes) -> list[bytes]:
    """Digests of own copies of a message for a recipient."""
    found = HELD.unverified_clear(
        txn, "message_id = ? AND recipient = ? AND own = 1 AND kind = ?", (message_id, recipient, COPY_ITEM)
    )
    return [blob(row["digest"]) for row in found]


def carried(txn: Txn, message_id: bytes, origin: bytes, recipient: bytes) -> list[bytes]:
    """Digests of copies of another office's message to a recipient that are carried on here."""
    where = "message_id = ? AND recipient = ? AND origin = ? AND own = 0 AND kind = ?"
    found = HELD.unverified_clear(txn, where, (message_id, recipient, origin, COPY_ITEM))
    return [blob(row["digest"]) for row in found]


def is_answered(txn: Txn, message_id: bytes, to: bytes) -> bool:
    """Whether a clear receipt of ours about a message to its origin is on its way."""
    where = "message_id = ? AND recipient = ? AND own = 1 AND kind = ?"
    return HELD.unverified_count(txn, where, (message_id, to, RECEIPT_ITEM)) > 0


def expired(txn: Txn, now_us: int, limit: int) -> list[bytes]:
    """Digests of some parcels whose life has ended; each row proves it, since its custody ends by this alone."""
    rows = HELD.select(txn, "expires_us <= ?", (now_us,), limit=limit, max_bytes=PIECE_BYTES)
    return [blob(row["digest"]) for row in rows]


def forget_passed(txn: Txn, now_us: int, limit: int) -> int:
    """Drop memories whose time is over; how many."""
    rows = PASSED.select(txn, "forget_us <= ?", (now_us,), limit=limit)
    for row in rows:
        PASSED.delete(txn, row["digest"])
    return len(rows)


def shape(txn: Txn) -> dict[Lane, tuple[int, int]]:
    """Per lane, how many parcels are held, and since when the oldest (microseconds)."""
    found = {}
    for lane in Lane:
        (count,) = txn.connection.execute("SELECT count(*) FROM held WHERE lane = ?", (int(lane),)).fetchone()
        if count:
            oldest = "SELECT since_us FROM held WHERE lane = ? ORDER BY seq LIMIT 1"
            found[lane] = (count, txn.connection.execute(oldest, (int(lane),)).fetchone()[0])
    return found


def listed(txn: Txn, limit: int) -> list[dict[str, Value]]:
    """Clear columns of what is held, in the order it will go; for `queue list`."""
    return HELD.unverified_clear(txn, order="lane, seq", limit=limit)


def of_message(txn: Txn, low: bytes, high: bytes) -> list[dict[str, Value]]:
    """Clear columns of what is held of messages between two ids."""
    return HELD.unverified_clear(txn, "message_id BETWEEN ? AND ?", (low, high), order="seq", limit=SHOWN_MAX)


def _held(row: Row) -> Held:
    data, trail, attempt, witnessed_us = elements(loads(row.body, max_bytes=BODY_BYTES), 4, "held parcel")
    parcel = Parcel(
        digest=Digest(blob(row["digest"])),
        kind=number(row["kind"]),
        lane=Lane(number(row["lane"])),
        origin=OfficeId(blob(row["origin"])),
        recipient=OfficeId(blob(row["recipient"])),
        size=number(row["size"]),
        trail=tuple(OfficeId(office) for office in trail),
        is_origin=bool(row["own"]),
        message_id=MessageId(blob(row["message_id"])),
        attempt=attempt,
        witnessed_us=witnessed_us,
    )
    return Held(parcel, number(row["expires_us"]), data, number(row["seq"]))
