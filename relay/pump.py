"""From the outbox to the wire: one pump per connection group, so that flash never waits behind bulk (D4).

The outbox decides, synchronously, one frame at a time; the pump signs and publishes it. A PUBACK is a hint: it only
limits how many frames are under way, and custody alone moves anything (D1).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from keys.signing import FRAME, sign_record
from protocol.errors import Refused
from protocol.frame import Frame, Item, encode_frame, encode_frame_payload, encode_items, items_digest, make_item
from protocol.ids import Digest, OfficeId
from protocol.limits import SECOND_US
from protocol.pace import Flight, Pace
from protocol.parcel import Parcel, Shipment
from protocol.topics import frame_topic
from relay.ground import Ground
from relay.identity import FrameCounter
from relay.ports import Transport
from relay.recovery import Recovery
from relay.store import held, sent
from relay.store.database import Txn
from relay.store.held import Held
from relay.window import PAGE_PARCELS, Way

PUBLISHES: Final = 8
"""Most frames of one group under way at once: below the brokers' in-flight limit of 20."""
LONGEST_NAP_S: Final = 5.0
"""The pump looks at its timers at least this often, whatever the clock does."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Page:
    """Parcels of a way from the store, which of them are own copies that never left, which an office swallowed that
    had custody, and whether that was all.
    """

    parcels: list[Held]
    unbegun: frozenset[Digest]
    swallowed: tuple[tuple[Digest, OfficeId], ...]
    complete: bool


class Pump:
    """Publishes what the outbox plans for one connection group."""

    def __init__(
        self, ground: Ground, transport: Transport, group: str, counter: FrameCounter, recovery: Recovery
    ) -> None:
        self._ground = ground
        self._transport = transport
        self._group = group
        self._counter = counter
        self._recovery = recovery
        self._awake = asyncio.Event()
        self._room = asyncio.Semaphore(PUBLISHES)
        ground.wakers.append(self._awake.set)

    async def run(self) -> None:
        """Send for ever."""
        while True:
            await self._fill_window()
            await self._send_all()
            nap_s = self._nap_s()
            try:
                # Not `wait_for`: in Python 3.11 it may lose a cancellation that comes together with the event.
                async with asyncio.timeout(nap_s):
                    await self._awake.wait()
            except TimeoutError:
                self._mind_timers()
            self._awake.clear()

    def _nap_s(self) -> float:
        due_us = self._ground.outbox.next_due_us()
        if due_us is None:
            return LONGEST_NAP_S
        return min(max((due_us - self._ground.clock.monotonic_us()) / SECOND_US, 0.001), LONGEST_NAP_S)

    def _mind_timers(self) -> None:
        """Time-outs belong to the whole outbox; whichever pump wakes first acts on them."""
        rerouted = self._ground.outbox.expire_timers(self._ground.clock.monotonic_us())
        if rerouted:
            self._recovery.note_rerouted(rerouted)
            self._ground.kick()

    async def _send_all(self) -> None:
        self._mind_timers()
        while True:
            await self._room.acquire()
            shipment = self._ground.outbox.plan(self._group, self._ground.clock.monotonic_us())
            if shipment is None:
                self._room.release()
                return
            # Made ready before the next is planned: a flash message finds at most this one on its way out (G5).
            data = await self._make_ready(shipment)
            if data is None:
                self._give_back(shipment)
            else:
                pace = self._ground.outbox.paces[shipment.broker, self._group]
                flight = pace.began(len(data[1]), self._ground.clock.monotonic_us())
                self._ground.spawn(self._publish(shipment, *data, pace, flight))
            await asyncio.sleep(0)

    async def _make_ready(self, shipment: Shipment) -> tuple[str, bytes] | None:
        """Topic and bytes of a frame; None when it may not leave now."""
        began = await self._record_begun(shipment)
        items = await self._items(shipment)
        receiver = self._ground.directory.by_id(shipment.receiver)
        if receiver is None or not began:
            return None
        topic = frame_topic(receiver.call_sign, shipment.lane, self._ground.me.call_sign)
        return topic, self._frame(shipment, items)

    async def _publish(self, shipment: Shipment, topic: str, data: bytes, pace: Pace, flight: Flight) -> None:
        """Publish one frame; what the broker does not take waits again."""
        done = None
        try:
            done = await self._transport.publish(shipment.broker, self._group, topic, data)
        finally:
            pace.ended(flight, self._ground.clock.monotonic_us(), acknowledged=done is True)
            if done is False:
                self._give_back(shipment)
            else:
                # Also after an error, by which the relay ends: it must not be tried again at once and for ever.
                self._room.release()
        # What had no room on the connection may have some now.
        self._awake.set()

    def _give_back(self, shipment: Shipment) -> None:
        """It was not sent: its parcels wait again."""
        self._ground.outbox.unsent(shipment, self._ground.clock.monotonic_us())
        self._room.release()
        self._awake.set()

    async def _record_begun(self, shipment: Shipment) -> bool:
        """Before copies of ours leave for the first time, the store knows that they may arrive (G8). True if so."""
        ground = self._ground
        parcels = [parcel for parcel in map(ground.outbox.get, shipment.digests) if parcel is not None]
        first = [one for one in parcels if one.is_origin and (one.message_id, one.recipient) in ground.unbegun]
        if not first:
            return True
        try:
            over = await ground.store.write(shipment.lane, partial(_begin, parcels=first))
        except Refused as refused:
            _log.warning("begin_refused", code=refused.code)
            return False
        ground.unbegun.difference_update((one.message_id, one.recipient) for one in first)
        ground.release(over)
        return True

    async def _items(self, shipment: Shipment) -> tuple[Item, ...]:
        """The parcels of a frame with their bytes, from memory or from the store."""
        items = []
        for digest in shipment.digests:
            data = self._ground.shelf.get(digest)
            if data is None:
                data = await self._ground.store.read(partial(_data_of, digest=digest))
            parcel = self._ground.outbox.get(digest)
            if data is None:
                await self._recovery.parcel_gone(digest)
            elif parcel is not None:
                trail, attempt = self._ground.outbox.trail_of(digest)
                items.append(make_item(parcel.kind, data, trail, attempt, parcel.witnessed_us))
        return tuple(items)

    def _frame(self, shipment: Shipment, items: tuple[Item, ...]) -> bytes:
        ground = self._ground
        encoded = encode_items(items)
        frame = Frame(
            network=ground.directory.network_id,
            sender=ground.identity.office,
            receiver=shipment.receiver,
            lane=shipment.lane,
            moment=ground.moment(),
            counter=self._counter.next(),
            at_us=ground.clock.now_us(),
            items_digest=items_digest(encoded),
            custody=shipment.custody,
            nacks=shipment.nacks,
            witness=shipment.witness,
        )
        return encode_frame(sign_record(ground.identity.key, FRAME, encode_frame_payload(frame)), encoded)

    async def _fill_window(self) -> None:
        """Load parcels that are in the store only: after a start, and when half of a way's share has gone."""
        ground, outbox, window = self._ground, self._ground.outbox, self._ground.window
        for way, after_seq, overdue in window.wanted(self._group, ground.clock.monotonic_us()):
            share, active = window.share(outbox.ways), outbox.count(*way)
            if active > share // 2:
                continue
            limit = min(share - active, PAGE_PARCELS)
            page = await ground.store.read(partial(_page, way=way, after_seq=after_seq, limit=limit, overdue=overdue))
            news = [one for one in page.swallowed if not outbox.holds(one[0])]
            ground.load(page.parcels, page.unbegun)
            for digest, custodian in news:
                outbox.lost(digest, custodian, ground.clock.monotonic_us())
            read_to = page.parcels[-1].seq if page.parcels else after_seq
            window.note_read(way, read_to, complete=page.complete)
            # There may be more: look again once these were offered to the brokers.
            self._awake.set()


