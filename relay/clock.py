"""The real clocks and the real entropy."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from protocol.clock_guard import ClockGuard, Reading, anchor_after_restart
from relay.store.kept_clock import KeptClock

PAGE_BYTES: Final = 4096
"""Random bytes drawn at once: a system call for each row would cost more than sealing the row."""
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""Another text after each start of the machine."""


def read_clocks() -> Reading:
    """Wall clock, and time since the machine started; that counts sleep too, so a suspended machine makes no jump."""
    return Reading(time.time_ns() // 1000, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000)


def machine_boot() -> str:
    """The name of this start of the machine."""
    return BOOT_ID.read_text("ascii").strip()


class GuardedClock:
    """Believed time (`protocol.clock_guard`), and time that only rises.

    Belongs to the event loop. `boot` names this start of the machine. Until `resume` nothing is known of earlier runs.
    """

    def __init__(self, read: Callable[[], Reading], boot: str, jump_us: int) -> None:
        self._read = read
        self._boot = boot
        self._jump_us = jump_us
        self.guard = ClockGuard(jump_us, read())

    def now_us(self) -> int:
        """Believed time in microseconds since 1970."""
        return self.guard.believe(self._read())

    def monotonic_us(self) -> int:
        """Microseconds since some moment; they only rise."""
        return self._read().elapsed_us

    def raise_floor(self, floor_us: int) -> None:
        """A verified signed time: it is later than that now, whatever the clock says."""
        self.guard.raise_floor(floor_us)

    def resume(self, kept: KeptClock | None) -> None:
        """Begin with what an earlier run believed; signed times are to be said again."""
        reading = self._read()
        anchor = None
        if kept is not None:
            same = kept.boot == self._boot
            anchor = kept.anchor if same else anchor_after_restart(reading, kept.believed_us, self._jump_us)
        self.guard = ClockGuard(self._jump_us, reading, anchor)

    def keep(self) -> KeptClock:
        """What the next run should know."""
        believed_us = self.now_us()
        return KeptClock(self._boot, self.guard.anchor, believed_us)


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
