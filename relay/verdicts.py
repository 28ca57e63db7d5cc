"""What others say of messages that this office sent: states, events, and copies that nobody needs any more (G8).

One `Verdicts` serves one change. Rows are read once, moved in memory by `protocol/delivery.py`, and written once by
`close`: custody and delivery of a direct neighbour usually come in the same frame.
"""

from dataclasses import dataclass, field

from msgspec.structs import replace

from keys.prekeys import parse_prekey
from protocol.delivery import SAID_BY, Effect, State, apply
from protocol.errors import RemoteError
from protocol.ids import Digest, MessageId, OfficeId
from protocol.limits import CLOCK_AHEAD_US
from protocol.receipt import Receipt, is_of_other_content
from relay.store import endings, events, held, prekeys, sent
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.sent import Standing

RESEALS_MAX = 3
"""How often a copy is sealed again because its prekey is gone (D7)."""
ASKED_AGAIN_MAX = 10
"""How often a recipient may say that it lost a message: each time costs a copy and an event (SPEC M45)."""
OPEN_TO_REFUSAL = (State.ACCEPTED, State.CUSTODY, State.UNCONFIRMED)
"""In these a recipient's word over another content under the same id is news: it takes ours no more (SPEC M26)."""


@dataclass(slots=True)
class _Story:
    """One recipient's standing during this change."""

    standing: Standing
    state: State
    answered: bool = False


