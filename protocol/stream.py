"""The numbers of one stream as its recipient sees them: what is missing, what arrived, what is dead (G4).

A stream is what one author sends to one recipient on one lane in one epoch. Numbers count from 1 without holes, so that
a number that was skipped is a message that is late, lost or dead. Holes are shown and delay nothing.
"""

from dataclasses import dataclass, replace
from typing import Final

from protocol.ids import MessageId

HOLES_MAX: Final = 100
"""Most holes remembered of one stream: an author can choose its numbers as it likes. The oldest is dropped; it stays
visible as the flag on the message after it."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers from `first` to `last` that are missing since `since_us`, when the message `after` skipped them.

    `noticed`: people were told.
    """

    first: int
    last: int
    since_us: int
    after: MessageId
    noticed: bool = False

    @property
    def count(self) -> int:
        """How many numbers are missing."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Stream:
    """The highest number heard of, and the holes below it, in order of their numbers."""

    highest: int = 0
    holes: tuple[Hole, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What one number did: the stream after it, whether it skipped others, and the hole that it was missing from."""

    stream: Stream
    skipped: bool = False
    filled: Hole | None = None


def take(stream: Stream, number: int, after: MessageId, now_us: int) -> Step:
    """A number came, with a message or with a tombstone; one that came before changes nothing."""
    if number > stream.highest:
        skipped = number > stream.highest + 1
        holes = stream.holes
        if skipped:
            hole = Hole(stream.highest + 1, number - 1, now_us, after)
            holes = (*holes, hole)[-HOLES_MAX:]
        return Step(Stream(number, holes), skipped)
    for at, hole in enumerate(stream.holes):
        if hole.first <= number <= hole.last:
            parts = (replace(hole, last=number - 1), replace(hole, first=number + 1))
            left = tuple(part for part in parts if part.count > 0)
            holes = (*stream.holes[:at], *left, *stream.holes[at + 1 :])
            return Step(Stream(stream.highest, holes[-HOLES_MAX:]), filled=hole)
    return Step(stream)


def notice(stream: Stream, before_us: int) -> tuple[Stream, tuple[Hole, ...]]:
    """Holes that are open since before a time and of which people were not told: they are told now."""
    old = tuple(hole for hole in stream.holes if not hole.noticed and hole.since_us <= before_us)
    holes = tuple(replace(hole, noticed=True) if hole in old else hole for hole in stream.holes)
    return Stream(stream.highest, holes), old


def open_since_us(stream: Stream, *, noticed: bool) -> int | None:
    """Since when the oldest hole is open of which people were told, or were not told; None without one."""
    return min((hole.since_us for hole in stream.holes if hole.noticed is noticed), default=None)
