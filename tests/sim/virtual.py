"""One thread in which time passes only by waiting: event loop, clocks, entropy, CPU work and store of the simulator.

Everything that the engine gets from outside comes from here and from one seed, so that a run can be repeated exactly.
"""

import asyncio
import random
import selectors
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from protocol.clock_guard import Reading
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from relay.clock import GuardedClock
from relay.store.database import Database
from relay.store.inline import InlineStore

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


class _WaitingAdvances(selectors.BaseSelector):
    """A selector without files: to wait for them is to let time pass."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._keys: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, fileobj, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock
        if timeout > 0:
            self._time.us += int(timeout * SECOND_US) + 1
        return []

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys[fileobj]

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time. It never looks at the world, so no thread may wake it."""

    def __init__(self, time: Time) -> None:
        super().__init__(_WaitingAdvances(time))
        self._virtual = time

    def time(self) -> float:
        return self._virtual.us / SECOND_US


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


class SlowStore:
    """`relay.ports.Store` like the daemon's thread: the commit comes a little later, its answer later still.

    Between commit and answer anything may happen, a crash too; that is where races hide.
    """

    def __init__(self, database: Database, clock: OfficeClock, dice: random.Random, slow_s: float) -> None:
        self.inline = InlineStore(database, clock)
        self._dice = dice
        self._slow_s = slow_s
        self._work: asyncio.Queue[tuple[Callable[[Any], Any], asyncio.Future[Any]]] = asyncio.Queue()
        self.task = asyncio.get_running_loop().create_task(self._serve())

    @property
    def commits(self) -> int:
        return self.inline.commits

    async def write(self, lane: Lane, change: Callable[[Any], T]) -> T:
        return await self._ask(change)

    async def read(self, query: Callable[[Any], T]) -> T:
        return await self._ask(query)

    async def _ask(self, work: Callable[[Any], T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._work.put_nowait((work, future))
        return await future

    async def _serve(self) -> None:
        """Commit in the order of arrival, whoever of the callers is still there; one pause for all that wait."""
        while True:
            group = [await self._work.get()]
            await self._pause()
            while not self._work.empty():
                group.append(self._work.get_nowait())
            answers = []
            for work, future in group:
                try:
                    answer, error = self.inline.run(work), None
                except Exception as failure:  # noqa: BLE001 - whatever it raises belongs to the caller
                    answer, error = None, failure
                answers.append((future, answer, error))
            # Answers come in the order of the commits, as from the real writer: the engine relies on it.
            await self._pause()
            for future, answer, error in answers:
                _answer(future, answer, error)

    async def _pause(self) -> None:
        await asyncio.sleep(self._pause_s())

    def _pause_s(self) -> float:
        return 0.0 if self._dice.random() < 0.7 else self._dice.uniform(0, self._slow_s)

    def close(self) -> None:
        self.task.cancel()
        self.inline.close()


def _answer(future: "asyncio.Future[Any]", answer: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(answer)
    else:
        future.set_exception(error)
