"""One thread in which time passes only by waiting: event loop, clocks, entropy and CPU work of the simulator.

Everything that the engine gets from outside comes from here and from one seed, so that a run can be repeated exactly.
"""

import asyncio
import heapq
import math
import random
import selectors
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextvars import Context, ContextVar
from functools import partial
from typing import Any, TypeVar

from protocol.clock_guard import Reading
from protocol.limits import SECOND_US
from relay.clock import GuardedClock
from tests.sim.logs import Syncs

T = TypeVar("T")

START_US = 1_767_225_600 * SECOND_US
"""2026-01-01T00:00:00Z: when every simulation begins."""


JUMP_US = 300 * SECOND_US
"""By how much a wall clock may be set before it counts as jumped."""


class Deadlock(Exception):
    """Everybody waits, and nothing will ever happen: a lost wake-up."""


class Time:
    """Virtual time in microseconds since the simulation began."""

    def __init__(self) -> None:
        self.us = 0


class _NoFiles(selectors.BaseSelector):
    """A selector that never selects: nothing in a simulation comes from outside."""

    def __init__(self) -> None:
        self._keys: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, fileobj, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return []

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys[fileobj]

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


RUNS_IN: ContextVar[object] = ContextVar("runs_in", default=None)
"""The simulated process that a task belongs to; tasks inherit it from whoever starts them."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time. It never looks at the world, so no thread may wake it.

    A simulated process may be frozen, as SIGSTOP does it: what its tasks would do next waits until it is thawed.
    """

    _ready: deque[asyncio.Handle]

    def __init__(self, time: Time) -> None:
        super().__init__(_NoFiles())
        self._virtual = time
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        """When, and the how many-th it is: compared without a call of Python code."""
        self._count = 0
        self.syncs = Syncs()
        self._frozen: dict[object, list[asyncio.Handle]] = {}

    def time(self) -> float:
        return self._virtual.us / SECOND_US

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """As asyncio's own, without the questions that it asks a loop in debug mode."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """The same; of timers for one moment the first made is the first called."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """What a thread would do, at once; and what it makes durable on its disk is known."""
        with self.syncs.watched():
            return InlineOffload().run(partial(func, *args), 1)

    def freeze(self, process: object) -> None:
        """Let the tasks of a process do nothing from now on."""
        self._frozen.setdefault(process, [])

    def thaw(self, process: object) -> bool:
        """Let them go on; whether they stood still."""
        waiting = self._frozen.pop(process, None)
        self._ready.extend(waiting or ())
        return waiting is not None

    def thaw_all(self) -> None:
        """Let everybody go on, so that a simulation can end."""
        for process in tuple(self._frozen):
            self.thaw(process)

    def _run_once(self) -> None:
        """One turn of the loop, as asyncio's own, with the clock set forward instead of a wait."""
        ready, timers = self._ready, self._timers
        if self._frozen:
            self._set_frozen_aside()
        if not ready:
            while timers and timers[0][2]._cancelled:
                heapq.heappop(timers)
            if not timers:
                raise Deadlock
            # One microsecond more than needed: a rounded second must not lie before its timer.
            self._virtual.us = max(self._virtual.us, math.ceil(timers[0][0] * SECOND_US) + 1)
        now_s = self.time()
        while timers and timers[0][0] <= now_s:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _set_frozen_aside(self) -> None:
        running: list[asyncio.Handle] = []
        for handle in self._ready:
            self._frozen.get(handle._context.get(RUNS_IN), running).append(handle)
        self._ready.clear()
        self._ready.extend(running)


class OfficeClock(GuardedClock):
    """The clock of one office: virtual time, and how far its wall clock is off; set it, and it has jumped."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.skew_us = 0
        super().__init__(lambda: Reading(START_US + time.us + self.skew_us, time.us), "machine", JUMP_US)


class SeededEntropy:
    """The same "random" bytes for the same seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)


class InlineOffload:
    """CPU work done at once: the awaitable is done when it is returned."""

    def run(self, work: Callable[[], T], pieces: int) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - whatever it raises belongs to the caller
            future.set_exception(error)
        return future
