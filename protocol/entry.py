"""A parcel in the memory of the hop machine: where it is on its way, and what was tried (D1, D2)."""

from dataclasses import dataclass
from enum import Enum

from protocol.ids import OfficeId
from protocol.parcel import Parcel


class Stage(Enum):
    """Where a parcel is; see `protocol.outbox`."""

    WAITING = "waiting"
    SENT = "sent"
    KEPT = "kept"


@dataclass(slots=True)
class Entry:
    """One parcel. `hop` is whom it waits for, was sent to, or has custody of it; `tries` counts sendings there.

    `avoid`: offices that failed. `offered`: all to which it was sent since it is here; `asked`: those to which it was
    sent in this attempt, and of which custody is awaited.
    """

    parcel: Parcel
    stage: Stage = Stage.WAITING
    hop: OfficeId | None = None
    since_us: int = 0
    sent_us: int = 0
    tries: int = 0
    attempt: int = 1
    avoid: frozenset[OfficeId] = frozenset()
    offered: frozenset[OfficeId] = frozenset()
    asked: frozenset[OfficeId] = frozenset()

    @property
    def neighbour(self) -> OfficeId:
        """Its next hop; raises `ValueError` where there is none: such a parcel is never sent."""
        if self.hop is None:
            raise ValueError("a parcel without a next hop cannot be sent")
        return self.hop
