"""Retention against a model: the unfinished stays whole, what may come again stays known, the rest goes (G2, G13)."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocol.content import content_digest
from protocol.delivery import State
from protocol.ids import Digest, MessageId
from protocol.lanes import Lane
from protocol.limits import CLOCK_AHEAD_US, MAX_LIFE_US, RECEIPT_EXTRA_LIFE_US, SECOND_US
from relay.store import events, inbox, sent
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.inbox import Received
from relay.store.retention import BATCH, FORGET_AFTER_US, Keeping, purge
from relay.store.sent import Accepted, Addressee, Prepared
from relay.store.tables import ALL
from tests import world
from tests.relay.office_store import LATER, office_store

DAY_US = 86_400 * SECOND_US
KEEPING = Keeping(inbox_us=20 * DAY_US, sent_us=30 * DAY_US, evidence_us=200 * DAY_US)
BUNDLE = world.make_bundle(b"record")
DIGEST = content_digest(BUNDLE.record)
IDS = st.sampled_from([MessageId(bytes((n,)) * 16) for n in range(1, 6)])
LIVES = st.integers(1, 45)
TABLES = {table.name: table for table in ALL}


@dataclass(slots=True)
class _Letter:
    """What the model knows of one received or sent message."""

    at_us: int
    expires_us: int
    done_us: int | None = None
    decided: bool = False


def received(message_id: MessageId, now_us: int, state: str = "new") -> Received:
    return Received(world.CITY, message_id, Lane.ROUTINE, state, now_us, 0, DIGEST, BUNDLE, b"outer", now_us)


def prepared(message_id: MessageId, now_us: int, expires_us: int) -> Prepared:
    return Prepared(
        message_id=message_id, fingerprint=b"f" * 32, lane=Lane.ROUTINE, entitlement=0, created_us=now_us,
        expires_us=expires_us, deadline_us=None, bundle=BUNDLE, digest=DIGEST,
        addressees=(Addressee(world.CITY, "320900-GO"),), answer=b"{}", sender=world.COUNTY,
    )  # fmt: skip


def receive(txn: Txn, message: Received, expires_us: int) -> None:
    """As settlement does it: the message or the memory of a refused one, its receipt, its event."""
    copy = Digest(message.message_id * 2)
    inbox.insert(txn, message, copy, expires_us + FORGET_AFTER_US)
    inbox.keep_receipt(txn, message.sender, message.message_id, "delivered", txn.now_us, b"sent", b"sent")
    events.append(txn, [Event(message.message_id, message.sender, "received", txn.now_us, world.COUNTY)])


class RetentionModel(RuleBasedStateMachine):
    """The same ids travel both ways, so that neither side may purge what the other still needs."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.store = self._stack.enter_context(office_store())
        self.clock: Any = self.store._clock
        self.came: dict[MessageId, _Letter] = {}
        self.went: dict[MessageId, _Letter] = {}

    def teardown(self) -> None:
        self._stack.close()

    @property
    def now_us(self) -> int:
        return int(self.clock.now_us())

    @rule(message_id=IDS, days=LIVES, refused=st.booleans())
    def arrives(self, message_id: MessageId, days: int, refused: bool) -> None:
        if self.store.run(partial(inbox.digests, sender=world.CITY, message_id=message_id)) is None:
            letter = _Letter(self.now_us, self.now_us + days * DAY_US, self.now_us if refused else None, refused)
            message = received(message_id, self.now_us, "refused" if refused else "new")
            self.store.run(partial(receive, message=message, expires_us=letter.expires_us))
            self.came[message_id] = letter

    @rule()
    def is_taken(self) -> None:
        self.store.run(partial(inbox.take, limit=10, redeliver_before_us=0))

    @rule(message_id=IDS)
    def is_acknowledged(self, message_id: MessageId) -> None:
        if message_id in self.came:
            answer = self.store.run(partial(inbox.acknowledge, sender=world.CITY, message_id=message_id))
            if answer == "acked":
                self.came[message_id].done_us = self.now_us

    @rule(message_id=IDS, state=st.sampled_from(("opened", "signed_for", "returned")))
    def is_decided(self, message_id: MessageId, state: str) -> None:
        allowed = ("new",) if state == "opened" else ("new", "opened", "taken")
        change = partial(inbox.change_state, sender=world.CITY, message_id=message_id, state=state, allowed=allowed)
        if self.store.run(change) and state != "opened":
            self.came[message_id].done_us = self.now_us

    @rule(message_id=IDS, days=LIVES)
    def is_sent(self, message_id: MessageId, days: int) -> None:
        letter = _Letter(self.now_us, self.now_us + days * DAY_US)
        change = partial(
            sent.accept,
            prepared=[prepared(message_id, self.now_us, letter.expires_us)],
            sealing=LATER,
        )
        (answer,) = self.store.run(change).results
        assert isinstance(answer, Accepted)
        assert answer.repeated == (message_id in self.went)
        self.went.setdefault(message_id, letter)

    @rule(message_id=IDS)
    def has_its_verdict(self, message_id: MessageId) -> None:
        if message_id in self.went:
            change = partial(sent.set_state, message_id=message_id, office=world.CITY, state=State.DELIVERED)
            self.store.run(change)
            self.went[message_id].done_us = self.now_us

    @rule(days=st.integers(1, 120))
    def time_passes(self, days: int) -> None:
        self.clock.time.us += days * DAY_US
        while self.store.run(partial(purge, keeping=KEEPING)):
            pass
        for letters in (self.came, self.went):
            for message_id, letter in tuple(letters.items()):
                if self._is_over(letter, KEEPING.sent_us if letters is self.went else KEEPING.inbox_us):
                    del letters[message_id]

    def _is_over(self, letter: _Letter, words_us: int) -> bool:
        if letter.done_us is None:
            return False
        whole_until_us = letter.at_us + words_us if words_us == KEEPING.sent_us else letter.done_us + words_us
        known_until_us = max(letter.expires_us + FORGET_AFTER_US, letter.at_us + KEEPING.evidence_us)
        return self.now_us >= known_until_us and (letter.decided or self.now_us >= whole_until_us)

    @invariant()
    def what_may_come_again_is_known(self) -> None:
        for message_id in self.came:
            assert self.store.run(partial(inbox.digests, sender=world.CITY, message_id=message_id)) is not None
            assert self.store.run(
                partial(inbox.receipt, sender=world.CITY, message_id=message_id, type_="delivered")
            ) == (b"sent")
        assert self._count("inbox") == self._count("receipts") == len(self.came)
        assert self._count("sent") == self._count("recipients") == len(self.went)

    @invariant()
    def what_is_unfinished_is_whole(self) -> None:
        for message_id, letter in self.came.items():
            if letter.done_us is None or (not letter.decided and self.now_us < letter.done_us + KEEPING.inbox_us):
                message = self.store.run(partial(inbox.get, sender=world.CITY, message_id=message_id))
                assert message is not None
                assert message.bundle == BUNDLE
        for message_id, letter in self.went.items():
            if letter.done_us is None or self.now_us < letter.at_us + KEEPING.sent_us:
                message = self.store.run(partial(sent.message, message_id=message_id))
                assert message is not None
                assert message.bundle == BUNDLE

    @invariant()
    def stories_last_as_long_as_their_messages(self) -> None:
        told = {event.message_id for event in self.store.run(partial(events.after, seq=0, limit=1_000))}
        assert told == self.came.keys() | self.went.keys()

    def _count(self, table: str) -> int:
        return self.store.run(TABLES[table].unverified_count)


