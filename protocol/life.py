"""What a home remembers of its own life (D11, G12): enough to say of any record of its own whether it made it."""

from dataclasses import dataclass, replace
from typing import Final

from protocol.cbor import Value
from protocol.fields import elements
from protocol.ids import Epoch, StartId
from protocol.moment import NO_EPOCH, Moment

STARTS_MAX: Final = 256
"""Most starts remembered, the latest: with one a day enough for longer than any message lives; 4 KiB."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the home, and the count of commits with which it was recorded."""

    id: StartId
    began: int


@dataclass(frozen=True, slots=True)
class Life:
    """The epoch, the one before it, and the starts, the latest last: a start goes on until the next one began."""

    epoch: Epoch
    previous: Epoch = NO_EPOCH
    starts: tuple[Start, ...] = ()

    def started(self, start: StartId, began: int) -> "Life":
        """The same life with one more start."""
        return replace(self, starts=(*self.starts, Start(start, began))[-STARTS_MAX:])

    def moment(self, commits: int) -> Moment:
        """Now, for what is signed now; of a home that has started."""
        current = self.starts[-1]
        return Moment(self.epoch, self.previous, current.id, current.began, commits)


def life_fields(life: Life) -> Value:
    """The life as the store keeps it."""
    return [life.epoch, life.previous, [[start.id, start.began] for start in life.starts]]


def read_life(value: Value) -> Life:
    """The life from the store; raises `RemoteError` for what no version wrote."""
    epoch, previous, starts = elements(value, 3, "life")
    pairs = [elements(start, 2, "start") for start in starts]
    return Life(Epoch(epoch), Epoch(previous), tuple(Start(StartId(name), began) for name, began in pairs))
