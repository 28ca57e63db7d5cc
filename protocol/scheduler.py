"""Which lane may send next (G5, G6): strict priority, with a small share for every lane that waits.

Higher lanes go first. A waiting lane that was passed over SHARE_TURNS times gets one turn, and never two such turns
follow each other while a higher lane waits: so flash waits for at most one frame, and no lane starves.
"""

from collections.abc import Collection
from typing import Final

from protocol.lanes import Lane

SHARE_TURNS: Final = 15
"""Turns a waiting lane is passed over before it is served once: at least 1 in 20 sends (5 %, G6) for each of
four lower lanes, since at worst their owed turns and the turns between them add up to 15 + 4."""


class LaneScheduler:
    """The memory of one connection's turns."""

    __slots__ = ("_last_was_share", "_passed")

    def __init__(self) -> None:
        self._passed = dict.fromkeys(Lane, 0)
        self._last_was_share = False

    def pick(self, waiting: Collection[Lane]) -> Lane:
        """The lane to serve now, of those that wait; `waiting` must not be empty."""
        highest = min(waiting)
        owed = [lane for lane in waiting if lane is not highest and self._passed[lane] >= SHARE_TURNS]
        share = bool(owed) and not self._last_was_share
        chosen = max(owed, key=lambda lane: (self._passed[lane], -lane)) if share else highest
        self._last_was_share = share
        for lane in Lane:
            self._passed[lane] = 0 if lane is chosen or lane not in waiting else self._passed[lane] + 1
        return chosen
