"""The end of what is finished: purges by the settings of `[retention]`, a bounded batch at a time (G2, G13)."""

import asyncio
from functools import partial
from typing import Final

from config.schema import Retention as Settings
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from relay.ground import Ground
from relay.store import statistics
from relay.store.database import Txn
from relay.store.retention import BATCH, Keeping, purge

TURN_S: Final = 60.0
"""Retention counts in days; a look at each minute leaves no more than a minute's worth for the next."""
DAY_US: Final = 86_400 * SECOND_US


def keeping_of(settings: Settings) -> Keeping:
    """Days of the settings in microseconds."""
    return Keeping(settings.inbox_days * DAY_US, settings.sent_days * DAY_US, settings.evidence_days * DAY_US)


class Retention:
    """Purges what is over."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def run(self) -> None:
        """Take turns for ever. The time is the believed one: a clock that jumps purges nothing (D12)."""
        ground = self._ground
        settings = ground.settings.retention
        work = partial(_turn, keeping=keeping_of(settings), statistics_days=settings.statistics_days)
        while True:
            more = await ground.commit(Lane.BULK, work)
            await asyncio.sleep(0 if more else TURN_S)


def _turn(txn: Txn, keeping: Keeping, statistics_days: int) -> bool:
    """The figures of the day, and one bounded batch of what is over; whether there may be more."""
    statistics.note(txn)
    statistics.forget(txn, statistics_days, BATCH)
    return purge(txn, keeping)