TestG02G13Retention = RetentionModel.TestCase
PROFILE = settings.get_profile(settings.get_current_profile_name())
TestG02G13Retention.settings = settings(PROFILE, max_examples=max(PROFILE.max_examples // 4, 1), stateful_step_count=25)


def test_g13_a_turn_is_bounded_and_the_turns_come_to_an_end() -> None:
    with office_store() as store:
        clock: Any = store._clock
        for n in range(2 * BATCH + 1):
            message = received(MessageId(n.to_bytes(16, "big")), clock.now_us(), "refused")
            store.run(partial(receive, message=message, expires_us=clock.now_us() + DAY_US))
        clock.time.us += KEEPING.evidence_us
        left = [2 * BATCH + 1]
        while store.run(partial(purge, keeping=KEEPING)):
            left.append(store.run(TABLES["inbox"].unverified_count))
        assert left == [2 * BATCH + 1, BATCH + 1, 1]


def test_g13_what_was_sent_ends_with_all_that_was_recorded_of_it() -> None:
    """But for the story with an office that sent a message of the same id, which is still here."""
    with office_store() as store:
        clock: Any = store._clock
        ids = [MessageId(bytes((n,)) * 16) for n in (1, 2, 3)]
        for message_id in ids:
            one = prepared(message_id, clock.now_us(), clock.now_us() + DAY_US)
            store.run(partial(sent.accept, prepared=[one], sealing=LATER))
        for message_id in ids[:2]:
            store.run(partial(sent.set_state, message_id=message_id, office=world.CITY, state=State.DELIVERED))
        store.run(partial(receive, message=received(ids[1], clock.now_us()), expires_us=clock.now_us() + DAY_US))
        kept: list[dict[str, int]] = []
        for wait_us in (KEEPING.evidence_us - 1, 1):
            clock.time.us += wait_us
            store.run(partial(purge, keeping=KEEPING))
            kept.append({name: store.run(TABLES[name].unverified_count) for name in ("sent", "recipients", "inbox")})
        assert kept == [{"sent": 3, "recipients": 3, "inbox": 1}, {"sent": 1, "recipients": 1, "inbox": 1}]
        assert store.run(partial(sent.message, message_id=ids[2])) is not None
        told = {event.message_id for event in store.run(partial(events.after, seq=0, limit=100))}
        assert told == set(ids[1:])


@pytest.mark.parametrize("state", ["purged", "refused", "dead"])
def test_g13_the_memory_of_what_came_ends_with_all_that_was_recorded_of_it(state: str) -> None:
    """But for the story with an office to which a message of the same id was sent."""
    with office_store() as store:
        clock: Any = store._clock
        ids = [MessageId(bytes((n,)) * 16) for n in (1, 2)]

        def fill(txn: Txn) -> None:
            sent.accept(txn, [prepared(ids[1], txn.now_us, txn.now_us + 900 * DAY_US)], LATER)
            for one in ids:
                if state == "dead":
                    inbox.bury(txn, world.CITY, one, Lane.ROUTINE, DIGEST, txn.now_us + DAY_US)
                else:
                    receive(txn, received(one, txn.now_us, "refused" if state == "refused" else "new"), txn.now_us)
                inbox.change_state(txn, world.CITY, one, "signed_for", ("new",))
            events.append(txn, [Event(one, world.CITY, "received", txn.now_us, world.COUNTY) for one in ids])

        store.run(fill)
        kept = []
        for wait_us in (KEEPING.evidence_us - 1, 1):
            clock.time.us += wait_us
            store.run(partial(purge, keeping=KEEPING))
            kept.append((store.run(TABLES["inbox"].unverified_count), store.run(TABLES["receipts"].unverified_count)))
            bare = store.run(partial(inbox.get, sender=world.CITY, message_id=ids[0]))
            assert bare is None or (bare.bundle.record, bare.bundle.body) == (BUNDLE.record, "")
        assert kept == [(2, 0 if state == "dead" else 2), (0, 0)]
        assert {event.message_id for event in store.run(partial(events.after, seq=0, limit=100))} == {ids[1]}


@pytest.mark.parametrize("kind", ["inbox", "sent", "proofs"])
def test_g13_no_kind_is_purged_in_one_turn(kind: str) -> None:
    count = BATCH + 1
    with office_store() as store:
        clock: Any = store._clock
        ids = [MessageId(n.to_bytes(16, "big")) for n in range(count)]

        def fill(txn: Txn) -> None:
            for message_id in ids:
                if kind == "inbox":
                    receive(txn, received(message_id, txn.now_us), txn.now_us + DAY_US)
                    inbox.change_state(txn, world.CITY, message_id, "signed_for", ("new",))
                elif kind == "sent":
                    sent.accept(txn, [prepared(message_id, txn.now_us, txn.now_us + DAY_US)], LATER)
                    sent.set_state(txn, message_id, world.CITY, State.DELIVERED)
                else:
                    events.keep_proof(txn, message_id * 2, txn.now_us, b"proof")

        store.run(fill)

        def left(where: str, turns: int) -> list[int]:
            found = []
            for _ in range(turns):
                store.run(partial(purge, keeping=KEEPING))
                found.append(store.run(lambda txn: TABLES[kind].unverified_count(txn, where)))
            return found

        # Words go before the memory, each in two turns.
        words = {"inbox": "state <> 'purged'", "sent": "bare = 0"}.get(kind)
        assert left(words or "1", 1) == [count]
        clock.time.us += 2 * DAY_US
        assert left(words or "1", 1) == [count]
        clock.time.us += KEEPING.sent_us
        if words:
            assert left(words, 2) == [1, 0]
        assert left("1", 1) == [count]
        clock.time.us += KEEPING.evidence_us
        assert left("1", 2) == [1, 0]
        assert not store.run(partial(purge, keeping=KEEPING))


def test_g02_what_was_sent_is_remembered_until_nobody_can_speak_of_it() -> None:
    keeping = Keeping(inbox_us=0, sent_us=0, evidence_us=0)
    with office_store() as store:
        clock: Any = store._clock
        one = prepared(world.MESSAGE, clock.now_us(), clock.now_us() + DAY_US)
        store.run(partial(sent.accept, prepared=[one], sealing=LATER))
        store.run(partial(sent.set_state, message_id=world.MESSAGE, office=world.CITY, state=State.DELIVERED))
        left = []
        for wait_us in (DAY_US, FORGET_AFTER_US - 1, 1):
            clock.time.us += wait_us
            store.run(partial(purge, keeping=keeping))
            left.append(store.run(TABLES["sent"].unverified_count))
        assert left == [1, 1, 0]


def test_g02_custody_is_proved_for_as_long_as_a_message_can_refer_to_it() -> None:
    """However short the settings keep what is finished, and the oldest goes first."""
    keeping = Keeping(inbox_us=0, sent_us=0, evidence_us=0)
    with office_store() as store:
        clock: Any = store._clock
        for _ in range(2):
            store.run(lambda txn: events.keep_proof(txn, txn.now_us.to_bytes(32, "big"), txn.now_us, b"proof"))
            clock.time.us += 1
        clock.time.us += MAX_LIFE_US + FORGET_AFTER_US - 3
        left = []
        for _ in range(3):
            store.run(partial(purge, keeping=keeping))
            left.append(store.run(TABLES["proofs"].unverified_count))
            clock.time.us += 1
        assert left == [2, 1, 0]


def test_g02_memory_outlives_every_copy_and_receipt() -> None:
    last_receipt_us = MAX_LIFE_US + RECEIPT_EXTRA_LIFE_US
    assert last_receipt_us + CLOCK_AHEAD_US <= FORGET_AFTER_US
