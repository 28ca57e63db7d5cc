"""What this office sends: acceptance, numbers, sealing, verdicts (G1, G4, G8). Synchronous changes and queries."""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from keys.rows import RowDamaged
from protocol.cbor import dumps, loads
from protocol.content import Bundle, decode_bundle, encode_bundle
from protocol.delivery import State
from protocol.errors import Refused
from protocol.fields import elements
from protocol.ids import Epoch, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.limits import CONTENT_BYTES, RECORD_BYTES
from relay.store import counters, events, held, shares
from relay.store.counters import blob, number
from relay.store.damage import was_moved_aside
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.held import Held
from relay.store.numbers import Numbers
from relay.store.sealed_table import Row, Value
from relay.store.tables import RECIPIENTS, SENT

_IN_STATE: Final = (
    "message_id IN (SELECT message_id FROM recipients WHERE state = ? "
    "UNION SELECT message_id FROM events WHERE type = ? AND type IN ('awaiting_prekey', 'cancelled'))"
)
AWAITING_PREKEY, TO_SEAL, ON_ITS_WAY, FINAL = -1, 0, 1, 2
"""Stages of a recipient row."""
MESSAGE_BYTES: Final = 2 * CONTENT_BYTES + RECORD_BYTES
LOST: Final = b""
"""Fingerprint and bundle of a message whose row was damaged (`relay.store.remains`)."""


@dataclass(frozen=True, slots=True)
class Addressee:
    """One recipient of a message, by stable id and by the address it was given as."""

    office: OfficeId
    address: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message that passed every check and is signed, ready to be committed. Times in microseconds."""

    message_id: MessageId
    fingerprint: bytes
    lane: Lane
    entitlement: int
    created_us: int
    expires_us: int
    deadline_us: int | None
    bundle: Bundle
    digest: bytes
    addressees: tuple[Addressee, ...]
    answer: bytes
    sender: OfficeId


@dataclass(frozen=True, slots=True)
class ToSeal:
    """A recipient whose copy is still to be sealed, with all that its clear header will say."""

    message_id: MessageId
    office: OfficeId
    lane: Lane
    entitlement: int
    number: int
    epoch: Epoch
    created_us: int
    expires_us: int
    deadline_us: int | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What came of one prepared message: the answer to give, and what is to be sealed now."""

    answer: bytes
    repeated: bool
    to_seal: tuple[ToSeal, ...] = ()


@dataclass(frozen=True, slots=True)
class Sealing:
    """What is sealed within the change that accepts (None for a copy that is left to the sealer), and whether its
    sending begins with it: a broker is connected (G8).
    """

    seal: Callable[[ToSeal], Held | None]
    begun: bool


@dataclass(frozen=True, slots=True)
class AcceptedGroup:
    """What came of one change: a result for each message, copies in custody, and what was recorded."""

    results: list[Accepted | Refused]
    copies: list[Held]
    events: list[Event]


@dataclass(frozen=True, slots=True)
class Message:
    """A sent message as it is kept: its bundle, and the answer that was given for it.

    `bare`: retention has left only the signed record of the bundle. `bundle` is None where the row was damaged.
    """

    message_id: MessageId
    lane: Lane
    accepted_us: int
    expires_us: int
    bundle: Bundle | None
    answer: bytes
    bare: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How a message to one recipient stands. `digest`: of its content; `asked_us`: when we first called it dead."""

    message_id: MessageId
    office: OfficeId
    address: str
    state: State
    lane: Lane
    number: int
    epoch: Epoch
    created_us: int
    expires_us: int
    deadline_us: int | None
    begun: bool
    asked_us: int | None
    digest: bytes


def accept(txn: Txn, prepared: Sequence[Prepared], sealing: Sealing) -> AcceptedGroup:
    """Commit messages, each with its recipients' rows and numbers, in one change; and the copies sealed at once."""
    results: list[Accepted | Refused] = []
    log: list[Event] = []
    copies: list[Held] = []
    numbers = Numbers(txn)
    for message in prepared:
        known = repeated(txn, message.message_id, message.fingerprint)
        if known is not None:
            results.append(known)
        elif not shares.admits_own(txn, message.lane):
            results.append(Refused("STORE_FULL", f"no room for lane {message.lane.label}"))
        else:
            left, sealed = _insert(txn, message, numbers, sealing)
            copies += sealed
            log += [
                Event(message.message_id, one.office, "accepted", message.created_us, message.sender)
                for one in message.addressees
            ]
            results.append(Accepted(message.answer, False, tuple(left)))
    numbers.close()
    counters.count(txn, {"accepted": len(log)})
    return AcceptedGroup(results, held.hold(txn, copies), events.append(txn, log))


def repeated(txn: Txn, message_id: MessageId, fingerprint: bytes) -> Accepted | Refused | None:
    """The first answer again for the same content, ID_REUSED for another, None for an id not seen."""
    row = SENT.get(txn, message_id)
    lost = was_moved_aside(txn, SENT.name, message_id.hex()) if row is None else row["fingerprint"] == LOST
    if lost:
        return Refused("ID_REUSED", "what this id was used for is damaged; send under a new one", field="id")
    if row is None:
        return None
    if blob(row["fingerprint"]) != fingerprint:
        return Refused("ID_REUSED", "this id was used for a message with other content", field="id")
    return Accepted(_message(row).answer, True)


