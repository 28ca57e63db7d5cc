"""The copies that acceptance did not seal at once: broadcasts, missing prekeys, restarts, re-seals (D5b, D7).

Record before sending: the copy and the fact that sending begins are one commit; only then does the outbox see it.
While no broker is connected, the fact waits until the pump first sends: what was never sent expires as such (G8).
A recipient without a valid prekey waits as `awaiting_prekey`, and nothing weaker is ever used instead.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog

from keys.primitives import PrekeyPublic
from protocol.content import encode_bundle
from protocol.ids import KeyId, MessageId, NetworkId, OfficeId
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from protocol.padding import pack
from relay.ending import Ended, Ending, Terms
from relay.ground import Ground
from relay.identity import Identity
from relay.janitor import act_on, terms_of
from relay.sealing import ENTROPY_BYTES, seal
from relay.store import events, held, sent
from relay.store.database import Txn
from relay.store.ended_prekeys import give_up_copies
from relay.store.events import Event
from relay.store.held import Held
from relay.store.sent import ToSeal

BATCH = 32
"""Most copies sealed in one go: about 6 ms of one core, so that a flash message waits no longer."""
PAGE_ROWS = 2_000
"""Most recipients read from the store at once: about 30 ms of its time."""
WOKEN_ROWS = 500
"""Most recipients that a new prekey wakes in one change: about 20 ms."""
QUEUED_MAX = 10_000
"""Beyond this what is accepted waits in the store, and is read when these are sealed (G13)."""
PACKED_BYTES = 32 * 1024 * 1024
"""Most packed plaintext kept between acceptance and sealing; the rest is read back from the store."""
LOOK_AGAIN_S = 30.0
"""How often what waits for prekeys is held against the clock: a new prekey begins up to five minutes from now (M53)."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Job:
    """One copy to seal: all that the work needs, gathered on the event loop."""

    to_seal: ToSeal
    packed: bytes
    prekey_id: KeyId
    prekey: PrekeyPublic
    entropy: bytes


