"""The books of an office against plain models: what it accepted and numbered, and how its inbox hands messages out."""

from collections import Counter
from contextlib import ExitStack

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol.content import content_digest
from protocol.errors import Refused
from protocol.ids import Digest, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from relay.store import inbox, sent
from relay.store.inbox import REDELIVERED, Received
from relay.store.sent import Accepted, Addressee, Prepared, Sealing
from tests import world
from tests.relay.office_store import office_store

IDS = st.sampled_from([MessageId(bytes((n,)) * 16) for n in range(1, 7)])
OFFICES = (world.CITY, world.PROVINCE, OfficeId(bytes(range(16))))
LANES = st.sampled_from((Lane.FLASH, Lane.ROUTINE))
BUNDLE = world.make_bundle(b"record")


class SentBook(RuleBasedStateMachine):
    """Accepting: an id means one content for ever, and numbers of a stream have no hole and no twin (G4)."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.store = self._stack.enter_context(office_store())
        self.known: dict[MessageId, bytes] = {}
        self.streams: Counter[tuple[OfficeId, Lane]] = Counter()
        self.sealed: set[tuple[MessageId, OfficeId]] = set()
        self.waiting: set[tuple[MessageId, OfficeId]] = set()

    def teardown(self) -> None:
        self._stack.close()

    @rule(
        drafts=st.lists(
            st.tuples(IDS, st.sampled_from((b"a", b"b")), LANES, st.sets(st.sampled_from(OFFICES), min_size=1)),
            min_size=1,
            max_size=4,
        )
    )
    def accept(self, drafts: list[tuple[MessageId, bytes, Lane, set[OfficeId]]]) -> None:
        prepared = [
            Prepared(
                message_id=message_id,
                fingerprint=content * 32,
                lane=lane,
                entitlement=0,
                created_us=world.NOW_US,
                expires_us=world.NOW_US + world.DAY_US,
                deadline_us=None,
                bundle=BUNDLE,
                digest=content_digest(BUNDLE.record),
                addressees=tuple(Addressee(office, office.hex()) for office in sorted(to)),
                answer=b"{}",
                sender=world.COUNTY,
            )
            for message_id, content, lane, to in drafts
        ]
        later = Sealing(lambda wanted: None, begun=False)
        results = self.store.run(lambda txn: sent.accept(txn, prepared, later)).results
        assert len(results) == len(prepared)
        for message, result in zip(prepared, results, strict=True):
            before = self.known.get(message.message_id)
            if before is None:
                assert isinstance(result, Accepted)
                assert not result.repeated
                self.known[message.message_id] = message.fingerprint
                for one in result.to_seal:
                    self.streams[one.office, message.lane] += 1
                    assert one.number == self.streams[one.office, message.lane]
                    self.waiting.add((message.message_id, one.office))
            elif before == message.fingerprint:
                assert isinstance(result, Accepted)
                assert result.repeated
                assert result.to_seal == ()
            else:
                assert isinstance(result, Refused)
                assert result.code == "ID_REUSED"

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def seal(self, data: st.DataObject) -> None:
        message_id, office = data.draw(st.sampled_from(sorted(self.waiting)))
        assert self.store.run(lambda txn: sent.mark_sealed(txn, message_id, office, begun=True))
        assert not self.store.run(lambda txn: sent.mark_sealed(txn, message_id, office, begun=True)), "sealed twice"
        self.waiting.discard((message_id, office))
        self.sealed.add((message_id, office))

    @precondition(lambda self: self.sealed)
    @rule(data=st.data())
    def seal_again(self, data: st.DataObject) -> None:
        message_id, office = data.draw(st.sampled_from(sorted(self.sealed)))
        assert self.store.run(lambda txn: sent.seal_again(txn, message_id, office))
        self.sealed.discard((message_id, office))
        self.waiting.add((message_id, office))

    @invariant()
    def whatever_waits_is_found(self) -> None:
        found = self.store.run(lambda txn: sent.to_seal(txn, 1_000))
        assert {(one.message_id, one.office) for one in found} == self.waiting


class InboxBook(RuleBasedStateMachine):
    """Taking: each message once as new, whatever programs, clerks and restarts do (G2)."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.store = self._stack.enter_context(office_store())
        self.arrived: dict[MessageId, str] = {}
        self.new: set[MessageId] = set()
        self.acked: set[MessageId] = set()
        self.start = 1

    def teardown(self) -> None:
        self._stack.close()

    @rule(message_id=IDS, lane=LANES, refused=st.booleans())
    def arrive(self, message_id: MessageId, lane: Lane, refused: bool) -> None:
        if message_id in self.arrived:
            return
        state = "refused" if refused else "new"
        received = Received(
            world.COUNTY, message_id, lane, state, world.NOW_US, 0, Digest(bytes(32)), BUNDLE, b"", world.NOW_US
        )
        self.store.run(lambda txn: inbox.insert(txn, received, Digest(message_id * 2), world.NOW_US + world.DAY_US))
        self.arrived[message_id] = state
        if not refused:
            self.new.add(message_id)

    @rule(limit=st.integers(1, 4), wait_s=st.sampled_from((0, 30, 120)))
    def take(self, limit: int, wait_s: int) -> None:
        clock = self.store._clock
        clock.time.us += wait_s * SECOND_US  # type: ignore[attr-defined]
        before_us = clock.now_us() - 60 * SECOND_US
        taken = self.store.run(lambda txn: inbox.take(txn, limit, before_us, self.start))
        assert len(taken) <= limit
        assert len({message.message_id for message in taken}) == len(taken)
        for message in taken:
            again = bool(message.flags & REDELIVERED)
            assert again is (message.message_id not in self.new), "twice as new, or again at the first time"
            assert message.message_id not in self.acked
            self.new.discard(message.message_id)
        if len(taken) < limit:
            assert not self.new, "a new message was not handed out"

    @rule(message_id=IDS)
    def acknowledge(self, message_id: MessageId) -> None:
        state = self.arrived.get(message_id)
        if state != "new" or message_id in self.new:
            return
        self.store.run(lambda txn: inbox.acknowledge(txn, world.COUNTY, message_id))
        self.acked.add(message_id)

    @rule(message_id=IDS, state=st.sampled_from(("opened", "signed_for", "returned")))
    def decide(self, message_id: MessageId, state: str) -> None:
        allowed = ("new",) if state == "opened" else ("new", "opened", "taken")
        changed = self.store.run(lambda txn: inbox.change_state(txn, world.COUNTY, message_id, state, allowed))
        assert not changed or self.arrived[message_id] == "new"
        if changed and state != "opened":
            self.acked.add(message_id)
            self.new.discard(message_id)

    @rule()
    def restart(self) -> None:
        self.start += 1

    @invariant()
    def refused_ones_are_never_shown(self) -> None:
        shown = {message.message_id for message in self.store.run(lambda txn: inbox.listed(txn, None, 100))}
        assert shown == {one for one, state in self.arrived.items() if state != "refused"}


TestG04SentBook = SentBook.TestCase
TestG04SentBook.settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=20)
TestG02InboxBook = InboxBook.TestCase
TestG02InboxBook.settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=25)
