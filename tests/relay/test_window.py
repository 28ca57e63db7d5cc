"""The window: what is in the store only is found again, whatever comes and goes meanwhile, and memory stays bounded."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocol.ids import Digest, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.parcel import Parcel
from relay import pump
from relay.store import held
from relay.store.database import Txn
from relay.store.held import Held
from relay.window import PARKED_US, Way, Window
from tests.relay.office_store import office_store

A, B = OfficeId(b"a" * 16), OfficeId(b"b" * 16)
WAYS: tuple[Way, ...] = ((Lane.ROUTINE, A), (Lane.ROUTINE, B))
LEAST, PARCELS = 1, 2


class _Office(RuleBasedStateMachine):
    """Commits are told of late and out of order, rows end at any time, places are given again."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Window(PARCELS, LEAST)
        self.store: dict[Way, dict[int, int]] = {way: {} for way in WAYS}
        self.memory: dict[Way, set[int]] = {way: set() for way in WAYS}
        self.untold: list[tuple[Way, int, int]] = []
        self.parcels = 0
        self.now_us = 0

    def _active(self) -> int:
        return sum(bool(active) for active in self.memory.values())

    @rule(way=st.sampled_from(WAYS))
    def commit(self, way: Way) -> None:
        # Places are counted over the lane.
        place = max((seq for rows in self.store.values() for seq in rows), default=0) + 1
        self.parcels += 1
        self.store[way][place] = self.parcels
        self.untold.append((way, place, self.parcels))

    @rule(data=st.data())
    def tell(self, data: st.DataObject) -> None:
        if self.untold:
            way, place, parcel = self.untold.pop(data.draw(st.integers(0, len(self.untold) - 1)))
            if self.window.admits(way, place, len(self.memory[way]), self._active()):
                self.memory[way].add(parcel)

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """Delivered, expired, in the custody of another."""
        rows = [(way, place) for way in WAYS for place in self.store[way]]
        if rows:
            way, place = data.draw(st.sampled_from(rows))
            self.memory[way].discard(self.store[way].pop(place))

    @rule(data=st.data())
    def custody(self, data: st.DataObject) -> None:
        held_here = [(way, parcel) for way in WAYS for parcel in sorted(self.memory[way])]
        if held_here:
            way, parcel = data.draw(st.sampled_from(held_here))
            if self.window.parks(way, self.now_us):
                self.memory[way].discard(parcel)

    @rule(meanwhile=st.booleans(), limit=st.integers(1, 3), data=st.data())
    def fill(self, meanwhile: bool, limit: int, data: st.DataObject) -> None:
        """One page per way, as the pump does; a commit may come while the page is read."""
        for way, after, _ in self.window.wanted("slow", self.now_us):
            share = self.window.share(self._active())
            if len(self.memory[way]) > share // 2:
                continue
            page = [(place, parcel) for place, parcel in sorted(self.store[way].items()) if place > after][:limit]
            if meanwhile:
                self.commit(way)
                self.tell(data)
            self.memory[way] |= {parcel for _, parcel in page if parcel in self.store[way].values()}
            self.window.note_read(way, page[-1][0] if page else after, complete=len(page) < limit)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert all(len(active) <= PARCELS + 3 for active in self.memory.values())

    def teardown(self) -> None:
        """When time passes and everything in memory goes, all that is in the store comes up sooner or later."""
        while self.untold:
            way, place, parcel = self.untold.pop()
            if self.window.admits(way, place, len(self.memory[way]), self._active()):
                self.memory[way].add(parcel)
        for _ in range(200):
            for way in WAYS:
                self.store[way] = {p: parcel for p, parcel in self.store[way].items() if parcel not in self.memory[way]}
                self.memory[way].clear()
            self.now_us += PARKED_US[1]
            for way, after, _ in self.window.wanted("slow", self.now_us):
                page = [(place, parcel) for place, parcel in sorted(self.store[way].items()) if place > after][:3]
                self.memory[way] = {parcel for _, parcel in page}
                self.window.note_read(way, page[-1][0] if page else after, complete=len(page) < 3)
        assert not any(self.store.values())


TestG13G16NothingStaysInTheStoreUnseen = _Office.TestCase
TestG13G16NothingStaysInTheStoreUnseen.settings = settings(max_examples=300, stateful_step_count=40)


def _held(number: int, lane: Lane, recipient: OfficeId) -> Held:
    digest = Digest(number.to_bytes(32, "big"))
    parcel = Parcel(digest, 0, lane, A, recipient, 10, (), is_origin=True, message_id=MessageId(digest[:16]))
    return Held(parcel, 1 << 60, b"bytes")


@given(st.lists(st.tuples(st.sampled_from(Lane), st.sampled_from((A, B))), max_size=30), st.integers(1, 5))
@settings(max_examples=20)
def test_ways_and_pages_are_what_is_held(put: list[tuple[Lane, OfficeId]], limit: int) -> None:
    with office_store() as store:
        parcels = [_held(number, lane, to) for number, (lane, to) in enumerate(put)]
        store.run(lambda txn: held.hold(txn, parcels))
        assert store.run(held.ways) == sorted(set(put))
        for lane, to in set(put):

            def page(txn: Txn, after: int, lane: Lane = lane, to: OfficeId = to) -> list[Held]:
                return held.of_way(txn, lane, to, after, limit)

            found: list[Held] = []
            while rows := store.run(lambda txn: page(txn, found[-1].seq if found else 0)):  # noqa: B023
                found += rows
            wanted = [one.parcel.digest for one in parcels if (one.parcel.lane, one.parcel.recipient) == (lane, to)]
            assert [one.parcel.digest for one in found] == wanted


def _copy(origin: OfficeId, *, attempt: int, mine: bool) -> Held:
    parcel = Parcel(
        Digest(b"d" * 32), 0, Lane.ROUTINE, origin, B, 4, (), mine, MessageId(b"m" * 16), attempt
    )  # fmt: skip
    return Held(parcel, 1 << 60, b"data")


def test_g16_what_waits_in_the_store_keeps_its_attempt_and_knows_who_swallowed_it() -> None:
    def change(txn: Txn) -> None:
        one = _copy(A, attempt=5, mine=False)
        held.hold(txn, [one])
        held.pass_on(txn, one.parcel.digest, B, Digest(bytes(32)), 1)
        held.hold(txn, [one])
        page = pump._page(txn, (Lane.ROUTINE, B), 0, 10, overdue=False)
        assert [found.parcel.attempt for found in page.parcels] == [5]
        assert page.swallowed == ((one.parcel.digest, B),)

    with office_store() as store:
        store.run(change)


def test_g16_a_copy_that_comes_back_without_a_verdict_is_a_new_attempt() -> None:
    def change(txn: Txn) -> None:
        held.hold(txn, [_copy(A, attempt=1, mine=True)])
        for overdue, attempt in ((False, 1), (True, 2)):
            page = pump._page(txn, (Lane.ROUTINE, B), 0, 10, overdue=overdue)
            assert [found.parcel.attempt for found in page.parcels] == [attempt]

    with office_store() as store:
        store.run(change)