class Sealer:
    """Seals what was accepted, the highest lane first."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._queues: dict[Lane, deque[ToSeal]] = {lane: deque() for lane in Lane}
        self._queued: set[tuple[MessageId, OfficeId]] = set()
        self._packed: dict[MessageId, bytes] = {}
        self._packed_bytes = 0
        self._more = False
        self._awake = asyncio.Event()

    def offer(self, to_seal: Sequence[ToSeal], message_id: MessageId, packed: bytes) -> None:
        """Recipients of one accepted message; `packed` saves reading it back."""
        if len(self._queued) >= QUEUED_MAX:
            self._more = True
        elif to_seal:
            self._keep_packed(message_id, packed)
            self._enqueue(to_seal)

    async def load(self) -> None:
        """What waits in the store: after a start, a new prekey or a re-seal, and when what was read has been sealed.

        What waits for prekeys is marked so in the store: one office without a prekey holds up nobody else.
        """
        left = self._more and bool(self._queued)
        found = await self._ground.store.read(partial(sent.to_seal, limit=PAGE_ROWS))
        self._more = left or len(found) == PAGE_ROWS
        self._enqueue(found)

    async def prekey_came(self, office: OfficeId) -> None:
        """A new prekey: what waited for it is sealed now."""
        wake = partial(sent.end_waiting, office=office, limit=WOKEN_ROWS)
        woken = [await self._ground.commit(Lane.BULK, wake)]
        while woken[-1] == WOKEN_ROWS:
            woken.append(await self._ground.commit(Lane.BULK, wake))
        if woken[0]:
            await self.load()

    async def prekey_ended(self, office: OfficeId) -> None:
        """An office comes back with a new prekey after the last one had ended: what was sealed to that one and still
        waits here or under way is sealed again, so that nothing leaves under a key that should be gone (D7).
        """
        ground = self._ground
        give_up = partial(give_up_copies, office=office, me=ground.identity.office, limit=WOKEN_ROWS)
        while True:
            digests, logged = await ground.commit(Lane.BULK, give_up)
            if not logged:
                return
            ground.release(digests)
            ground.news.publish(logged)

    async def run(self) -> None:
        """Seal for ever."""
        # A prekey may have been kept by a process that died before it could act on it.
        await self._look_again()
        await self.load()
        looked_us = self._ground.clock.monotonic_us()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._awake.wait()
            if self._ground.clock.monotonic_us() - looked_us >= LOOK_AGAIN_S * SECOND_US:
                await self._look_again()
                looked_us = self._ground.clock.monotonic_us()
            batch = self._next_batch()
            if not batch and self._more:
                await self.load()
            elif not batch:
                self._awake.clear()
            else:
                await self._seal(batch)

    async def _look_again(self) -> None:
        """A prekey that we have may have become valid: our clock was behind its office's, or is right again."""
        ground, suites = self._ground, self._ground.directory.rules.suites
        for office in await ground.store.read(sent.awaiting):
            if ground.keyring.current(office, suites, ground.clock.now_us()) is not None:
                await self.prekey_came(office)

    def _enqueue(self, to_seal: Sequence[ToSeal]) -> None:
        for one in to_seal:
            key = (one.message_id, one.office)
            if key not in self._queued:
                self._queued.add(key)
                self._queues[one.lane].append(one)
        self._awake.set()

    def _keep_packed(self, message_id: MessageId, packed: bytes) -> None:
        """Within bounds, until no recipient of the message is next."""
        if message_id not in self._packed and self._packed_bytes + len(packed) <= PACKED_BYTES:
            self._packed[message_id] = packed
            self._packed_bytes += len(packed)

    def _forget_packed(self, batch: Sequence[ToSeal]) -> None:
        """What the next batch does not need; of a broadcast it needs the same again."""
        next_ones = {queue[0].message_id for queue in self._queues.values() if queue}
        for message_id in {one.message_id for one in batch} - next_ones:
            self._packed_bytes -= len(self._packed.pop(message_id, b""))

    def _next_batch(self) -> list[ToSeal]:
        """The next copies of the highest lane that waits."""
        for queue in self._queues.values():
            if queue:
                return [queue.popleft() for _ in range(min(BATCH, len(queue)))]
        return []

    async def _seal(self, batch: Sequence[ToSeal]) -> None:
        """Seal, commit, hand over to the outbox."""
        ground = self._ground
        missing = {one.message_id for one in batch} - self._packed.keys()
        bundles = await ground.store.read(partial(sent.bundles, ids=missing)) if missing else {}
        jobs: list[_Job] = []
        waiting: list[tuple[ToSeal, KeyId | None]] = []
        wordless: list[tuple[MessageId, OfficeId]] = []
        now_us = ground.clock.now_us()
        for one in batch:
            self._queued.discard((one.message_id, one.office))
            packed = self._packed.get(one.message_id)
            if packed is None:
                if one.message_id not in bundles:
                    _log.error("sent_message_missing", message_id=one.message_id.hex())
                    wordless.append((one.message_id, one.office))
                    continue
                packed = pack(encode_bundle(bundles[one.message_id]))
                self._keep_packed(one.message_id, packed)
            prekey = ground.keyring.current(one.office, ground.directory.rules.suites, now_us)
            if prekey is None:
                waiting.append((one, None))
                continue
            entropy = ground.entropy.bytes(ENTROPY_BYTES)
            jobs.append(_Job(one, packed, prekey[0].prekey_id, prekey[1], entropy))
        work = partial(_seal_all, jobs, ground.identity, ground.directory.network_id)
        copies = await ground.offload.run(work, len(jobs))
        sealed = [copy for copy in copies if copy is not None]
        waiting += [(job.to_seal, job.prekey_id) for job, copy in zip(jobs, copies, strict=True) if copy is None]
        told = [
            Event(one.message_id, one.office, "awaiting_prekey", now_us, ground.identity.office) for one, _ in waiting
        ]
        lane = min(one.lane for one in batch)
        begun = ground.connected
        taken, logged = await ground.commit(lane, partial(_commit, sealed=sealed, waiting=told, begun=begun))
        self._forget_packed(batch)
        ground.witnesses.made((one.parcel.digest for one in taken), ground.clock.monotonic_us())
        ground.hold(taken, begun=begun)
        ground.news.publish(logged)
        ground.kick()
        if wordless:
            act_on(ground, await ground.commit(lane, partial(_end, terms=terms_of(ground), recipients=wordless)))
        for office, prekey_id in {one.office: prekey_id for one, prekey_id in waiting}.items():
            current = ground.keyring.current(office, ground.directory.rules.suites, now_us)
            if current is not None and current[0].prekey_id != prekey_id:
                # It came between the look and the commit.
                await self.prekey_came(office)


def _end(txn: Txn, terms: Terms, recipients: Sequence[tuple[MessageId, OfficeId]]) -> Ended:
    return Ending(txn, terms).by_loss(recipients)


def _seal_all(jobs: Sequence[_Job], identity: Identity, network: NetworkId) -> list[Held | None]:
    """The copies of a batch; None for a prekey that is no key."""
    return [seal(job.to_seal, job.packed, identity, network, job.prekey_id, job.prekey, job.entropy) for job in jobs]


def _commit(
    txn: Txn, sealed: Sequence[Held], waiting: Sequence[Event], *, begun: bool
) -> tuple[list[Held], list[Event]]:
    """Custody of the copies in one change; where a broker is connected, with the record that sending begins."""
    wanted = [one for one in sealed if sent.mark_sealed(txn, one.parcel.message_id, one.parcel.recipient, begun=begun)]
    left = [one for one in waiting if sent.await_prekey(txn, one.message_id, one.office)]
    return held.hold(txn, wanted), events.append(txn, [one for one in left if not events.last_is(txn, one)])
