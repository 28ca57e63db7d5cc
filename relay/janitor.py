"""What time does to messages: expiry and its verdicts, the end of memories (G2, G8, G9). A bounded batch per turn."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final

from protocol.delivery import verdict_at_expiry
from protocol.ids import Digest, OfficeId
from protocol.lanes import Lane
from protocol.limits import MAX_LIFE_US, SECOND_US
from relay.ground import Ground
from relay.store import counters, events, held, sent
from relay.store.database import Txn
from relay.store.events import Event

TURN_S: Final = 1.0
BATCH: Final = 200
GRACE_US: Final = 60 * SECOND_US
"""After expiry a receipt may still be on its way; the verdict `unconfirmed` waits this long (G9 allows 180 s)."""
SETTLED_US: Final = 30 * SECOND_US
"""How long after a start a relay may not yet have heard what its neighbours keep for it."""
LONG_GRACE_US: Final = MAX_LIFE_US
"""Until then no verdict `unconfirmed` is given at all."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """What one turn ended."""

    released: tuple[Digest, ...]
    events: tuple[Event, ...]
    more: bool


class Janitor:
    """Ends what is over."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def run(self) -> None:
        """Take turns for ever."""
        clock = self._ground.clock
        started_us = clock.monotonic_us()
        while True:
            # After a start receipts may wait with neighbours: a verdict of ours must not be quicker than they are.
            fresh = clock.monotonic_us() - started_us < SETTLED_US
            end = partial(_end, me=self._ground.identity.office, grace_us=LONG_GRACE_US if fresh else GRACE_US)
            ended = await self._ground.commit(Lane.ROUTINE, end)
            self._ground.release(ended.released)
            self._ground.news.publish(ended.events)
            await asyncio.sleep(0 if ended.more else TURN_S)


def _end(txn: Txn, me: OfficeId, grace_us: int) -> _Ended:
    now_us = txn.now_us
    over = sent.expired(txn, now_us, now_us - grace_us, BATCH)
    log = []
    released = []
    for one in over:
        verdict = verdict_at_expiry(one.begun)
        sent.set_state(txn, one.message_id, one.office, verdict)
        log.append(Event(one.message_id, one.office, verdict.value, now_us, me))
        for digest in held.of_copy(txn, one.message_id, one.office):
            held.forget(txn, digest)
            released.append(Digest(digest))
    for digest in held.expired(txn, now_us, BATCH):
        held.forget(txn, digest)
        released.append(Digest(digest))
    forgotten = held.forget_passed(txn, now_us, BATCH)
    counters.count(txn, {"expired": len(over)})
    more = len(over) == BATCH or forgotten == BATCH
    return _Ended(tuple(released), tuple(events.append(txn, log)), more)
