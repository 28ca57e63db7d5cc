"""What time does: messages end, gaps are told, memories and lives of parcels are over, and receipts that nobody heard
are sent again (G2, G4, G8, G9, G16).

A bounded batch per turn, in one change.
"""

import asyncio
from functools import partial
from typing import Final

from protocol.ids import Digest
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from relay.ending import Ended, Ending, Terms
from relay.ground import Ground
from relay.repeating import repeat
from relay.store import events, held, streams
from relay.store.database import Txn

TURN_S: Final = 1.0
BATCH: Final = 200


class Janitor:
    """Ends what is over."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._started_us = ground.clock.monotonic_us()

    async def run(self) -> None:
        """Take turns for ever."""
        ground = self._ground
        receipts = ground.settings.receipts
        settle_us, notice_us = (round(time_s * SECOND_US) for time_s in (receipts.settle_s, receipts.gap_notice_s))
        while True:
            # After a start answers may wait with neighbours, and what they know of another life of this home (G12): a
            # verdict of ours must not be quicker than they are.
            settled = ground.clock.monotonic_us() - self._started_us >= settle_us
            turn = partial(_turn, terms=terms_of(ground), settled=settled, notice_us=notice_us)
            ended = await ground.commit(Lane.ROUTINE, turn)
            act_on(ground, ended)
            await asyncio.sleep(0 if ended.more else TURN_S)


def terms_of(ground: Ground) -> Terms:
    """How messages of this office end."""
    grace_us = round(ground.settings.receipts.grace_s * SECOND_US)
    identity, me = ground.identity, ground.directory.by_id(ground.identity.office)
    key = None if me is None else me.key(identity.key.key_id())
    since_us = 0 if key is None else key.not_before_us
    doubt_us, began_us = identity.life.doubt_us, identity.life.starts[-1].at_us
    return Terms(identity, ground.directory.network_id, grace_us, since_us, doubt_us, began_us)


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


def _turn(txn: Txn, terms: Terms, *, settled: bool, notice_us: int) -> Ended:
    """Everything that is over by now, and people who are to be told."""
    ended = Ending(txn, terms).by_time(settled=settled)
    released = held.expired(txn, txn.now_us, BATCH)
    for digest in released:
        held.forget(txn, digest)
    ended.released += map(Digest, released)
    ended.events += events.append(txn, streams.tell(txn, txn.now_us - notice_us, BATCH, terms.identity.office))
    repeated = repeat(txn, terms.identity.office)
    ended.taken += repeated.taken
    ended.lost += repeated.lost
    ended.more |= repeated.more or BATCH in (len(released), held.forget_passed(txn, txn.now_us, BATCH))
    return ended
