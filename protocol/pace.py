"""How fast a connection is, and how much of it frames may take: a quarter of a second's worth (D3, G5).

Measured by how soon PUBLISHes are acknowledged, which says something about the way to the broker and nothing about
custody. What a flash message may find before it on a slow link is thereby one lower frame, or several small ones.
"""

from dataclasses import dataclass
from typing import Final

from protocol.limits import FRAME_BYTES, FRAME_FLOOR_BYTES, SECOND_US

HOLD_US: Final = SECOND_US // 4
"""How long frames of lower lanes may hold a link (G5)."""
FIRST_WINDOW: Final = FRAME_BYTES // 4
"""Bytes under way before anything was measured: right for 512 kbit/s. A fast connection shows itself in some frames."""
WINDOW_MAX: Final = 64 * FRAME_BYTES
"""More than any connection has under way (the pump publishes a few frames at once)."""
SMALL_BYTES: Final = 4 * 1024
"""What takes so little tells how long the way is by itself, without what is sent over it."""
CHANGES: Final = (0.5, 2.0)
"""The least and the most that one window of acknowledgements may change the next by, halved."""


@dataclass(frozen=True, slots=True)
class Flight:
    """A frame on its way: its size, what was under way with it, and since when."""

    size: int
    ahead: int
    since_us: int


class Pace:
    """One connection. Sizes in bytes, times in microseconds that never fall."""

    __slots__ = ("_trip_us", "_under_way", "_window")

    def __init__(self) -> None:
        self._window = FIRST_WINDOW
        self._trip_us: int | None = None
        self._under_way = 0

    @property
    def window(self) -> int:
        """How much frames of lower lanes may have under way together, on the way and before it."""
        return self._window

    @property
    def frame(self) -> int:
        """The largest frame, a quarter of a second by itself; a single object that is larger goes alone."""
        share = self._window * HOLD_US // (HOLD_US + (self._trip_us or 0))
        return max(min(share, FRAME_BYTES), FRAME_FLOOR_BYTES)

    @property
    def has_room(self) -> bool:
        """Whether another frame of a lower lane may start."""
        return self._under_way < self._window

    def began(self, size: int, now_us: int) -> Flight:
        """A frame of any lane is handed to the connection."""
        self._under_way += size
        return Flight(size, self._under_way, now_us)

    def ended(self, flight: Flight, now_us: int, *, acknowledged: bool) -> None:
        """It was acknowledged, or the connection ended before."""
        self._under_way -= flight.size
        if acknowledged:
            self._learn(flight, now_us - flight.since_us)

    def _learn(self, flight: Flight, took_us: int) -> None:
        """What a frame waited beside the time of the way itself is what the link was held by it and those before it."""
        if flight.ahead <= SMALL_BYTES:
            # The shortest counts; a way that became longer is believed little by little.
            known_us = took_us if self._trip_us is None else self._trip_us
            self._trip_us = min(took_us, known_us + (took_us - known_us) // 16)
        held_us = max(took_us - (self._trip_us or 0), 1)
        # A link that had little to do is quick and shows nothing by it.
        if held_us > HOLD_US or 2 * flight.ahead >= min(self._window, FRAME_BYTES):
            change = min(max(HOLD_US / held_us, CHANGES[0]), CHANGES[1]) - 1
            # By the frame's share of the window: a whole window of answers is one change.
            window = self._window + round(min(flight.size, self._window) * change / 2)
            self._window = min(max(window, FRAME_FLOOR_BYTES), WINDOW_MAX)
