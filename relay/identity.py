"""Who this relay is: its office, its signing key, and the life of its home."""

from dataclasses import dataclass

from keys.primitives import SigningKey
from protocol.ids import Epoch, OfficeId


@dataclass(frozen=True, slots=True)
class Identity:
    """`epoch` is one life of the home between restores; `boot` counts its starts (D11)."""

    office: OfficeId
    key: SigningKey
    epoch: Epoch
    boot: int


class FrameCounter:
    """Numbers for frames: they rise over the home's whole life, since every start begins a higher block."""

    __slots__ = ("_last",)

    def __init__(self, boot: int) -> None:
        self._last = boot << 32

    def next(self) -> int:
        """The next number."""
        self._last += 1
        return self._last
