"""A small province in memory for the hop machine: relays that keep the rules of D1 and nothing else.

Bytes, signatures and stores are left out: an item is a digest, a frame is a value, what is durable is a dict.
"""

from collections import Counter
from dataclasses import dataclass, field

from protocol.frame import COPY_ITEM, RECEIPT_ITEM, Nack
from protocol.ids import Digest, OfficeId
from protocol.lanes import Lane, receipt_lane
from protocol.limits import FRAME_BYTES, FRAME_ITEMS, TRAIL_OFFICES
from protocol.outbox import Outbox
from protocol.parcel import Parcel, Shipment, Timing
from protocol.routing import Graph

SECOND = 1_000_000
TIMING = Timing(SECOND, 8 * SECOND, dict.fromkeys(Lane, 20 * SECOND), window_items=4)
A, B, C, D, E = (OfficeId(bytes((letter,)) * 16) for letter in b"ABCDE")
MEMBERS: dict[str, tuple[OfficeId, ...]] = {
    "north": (A, B),
    "south": (A, C),
    "cross": (B, C),
    "east": (B, D),
    "west": (C, D),
    "far": (D, E),
}  # fmt: skip
"""Who is attached to which broker: two ways from A to D, and E behind D."""
PARENTS = {A: B, B: D, C: D, D: None, E: D}


def graph_of(members: dict[str, tuple[OfficeId, ...]]) -> Graph:
    """The neighbours that follow from the brokers."""
    offices = {office for group in members.values() for office in group}
    return Graph(
        {
            office: frozenset(o for group in members.values() if office in group for o in group if o != office)
            for office in offices
        },
        PARENTS,
    )


def shared_with(office: OfficeId, members: dict[str, tuple[OfficeId, ...]]) -> dict[OfficeId, tuple[str, ...]]:
    """The brokers that an office shares with each neighbour."""
    shared: dict[OfficeId, tuple[str, ...]] = {}
    for broker, group in members.items():
        if office in group:
            for other in group:
                if other != office:
                    shared[other] = (*shared.get(other, ()), broker)
    return shared


@dataclass(frozen=True)
class Thing:
    """A copy or a receipt, as everybody knows it by its digest."""

    digest: Digest
    kind: int
    lane: Lane
    origin: OfficeId
    recipient: OfficeId
    size: int


@dataclass(frozen=True)
class Letter:
    """A frame between two relays."""

    sender: OfficeId
    receiver: OfficeId
    lane: Lane
    items: tuple[tuple[Thing, tuple[OfficeId, ...], int], ...]
    custody: tuple[Digest, ...]
    nacks: tuple[Nack, ...]


def receipt_for(copy: Thing) -> Thing:
    """The delivered receipt of a copy: made once, the same ever after."""
    digest = Digest(bytes(byte ^ 0xFF for byte in copy.digest))
    return Thing(digest, RECEIPT_ITEM, receipt_lane(copy.lane), copy.recipient, copy.origin, 600)


