"""The hop machine against a network that loses, doubles, reorders and delays, with restarts and wrong hints (D1-D4).

What must hold at every moment (G1): a copy without a verdict is held by its origin; whatever a relay gave custody for
and has not passed on is held there. And in the end (G16): when the faults stop, everything arrives and every origin
knows it.
"""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from protocol.entry import Stage
from protocol.frame import RECEIPT_ITEM
from protocol.ids import Digest, OfficeId
from protocol.lanes import GROUPS, Lane
from protocol.limits import FRAME_ITEMS, SEALED_BYTES
from tests.protocol.toy_relay import (
    MEMBERS,
    SECOND,
    TIMING,
    A,
    B,
    C,
    D,
    E,
    Letter,
    Thing,
    ToyRelay,
    copy_for,
    receipt_for,
)

OFFICES = (A, B, C, D, E)
offices = st.sampled_from(OFFICES)


class HopMachine(RuleBasedStateMachine):
    """Five relays, six brokers, virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = 1_000 * SECOND
        self.relays = {office: ToyRelay(office, self.now_us) for office in OFFICES}
        self.on_the_way: list[Letter] = []
        self.sent: dict[Digest, Thing] = {}
        self.swallower: OfficeId | None = None

    @initialize()
    def connect(self) -> None:
        self.heal()

    @rule(
        origin=offices,
        recipient=offices,
        lane=st.sampled_from(Lane),
        size=st.sampled_from([300, 2_000, 20_000, SEALED_BYTES + 2_000]),
        count=st.integers(1, 6),
    )
    def accept(self, origin: OfficeId, recipient: OfficeId, lane: Lane, size: int, count: int) -> None:
        if origin != recipient:
            for _ in range(count):
                copy = copy_for(len(self.sent) + 1, origin, recipient, lane, size)
                self.sent[copy.digest] = copy
                self.relays[origin].accept(copy)

    @rule(office=offices, group=st.sampled_from(GROUPS), fails=st.booleans())
    def send(self, office: OfficeId, group: str, fails: bool) -> None:
        relay = self.relays[office]
        shipment = relay.outbox.plan(group, self.now_us)
        if shipment is not None and fails:
            relay.outbox.unsent(shipment, self.now_us)
        elif shipment is not None:
            self.on_the_way.append(relay.ship(shipment))

    @rule(data=st.data(), again=st.booleans())
    def deliver(self, data: st.DataObject, again: bool) -> None:
        if self.on_the_way:
            index = data.draw(st.integers(0, len(self.on_the_way) - 1))
            letter = self.on_the_way[index] if again else self.on_the_way.pop(index)
            self.relays[letter.receiver].receive(letter)

    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        if self.on_the_way:
            self.on_the_way.pop(data.draw(st.integers(0, len(self.on_the_way) - 1)))

    @rule(seconds=st.sampled_from([1, 3, 10, 30, 120]))
    def pass_time(self, seconds: int) -> None:
        self.now_us += seconds * SECOND
        for relay in self.relays.values():
            relay.now_us = self.now_us
            relay.outbox.expire_timers(self.now_us)
            due_us = relay.outbox.next_due_us()
            assert due_us is None or due_us > self.now_us

    @rule(office=offices)
    def restart(self, office: OfficeId) -> None:
        self.relays[office].restart()
        self._link_all(office)

    @rule(office=offices, broker=st.sampled_from(sorted(MEMBERS)), group=st.sampled_from(GROUPS), up=st.booleans())
    def flap_link(self, office: OfficeId, broker: str, group: str, up: bool) -> None:
        if office in MEMBERS[broker]:
            self._set_link(office, broker, group, up=up)

    @rule(office=offices, other=offices, present=st.booleans())
    def hint_presence(self, office: OfficeId, other: OfficeId, present: bool) -> None:
        if office != other:
            self.relays[office].outbox.set_present(other, present, self.now_us)

    @rule(office=offices, by=offices)
    def say_lost(self, office: OfficeId, by: OfficeId) -> None:
        for digest in list(self.relays[office].held):
            self.relays[office].outbox.lost(digest, by, self.now_us)

    @rule(office=st.sampled_from([B, C]))
    def swallow(self, office: OfficeId) -> None:
        if self.swallower is None:
            self.swallower = office
            self.relays[office].swallows = True

    @invariant()
    def nothing_is_forgotten(self) -> None:
        for digest, copy in self.sent.items():
            origin = self.relays[copy.origin]
            if receipt_for(copy).digest not in origin.verdicts:
                assert origin.outbox.holds(digest)
        for relay in self.relays.values():
            assert all(relay.outbox.holds(digest) for digest in relay.held)
            assert len(relay.outbox) == len(relay.held)

    @invariant()
    def windows_are_counted_and_kept(self) -> None:
        for relay in self.relays.values():
            entries = relay.outbox._entries.values()
            flying = Counter((e.parcel.lane, e.hop) for e in entries if e.stage is Stage.SENT)
            assert +flying == +Counter(relay.outbox._in_flight)
            assert all(number < TIMING.window_items + FRAME_ITEMS for number in flying.values())

    @invariant()
    def nothing_is_handed_out_twice(self) -> None:
        assert all(max(relay.handed_out.values(), default=0) <= 1 for relay in self.relays.values())

    def teardown(self) -> None:
        """Faults stop, all but the swallowing relay; then everything arrives, and every origin has its verdict."""
        self.on_the_way.clear()
        self.heal()
        for look in range(400):
            self._exchange()
            if all(receipt_for(c).digest in self.relays[c.origin].verdicts for c in self.sent.values()):
                break
            # Each way that brought custody and no verdict doubles the patience, up to 64 times 20 s.
            self.pass_time(5 if look < 200 else 60)
        for digest, copy in self.sent.items():
            assert digest in self.relays[copy.recipient].arrived
            assert receipt_for(copy).digest in self.relays[copy.origin].verdicts
            assert not self.relays[copy.origin].outbox.holds(digest)
        assert all(
            thing.kind == RECEIPT_ITEM or r.me != thing.origin
            for r in self.relays.values()
            for thing, _ in r.held.values()
        )

    def heal(self) -> None:
        for office in OFFICES:
            self._link_all(office)

    def _link_all(self, office: OfficeId) -> None:
        for broker, members in MEMBERS.items():
            for group in GROUPS if office in members else ():
                self._set_link(office, broker, group, up=True)
            for other in members if office in members else ():
                if other != office:
                    self.relays[office].outbox.set_present(other, True, self.now_us)

    def _set_link(self, office: OfficeId, broker: str, group: str, *, up: bool) -> None:
        relay = self.relays[office]
        (relay.up.add if up else relay.up.discard)((broker, group))
        relay.outbox.set_link(broker, group, up, self.now_us)

    def _exchange(self) -> None:
        """Everything is sent and received until nobody has anything to say: which must come to an end."""
        for _ in range(2_000):
            quiet = True
            for relay in self.relays.values():
                for group in GROUPS:
                    shipment = relay.outbox.plan(group, self.now_us)
                    if shipment is not None:
                        quiet = False
                        letter = relay.ship(shipment)
                        self.relays[letter.receiver].receive(letter)
            if quiet:
                return
        raise AssertionError("the relays do not come to rest")


TestHopMachine_g01_g16 = HopMachine.TestCase
TestHopMachine_g01_g16.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
