"""What a home remembers of its own life, and what a record of its own tells it about that life (D11, G12, SPEC M61).

A restored home goes on from an older state, a cloned one beside a copy of itself; neither can know it. But somebody
kept a record that the other life signed, and no start that this home remembers can have said what it says.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from protocol.cbor import Value
from protocol.fields import elements
from protocol.ids import Epoch, StartId
from protocol.moment import NO_EPOCH, Moment

STARTS_MAX: Final = 256
"""Most starts remembered, the latest: with one a day enough for longer than any message lives; 5 KiB."""
APART_MAX: Final = 64
"""Most foreign epochs remembered, the latest: each stands for one restore; 640 bytes."""


class Finding(Enum):
    """What a record of our own tells."""

    OURS = "ours"
    """Said in this life."""
    KNOWN = "known"
    """Said in another life that we know of, and of which nothing more follows."""
    RESTORED = "restored"
    """Said in another life, before our present start: we go on from an older state than that."""
    CLONED = "cloned"
    """Said in another life, after our present start: somebody goes on beside us, in an epoch that may be ours."""
    CLONE_SEEN = "clone seen"
    """Said in another life that was parted from ours, and lately: the clone is still there."""

    @property
    def parts_lives(self) -> bool:
        """Whether the two lives may share numbers: only a new epoch parts them."""
        return self in (Finding.RESTORED, Finding.CLONED)


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the home: the count of commits with which it was recorded, and the time."""

    id: StartId
    began: int
    at_us: int


@dataclass(frozen=True, slots=True)
class Life:
    """What the store remembers of the home.

    The starts are in order, the latest last; each goes on until the next one began. `apart` are epochs that were over,
    or known to be another life's, when this one began at `born_us`: 0 for the first epoch. What another life did up to
    `doubt_us` is known: what was created before may have been handed out in it. `fresh`: the epoch began in this very
    process, so that no copy of the home that was made earlier can share it; never stored.
    """

    epoch: Epoch
    previous: Epoch = NO_EPOCH
    starts: tuple[Start, ...] = ()
    apart: tuple[Epoch, ...] = ()
    born_us: int = 0
    doubt_us: int = 0
    fresh: bool = False

    def started(self, start: Start) -> "Life":
        """The same life with one more start."""
        return replace(self, starts=(*self.starts, start)[-STARTS_MAX:])

    def moment(self, commits: int) -> Moment:
        """Now, for what is signed now; of a home that has started."""
        current = self.starts[-1]
        return Moment(self.epoch, self.previous, current.id, current.began, commits)

    def judge(self, moment: Moment, signed_us: int, commits: int) -> Finding:
        """What a record of our own tells us, which says this moment and was signed then; `commits` is our count."""
        if self._lived(moment, commits):
            return Finding.OURS
        if moment.epoch != self.epoch and not {moment.epoch, moment.previous}.isdisjoint(self.apart):
            # An epoch that was over before ours began, or followed such a one, never saw ours: no number is shared.
            if signed_us <= self.doubt_us:
                return Finding.KNOWN
            if self.fresh:
                return Finding.CLONE_SEEN
            # Yet our own epoch may have gone on in a third life, of which nobody shows us anything any more.
        return Finding.CLONED if signed_us > self.starts[-1].at_us else Finding.RESTORED

    def must_rise(self, known: Moment, signed_us: int) -> bool:
        """Whether a life that is over went further than our present start: then neighbours take ours for the older one,
        and a higher start has to follow. Two that are both alive would only chase each other upwards.
        """
        return signed_us <= self.born_us and known.commits >= self.starts[-1].began

    def parted(self, epoch: Epoch, other: Moment, signed_us: int, now_us: int) -> "Life":
        """The same life in a new epoch, apart from the life that said `other`; a new start follows."""
        foreign = [*self.apart, self.epoch, other.previous, other.epoch]
        known = dict.fromkeys(one for one in foreign if one != NO_EPOCH)
        # A record may be signed ahead of our clock: whatever its life said up to then is known by it.
        born_us = max(now_us, signed_us)
        apart = tuple(known)[-APART_MAX:]
        return Life(epoch, self.epoch, self.starts, apart, born_us=born_us, doubt_us=born_us, fresh=True)

    def _lived(self, moment: Moment, commits: int) -> bool:
        """Whether a start of ours said this. Of starts that are forgotten only the counts are known."""
        for at, start in enumerate(self.starts):
            if start.id == moment.start:
                goes_on = at + 1 == len(self.starts)
                return start.began == moment.began and (
                    moment.commits <= commits if goes_on else moment.commits < self.starts[at + 1].began
                )
        return len(self.starts) == STARTS_MAX and moment.commits < self.starts[0].began


def life_fields(life: Life) -> Value:
    """The life as the store keeps it."""
    starts: Value = [[start.id, start.began, start.at_us] for start in life.starts]
    return [life.epoch, life.previous, starts, list(life.apart), life.born_us, life.doubt_us]


def read_life(value: Value) -> Life:
    """The life from the store; raises `RemoteError` for what no version wrote."""
    epoch, previous, starts, apart, born_us, doubt_us = elements(value, 6, "life")
    triples = [elements(start, 3, "start") for start in starts]
    return Life(
        epoch=Epoch(epoch),
        previous=Epoch(previous),
        starts=tuple(Start(StartId(name), began, at_us) for name, began, at_us in triples),
        apart=tuple(map(Epoch, apart)),
        born_us=born_us,
        doubt_us=doubt_us,
    )
