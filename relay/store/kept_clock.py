"""What a home remembers of its clock, so that the next process notices a jump between the two (G9)."""

from dataclasses import dataclass
from typing import Final

from protocol.clock_guard import Anchor
from protocol.fields import elements
from relay.store import counters
from relay.store.database import Txn

_NAME: Final = "clock"


@dataclass(frozen=True, slots=True)
class KeptClock:
    """`boot` names the start of the machine for which the anchor holds; `believed_us` is when this was kept."""

    boot: str
    anchor: Anchor
    believed_us: int


def keep(txn: Txn, kept: KeptClock) -> None:
    """Remember it."""
    counters.remember(txn, _NAME, [kept.boot, kept.anchor.reference_us, kept.anchor.offset_us, kept.believed_us])


def kept(txn: Txn) -> KeptClock | None:
    """What was remembered, or None on the first start."""
    value = counters.recall(txn, _NAME)
    if value is None:
        return None
    boot, reference_us, offset_us, believed_us = elements(value, 4, "kept clock")
    return KeptClock(boot, Anchor(reference_us, offset_us), believed_us)
