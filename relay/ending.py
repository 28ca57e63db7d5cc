"""How messages of this office end by time or by will: verdicts, and tombstones that ask for them (G4, G8, G9).

What was never sent is expired at once; in a home that was put back, nobody here knows it of what the other life may
have sent. Of what was sent the recipient is asked about by a signed tombstone: its own says that
it does not have it, `delivered` that it does. Without an answer within the grace the verdict is `unconfirmed`; what is
said later is a correction. In any case the number is closed in the recipient's stream, however late.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from protocol.delivery import Due, State, ask_again_us, due
from protocol.errors import Refused
from protocol.ids import Digest, MessageId, NetworkId, OfficeId
from protocol.limits import RECEIPT_EXTRA_LIFE_US
from relay.identity import Identity
from relay.store import counters, endings, events, held, sent
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.held import Held
from relay.store.sent import Standing
from relay.tombstones import author_tombstone

BATCH: Final = 100
"""Most recipients ended in one change: each costs a signature, so that a flash message waits no longer than 10 ms."""


@dataclass(frozen=True, slots=True)
class Terms:
    """By whom and how messages end; `since_us` is when our signing key began to count. What was created up to
    `doubt_us` may have been sent in another life of this home; this process has run since `began_us`.
    """

    identity: Identity
    network: NetworkId
    grace_us: int
    since_us: int = 0
    doubt_us: int = 0
    began_us: int = 0


@dataclass(slots=True)
class Ended:
    """What one change ended, and what is to be done when it is durable."""

    events: list[Event] = field(default_factory=list)
    released: list[Digest] = field(default_factory=list)
    taken: list[Held] = field(default_factory=list)
    lost: list[tuple[Digest, OfficeId]] = field(default_factory=list)
    more: bool = False


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of the wish to cancel, by addresses: ended, asked for, and too late."""

    ended: list[str]
    requested: list[str]
    too_late: list[str]