@dataclass
class ToyRelay:
    """One relay: `held`, `passed_on` (to whom) and `arrived` are durable, the outbox is not."""

    me: OfficeId
    now_us: int
    members: dict[str, tuple[OfficeId, ...]] = field(default_factory=lambda: dict(MEMBERS))
    swallows: bool = False
    held: dict[Digest, tuple[Thing, Parcel]] = field(default_factory=dict)
    passed_on: dict[Digest, OfficeId] = field(default_factory=dict)
    arrived: dict[Digest, Thing] = field(default_factory=dict)
    verdicts: set[Digest] = field(default_factory=set)
    handed_out: Counter[Digest] = field(default_factory=Counter)
    up: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new process: what is durable is held again, and nothing is believed about the links."""
        self.outbox = Outbox(self.me, TIMING)
        self.up = set()
        self.outbox.set_graph(graph_of(self.members), shared_with(self.me, self.members), self.now_us)
        for _, parcel in self.held.values():
            self.outbox.hold(parcel, self.now_us)

    def accept(self, thing: Thing) -> None:
        """A copy or a receipt begins here."""
        self._keep(thing, ())

    def ship(self, shipment: Shipment) -> Letter:
        """What leaves: held to the limits of a frame."""
        items = tuple((self.held[digest][0], *self.outbox.trail_of(digest)) for digest in shipment.digests)
        assert len(items) <= FRAME_ITEMS
        assert len(shipment.custody) <= FRAME_ITEMS
        assert len(shipment.nacks) <= FRAME_ITEMS
        assert all(len(trail) <= TRAIL_OFFICES for _, trail, _ in items)
        assert all(self.me in trail and shipment.receiver not in trail for _, trail, _ in items)
        assert all(thing.lane is shipment.lane for thing, _, _ in items)
        assert sum(thing.size + 40 + 17 * len(trail) for thing, trail, _ in items) < FRAME_BYTES
        assert (shipment.broker, shipment.lane.group) in self.up
        assert {self.me, shipment.receiver} <= set(self.members[shipment.broker])
        return Letter(self.me, shipment.receiver, shipment.lane, items, shipment.custody, shipment.nacks)

    def receive(self, letter: Letter) -> None:
        """Intake by the rules of D1: commit, then owe custody; never to whom it was offered."""
        for thing, trail, attempt in letter.items:
            self._take(thing, trail, attempt, letter.sender)
        for digest in letter.custody:
            self._give_up(digest, letter.sender)
        for nack in letter.nacks:
            self.outbox.nack(nack.digest, nack.code, letter.sender, self.now_us)

    def _take(self, thing: Thing, trail: tuple[OfficeId, ...], attempt: int, sender: OfficeId) -> None:
        digest = thing.digest
        if thing.recipient == self.me:
            self._arrive(thing)
        elif self.swallows:
            self.passed_on[digest] = self.me
        elif digest in self.held:
            if self.outbox.offered(digest, sender):
                self.outbox.debts.owe_nack(sender, thing.lane, Nack(digest, "LOOP"))
                return
        elif len(trail) >= TRAIL_OFFICES or self.me in trail:
            self.outbox.debts.owe_nack(sender, thing.lane, Nack(digest, "LOOP"))
            return
        else:
            before = self.passed_on.get(digest)
            if before == sender:
                self.outbox.debts.owe_nack(sender, thing.lane, Nack(digest, "LOOP"))
                return
            if before is None or attempt > 1:
                self._keep(thing, trail, attempt)
        self.outbox.debts.owe_custody(sender, thing.lane, digest)

    def _arrive(self, thing: Thing) -> None:
        if thing.kind == RECEIPT_ITEM:
            self.verdicts.add(thing.digest)
            copy = Digest(bytes(byte ^ 0xFF for byte in thing.digest))
            self.held.pop(copy, None)
            self.outbox.release(copy)
            return
        if thing.digest not in self.arrived:
            self.arrived[thing.digest] = thing
            self.handed_out[thing.digest] += 1
        self._keep(receipt_for(thing), ())

    def _give_up(self, digest: Digest, by: OfficeId) -> None:
        """A neighbour has custody: forgotten here, but for who has it, unless it began here."""
        if digest not in self.held:
            return
        self.outbox.custody(digest, by, self.now_us)
        if not self.outbox.holds(digest):
            self.passed_on[digest] = by
            del self.held[digest]

    def _keep(self, thing: Thing, trail: tuple[OfficeId, ...], attempt: int = 1) -> None:
        """Hold something; what was passed on before goes round whoever took it then."""
        digest = thing.digest
        if digest in self.held:
            return
        before = self.passed_on.get(digest)
        parcel = Parcel(
            digest,
            thing.kind,
            thing.lane,
            thing.origin,
            thing.recipient,
            thing.size,
            trail,
            is_origin=thing.origin == self.me,
            attempt=attempt,
        )
        self.held[digest] = (thing, parcel)
        self.outbox.hold(parcel, self.now_us)
        if before is not None:
            self.outbox.lost(digest, before, self.now_us)


def copy_for(number: int, origin: OfficeId, recipient: OfficeId, lane: Lane, size: int) -> Thing:
    """A copy with a digest of its own."""
    return Thing(Digest(number.to_bytes(32, "big")), COPY_ITEM, lane, origin, recipient, size)
