"""What a directory that revokes an office or a key means for what is here already: one bounded change at a time (G14).

What is under way to it ends, what it dated later is carried no further, what was taken in good faith is marked. Nothing
is deleted that a reader could have seen, and nothing ends without an event, a notice or a suspect.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keys.approvals import rests_on_revoked, signed_by_revoked
from keys.roster.office_record import OfficeRecord
from keys.roster.revocation import is_doubted, revoked_since_us
from keys.signing import UnverifiedRecord
from protocol.copy import OUTER_BYTES, read_outer, split_copy
from protocol.delivery import State
from protocol.frame import COPY_ITEM
from protocol.ids import Digest, NetworkId, OfficeId
from protocol.limits import CLOCK_AHEAD_US, CONTENT_BYTES, RECORD_BYTES
from protocol.receipt import END_TO_END, decode_receipt
from relay.identity import Identity
from relay.presenting import content_of
from relay.receipting import custody_lost
from relay.store import counters, events, held, inbox, quarantine, sent
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.held import Held
from relay.store.inbox import Received
from relay.store.quarantine import Suspect

BATCH: Final = 50
"""Most parcels or messages looked at in one change, about 8 ms: a flash message waits no longer (see benchmarks).
"""
EVENTS_AT_ONCE: Final = 5_000
"""Most places in the record of events looked at in one change, about 10 ms."""
SAID: Final = (*sorted(END_TO_END), "expired", "correction")
"""Events under which the words of a recipient are recorded, each with its signed receipt."""


@dataclass(slots=True)
class Swept:
    """What changes did, and what is to be done when they are durable. `after` is where the next one goes on, or None.

    `counts`: messages `ended`, parcels `dropped`, messages and answers `doubted`, copies to be `resealed`.
    """

    counts: Counter[str] = field(default_factory=Counter)
    released: list[Digest] = field(default_factory=list)
    taken: list[Held] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    after: bytes | int | None = None


class Aftermath:
    """One change; made for one transaction and dropped after it."""

    def __init__(self, txn: Txn, identity: Identity, network: NetworkId, quarantine_rows: int, quarantine_bytes: int):
        self._txn = txn
        self._identity = identity
        self._network = network
        self._bounds = (quarantine_rows, quarantine_bytes)
        self._swept = Swept()
        self._hold: list[Held] = []
        self._log: list[Event] = []
        self._suspects: list[Suspect] = []

    def end_mail_to(self, office: OfficeId) -> Swept:
        """Everything under way to an office that is revoked, to be asked for again until `after` is None."""
        parcels = held.to_office(self._txn, office, BATCH)
        for one in parcels:
            parcel = one.parcel
            if parcel.kept_after_custody:
                self._refuse(parcel.message_id, office)
            elif parcel.carries_message and parcel.origin != self._identity.office:
                self._notify(one)
            self._drop(one)
        waiting = sent.waiting_for(self._txn, office, BATCH)
        for message_id in waiting:
            self._refuse(message_id, office)
        return self._close(office if BATCH in (len(parcels), len(waiting)) else None)

    def drop_mail_of(self, after: bytes, office: OfficeRecord) -> Swept:
        """What is carried for an office although its key did not count any more when that was dated."""
        parcels = held.of_origin(self._txn, office.id, after, BATCH)
        for one in parcels:
            key_id, dated_us = _signed(one)
            since_us = revoked_since_us(office, key_id)
            if since_us is None or dated_us < since_us:
                continue
            detail = "dated after the revocation of its key, and carried before that was known"
            source, now_us = office.id.hex(), self._txn.now_us
            self._suspects.append(Suspect(now_us, "KEY_NOT_VALID", detail, source, len(one.data), one.data))
            if one.parcel.carries_message and office.state != "revoked":
                self._notify(one)
            self._drop(one)
        return self._close(parcels[-1].parcel.digest if len(parcels) == BATCH else None)

    def doubt_messages_of(self, after: bytes, office: OfficeRecord, since_us: int) -> Swept:
        """Mark what this office was handed: dated after the revocation, or before it and nobody else had it by then."""
        found, next_ = inbox.of_sender(self._txn, office.id, since_us - CLOCK_AHEAD_US, after, BATCH)
        for message in found:
            if _lacks_worth(message, office) and inbox.doubt(self._txn, office.id, message.message_id):
                self._swept.counts["doubted"] += 1
                me, now_us = self._identity.office, self._txn.now_us
                self._log.append(Event(message.message_id, office.id, "doubted", now_us, me, True))
        return self._close(next_)

    def doubt_answers_of(self, after: int, offices: Mapping[OfficeId, OfficeRecord]) -> Swept:
        """Verdicts stand; where they rest on a receipt dated after the revocation of its key, a correction says so."""
        for event in events.said_by(self._txn, tuple(offices), SAID, after, EVENTS_AT_ONCE):
            record = UnverifiedRecord(event.record, max_bytes=RECORD_BYTES) if event.record else None
            if record is None or event.by != event.office:
                continue
            receipt = decode_receipt(record.payload)
            office = offices[receipt.by]
            since_us = revoked_since_us(office, record.key_id)
            lost = (since_us is not None and receipt.at_us >= since_us) or signed_by_revoked(receipt, office)
            if lost and not self._is_corrected(event):
                self._swept.counts["doubted"] += 1
                me, now_us = self._identity.office, self._txn.now_us
                self._log.append(Event(event.message_id, event.office, "correction", now_us, me, True, "DOUBTED"))
        last = events.last_seq(self._txn)
        return self._close(after + EVENTS_AT_ONCE if after + EVENTS_AT_ONCE < last else None)

    def take_back_copies_to(self, office: OfficeId) -> Swept:
        """Own copies to an office whose prekey does not count any more: they are sealed again to its next one (D7)."""
        parcels = held.own_copies_to(self._txn, office, BATCH)
        for one in parcels:
            message_id = one.parcel.message_id
            if sent.seal_again(self._txn, message_id, office):
                self._swept.counts["resealed"] += 1
                me, now_us = self._identity.office, self._txn.now_us
                self._log.append(Event(message_id, office, "resealed", now_us, me, True, "REVOKED"))
            self._drop(one, counted=False)
        return self._close(office if len(parcels) == BATCH else None)

    def _refuse(self, message_id: bytes, office: OfficeId) -> None:
        """The verdict of a message to an office that is revoked: recorded, on the directory's word."""
        one = sent.standing(self._txn, message_id, office)
        if one is None or one.state.final:
            return
        sent.set_state(self._txn, message_id, office, State.REFUSED)
        self._swept.counts["ended"] += 1
        me, now_us = self._identity.office, self._txn.now_us
        self._log.append(Event(message_id, office, "refused", now_us, me, False, "REVOKED"))

    def _drop(self, one: Held, *, counted: bool = True) -> None:
        held.forget(self._txn, one.parcel.digest)
        self._swept.released.append(one.parcel.digest)
        self._swept.counts["dropped"] += counted and not one.parcel.kept_after_custody

    def _notify(self, one: Held) -> None:
        """To the origin, signed: this is not carried any further."""
        lost = custody_lost(self._identity, self._network, one.parcel, one.expires_us, self._txn.now_us, "REVOKED")
        self._hold.append(lost)

    def _is_corrected(self, event: Event) -> bool:
        known = [*events.of_recipient(self._txn, event.message_id, event.office), *self._log]
        return any(
            (one.message_id, one.office, one.type, one.code)
            == (event.message_id, event.office, "correction", "DOUBTED")
            for one in known
        )

    def _close(self, after: bytes | int | None) -> Swept:
        swept, txn = self._swept, self._txn
        counters.count(txn, {"refused": swept.counts["ended"], "quarantined": len(self._suspects)})
        if self._suspects:
            quarantine.put(txn, self._suspects, *self._bounds)
        swept.taken = held.hold(txn, self._hold)
        swept.events = events.append(txn, self._log)
        swept.after = after
        return swept


def _signed(one: Held) -> tuple[bytes, int]:
    """(key id, time) of what its origin signed: a copy's outer record, or a receipt."""
    if one.parcel.kind == COPY_ITEM:
        outer, ciphertext = split_copy(one.data)
        record = UnverifiedRecord(outer, max_bytes=OUTER_BYTES)
        return record.key_id, read_outer(record.payload, outer, ciphertext, one.data).header.created_us
    record = UnverifiedRecord(one.data, max_bytes=RECORD_BYTES)
    return record.key_id, decode_receipt(record.payload).at_us


def _lacks_worth(message: Received, office: OfficeRecord) -> bool:
    """Whether a message that was delivered is doubted by what is known now: content or copy, whichever key signed.

    The office is the witness of its persons: what a revoked one approved before is doubted only if it is dated later.
    """
    content = content_of(message.bundle)
    created_us = content.created_us
    keys = (
        UnverifiedRecord(message.bundle.record, max_bytes=CONTENT_BYTES).key_id,
        UnverifiedRecord(message.outer, max_bytes=OUTER_BYTES).key_id,
    )
    witnessed_us = max(created_us, message.witnessed_us)
    return any(is_doubted(office, key_id, witnessed_us) for key_id in keys) or rests_on_revoked(content, office)
