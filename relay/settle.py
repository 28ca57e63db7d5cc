"""The second half of intake: one change that makes a batch of findings durable and decides every answer.

It runs in the writer's thread inside one transaction (`relay/intake.py` acts on the returned `Outcome` after the
commit): custody and receipts are owed only for what is durable by then (D1, G7).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keys.primitives import sha256
from protocol.frame import COPY_ITEM, Item, Nack
from protocol.ids import Digest, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.limits import RECEIPT_EXTRA_LIFE_US, TRAIL_OFFICES
from protocol.parcel import Parcel
from protocol.receipt import Place, Receipt, decode_place
from relay.examine import Answer, Doubted, Examined, Finding, Known, Message, Rejected, Tombstone, Transit, Unopened
from relay.receipting import answer_again
from relay.store import counters, events, held, inbox, lost, quarantine, shares
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.held import Held
from relay.store.inbox import Received, SealedReceipt
from relay.store.lost import FIRST_WORDS, Lost
from relay.store.quarantine import Suspect
from relay.store.retention import FORGET_AFTER_US
from relay.store.streams import Streams
from relay.verdicts import Verdicts

SOON = frozenset({"NOT_YET", "NOT_OPENED", "UNKNOWN_OFFICE", "UNKNOWN_KEY", "KEY_NOT_VALID", "BAD_SUITE", "SUSPENDED"})
"""What may verify later (a newer directory, a clock that is right again): the neighbour is told to keep it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits that settings give."""

    quarantine_rows: int
    quarantine_bytes: int


@dataclass(frozen=True, slots=True)
class OutboxView:
    """What the outbox knows of these frames: the parcels of which their senders were asked to take custody and
    acknowledge it, and items offered to their senders.
    """

    parcels: Mapping[tuple[Digest, OfficeId], Parcel]
    offered: frozenset[tuple[Digest, OfficeId]]


@dataclass(slots=True)
class Outcome:
    """What is to be done after the commit."""

    custody: list[tuple[OfficeId, Lane, Digest]] = field(default_factory=list)
    nacks: list[tuple[OfficeId, Lane, Nack]] = field(default_factory=list)
    taken: list[Held] = field(default_factory=list)
    released: list[Digest] = field(default_factory=list)
    in_custody: list[tuple[Digest, OfficeId]] = field(default_factory=list)
    refused_by: list[tuple[Digest, str, OfficeId]] = field(default_factory=list)
    lost: list[tuple[Digest, OfficeId]] = field(default_factory=list)
    prekeys: list[bytes] = field(default_factory=list)
    unopened: list[tuple[SealedReceipt, bytes]] = field(default_factory=list)
    again: list[tuple[MessageId, OfficeId]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    remembered: list[Digest] = field(default_factory=list)
    unknown: list[Digest] = field(default_factory=list)


class Settlement:
    """One change; made for one transaction and dropped after it.

    What was created up to `doubt_us` may be a repetition (`relay/home.py`).
    """

    def __init__(self, txn: Txn, me: OfficeId, view: OutboxView, bounds: Bounds, doubt_us: int = 0) -> None:
        self._txn = txn
        self._me = me
        self._offered = view.offered
        self._parcels = view.parcels
        self._bounds = bounds
        self._doubt_us = doubt_us
        self._outcome = Outcome()
        self._verdicts = Verdicts(txn)
        self._streams = Streams(txn, me)
        self._hold: list[Held] = []
        self._counts = dict.fromkeys(counters.NAMES, 0)
        self._suspects: list[Suspect] = []

    def settle(self, frames: Sequence[Examined], suspects: Sequence[Suspect]) -> Outcome:
        """Make the frames' findings durable."""
        self._suspects += suspects
        for examined in frames:
            if examined.believed:
                self._take_custody_entries(examined)
                self._take_nacks(examined)
            for finding in examined.findings:
                self._take_finding(finding, examined)
        self._outcome.taken = held.hold(self._txn, self._hold)
        self._streams.close()
        self._verdicts.log += self._streams.log
        self._close_verdicts()
        if self._suspects:
            self._counts["quarantined"] += len(self._suspects)
            quarantine.put(self._txn, self._suspects, self._bounds.quarantine_rows, self._bounds.quarantine_bytes)
        counters.count(self._txn, self._counts)
        return self._outcome

    def _close_verdicts(self) -> None:
        verdicts, outcome = self._verdicts, self._outcome
        outcome.events = verdicts.close()
        outcome.released += verdicts.released
        outcome.lost += verdicts.lost
        outcome.prekeys, outcome.again = verdicts.prekeys, verdicts.again
        self._counts["delivered"] += verdicts.delivered
        self._counts["refused"] += verdicts.refused
        self._counts["expired"] += verdicts.expired
        self._counts["quarantined"] += verdicts.mismatched

    # What a neighbour says about what we sent it.

    def _take_custody_entries(self, examined: Examined) -> None:
        frame, record = examined.frame.frame, examined.frame.record
        proof = Digest(sha256(record))
        kept = False
        for digest in frame.custody:
            parcel = self._parcels.get((digest, frame.sender))
            if parcel is None:
                continue
            if not kept:
                events.keep_proof(self._txn, proof, self._txn.now_us, record)
                kept = True
            if parcel.kept_after_custody:
                self._verdicts.custody(parcel.message_id, parcel.recipient, frame.sender, frame.at_us, proof)
            else:
                held.pass_on(self._txn, digest, frame.sender, proof, FORGET_AFTER_US)
                self._counts["forwarded"] += parcel.carries_message and parcel.origin != self._me
            self._outcome.in_custody.append((digest, frame.sender))

    def _take_nacks(self, examined: Examined) -> None:
        frame = examined.frame.frame
        self._outcome.refused_by += [(nack.digest, nack.code, frame.sender) for nack in frame.nacks]

    # What a neighbour sent us.

    def _take_finding(self, finding: Finding, examined: Examined) -> None:
        match finding:
            case Message():
                taken = self._take_message(finding, examined)
            case Answer():
                taken = self._take_answer(finding, examined)
            case Tombstone():
                taken = self._take_tombstone(finding, examined)
            case Transit():
                taken = self._take_transit(finding, examined)
            case Unopened():
                taken = self._take_unopened(finding, examined)
            case Known():
                self._counts["duplicates"] += finding.item.kind == COPY_ITEM
                taken = self._take_known(finding)
            case Doubted():
                # Taken all the same, so that nobody carries it for ever.
                self._suspect(finding.item.data, "KEY_NOT_VALID", "no witness of before the revocation", examined)
                taken = True
            case Rejected(code="SUSPENDED"):
                # No suspect either: it is taken when the suspension ends, or found out when it is confirmed (D8).
                taken = self._nack(finding.item.digest, "UNVERIFIED", examined)
            case Rejected(code="EXPIRED"):
                # Nothing is wrong with it but the time: whoever holds it forgets it by the same clock.
                taken = False
            case Rejected():
                taken = self._suspect(finding.item.data, finding.code, finding.detail, examined)
                if finding.code in SOON:
                    self._nack(finding.item.digest, "UNVERIFIED", examined)
        if taken:
            self._owe(finding.item.digest, examined)
            if isinstance(finding, Message | Known) or (isinstance(finding, Answer) and not _is_copy(finding)):
                # What ends here stays known; what is carried on may be lost here, and is then to be taken again. A
                # tombstone is answered by what is known of its message.
                self._outcome.remembered.append(finding.item.digest)

    def _take_message(self, finding: Message, examined: Examined) -> bool:
        """A message for us: into the inbox once, with its receipt; again and again only the receipt (G2, G7)."""
        content = finding.message.content
        copy = finding.copy.copy
        known = inbox.digests(self._txn, content.sender, content.id)
        if known is not None:
            if known[0] != finding.message.digest:
                return self._take_reused(finding.item, content.sender, content.id, examined)
            self._counts["duplicates"] += 1
            self._answer_again(content.sender, content.id)
            return True
        if content.expires_us <= self._txn.now_us:
            return False
        if not shares.admits(self._txn, copy.header.lane, content.sender):
            return self._nack(finding.item.digest, "FULL", examined)
        before = lost.of(self._txn, content.sender, content.id)
        if before is not None:
            return self._take_back(finding, before, examined)
        inbox.insert(self._txn, self._received(finding), copy.digest, content.expires_us + FORGET_AFTER_US)
        type_ = "delivered" if finding.refusal is None else "refused"
        now_us = self._txn.now_us
        inbox.keep_receipt(self._txn, content.sender, content.id, type_, now_us, finding.answer.data, finding.plain)
        self._hold.append(finding.answer)
        self._counts["received" if finding.refusal is None else "refused"] += 1
        event = "received" if finding.refusal is None else "refused_here"
        self._verdicts.log.append(
            Event(content.id, content.sender, event, now_us, self._me, True, finding.refusal or "")
        )
        return True

    def _take_reused(self, item: Item, sender: OfficeId, message_id: MessageId, examined: Examined) -> bool:
        """Other content under a known id is not taken. Its author hears again what was said of the first (SPEC M26)."""
        self._suspect(item.data, "ID_REUSED", "known id with other content", examined)
        return self._answer_again(sender, message_id)

    def _take_back(self, finding: Message, before: Lost, examined: Examined) -> bool:
        """It was here, and its row was damaged since: it takes its old place again, and nothing new is said (G2)."""
        content, copy = finding.message.content, finding.copy.copy
        if before.digest != finding.message.digest:
            return self._take_reused(finding.item, content.sender, content.id, examined)
        forget_us = content.expires_us + FORGET_AFTER_US
        if before.state == "dead":
            lane = copy.header.lane
            inbox.bury(self._txn, content.sender, content.id, lane, finding.message.digest, forget_us)
            return self._answer_again(content.sender, content.id)
        lost.put_back(self._txn, before, self._received(finding, numbered=False), copy.digest, forget_us)
        self._counts["duplicates"] += 1
        self._answer_again(content.sender, content.id)
        return True

    def _received(self, finding: Message, *, numbered: bool = True) -> Received:
        """The message as the inbox keeps it; `numbered` when its number is to be noted."""
        return Received(
            sender=finding.message.content.sender,
            message_id=finding.message.content.id,
            lane=finding.copy.copy.header.lane,
            state="new" if finding.refusal is None else "refused",
            received_us=self._txn.now_us,
            witnessed_us=min(finding.witnessed_us, self._txn.now_us),
            flags=self._flags(finding, numbered=numbered),
            digest=finding.message.digest,
            bundle=finding.message.bundle,
            outer=finding.copy.copy.outer,
        )

    def _take_unopened(self, finding: Unopened, examined: Examined) -> bool:
        """Sealed to a prekey that is gone: the answer is durable and the copy ends here, so that no relay between
        keeps sending it; its origin keeps the content and seals again (D7).
        """
        answer = finding.answer.parcel
        if not shares.admits(self._txn, answer.lane, answer.share):
            return self._nack(finding.item.digest, "FULL", examined)
        self._suspect(finding.item.data, "PREKEY_GONE", "sealed to a prekey that is gone", examined)
        if not held.is_answered(self._txn, answer.message_id, answer.recipient):
            self._hold.append(finding.answer)
        return True

    def _flags(self, finding: Message, *, numbered: bool) -> int:
        header = finding.copy.copy.header
        content = finding.message.content
        place = Place(header.lane, header.epoch, header.number)
        flags = self._streams.note(header.sender, place, header.id) if numbered else 0
        if content.drill:
            flags |= inbox.DRILL
        if finding.doubted:
            flags |= inbox.DOUBTED
        if content.deadline_us is not None and self._txn.now_us > content.deadline_us:
            flags |= inbox.LATE
        if content.created_us <= self._doubt_us:
            # It may have been handed out in another life of this home (SPEC M62).
            flags |= inbox.REDELIVERED
        return flags

    def _take_tombstone(self, finding: Tombstone, examined: Examined) -> bool:
        """Its author says that a message is dead. What we said of it before, we say again; else, from this commit on,
        we do not have it and never will: that is what our own tombstone says (G8). Its number is closed (G4).
        """
        receipt = finding.receipt.receipt
        known = inbox.digests(self._txn, receipt.by, receipt.id)
        if known is not None and known[0] != receipt.digest:
            return self._take_reused(finding.item, receipt.by, receipt.id, examined)
        if self._answer_again(receipt.by, receipt.id) or known is not None:
            return True
        place = decode_place(receipt.proof)
        # Where its message would have been: a tombstone takes no room that its message has not.
        if not shares.admits(self._txn, place.lane, receipt.by):
            return self._nack(finding.item.digest, "FULL", examined)
        forget_us = receipt.expires_us + FORGET_AFTER_US - RECEIPT_EXTRA_LIFE_US
        inbox.bury(self._txn, receipt.by, receipt.id, place.lane, receipt.digest, forget_us)
        data, now_us = finding.answer.data, self._txn.now_us
        inbox.keep_receipt(self._txn, receipt.by, receipt.id, "tombstone", now_us, data, data)
        self._hold.append(finding.answer)
        self._streams.note(receipt.by, place, receipt.id, receipt.code)
        return True

    def _answer_again(self, sender: OfficeId, message_id: bytes) -> bool:
        """A duplicate is answered with the same stored receipt bytes (D1); whether there were any."""
        said = [(type_, inbox.receipt(self._txn, sender, message_id, type_)) for type_ in FIRST_WORDS]
        for type_, record in said:
            if record is not None:
                self._hold_again(answer_again(record, type_, self._me))
        return any(record is not None for _, record in said)

    def _hold_again(self, parcel: Held) -> None:
        """Hold what may have gone on from here before: round whoever took it then and kept silent (SPEC M34, M35)."""
        custodian = held.gone_to(self._txn, parcel.parcel.digest)
        if custodian is not None:
            self._outcome.lost.append((parcel.parcel.digest, custodian))
        self._hold.append(parcel)

    def _take_transit(self, finding: Transit, examined: Examined) -> bool:
        """Something for another office: custody, or a nack that is never final (D1)."""
        parcel = finding.parcel.parcel
        sender = examined.frame.frame.sender
        began_here = self._me in parcel.trail or parcel.origin == self._me
        if began_here or len(parcel.trail) >= TRAIL_OFFICES or (parcel.digest, sender) in self._offered:
            return self._nack(parcel.digest, "LOOP", examined)
        custodian = held.passed_to(self._txn, parcel.digest)
        if custodian == sender:
            return self._nack(parcel.digest, "LOOP", examined)
        if held.is_held(self._txn, parcel.digest) or (custodian is not None and parcel.attempt == 1):
            self._counts["duplicates"] += parcel.carries_message
            return True
        if not shares.admits(self._txn, parcel.lane, parcel.share):
            return self._nack(parcel.digest, "FULL", examined)
        self._hold_again(finding.parcel)
        if finding.dead is not None:
            self._drop_dead(finding.dead)
        if finding.custody_record is not None:
            self._hold.append(finding.custody_record)
        return True

    def _drop_dead(self, said: Receipt) -> None:
        """By its author's will a message need not arrive any more: its copies are carried no further (SPEC M43)."""
        for digest in held.carried(self._txn, said.id, said.by, said.recipient):
            held.forget(self._txn, digest)
            self._outcome.released.append(Digest(digest))

    def _take_known(self, finding: Known) -> bool:
        """Bytes that ended here a short time ago: custody again, and the same answer again (M26)."""
        ended = inbox.of_copy(self._txn, finding.item.digest)
        if ended is not None:
            self._answer_again(*ended)
        elif _is_copy(finding):
            # Its row was damaged since: the next one like it is opened and takes its place.
            self._outcome.unknown.append(finding.item.digest)
            return False
        return True

    def _take_answer(self, finding: Answer, examined: Examined) -> bool:
        """A receipt about what we sent. Taken in any case: whoever carried it may forget it."""
        receipt = finding.receipt.receipt
        if receipt.type in ("custody", "prekey_gone") and receipt.by == receipt.recipient:
            sealed = inbox.find_sealed_receipt(self._txn, receipt.by, receipt.digest)
            if sealed is not None:
                self._take_word_of_sealed(sealed, receipt)
                return True
        if not self._verdicts.receipt(receipt, finding.receipt.data):
            self._suspect(finding.item.data, "NOT_FOR_US", "about a message we did not send", examined)
        heard = finding.heard
        if heard is not None and not held.is_answered(self._txn, heard.parcel.message_id, heard.parcel.recipient):
            # Without room nothing is said: the receipt comes again.
            self._hold += [heard] if self._txn.space.admits(heard.parcel.lane) else []
        return True

    def _take_word_of_sealed(self, sealed: SealedReceipt, receipt: Receipt) -> None:
        """The reader of a receipt that left sealed could not open it, or has it: it is said no more (SPEC M42)."""
        if receipt.type == "prekey_gone":
            self._outcome.unopened.append((sealed, receipt.proof))
            return
        inbox.mark_unheard(self._txn, sealed, None)
        held.forget(self._txn, receipt.digest)
        self._outcome.released.append(receipt.digest)

    # Answers.

    def _owe(self, digest: Digest, examined: Examined) -> None:
        frame = examined.frame.frame
        self._outcome.custody.append((frame.sender, frame.lane, digest))

    def _nack(self, digest: Digest, code: str, examined: Examined) -> bool:
        frame = examined.frame.frame
        self._outcome.nacks.append((frame.sender, frame.lane, Nack(digest, code)))
        return False

    def _suspect(self, data: bytes, code: str, detail: str, examined: Examined) -> bool:
        """Into quarantine; no answer that ends anything."""
        source = examined.frame.frame.sender.hex()
        self._suspects.append(Suspect(self._txn.now_us, code, detail, source, len(data), data))
        return False


def _is_copy(finding: Known | Answer) -> bool:
    return finding.item.kind == COPY_ITEM