def _insert(txn: Txn, message: Prepared, numbers: Numbers, sealing: Sealing) -> tuple[list[ToSeal], list[Held]]:
    """Store one message; what is left to be sealed, and the copies that were sealed at once."""
    body = dumps([encode_bundle(message.bundle), message.digest, message.answer, message.entitlement])
    clear: dict[str, Value] = {
        "message_id": message.message_id, "accepted_us": message.created_us, "expires_us": message.expires_us,
        "lane": message.lane, "fingerprint": message.fingerprint, "bare": 0, "size": len(body),
    }  # fmt: skip
    SENT.insert(txn, clear, body)
    left: list[ToSeal] = []
    copies: list[Held] = []
    for one in message.addressees:
        epoch, given = numbers.give(one.office, message.lane)
        wanted = ToSeal(
            message_id=message.message_id,
            office=one.office,
            lane=message.lane,
            entitlement=message.entitlement,
            number=given,
            epoch=epoch,
            created_us=message.created_us,
            expires_us=message.expires_us,
            deadline_us=message.deadline_us,
        )
        copy = sealing.seal(wanted)
        row: dict[str, Value] = {
            "message_id": message.message_id, "office": one.office, "stage": TO_SEAL if copy is None else ON_ITS_WAY,
            "state": State.ACCEPTED.value, "lane": message.lane, "number": wanted.number,
            "expires_us": message.expires_us, "deadline_us": message.deadline_us,
            "begun": int(copy is not None and sealing.begun), "asked_us": None, "again_us": None,
        }  # fmt: skip
        named = [one.address, message.entitlement, message.created_us, message.digest, wanted.epoch]
        RECIPIENTS.insert(txn, row, dumps(named))
        left += [wanted] if copy is None else []
        copies += [] if copy is None else [copy]
    return left, copies


def message(txn: Txn, message_id: bytes) -> Message | None:
    """A sent message, or None; raises `RowDamaged`."""
    row = SENT.get(txn, message_id)
    return None if row is None else _message(row)


def standings(txn: Txn, message_id: bytes) -> list[Standing]:
    """How a message stands with each of its recipients."""
    return [standing_of(row) for row in RECIPIENTS.select(txn, "message_id = ?", (message_id,), order="rowid")]


def standing(txn: Txn, message_id: bytes, office: bytes) -> Standing | None:
    """How a message stands with one recipient."""
    row = RECIPIENTS.get(txn, message_id, office)
    return None if row is None else standing_of(row)


def to_seal(txn: Txn, limit: int) -> list[ToSeal]:
    """Recipients whose copies wait to be sealed, the highest lane first."""
    # The index of what is not final serves only a query that says so in its own words.
    rows = RECIPIENTS.select(txn, "stage < 2 AND stage = 0", order="lane, rowid", limit=limit)
    return [_to_seal(row) for row in rows]


def await_prekey(txn: Txn, message_id: bytes, office: bytes) -> bool:
    """Only the recipient's next prekey can help; false when nothing is to be sealed any more."""
    row = RECIPIENTS.get(txn, message_id, office)
    if row is None or number(row["stage"]) != TO_SEAL:
        return False
    RECIPIENTS.update(txn, row, stage=AWAITING_PREKEY)
    return True


def awaiting(txn: Txn) -> list[OfficeId]:
    """Offices for whose prekeys copies wait."""
    found = txn.connection.execute("SELECT DISTINCT office FROM recipients WHERE stage = -1").fetchall()
    return [OfficeId(office) for (office,) in found if isinstance(office, bytes)]


def waiting_for(txn: Txn, office: bytes, limit: int) -> list[MessageId]:
    """Messages whose copies wait for a prekey of this office."""
    rows = RECIPIENTS.unverified_clear(txn, "stage = -1 AND office = ?", (office,), limit=limit)
    return [MessageId(blob(row["message_id"])) for row in rows]


def end_waiting(txn: Txn, office: bytes, limit: int) -> int:
    """A prekey came: back to be sealed; how many."""
    rows = RECIPIENTS.select(txn, "stage = -1 AND office = ?", (office,), limit=limit)
    for row in rows:
        RECIPIENTS.update(txn, row, stage=TO_SEAL)
    return len(rows)


def whole(txn: Txn, message_id: bytes, office: bytes) -> tuple[ToSeal, Bundle] | None:
    """What one more copy for a recipient needs; None when the words are not kept any more."""
    row, kept = RECIPIENTS.get(txn, message_id, office), message(txn, message_id)
    if row is None or kept is None or kept.bare or kept.bundle is None:
        return None
    return _to_seal(row), kept.bundle


def bundles(txn: Txn, ids: Collection[MessageId]) -> dict[MessageId, Bundle]:
    """The signed bundles of sent messages, by id; one whose words are not here is left out."""
    found = {}
    for message_id in ids:
        with suppress(RowDamaged):
            one = message(txn, message_id)
            if one is not None and one.bundle is not None and not one.bare:
                found[message_id] = one.bundle
    return found


