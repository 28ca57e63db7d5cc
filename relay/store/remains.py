"""Messages of this office whose own rows are damaged: what the other rows still know of them (D10, G1, G8).

A message is remembered in three tables: `sent` has its words, `recipients` how it stands, `events` its story; and its
copies are in `held` until the verdict. Whichever is gone is made again from what is left, so that no message ends in
silence. Words are nowhere else: a message without them keeps its name and its story, and what was not sealed ends.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from keys.rows import RowDamaged
from keys.signing import UnverifiedRecord
from protocol.cbor import dumps, loads
from protocol.content import decode_bundle, decode_content
from protocol.copy import OUTER_BYTES, CopyHeader, read_outer, split_copy
from protocol.delivery import State, apply
from protocol.fields import elements
from protocol.frame import COPY_ITEM
from protocol.ids import Epoch, OfficeId
from protocol.lanes import Lane
from protocol.limits import CONTENT_BYTES, MAX_LIFE_US, RECORD_BYTES
from protocol.receipt import decode_receipt
from relay.store import counters, events, held
from relay.store.counters import number
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.held import Held
from relay.store.numbers import Numbers
from relay.store.sealed_table import Row, Value
from relay.store.sent import AWAITING_PREKEY, FINAL, LOST, MESSAGE_BYTES, ON_ITS_WAY, TO_SEAL, standing_of
from relay.store.tables import RECIPIENTS, SENT

SPAN_ROWS: Final = 5_000
"""Rows of a table that one step looks at: about 10 ms of the writer."""
_STEPS: Final = {
    # What retention has forgotten may have left its last event.
    "events": """
        SELECT message_id, office FROM events WHERE seq > :after AND seq <= :upto
        AND type = 'accepted' AND at_us > :since
        AND NOT EXISTS (SELECT 1 FROM recipients WHERE (message_id, office) = (events.message_id, events.office))
    """,
    "held": """
        SELECT message_id, recipient FROM held WHERE rowid > :after AND rowid <= :upto AND own = 1 AND kind = :copy
        AND NOT EXISTS (SELECT 1 FROM recipients WHERE (message_id, office) = (held.message_id, held.recipient))
    """,
    "recipients": """
        SELECT message_id, office FROM recipients WHERE rowid > :after AND rowid <= :upto
        AND (
            NOT EXISTS (SELECT 1 FROM sent WHERE sent.message_id = recipients.message_id)
            OR stage = :on_its_way AND asked_us IS NULL AND NOT EXISTS (
                SELECT 1 FROM held WHERE (message_id, recipient) = (recipients.message_id, office) AND own = 1
            )
        )
    """,
}
"""By table, the (message, recipient) of which a row is missing; own copies are held until the verdict."""
_STATES: Final = frozenset(state.value for state in State)
_ASKED: Final = frozenset({"cancelled", "tombstone", State.EXPIRED.value, State.UNCONFIRMED.value})
"""What this office says of a message that is dead."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far the look has come: which table, and the last rowid."""

    table: str = next(iter(_STEPS))
    rowid: int = 0


