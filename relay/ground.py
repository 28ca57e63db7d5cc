"""What the parts of a running relay stand on together."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog

from config.schema import Settings
from keys.roster.directory import Directory
from keys.roster.office_record import OfficeRecord
from keys.trust.store import Trust
from protocol.clock_guard import Witnesses
from protocol.errors import Refused
from protocol.ids import Address, Digest, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.moment import Moment
from protocol.outbox import Outbox
from relay.alarms import Alarms
from relay.audit.notes import Notes
from relay.clock import GuardedClock
from relay.identity import Identity
from relay.keyring import Keyring
from relay.news import News
from relay.ports import Entropy, Offload, Store
from relay.shelf import Shelf
from relay.store.database import Txn
from relay.store.held import Held
from relay.window import Window

T = TypeVar("T")

ROOM_S: Final = 1.0
"""Pause before a change that found no room is tried again; acceptance must resume within 30 s."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Ground:
    """One relay's settings, identity, ports and shared state; every part of the engine gets it at construction.

    `trust` is replaced as a whole when a newer directory is verified. `witnesses` hears what time it is elsewhere.
    `kick` wakes the pumps; `failed` is told when work beside breaks. `connected` says whether any broker is; `unbegun`
    holds (message, recipient) of copies in memory whose sending is not yet recorded as begun (G8). `window` knows which
    parcels are in the store only. `audit` takes notes of what happened, and its mark goes out with our presence (G15).
    `behind_since_us`: since when a newer directory is proven to exist that we do not have.
    While a new start is being recorded, no moment says more commits than `commits_told_max` (G12).
    """

    settings: Settings
    identity: Identity
    clock: GuardedClock
    witnesses: Witnesses
    entropy: Entropy
    store: Store
    offload: Offload
    trust: Trust
    outbox: Outbox
    keyring: Keyring
    news: News
    shelf: Shelf
    failed: Callable[[BaseException | None], None]
    alarms: Alarms = field(default_factory=Alarms)
    commits_told_max: int | None = None
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    wakers: list[Callable[[], None]] = field(default_factory=list)
    trust_takers: list[Callable[[], None]] = field(default_factory=list)
    connected: bool = False
    behind_since_us: int | None = None
    unbegun: set[tuple[MessageId, OfficeId]] = field(default_factory=set)
    window: Window = field(default_factory=Window)
    audit: Notes = field(init=False)

    def __post_init__(self) -> None:
        audit = self.audit = Notes(self.clock, self.identity.office)
        self.news.note = audit.add_events
        self.alarms.note = audit.add_alarm

    @property
    def directory(self) -> Directory:
        """The verified directory as it is in force now: with the changes that have come by."""
        directory = self.trust.directory
        return directory.at(self.clock.now_us()) if directory.changes else directory

    @property
    def me(self) -> OfficeRecord:
        """The office as the directory describes it; raises `Refused` REVOKED when it is not there any more."""
        record = self.directory.by_id(self.identity.office)
        if record is None:
            raise Refused("REVOKED", "this office is not in the network directory")
        return record

    def suspended(self) -> frozenset[OfficeId]:
        """The offices of which nothing is believed at this moment (D8)."""
        return self.trust.suspended(self.clock.now_us())

    def take_trust(self, trust: Trust) -> None:
        """Another directory is in force, or other suspensions: whoever acts on that is told at once."""
        self.trust = trust
        self.clock.raise_floor(trust.clock_floor_us)
        self.tell_trust_takers()

    def tell_trust_takers(self) -> None:
        """The directory in force is another: a new one, or the date of one of its changes has come."""
        for tell in self.trust_takers:
            tell()

    def moment(self) -> Moment:
        """Now in the life of this home, for what is signed now: it counts nothing that is not durable (G12)."""
        durable, most = self.store.commits, self.commits_told_max
        return self.identity.life.moment(durable if most is None else min(durable, most))

    def address_of(self, office: bytes) -> str:
        """The address of an office for people; its id in hex when the directory does not know it."""
        record = self.directory.by_id(office)
        return office.hex() if record is None else record.address

    def my_addresses(self) -> frozenset[Address]:
        """The addresses under which this office may be named: also former ones, and those to come."""
        return self.directory.names_of(self.identity.office)

    def call_sign_of(self, office: bytes) -> Address:
        """The name of an office on brokers; its id in hex when the directory does not know it."""
        record = self.directory.by_id(office)
        return Address(office.hex()) if record is None else record.call_sign

    async def commit(self, lane: Lane, change: Callable[[Txn], T]) -> T:
        """A change that the relay owes, whatever the room: tried again until there is some, without a restart."""
        while True:
            try:
                return await self.store.write(lane, change)
            except Refused as refused:
                if refused.code not in ("STORE_FULL", "BUSY"):
                    raise
                _log.warning("no_room_for_bookkeeping", code=refused.code)
            await asyncio.sleep(ROOM_S)

    def hold(self, parcels: Iterable[Held], *, begun: bool = True) -> None:
        """What a commit put into our custody: the outbox sends it, now or when the window has room for it.

        `begun` is False for own copies whose sending is not yet recorded as begun.
        """
        now_us = self.clock.monotonic_us()
        for one in parcels:
            parcel = one.parcel
            active = self.outbox.count(parcel.lane, parcel.recipient)
            if self.window.admits((parcel.lane, parcel.recipient), one.seq, active, self.outbox.ways):
                self._keep_at_hand(one, now_us, begun=begun)

    def load(self, parcels: Iterable[Held], unbegun: Collection[Digest]) -> None:
        """What was read from the store because the window has room; own copies in `unbegun` were never sent."""
        now_us = self.clock.monotonic_us()
        for one in parcels:
            if not self.outbox.holds(one.parcel.digest):
                self._keep_at_hand(one, now_us, begun=one.parcel.digest not in unbegun)

    def _keep_at_hand(self, one: Held, now_us: int, *, begun: bool) -> None:
        parcel = one.parcel
        if not begun:
            self.unbegun.add((parcel.message_id, parcel.recipient))
        self.shelf.put(parcel.digest, one.data)
        self.outbox.hold(parcel, now_us)

    def rest(self, digest: Digest, now_us: int) -> None:
        """Another office has custody: the bytes are not needed soon, and perhaps the place in memory is."""
        self.shelf.drop(digest)
        parcel = self.outbox.get(digest)
        if parcel is not None and self.window.parks((parcel.lane, parcel.recipient), now_us):
            self.outbox.release(digest)

    def release(self, digests: Iterable[Digest]) -> None:
        """What a commit ended: it is not sent any more."""
        for digest in digests:
            parcel = self.outbox.get(digest)
            if parcel is not None:
                self.unbegun.discard((parcel.message_id, parcel.recipient))
            self.outbox.release(digest)
            self.shelf.drop(digest)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something beside; its failure ends the relay like any other's."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work to its end even when the caller goes away: what a commit made true must still be acted upon."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.failed(task.exception())

    def kick(self) -> None:
        """Something may be sent now."""
        for wake in self.wakers:
            wake()
