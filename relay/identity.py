"""Who this relay is: its office, its signing key, and the life of its home."""

from dataclasses import dataclass

from keys.mldsa import SecondKey
from keys.signer import Signer
from protocol.ids import Epoch, OfficeId
from protocol.life import Life


@dataclass(frozen=True, slots=True)
class Identity:
    """`life` is what the home remembers of itself; `boot` counts its starts (D11). `second` signs its prekeys too."""

    office: OfficeId
    key: Signer
    life: Life
    boot: int
    second: SecondKey | None = None

    @property
    def epoch(self) -> Epoch:
        """The epoch in which numbers are given now."""
        return self.life.epoch


class FrameCounter:
    """Numbers for frames: they rise over the home's whole life, since every start begins a higher block."""

    __slots__ = ("_last",)

    def __init__(self, boot: int) -> None:
        self._last = boot << 32

    def next(self) -> int:
        """The next number."""
        self._last += 1
        return self._last
