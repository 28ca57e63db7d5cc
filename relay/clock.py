"""The real clock and the real entropy."""

import os
import time


class SystemClock:
    """Wall time that never falls below the floor of signed times (D12), and time that only rises."""

    def __init__(self) -> None:
        self._floor_us = 0

    def raise_floor(self, floor_us: int) -> None:
        """A verified signed time: it is later than that now, whatever the clock says."""
        self._floor_us = max(self._floor_us, floor_us)

    def now_us(self) -> int:
        """Microseconds since 1970."""
        return max(time.time_ns() // 1000, self._floor_us)

    def monotonic_us(self) -> int:
        """Microseconds since some moment."""
        return time.monotonic_ns() // 1000


class SystemEntropy:
    """Randomness of the operating system."""

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        return os.urandom(count)
