"""What a relay holds for others, seen from outside: parcels, and the frames planned for them (D1-D3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocol.frame import COPY_ITEM, Nack
from protocol.ids import Digest, MessageId, OfficeId
from protocol.lanes import Lane

NO_MESSAGE: Final = MessageId(b"")
"""In the place of a message id that nobody asks for."""
OWN: Final = OfficeId(b"")
"""This office, in the place of an office's id: a store knows what it holds without knowing whose it is."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One object in this relay's custody. `origin` is who made it, by which a lane is fair; `is_origin` if we did.

    `message_id` is of the message that it carries or speaks of, NO_MESSAGE for a sealed receipt of others. `attempt` is
    the one it came with; above 1, a relay that passed the parcel on before takes it again, for somebody behind it has
    kept silent (SPEC M34). `witnessed_us`: since when an office other than the origin has had it, for us the earliest
    of what we know by signed frames and of our own commit; None for what began here (G14).
    """

    digest: Digest
    kind: int
    lane: Lane
    origin: OfficeId
    recipient: OfficeId
    size: int
    trail: tuple[OfficeId, ...]
    is_origin: bool
    message_id: MessageId = NO_MESSAGE
    attempt: int = 1
    witnessed_us: int | None = None

    @property
    def carries_message(self) -> bool:
        """Of somebody else's parcel: whether a message is inside, and not a receipt, in the clear or sealed."""
        return self.kind == COPY_ITEM and self.message_id != NO_MESSAGE

    @property
    def share(self) -> OfficeId:
        """Whose share of the store's room it takes (SPEC M95): what is carried, its origin's; of what began here a
        message OWN, and a receipt that of the office which it is for, whose message caused it.
        """
        if self.kept_after_custody:
            return OWN
        return self.recipient if self.witnessed_us is None else self.origin

    @property
    def kept_after_custody(self) -> bool:
        """The origin of a copy answers for it until the verdict; anybody else may forget (D1)."""
        return self.is_origin and self.kind == COPY_ITEM


@dataclass(frozen=True, slots=True)
class Shipment:
    """One frame to be made and published: the parcels by digest, and what is owed to the neighbour."""

    receiver: OfficeId
    lane: Lane
    broker: str
    digests: tuple[Digest, ...]
    custody: tuple[Digest, ...]
    nacks: tuple[Nack, ...]
    witness: bytes | None


@dataclass(frozen=True, slots=True)
class Rerouted:
    """A copy that goes round an office which kept silent: the origin records it."""

    digest: Digest
    avoided: OfficeId


@dataclass(frozen=True, slots=True)
class Timing:
    """Microseconds: retry bounds, and per lane the patience with one way (D2)."""

    retry_min_us: int
    retry_max_us: int
    patience_us: Mapping[Lane, int]
    window_items: int