@dataclass(slots=True)
class Verdicts:
    """The change's memory of recipients, and what is to be done when it is durable."""

    txn: Txn
    log: list[Event] = field(default_factory=list)
    released: list[Digest] = field(default_factory=list)
    lost: list[tuple[Digest, OfficeId]] = field(default_factory=list)
    prekeys: list[bytes] = field(default_factory=list)
    again: list[tuple[MessageId, OfficeId]] = field(default_factory=list)
    delivered: int = 0
    refused: int = 0
    expired: int = 0
    mismatched: int = 0
    _stories: dict[tuple[bytes, bytes], _Story] = field(default_factory=dict)

    def custody(self, message_id: bytes, recipient: bytes, by: OfficeId, at_us: int, proof: Digest) -> None:
        """A neighbour's signed frame says that it has custody of our copy."""
        story = self._story(message_id, recipient)
        if story is not None:
            self._apply(story, Event(message_id, recipient, "custody", at_us, by, True, proof=proof))

    def receipt(self, receipt: Receipt, record: bytes) -> bool:
        """A verified receipt; false when it is about a message that we did not send."""
        story = self._story(receipt.id, receipt.recipient)
        if story is None:
            return False
        event = Event(
            receipt.id, receipt.recipient, receipt.type, receipt.at_us, receipt.by, True, receipt.code, receipt.detail,
            record,
        )  # fmt: skip
        if receipt.type == "prekey_gone":
            self._prekey_gone(story, receipt)
        elif receipt.type == "custody_lost" and receipt.by == receipt.recipient:
            self._lost_there(story, event, receipt)
        elif receipt.type == "custody_lost":
            self.lost.append((receipt.digest, receipt.by))
            if not self._recorded(event):
                self.log.append(event)
        elif receipt.type == "custody":
            # After the verdict no copy is left that it could be compared with, and it changes nothing.
            if story.state.final or receipt.digest in held.of_copy(self.txn, receipt.id, receipt.recipient):
                self._apply(story, event)
        elif receipt.by == receipt.recipient and receipt.digest == story.standing.digest:
            story.answered = True
            self._apply(story, event)
        elif is_of_other_content(receipt, story.standing.digest) and story.state in OPEN_TO_REFUSAL:
            story.answered = True
            self._apply(story, replace(event, type="refused", code="ID_REUSED", detail=""))
        else:
            # Signed, yet over other content or not by the recipient: nothing that is to be believed.
            self.mismatched += 1
        return True

    def close(self) -> list[Event]:
        """Write what moved; the events come back numbered."""
        for story in self._stories.values():
            one = story.standing
            if story.state is not one.state:
                sent.set_state(self.txn, one.message_id, one.office, story.state)
            if story.answered and one.asked_us is not None:
                endings.mark_answered(self.txn, one.message_id, one.office)
        return events.append(self.txn, self.log)

    def _story(self, message_id: bytes, recipient: bytes) -> _Story | None:
        key = (message_id, recipient)
        story = self._stories.get(key)
        if story is None:
            standing = sent.standing(self.txn, message_id, recipient)
            if standing is None:
                return None
            story = self._stories[key] = _Story(standing, standing.state)
        return story

    def _apply(self, story: _Story, event: Event) -> None:
        """Move the state, or record what came late or contradicts; every fact once."""
        before = story.state
        said = SAID_BY.get(event.type) or State(event.type)
        story.state, effect = apply(before, said)
        if effect is not Effect.MOVES and self._recorded(event, said):
            return
        if effect is Effect.MOVES:
            event = replace(event, type=said.value)
        elif effect is Effect.CORRECTION:
            self.delivered += event.type == "delivered"
            event = replace(event, type="correction", code=said.value, detail=event.code or event.detail)
        self.log.append(event)
        if story.state.final and not before.final:
            self.delivered += story.state.arrived
            self.refused += story.state is State.REFUSED
            self.expired += story.state is State.EXPIRED
            self._release_copies(event.message_id, event.office)

    def _release_copies(self, message_id: bytes, office: bytes) -> None:
        """The verdict is known: our copies have done their duty."""
        for digest in held.of_copy(self.txn, message_id, office):
            held.forget(self.txn, digest)
            self.released.append(Digest(digest))

    def _prekey_gone(self, story: _Story, receipt: Receipt) -> None:
        """The recipient has no private half for that copy: it is sealed again to the prekey that came along.

        One that comes with an older prekey than it has used was restored, and one that comes with a prekey of the
        future has a wrong clock: each will have another as soon as it knows, and sealing to what it lost would use up
        the tries (SPEC M45).
        """
        message_id, office = receipt.id, receipt.recipient
        told = events.of_recipient(self.txn, message_id, office)
        tries = sum(event.type == "resealed" and event.by == office for event in told)
        copies = held.of_copy(self.txn, message_id, office)
        if receipt.by != office or receipt.digest not in copies or tries >= RESEALS_MAX or story.state.final:
            return
        self.prekeys.append(receipt.proof)
        if not _is_usable(receipt.proof, prekeys.record_of(self.txn, office), self.txn.now_us):
            return
        if not sent.seal_again(self.txn, message_id, office):
            return
        self._release_copies(message_id, office)
        self.log.append(Event(message_id, office, "resealed", receipt.at_us, receipt.by, True))

    def _lost_there(self, story: _Story, event: Event, receipt: Receipt) -> None:
        """The recipient cannot read what it had: it gets the same once more. The verdict stands (SPEC M45)."""
        known = [*events.of_recipient(self.txn, event.message_id, event.office), *self.log]
        said = [one.at_us for one in known if one.type == event.type and one.by == event.by]
        if receipt.digest != story.standing.digest or event.at_us in said or len(said) >= ASKED_AGAIN_MAX:
            return
        self.log.append(event)
        if story.state.arrived:
            self.again.append((receipt.id, receipt.recipient))

    def _recorded(self, event: Event, said: State | None = None) -> bool:
        """Whether this very fact is in the record already, by whatever word it was recorded."""
        words = {event.type} if said is None else {event.type, said.value}
        known = [*events.of_recipient(self.txn, event.message_id, event.office), *self.log]
        return any(
            one.message_id == event.message_id
            and one.office == event.office
            and one.by == event.by
            and (one.type in words or (one.type == "correction" and one.code in words))
            for one in known
        )


def _is_usable(data: bytes, held: bytes | None, now_us: int) -> bool:
    """Whether a prekey record that nobody has verified yet may take the place of the one held, or is that one."""
    try:
        record = parse_prekey(data)
        follows = held is None or data == held or record.rank > parse_prekey(held).rank
    except RemoteError:
        return False
    return follows and record.not_before_us <= now_us + CLOCK_AHEAD_US
