"""Intake: from an arrived frame to custody (D1, D3).

    Arrived ─► examine (verify, off the loop) ─► settle (one commit) ─► custody, receipts, news

One intake per connection group, so that flash never waits behind bulk. What arrives while one batch is committed
forms the next batch.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from keys.rows import RowDamaged
from keys.trust.store import Trust
from protocol.errors import Refused, RemoteError
from protocol.lanes import Lane
from protocol.limits import FRAME_ITEMS
from protocol.topics import FrameTopic
from protocol.witness import Shown
from relay.examine import OPENED_BYTES, Examined, Eyes, examine
from relay.ground import Ground
from relay.home import Home
from relay.neighbours import Neighbours
from relay.ports import Arrived
from relay.receipting import ENTROPY_BYTES
from relay.recovery import Recovery
from relay.settle import Bounds, OutboxView, Outcome, Settlement
from relay.store.database import Txn
from relay.store.quarantine import Suspect

BATCH_FRAMES: Final = 8
"""Most frames settled in one change."""
WAITING_FRAMES: Final = 32
"""Most frames waiting in memory: 2 MiB. Beyond, the connection reads no further."""
PIECE_BYTES: Final = 2048
"""About what one item takes in a frame: a guess at how much there is to verify before looking at it."""
RECENT_DIGESTS: Final = 20_000
"""Digests of things taken lately: a duplicate is recognised by its bytes without verifying it again."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A frame for us, of which items before `first` are taken."""

    arrived: Arrived
    topic: FrameTopic
    first: int = 0


class _Superseded(Exception):
    """Another directory came into force between examination and commit."""