def mark_sealed(txn: Txn, message_id: bytes, office: bytes, *, begun: bool) -> bool:
    """Record that a copy is sealed, and whether it may leave from now on (G8).

    False when another copy was sealed or the verdict was given meanwhile: then this one may not be sent.
    """
    row = RECIPIENTS.get(txn, message_id, office)
    if row is None or number(row["stage"]) != TO_SEAL:
        return False
    RECIPIENTS.update(txn, row, stage=ON_ITS_WAY, begun=int(begun or bool(row["begun"])))
    return True


def mark_begun(txn: Txn, message_id: bytes, office: bytes) -> bool:
    """Record that sending begins; false when the verdict was given meanwhile (then nothing may be sent)."""
    row = RECIPIENTS.get(txn, message_id, office)
    if row is None or number(row["stage"]) == FINAL:
        return False
    RECIPIENTS.update(txn, row, begun=1)
    return True


def is_unbegun(txn: Txn, message_id: bytes, office: bytes) -> bool:
    """Whether a copy is sealed and was never sent."""
    where = "message_id = ? AND office = ? AND stage = 1 AND begun = 0"
    return RECIPIENTS.unverified_count(txn, where, (message_id, office)) > 0


def seal_again(txn: Txn, message_id: bytes, office: bytes) -> bool:
    """Back to be sealed (prekey gone, damaged copy); false when the verdict was given, or it is declared dead."""
    row = RECIPIENTS.get(txn, message_id, office)
    if row is None or number(row["stage"]) == FINAL or row["asked_us"] is not None:
        return False
    RECIPIENTS.update(txn, row, stage=TO_SEAL)
    return True


def set_state(txn: Txn, message_id: bytes, office: bytes, state: State) -> None:
    """Store the state that a recipient has reached, see `protocol.delivery`."""
    row = RECIPIENTS.get(txn, message_id, office)
    if row is not None:
        RECIPIENTS.update(txn, row, state=state.value, stage=FINAL if state.final else number(row["stage"]))


def overdue(txn: Txn, now_us: int, limit: int) -> list[Standing]:
    """Recipients without a verdict past their deadline, the oldest deadline first."""
    rows = RECIPIENTS.select(txn, "stage < 2 AND deadline_us <= ?", (now_us,), order="deadline_us", limit=limit)
    return [standing_of(row) for row in rows]


def find(txn: Txn, low: bytes, high: bytes) -> list[bytes]:
    """Ids of sent messages between two ids, at most three: enough to tell whether a prefix is unique."""
    rows = SENT.unverified_clear(txn, "message_id BETWEEN ? AND ?", (low, high), limit=3)
    return [blob(row["message_id"]) for row in rows]


def latest(txn: Txn, limit: int, state: str | None = None) -> list[MessageId]:
    """Sent messages, the newest first; with `state` only those that are in it, or were told so, for some recipient."""
    where, args = ("1", ()) if state is None else (_IN_STATE, (state, state))
    query = f"SELECT message_id FROM sent WHERE {where} ORDER BY accepted_us DESC LIMIT ?"  # noqa: S608 - constants
    return [MessageId(found) for (found,) in txn.connection.execute(query, (*args, limit))]


def _message(row: Row) -> Message:
    bundle, _, answer, _ = elements(loads(row.body, max_bytes=MESSAGE_BYTES), 4, "sent message")
    return Message(
        message_id=MessageId(blob(row["message_id"])),
        lane=Lane(number(row["lane"])),
        accepted_us=number(row["accepted_us"]),
        expires_us=number(row["expires_us"]),
        bundle=None if bundle == LOST else decode_bundle(bundle),
        answer=answer,
        bare=bool(row["bare"]),
    )


def standing_of(row: Row) -> Standing:
    """How a row of `recipients` says that it stands."""
    address, _, created_us, digest, epoch = elements(loads(row.body, max_bytes=RECORD_BYTES), 5, "recipient")
    return Standing(
        message_id=MessageId(blob(row["message_id"])),
        office=OfficeId(blob(row["office"])),
        address=address,
        state=State(row["state"]),
        lane=Lane(number(row["lane"])),
        number=number(row["number"]),
        epoch=Epoch(epoch),
        created_us=created_us,
        expires_us=number(row["expires_us"]),
        deadline_us=_optional(row["deadline_us"]),
        begun=bool(row["begun"]),
        asked_us=_optional(row["asked_us"]),
        digest=digest,
    )


def _to_seal(row: Row) -> ToSeal:
    _, entitlement, created_us, _, epoch = elements(loads(row.body, max_bytes=RECORD_BYTES), 5, "recipient")
    return ToSeal(
        message_id=MessageId(blob(row["message_id"])),
        office=OfficeId(blob(row["office"])),
        lane=Lane(number(row["lane"])),
        entitlement=entitlement,
        number=number(row["number"]),
        epoch=Epoch(epoch),
        created_us=created_us,
        expires_us=number(row["expires_us"]),
        deadline_us=_optional(row["deadline_us"]),
    )


def _optional(value: object) -> int | None:
    return None if value is None else number(value)
