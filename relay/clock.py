"""The real clock and the real entropy."""

import os
import threading
import time
from typing import Final

PAGE_BYTES: Final = 4096
"""Random bytes drawn at once: a system call for each row would cost more than sealing the row."""


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
    """Randomness of the operating system, drawn a page at a time; bytes are given out once and then forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._page = b""
        self._at = 0

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        if count > PAGE_BYTES // 4:
            return os.urandom(count)
        with self._lock:
            if self._at + count > len(self._page):
                self._page, self._at = os.urandom(PAGE_BYTES), 0
            start, self._at = self._at, self._at + count
            return self._page[start : self._at]