class Intake:
    """Takes frames of one connection group."""

    def __init__(self, ground: Ground, group: str, recovery: Recovery, home: Home, neighbours: Neighbours) -> None:
        self._ground = ground
        self._lane = Lane.FLASH if group == "fast" else Lane.PRIORITY
        self._recovery = recovery
        self._home = home
        self._neighbours = neighbours
        self._queue: asyncio.Queue[tuple[Arrived, FrameTopic]] = asyncio.Queue(WAITING_FRAMES)
        self._recent: OrderedDict[bytes, None] = OrderedDict()

    async def put(self, arrived: Arrived, topic: FrameTopic) -> None:
        """A frame for us; waits while too many do."""
        await self._queue.put((arrived, topic))

    async def run(self) -> None:
        """Take frames for ever."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH_FRAMES and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._take(batch)

    async def _take(self, batch: Sequence[tuple[Arrived, FrameTopic]]) -> None:
        """Take a batch by the directory that is in force when it is committed: whoever it revokes is not slipped in."""
        left = [Waiting(arrived, topic) for arrived, topic in batch]
        while left:
            try:
                left = await self._take_by(self._ground.trust, left)
            except _Superseded:
                _log.info("examined_again", frames=len(left))

    async def _take_by(self, trust: Trust, batch: Sequence[Waiting]) -> list[Waiting]:
        """Take what may be opened at once; the rest of the batch."""
        ground = self._ground
        eyes = self._eyes()
        recent = self._recent.keys()
        # For each frame its own: what is sealed in two frames must not share key and nonce.
        entropy = [ground.entropy.bytes(ENTROPY_BYTES * FRAME_ITEMS) for _ in batch]
        pieces = sum(1 + len(one.arrived.payload) // PIECE_BYTES for one in batch)
        work = partial(_examine_all, batch, eyes, recent, entropy)
        examined, suspects, left = await ground.offload.run(work, pieces)
        await self._hear(examined)
        settle = partial(self._settle, trust=trust, examined=examined, suspects=suspects, view=self._view(examined))
        try:
            outcome = await ground.store.write(self._lane, settle)
        except Refused as refused:
            # No room even for book-keeping: nothing is promised, so the neighbours keep what they sent.
            _log.warning("intake_refused", code=refused.code)
            return []
        except RowDamaged as damage:
            # The row was moved aside; nothing is promised, and what comes again no longer meets it.
            _log.error("row_damaged", alarm=True, table=damage.table)
            return []
        self._act(outcome)
        self._note_times(examined)
        await self._recovery.follow_up(outcome)
        return left

    def _eyes(self) -> Eyes:
        """What is known at this moment, as one value."""
        ground = self._ground
        now_us = ground.clock.now_us()
        record = ground.keyring.own_record
        return Eyes(
            identity=ground.identity,
            addresses=ground.my_addresses(),
            directory=ground.directory,
            own_prekey=b"" if record is None else record.data,
            keyring=ground.keyring,
            now_us=now_us,
            suspended=ground.suspended(),
        )

    def _settle(
        self, txn: Txn, trust: Trust, examined: Sequence[Examined], suspects: Sequence[Suspect], view: OutboxView
    ) -> Outcome:
        if self._ground.trust is not trust:
            raise _Superseded
        limits = self._ground.settings.limits
        bounds = Bounds(limits.quarantine_rows, limits.quarantine_bytes)
        me, doubt_us = self._ground.identity.office, self._home.doubt_us
        return Settlement(txn, me, view, bounds, doubt_us).settle(examined, suspects)

    async def _hear(self, examined: Sequence[Examined]) -> None:
        """What frames say of their senders' lives and of ours; what follows is durable before they are settled."""
        for one in examined:
            frame = one.frame.frame
            if not one.believed:
                continue
            self._neighbours.hear(frame.sender, Shown(frame.moment, one.frame.record, one.frame.key_id))
            if one.witness is not None:
                await self._home.hear(one.witness, self._ground.address_of(frame.sender))

    def _view(self, examined: Sequence[Examined]) -> OutboxView:
        """What the outbox knows of these frames."""
        outbox = self._ground.outbox
        parcels = {}
        offered = set()
        for one in examined:
            sender = one.frame.frame.sender
            for digest in one.frame.frame.custody:
                parcel = outbox.awaited(digest, sender)
                if parcel is not None:
                    parcels[digest, sender] = parcel
            offered |= {(item.digest, sender) for item in one.frame.items if outbox.offered(item.digest, sender)}
        return OutboxView(parcels, frozenset(offered))

    def _act(self, outcome: Outcome) -> None:
        """What the commit has made true is now said and done."""
        ground, outbox = self._ground, self._ground.outbox
        now_us = ground.clock.monotonic_us()
        for digest, by in outcome.in_custody:
            outbox.custody(digest, by, now_us)
            ground.rest(digest, now_us)
        ground.release(outcome.released)
        for digest, code, by in outcome.refused_by:
            outbox.nack(digest, code, by, now_us)
        for to, lane, digest in outcome.custody:
            outbox.debts.owe_custody(to, lane, digest)
        for to, lane, nack in outcome.nacks:
            outbox.debts.owe_nack(to, lane, nack)
        ground.hold(outcome.taken)
        for digest, by in outcome.lost:
            outbox.lost(digest, by, now_us)
        for digest in outcome.unknown:
            self._recent.pop(digest, None)
        for digest in outcome.remembered:
            self._recent[digest] = None
            if len(self._recent) > RECENT_DIGESTS:
                self._recent.popitem(last=False)
        ground.news.publish(outcome.events)
        ground.kick()

    def _note_times(self, examined: Sequence[Examined]) -> None:
        """What time it is where these frames were made."""
        now_us = self._ground.clock.monotonic_us()
        for frame in (one.frame.frame for one in examined if one.believed):
            self._ground.witnesses.hear(frame.sender, frame.at_us, frame.custody, now_us)


def _examine_all(
    batch: Sequence[Waiting], eyes: Eyes, recent: Collection[bytes], entropy: Sequence[bytes]
) -> tuple[list[Examined], list[Suspect], list[Waiting]]:
    """Verify a batch; what is no frame of a neighbour becomes a suspect. Last, what there was no room to open."""
    examined: list[Examined] = []
    suspects: list[Suspect] = []
    room_bytes = OPENED_BYTES
    for at, one in enumerate(batch):
        arrived = one.arrived
        try:
            if arrived.retained:
                raise RemoteError("RETAINED", "frames are never retained")
            found = examine(
                arrived.payload, one.topic, eyes, recent, entropy[at], first=one.first, room_bytes=room_bytes
            )
        except RemoteError as error:
            suspects.append(suspect_of(arrived, error, eyes.now_us))
            continue
        examined.append(found)
        room_bytes -= found.opened_bytes
        if room_bytes <= 0:
            rest = () if found.until == len(found.frame.items) else (replace(one, first=found.until),)
            return examined, suspects, [*rest, *batch[at + 1 :]]
    return examined, suspects, []


def suspect_of(arrived: Arrived, error: RemoteError, now_us: int) -> Suspect:
    """What quarantine keeps of something that arrived."""
    return Suspect(now_us, error.code, error.detail, arrived.topic[:200], len(arrived.payload), arrived.payload)