def _begin(txn: Txn, parcels: Sequence[Parcel]) -> list[Digest]:
    """Record that sending begins; the parcels whose verdict was given meanwhile."""
    return [one.digest for one in parcels if not sent.mark_begun(txn, one.message_id, one.recipient)]


def _page(txn: Txn, way: Way, after_seq: int, limit: int, *, overdue: bool) -> _Page:
    """The next parcels of a way, with what the memory of the outbox would know of them."""
    found = held.of_way(txn, *way, after_seq, limit)
    unbegun: set[Digest] = set()
    swallowed: list[tuple[Digest, OfficeId]] = []
    for at, one in enumerate(found):
        parcel = one.parcel
        custodian = None if parcel.kept_after_custody else held.passed_to(txn, parcel.digest)
        if custodian is not None:
            swallowed.append((parcel.digest, custodian))
        elif parcel.kept_after_custody and sent.is_unbegun(txn, parcel.message_id, parcel.recipient):
            unbegun.add(parcel.digest)
        elif parcel.kept_after_custody and overdue:
            # Somebody has custody, and there is no verdict: whoever passed it on is to take it again (SPEC M34).
            found[at] = replace(one, parcel=replace(parcel, attempt=parcel.attempt + 1))
    # Damaged rows are left out and moved aside; a page that met one was not the last for that.
    complete = len(found) + len(txn.set_asides) < limit
    return _Page(found, frozenset(unbegun), tuple(swallowed), complete=complete)


def _data_of(txn: Txn, digest: Digest) -> bytes | None:
    found = held.get(txn, digest)
    return None if found is None else found.data
