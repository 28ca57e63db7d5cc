"""What time does: messages end, gaps are told, memories and lives of parcels are over (G2, G4, G8, G9).

A bounded batch per turn, each in a change of its own.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final

from protocol.ids import Digest, OfficeId
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from relay.ending import Ended, Ending, Terms
from relay.ground import Ground
from relay.store import events, held, streams
from relay.store.database import Txn
from relay.store.events import Event

TURN_S: Final = 1.0
BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class _Over:
    """What one turn forgot and told."""

    released: tuple[Digest, ...]
    events: tuple[Event, ...]
    more: bool


class Janitor:
    """Ends what is over."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._started_us = ground.clock.monotonic_us()

    async def run(self) -> None:
        """Take turns for ever."""
        ground = self._ground
        notice_us = round(ground.settings.receipts.gap_notice_s * SECOND_US)
        tidy = partial(_tidy, me=ground.identity.office, notice_us=notice_us)
        while True:
            ended = await ground.commit(Lane.ROUTINE, self._end)
            act_on(ground, ended)
            over = await ground.commit(Lane.ROUTINE, tidy)
            ground.release(over.released)
            ground.news.publish(over.events)
            await asyncio.sleep(0 if ended.more or over.more else TURN_S)

    def _end(self, txn: Txn) -> Ended:
        """After a start answers may wait with neighbours: a verdict of ours must not be quicker than they are."""
        ground = self._ground
        settle_us = round(ground.settings.receipts.settle_s * SECOND_US)
        settled = ground.clock.monotonic_us() - self._started_us >= settle_us
        return Ending(txn, terms_of(ground)).by_time(settled=settled)


def terms_of(ground: Ground) -> Terms:
    """How messages of this office end."""
    grace_us = round(ground.settings.receipts.grace_s * SECOND_US)
    return Terms(ground.identity, ground.directory.network_id, grace_us)


def act_on(ground: Ground, ended: Ended) -> None:
    """What a commit has ended is not sent any more; the tombstones are."""
    ground.release(ended.released)
    ground.hold(ended.taken)
    now_us = ground.clock.monotonic_us()
    for digest, custodian in ended.lost:
        ground.outbox.lost(digest, custodian, now_us)
    ground.news.publish(ended.events)
    if ended.taken:
        ground.kick()


def _tidy(txn: Txn, me: OfficeId, notice_us: int) -> _Over:
    now_us = txn.now_us
    released = held.expired(txn, now_us, BATCH)
    for digest in released:
        held.forget(txn, digest)
    forgotten = held.forget_passed(txn, now_us, BATCH)
    told = streams.tell(txn, now_us - notice_us, BATCH, me)
    more = BATCH in (len(released), forgotten)
    return _Over(tuple(map(Digest, released)), tuple(events.append(txn, told)), more)
