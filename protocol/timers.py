"""One time-out per parcel: a heap in which the newest time counts, and what has left is dropped."""

import heapq
from collections.abc import Iterator

from protocol.ids import Digest

SPARE = 1024
"""Stale entries that the heap may hold beside four for each live one, before it is built anew."""


class Timers:
    """When each parcel is due, in microseconds. Arming a parcel again replaces its time."""

    __slots__ = ("_due_us", "_heap")

    def __init__(self) -> None:
        self._due_us: dict[Digest, int] = {}
        self._heap: list[tuple[int, Digest]] = []

    def arm(self, digest: Digest, due_us: int) -> None:
        """Set a parcel's time."""
        self._due_us[digest] = due_us
        heapq.heappush(self._heap, (due_us, digest))
        # Parcels leave long before their times; without this an hour's traffic would stay in the heap.
        if len(self._heap) > SPARE + 4 * len(self._due_us):
            self._heap = [(due_us, digest) for digest, due_us in self._due_us.items()]
            heapq.heapify(self._heap)

    def disarm(self, digest: Digest) -> None:
        """The parcel waits for no time any more."""
        self._due_us.pop(digest, None)

    def armed(self, digest: Digest) -> bool:
        """Whether the parcel waits for a time."""
        return digest in self._due_us

    def due(self, now_us: int) -> Iterator[Digest]:
        """Take every parcel whose time has come, earliest first, also those that become due meanwhile."""
        while (next_us := self.next_us()) is not None and next_us <= now_us:
            _, digest = heapq.heappop(self._heap)
            del self._due_us[digest]
            yield digest

    def next_us(self) -> int | None:
        """The earliest time, or None."""
        while self._heap:
            due_us, digest = self._heap[0]
            if self._due_us.get(digest) == due_us:
                return due_us
            heapq.heappop(self._heap)
        return None
