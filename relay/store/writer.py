"""The daemon's store: one connection, one writer, group commit (DESIGN D10). The only importer of aiosqlite.

The writer takes everything that queued while the last commit ran. No timer: alone, a change is committed at
once; under load the groups grow by themselves. A transaction is one function in the connection's thread, since
a transaction awaited statement by statement stays open when its task is cancelled (seen with aiosqlite 0.22).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Self, TypeVar, TypeVarTuple

import aiosqlite

from protocol.errors import Refused
from protocol.lanes import Lane
from relay.ports import Clock
from relay.store.database import Database
from relay.store.group import Change, Outcome, StoreFailed, checkpoint, commit_group

T = TypeVar("T")
Args = TypeVarTuple("Args")

GROUP_CHANGES: Final = 200
"""Most changes of one commit, so that a flash message that just missed it waits about 10 ms."""

LANE_SHARE: Final = 10
"""Places of a full group that each waiting lane keeps, so that none starves (G6)."""

GROUP_QUERIES: Final = 32
"""Most queries between two commits."""

WAITING_MAX: Final = 10_000
"""Most changes, and most queries, that may wait; beyond that the answer is BUSY (G13)."""

FLASH_EXTRA: Final = 1_000
"""Places beyond `WAITING_MAX` that only flash may take."""


class _Pending(NamedTuple):
    """Work that waits for its turn, and where its outcome goes."""

    work: Change
    future: asyncio.Future[Any]


class GroupCommitStore:
    """`relay.ports.Store` for the daemon. A change must follow the rule of `relay.store.group`."""

    def __init__(
        self, connection: aiosqlite.Connection, database: Database, clock: Clock,
        on_failure: Callable[[StoreFailed], None],
    ) -> None:  # fmt: skip
        """For `open`; everything but the queues belongs to the connection's thread."""
        self._connection = connection
        self._database = database
        self._clock = clock
        self._on_failure = on_failure
        self._changes: dict[Lane, deque[_Pending]] = {lane: deque() for lane in Lane}
        self._queries: deque[_Pending] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._failure: StoreFailed | None = None
        self._shut_down = False
        self._writer = asyncio.create_task(self._serve(), name="store-writer")

    @classmethod
    async def open(
        cls, open_database: Callable[[], Database], clock: Clock, on_failure: Callable[[StoreFailed], None]
    ) -> Self:
        """Open the database in a thread of its own and start the writer.

        `on_failure` is called once, in the event loop, when the store stopped for good: the daemon must exit
        then. Raises what `Database.open` raises.
        """
        # Only the thread of this connection is wanted; the database keeps its own.
        connection = await aiosqlite.connect(":memory:")
        try:
            database = await _in_thread(connection, open_database)
        except BaseException:
            await connection.close()
            raise
        return cls(connection, database, clock, on_failure)

    @property
    def problems(self) -> tuple[str, ...]:
        """What the check of the pages after an unclean stop found."""
        return self._database.problems

    @property
    def commits(self) -> int:
        """See `relay.ports.Store`; the writer's thread raises it, after each commit."""
        return self._database.commits

    async def write(self, lane: Lane, change: Callable[[Any], T]) -> T:
        """Run `change` and return its value once it is durable.

        Raises what the change raises (its own work is undone), `Refused` BUSY (not run) or STORE_FULL (undone),
        `StoreFailed` (outcome unknown). A cancelled caller does not stop its change: to it the outcome is unknown.
        """
        waiting = sum(map(len, self._changes.values()))
        return await self._enqueue(
            self._changes[lane], change, waiting, WAITING_MAX + (FLASH_EXTRA if lane is Lane.FLASH else 0)
        )

    async def read(self, query: Callable[[Any], T]) -> T:
        """Run `query` between two commits; it sees what is committed. Raises like `write`."""
        return await self._enqueue(self._queries, query, len(self._queries), WAITING_MAX)

    async def close(self) -> None:
        """Finish what waits, close the database, end the thread. Safe to call again. Raises `sqlite3.Error`.

        A daemon whose store failed must not come here but exit: closing syncs what failed to be synced before.
        """
        self._closing = True
        self._wake.set()
        await asyncio.wait({self._writer})
        if not self._writer.cancelled() and (error := self._writer.exception()) is not None:
            raise error
        if not self._shut_down:
            await self._shut()

    async def _enqueue(self, queue: deque[_Pending], work: Callable[[Any], T], waiting: int, limit: int) -> T:
        """Wait for the outcome of work in the queue."""
        if self._failure is not None:
            raise StoreFailed(str(self._failure))
        if self._closing:
            raise Refused("BUSY", "the relay is stopping")
        if waiting >= limit:
            raise Refused("BUSY", "too many requests are waiting for the store")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        queue.append(_Pending(work, future))
        self._wake.set()
        return await future

    async def _serve(self) -> None:
        """The writer: until closed and empty, or failed."""
        running: Sequence[_Pending] = ()
        try:
            while await self._has_work():
                for take in (self._take_changes, self._take_queries):
                    if running := take():
                        _answer(running, await self._run(running))
                if self._database.checkpoint_due:
                    await _in_thread(self._connection, checkpoint, self._database)
        except Exception as error:  # noqa: BLE001 - everybody who waits is told
            # The files stay as they are until `close`: SQLite's way of closing would sync them once more.
            self._fail(error, running)
        except BaseException as error:
            self._fail(error, running)
            await self._shut()
            raise
        else:
            await self._shut()

    async def _has_work(self) -> bool:
        """Wait for work; False when there is none left and none will come."""
        while not self._queries and not any(self._changes.values()):
            if self._closing:
                return False
            self._wake.clear()
            await self._wake.wait()
        return True

    def _take_changes(self) -> list[_Pending]:
        """The next group: by lane, then arrival, with some places kept for each lane that waits."""
        lanes = [lane for lane in Lane if self._changes[lane]]
        group: list[_Pending] = []
        for position, lane in enumerate(lanes, start=1):
            places = GROUP_CHANGES - len(group) - LANE_SHARE * (len(lanes) - position)
            queue = self._changes[lane]
            group += [queue.popleft() for _ in range(min(places, len(queue)))]
        return group

    def _take_queries(self) -> list[_Pending]:
        """The queries that may run before the next commit."""
        return [self._queries.popleft() for _ in range(min(GROUP_QUERIES, len(self._queries)))]

    async def _run(self, group: Sequence[_Pending]) -> list[Outcome]:
        """One transaction; time is taken here, since the clock belongs to the event loop."""
        changes = [pending.work for pending in group]
        return await _in_thread(self._connection, commit_group, self._database, changes, self._clock.now_us())

    def _fail(self, error: BaseException, running: Sequence[_Pending]) -> None:
        """Stop for good: nobody waits for ever, and the daemon is told."""
        failure = error if isinstance(error, StoreFailed) else StoreFailed(f"{type(error).__name__}: {error}")
        self._failure = failure
        for queue in (running, *self._changes.values(), self._queries):
            for pending in queue:
                if not pending.future.done():
                    pending.future.set_exception(StoreFailed(str(failure)))
        if not self._closing:
            self._on_failure(failure)

    async def _shut(self) -> None:
        """Close the database in its thread, then end the thread."""
        self._shut_down = True
        try:
            await _in_thread(self._connection, self._database.close)
        finally:
            await self._connection.close()


async def _in_thread(connection: aiosqlite.Connection, work: Callable[[*Args], T], *args: *Args) -> T:
    """Run one whole function in the connection's thread.

    aiosqlite offers only single statements in public; its hook for them takes any function. This is the one place that
    depends on it.
    """
    value: T = await connection._execute(work, *args)  # type: ignore[no-untyped-call]
    return value


def _answer(group: Sequence[_Pending], outcomes: Sequence[Outcome]) -> None:
    """Hand each outcome to its caller, unless the caller has gone."""
    for pending, outcome in zip(group, outcomes, strict=True):
        if pending.future.done():
            continue
        if outcome.error is None:
            pending.future.set_result(outcome.value)
        elif isinstance(outcome.error, StopIteration):
            # A future cannot carry StopIteration, and the writer must survive any exception of a change.
            pending.future.set_exception(RuntimeError("a change raised StopIteration"))
        else:
            pending.future.set_exception(outcome.error)
