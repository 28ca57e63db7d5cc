"""Which parcels are in memory: the first ones for each recipient on each lane; the others wait in the store (G13).

An office that is away for weeks may have a million messages waiting for it. They must neither fill the memory nor
keep those for others from going, so every way (lane and recipient) has a share of the window of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocol.ids import OfficeId
from protocol.lanes import Lane
from protocol.limits import SECOND_US

Way = tuple[Lane, OfficeId]
"""A lane to a recipient."""

WINDOW_PARCELS: Final = 20_000
"""Most parcels in memory, about 1 KiB each, while ways are few; they share it."""
LEAST_SHARE: Final = 32
"""What each way has in any case: 1,400 offices with mail waiting on a lane then take 45,000 parcels."""
PAGE_PARCELS: Final = 1_000
"""Most parcels read at once: about 20 ms of the store's time."""
PARKED_US: Final = (60 * SECOND_US, 3_600 * SECOND_US)
"""When what left the memory because another office has custody is looked at again, for its verdict is overdue: the
first pause, which doubles like the outbox's patience, and the longest."""


@dataclass(slots=True)
class _Behind:
    """Parcels of a way that are in the store only: some of those after `read_to`. `left_from` is the first place
    left there since it was last read, None when nothing was.
    """

    read_to: int = 0
    left_from: int | None = None


class Window:
    """What is left in the store, by way. `parcels` and `least` are smaller in tests."""

    def __init__(self, parcels: int = WINDOW_PARCELS, least: int = LEAST_SHARE) -> None:
        self._parcels = parcels
        self._least = least
        self._behind: dict[Way, _Behind] = {}
        self._parked_until_us: dict[Way, int] = {}
        self._pauses_us: dict[Way, int] = {}

    def share(self, ways: int) -> int:
        """How many parcels of one way may be in memory while so many ways have some."""
        return max(self._parcels // max(ways, 1), self._least)

    def open(self, ways: list[Way]) -> None:
        """After a start everything is in the store only."""
        for way in ways:
            self._behind.setdefault(way, _Behind())

    def admits(self, way: Way, seq: int, active: int, ways: int) -> bool:
        """Whether a parcel just committed is taken into memory; one that is not is found in the store later.

        `active` parcels of its way are in memory, and so many `ways` have any.
        """
        behind = self._behind.get(way)
        if behind is None:
            if active < self.share(ways):
                return True
            behind = self._behind[way] = _Behind(seq - 1)
        # Commits may be told of in another order, and a place is given again when the last one became free.
        behind.read_to = min(behind.read_to, seq - 1)
        behind.left_from = seq if behind.left_from is None else min(behind.left_from, seq)
        return False

    def parks(self, way: Way, now_us: int) -> bool:
        """Whether a parcel that another office has custody of makes room for those that nobody has yet."""
        if way not in self._behind:
            return False
        if way not in self._parked_until_us:
            pause_us = self._pauses_us.get(way, PARKED_US[0])
            self._parked_until_us[way] = now_us + pause_us
            self._pauses_us[way] = min(2 * pause_us, PARKED_US[1])
        return True

    def wanted(self, group: str, now_us: int) -> Iterator[tuple[Way, int, bool]]:
        """Ways of a connection group of which more is in the store, the place after which to read it now, and whether
        what is read may have been parked: its verdict is then overdue.
        """
        for way, until_us in tuple(self._parked_until_us.items()):
            if until_us <= now_us and way not in self._behind:
                del self._parked_until_us[way]
                self._behind[way] = _Behind()
        for way, behind in tuple(self._behind.items()):
            if way[0].group == group:
                behind.left_from = None
                yield way, behind.read_to, way in self._pauses_us

    def note_read(self, way: Way, read_to: int, *, complete: bool) -> None:
        """A page was taken into memory, up to a place; `complete` when the store had no more after it."""
        behind = self._behind[way]
        if behind.left_from is not None:
            # Committed while the page was read, and perhaps not in it.
            behind.read_to = min(read_to, behind.left_from - 1)
        elif complete:
            del self._behind[way]
            if way not in self._parked_until_us:
                self._pauses_us.pop(way, None)
        else:
            behind.read_to = read_to