@dataclass(frozen=True, slots=True)
class _Left:
    """What is left of one message to one recipient: its row in `sent`, its copies' header, its story."""

    kept: Row | None
    header: CopyHeader | None
    told: list[Event]


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a row of `recipients` says beside how it stands. The digest is empty where nobody knows it any more."""

    lane: Lane
    created_us: int
    expires_us: int
    deadline_us: int | None
    entitlement: int
    digest: bytes


def incomplete(txn: Txn, place: Place, since_us: int) -> tuple[list[tuple[bytes, bytes]], Place | None]:
    """(message, recipient) of which a row is missing, of the next `SPAN_ROWS`, and where to go on; None at the end.

    What was accepted before `since_us` may have been forgotten on purpose (`relay.store.retention`).
    """
    upto = place.rowid + SPAN_ROWS
    args = {"after": place.rowid, "upto": upto, "since": since_us, "copy": COPY_ITEM, "on_its_way": ON_ITS_WAY}
    found = txn.connection.execute(_STEPS[place.table], args).fetchall()
    (last,) = txn.connection.execute(f"SELECT coalesce(max(rowid), 0) FROM {place.table}").fetchone()  # noqa: S608
    pairs = [(one, office) for one, office in found if type(one) is bytes and type(office) is bytes]
    if upto < last:
        return pairs, Place(place.table, upto)
    following = [*_STEPS, None][list(_STEPS).index(place.table) + 1]
    return pairs, None if following is None else Place(following)


def rebuild(txn: Txn, message_id: bytes, office: bytes, address: str, me: bytes) -> tuple[list[Event], list[Held]]:
    """Make the missing rows of a message to one recipient again; a verdict, if there can be no other, comes back, and
    the copies that are to be sent.

    `address` is shown for the recipient, `me` is this office. Raises `RowDamaged` for rows that are damaged as well.
    """
    told = events.of_recipient(txn, message_id, office)
    copies = _copies(txn, message_id, office)
    left = _Left(SENT.get(txn, message_id), _header(copies[0]) if copies else None, told)
    row, said = RECIPIENTS.get(txn, message_id, office), list[Event]()
    if row is None:
        row, said = _insert_recipient(txn, message_id, office, address, me, left)
    elif _lacks_copy(row, txn.now_us) and not copies:
        RECIPIENTS.update(txn, row, stage=TO_SEAL)
    if left.kept is None:
        _insert_nameless(txn, row)
    return said, [] if row["stage"] == FINAL else copies


def _insert_recipient(
    txn: Txn, message_id: bytes, office: bytes, address: str, me: bytes, left: _Left
) -> tuple[Row, list[Event]]:
    """How a message stands with a recipient, by its story. Without a word of it sending counts as begun."""
    state, terms, said = _state(left.told), _terms(txn, message_id, left), list[Event]()
    if not (state.final or terms.digest):
        # No receipt can be held against the content any more.
        state = State.UNCONFIRMED
        said = [Event(message_id, office, state.value, txn.now_us, me, code="DAMAGED")]
        counters.count(txn, {"expired": 1})
    asked_us = min((one.at_us for one in left.told if one.by == me and one.type in _ASKED), default=None)
    stage = FINAL if state.final else ON_ITS_WAY
    epoch, given = Epoch(b""), 0
    if left.header is not None:
        epoch, given = left.header.epoch, left.header.number
    elif stage != FINAL and asked_us is None:
        stage, numbers = TO_SEAL, Numbers(txn)
        epoch, given = numbers.give(OfficeId(office), terms.lane)
        numbers.close()
    # This office says itself that a message is expired only where it was never sent.
    unsent = any(one.by == me and one.type == State.EXPIRED.value for one in left.told)
    answered = any(one.by == office for one in left.told)
    again = asked_us is not None and given and terms.digest and not answered
    clear: dict[str, Value] = {
        "message_id": message_id, "office": office, "stage": stage, "state": state.value, "lane": terms.lane,
        "number": given, "expires_us": terms.expires_us, "deadline_us": terms.deadline_us, "begun": int(not unsent),
        "asked_us": asked_us, "again_us": txn.now_us if again else None,
    }  # fmt: skip
    body = [address, terms.entitlement, terms.created_us, terms.digest, epoch]
    return RECIPIENTS.insert(txn, clear, dumps(body)), events.append(txn, said)


def _lacks_copy(row: Row, now_us: int) -> bool:
    """Whether a copy of ours has to be held for a recipient: until the verdict, a tombstone or the end of its life."""
    return row["stage"] == ON_ITS_WAY and row["asked_us"] is None and number(row["expires_us"]) > now_us


def _insert_nameless(txn: Txn, row: Row) -> None:
    """A message without its words, by one of its recipients; what waits for a prekey is looked at once more."""
    _, entitlement, created_us, digest, _ = elements(loads(row.body, max_bytes=RECORD_BYTES), 5, "recipient")
    body = dumps([LOST, digest, b"", entitlement])
    clear: dict[str, Value] = {
        "message_id": row["message_id"], "accepted_us": created_us, "expires_us": row["expires_us"],
        "lane": row["lane"], "fingerprint": LOST, "bare": 1, "size": len(body),
    }  # fmt: skip
    SENT.insert(txn, clear, body)
    for one in RECIPIENTS.select(txn, "message_id = ? AND stage = ?", (row["message_id"], AWAITING_PREKEY)):
        RECIPIENTS.update(txn, one, stage=TO_SEAL)


def _terms(txn: Txn, message_id: bytes, left: _Left) -> _Terms:
    """From whoever knows them: another recipient's row, the message itself, the copy, or the story alone."""
    for row in RECIPIENTS.select(txn, "message_id = ?", (message_id,), limit=1):
        one = standing_of(row)
        _, entitlement, created_us, digest, _ = elements(loads(row.body, max_bytes=RECORD_BYTES), 5, "recipient")
        return _Terms(one.lane, created_us, one.expires_us, one.deadline_us, entitlement, digest)
    if left.kept is not None:
        row = left.kept
        bundle, digest, _, entitlement = elements(loads(row.body, max_bytes=MESSAGE_BYTES), 4, "sent message")
        lane, created_us, expires_us = Lane(number(row["lane"])), number(row["accepted_us"]), number(row["expires_us"])
        return _Terms(lane, created_us, expires_us, _deadline_us(bundle), entitlement, digest)
    digest = _digest(left.told)
    if left.header is not None:
        copy = left.header
        return _Terms(copy.lane, copy.created_us, copy.expires_us, copy.deadline_us, copy.entitlement, digest)
    created_us = min((event.at_us for event in left.told), default=txn.now_us)
    return _Terms(Lane.ROUTINE, created_us, created_us + MAX_LIFE_US, None, 0, digest)


def _deadline_us(bundle: bytes) -> int | None:
    """By when a message is to be delivered, by its signed content."""
    if bundle == LOST:
        return None
    record = UnverifiedRecord(decode_bundle(bundle).record, max_bytes=CONTENT_BYTES)
    return decode_content(record.payload).deadline_us


def _digest(told: list[Event]) -> bytes:
    """The digest of the content, by a receipt of its recipient; empty where none came."""
    for event in told:
        if event.record and event.by == event.office and event.type in _STATES:
            return decode_receipt(UnverifiedRecord(event.record, max_bytes=RECORD_BYTES).payload).digest
    return b""


def _state(told: list[Event]) -> State:
    """Where the story ends."""
    state = State.ACCEPTED
    for event in told:
        if event.type in _STATES:
            state, _ = apply(state, State(event.type))
    return state


def _copies(txn: Txn, message_id: bytes, office: bytes) -> list[Held]:
    """The copies of ours that are held."""
    found = []
    for digest in held.of_copy(txn, message_id, office):
        with suppress(RowDamaged):
            one = held.get(txn, digest)
            found += [] if one is None else [one]
    return found


def _header(one: Held) -> CopyHeader:
    """The clear header of a copy, which was verified when it was made."""
    outer, ciphertext = split_copy(one.data)
    payload = UnverifiedRecord(outer, max_bytes=OUTER_BYTES).payload
    return read_outer(payload, outer, ciphertext, one.data).header
