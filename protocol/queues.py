"""What waits for which neighbour on which lane: messages before receipts, and origins in turn (D4)."""

from collections import deque
from collections.abc import Callable, Iterator

from protocol.ids import Digest, OfficeId
from protocol.lanes import Lane
from protocol.parcel import Parcel


class Queues:
    """Digests in order. What left or changed its way since stays until it is met, and is dropped then."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[tuple[Lane, OfficeId], dict[tuple[int, OfficeId], deque[Digest]]] = {}

    def put(self, parcel: Parcel, hop: OfficeId) -> None:
        """At the end of its origin's queue."""
        # Messages before receipts, then by origin: the key sorts so, and each origin has its own queue.
        origins = self._queues.setdefault((parcel.lane, hop), {})
        origins.setdefault((parcel.kind, parcel.origin), deque()).append(parcel.digest)

    def clear(self) -> None:
        """Forget everything: the ways are chosen again."""
        self._queues.clear()

    def ways(self, group: str) -> Iterator[tuple[Lane, OfficeId]]:
        """Lanes of a connection group and neighbours for which something may wait."""
        return ((lane, hop) for (lane, hop), origins in self._queues.items() if lane.group == group and origins)

    def in_turn(self, lane: Lane, hop: OfficeId, waits: Callable[[Digest], bool]) -> Iterator[Digest]:
        """What goes next, one by one; each leaves its queue when the one after it is asked for.

        `waits` says whether a digest still waits for this neighbour.
        """
        queues = self._queues.get((lane, hop), {})
        for kind in sorted({kind for kind, _ in queues}):
            turns = deque(key for key in queues if key[0] == kind)
            while turns:
                key = turns.popleft()
                queue = queues[key]
                while queue and not waits(queue[0]):
                    queue.popleft()
                if not queue:
                    del queues[key]
                    continue
                yield queue[0]
                queue.popleft()
                turns.append(key)
                # The next frame begins with whoever has waited longest, however few a frame takes.
                queues[key] = queues.pop(key)