class Ending:
    """One change; made for one transaction and dropped after it."""

    def __init__(self, txn: Txn, terms: Terms) -> None:
        self._txn = txn
        self._terms = terms
        self._ended = Ended()
        self._log: list[Event] = []
        self._hold: list[Held] = []

    def by_time(self, *, settled: bool) -> Ended:
        """What is over by now, a bounded batch of each kind.

        Not `settled`: answers may wait with neighbours yet, and so may the word that this home was put back. Then only
        this process itself is believed that something was never sent.
        """
        txn, terms = self._txn, self._terms
        now_us = txn.now_us
        unasked = [
            one
            for one in endings.unasked(txn, now_us, BATCH)
            if settled or one.begun or one.created_us >= terms.began_us
        ]
        unanswered = endings.unanswered(txn, now_us - terms.grace_us, BATCH) if settled else []
        for one in (*unasked, *unanswered):
            self._end(one)
        again = endings.to_ask_again(txn, now_us, BATCH)
        for one in again:
            self._ask_again(one)
        self._ended.more = BATCH in (len(unasked), len(unanswered), len(again))
        return self._close()

    def by_will(self, message_id: bytes) -> tuple[Ended, Cancelled]:
        """Cancel a message; raises `Refused` NOT_FOUND. What was delivered stays delivered."""
        standings = sent.standings(self._txn, message_id)
        if not standings:
            raise Refused("NOT_FOUND", "this office sent no such message", field="id")
        cancelled = {event.office for event in events.of_message(self._txn, message_id) if event.type == "cancelled"}
        result = Cancelled([], [], [])
        for one in standings:
            if one.state.final:
                known = one.office in cancelled and one.state is State.EXPIRED
                (result.ended if known else result.too_late).append(one.address)
                continue
            if one.office not in cancelled:
                self._note(one, "cancelled")
            if one.asked_us is None:
                self._ask(one)
            if self._may_have_left(one):
                result.requested.append(one.address)
            else:
                self._give(one, State.EXPIRED)
                result.ended.append(one.address)
        return self._close(), result

    def by_loss(self, recipients: Sequence[tuple[MessageId, OfficeId]]) -> Ended:
        """The words of a message are damaged, and no copy is sealed: what was never sent ends, of what was the
        recipient is asked.
        """
        for message_id, office in recipients:
            one = sent.standing(self._txn, message_id, office)
            waits = one is not None and not one.state.final and one.asked_us is None
            if one is None or not waits or sent.whole(self._txn, message_id, office) is not None:
                continue
            left = self._may_have_left(one)
            if left:
                self._note(one, "tombstone", "DAMAGED")
            self._ask(one)
            if not left:
                self._give(one, State.EXPIRED, "DAMAGED")
        return self._close()

    def _end(self, one: Standing) -> None:
        """Do what time asks for about one recipient."""
        what = due(
            begun=self._may_have_left(one),
            expires_us=one.expires_us,
            asked_us=one.asked_us,
            now_us=self._txn.now_us,
            grace_us=self._terms.grace_us,
        )
        match what:
            case Due.EXPIRED:
                self._ask(one)
                self._give(one, State.EXPIRED)
            case Due.ASK:
                self._note(one, "tombstone")
                self._ask(one)
            case Due.UNCONFIRMED:
                self._give(one, State.UNCONFIRMED)
            case Due.WAIT:
                pass

    def _may_have_left(self, one: Standing) -> bool:
        """Whether a copy was sent, by our own records or in a life that they do not know."""
        return one.begun or one.created_us <= self._terms.doubt_us

    def _give(self, one: Standing, verdict: State, code: str = "") -> None:
        sent.set_state(self._txn, one.message_id, one.office, verdict)
        self._note(one, verdict.value, code)
        self._release_copies(one)

    def _ask(self, one: Standing) -> None:
        """The first tombstone: from now on no copy leaves."""
        now_us = self._txn.now_us
        self._hold.append(self._tombstone(one, now_us))
        again_us = ask_again_us(asked_us=now_us, now_us=now_us, grace_us=self._terms.grace_us)
        endings.mark_asked(self._txn, one, now_us, again_us)
        self._release_copies(one)

    def _ask_again(self, one: Standing) -> None:
        """The same tombstone once more, round whoever took it and kept silent; until nobody would carry it."""
        txn, now_us = self._txn, self._txn.now_us
        if one.asked_us is None or now_us >= one.expires_us + RECEIPT_EXTRA_LIFE_US:
            endings.mark_answered(txn, one.message_id, one.office)
            return
        tombstone = self._tombstone(one, one.asked_us)
        custodian = held.gone_to(txn, tombstone.parcel.digest)
        if custodian is not None:
            self._ended.lost.append((tombstone.parcel.digest, custodian))
        self._hold.append(tombstone)
        again_us = ask_again_us(asked_us=one.asked_us, now_us=now_us, grace_us=self._terms.grace_us)
        endings.mark_asked(txn, one, one.asked_us, again_us)

    def _tombstone(self, one: Standing, asked_us: int) -> Held:
        terms = self._terms
        return author_tombstone(terms.identity, terms.network, one, asked_us, terms.since_us)

    def _release_copies(self, one: Standing) -> None:
        for digest in held.of_copy(self._txn, one.message_id, one.office):
            held.forget(self._txn, digest)
            self._ended.released.append(Digest(digest))

    def _note(self, one: Standing, type_: str, code: str = "") -> None:
        me = self._terms.identity.office
        self._log.append(Event(one.message_id, one.office, type_, self._txn.now_us, me, code=code))

    def _close(self) -> Ended:
        counters.count(self._txn, {"expired": sum(event.type in ("expired", "unconfirmed") for event in self._log)})
        self._ended.taken = held.hold(self._txn, self._hold)
        self._ended.events = events.append(self._txn, self._log)
        return self._ended
