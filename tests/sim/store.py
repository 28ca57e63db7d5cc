"""The store of a simulated office: the real transactions on a disk that may be slow, full, rotten or without power."""

import asyncio
import random
import shutil
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from protocol.lanes import Lane
from relay.ports import Clock
from relay.store.database import PAGE_BYTES, Database, Txn
from relay.store.group import Change, StoreFailed, checkpoint, commit_group

T = TypeVar("T")

GROUP_CHANGES = 200
"""As many as the daemon's writer takes at once."""
FILES = ("relay.db", "relay.db-wal")
PLENTY_BYTES = 1 << 40


class SimStore:
    """`relay.ports.Store` like the daemon's writer: group commit, and answers that come a little later.

    Between commit and answer anything may happen, a crash too; that is where races hide.
    """

    def __init__(
        self, database: Database, clock: Clock, dice: random.Random, slow_s: float,
        failed: Callable[[StoreFailed], None],
    ) -> None:  # fmt: skip
        self.database = database
        self._clock = clock
        self._dice = dice
        self._slow_s = slow_s
        self._failed = failed
        self._changes: deque[tuple[Lane, Change, asyncio.Future[Any]]] = deque()
        self._queries: deque[tuple[Change, asyncio.Future[Any]]] = deque()
        self._awake = asyncio.Event()
        self._room_pages: int | None = None
        self.task = asyncio.create_task(self._serve())

    @property
    def commits(self) -> int:
        """How many changes the home has committed in its life."""
        return self.database.commits

    async def write(self, lane: Lane, change: Callable[[Any], T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._changes.append((lane, change, future))
        self._awake.set()
        return await future

    async def read(self, query: Callable[[Any], T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queries.append((query, future))
        self._awake.set()
        return await future

    def peek(self, query: Callable[[Any], T]) -> T:
        """What is durable now, for observers: no transaction, so that looking changes nothing."""
        return peek(self.database, self._clock, query)

    async def _serve(self) -> None:
        """Whoever of the callers is still there gets the outcome, in the order of the commits."""
        while True:
            await self._awake.wait()
            self._awake.clear()
            await asyncio.sleep(self._pause_s())
            while self._changes or self._queries:
                # By lane, then by arrival, as the daemon's writer takes them.
                changes = sorted(self._changes, key=lambda one: one[0])[:GROUP_CHANGES]
                for one in changes:
                    self._changes.remove(one)
                queries = list(self._queries)
                self._queries.clear()
                answers = self._run([(change, future) for _, change, future in changes]) + self._run(queries)
                # Answers come in the order of the commits, as from the real writer: the engine relies on it.
                await asyncio.sleep(self._pause_s())
                for answer in answers:
                    answer()

    def _run(self, group: list[tuple[Change, "asyncio.Future[Any]"]]) -> list[Callable[[], None]]:
        """Commit one group; how each caller is told."""
        if not group:
            return []
        try:
            outcomes = commit_group(self.database, [work for work, _ in group], self._clock.now_us())
            self._mind_room()
            if self.database.checkpoint_due:
                checkpoint(self.database)
        except StoreFailed as failure:
            self._failed(failure)
            return [partial(_answer, future, None, failure) for _, future in group]
        return [
            partial(_answer, future, outcome.value, outcome.error)
            for (_, future), outcome in zip(group, outcomes, strict=True)
        ]

    def _pause_s(self) -> float:
        return 0.0 if self._dice.random() < 0.7 else self._dice.uniform(0, self._slow_s)

    # A full disk.

    def fill_disk(self) -> None:
        """Somebody else takes the last block: the database cannot grow, but for what the ballast gives up."""
        self._room_pages = 0
        self.database.ballast._measure_free = lambda _: 0
        self._limit_pages()

    def free_disk(self) -> None:
        """There is room again."""
        if self._room_pages is not None:
            self._room_pages = None
            self.database.ballast._measure_free = lambda _: PLENTY_BYTES
            self._limit_pages()

    def _limit_pages(self) -> None:
        connection = self.database.connection
        quota_pages = self.database.space().quota_bytes // PAGE_BYTES
        if self._room_pages is not None:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            quota_pages = min(quota_pages, pages + self._room_pages)
        connection.execute(f"PRAGMA max_page_count = {quota_pages}").fetchall()

    def _mind_room(self) -> None:
        """After the ballast was given up its blocks are there for the database."""
        ballast = self.database.ballast
        if self._room_pages == 0 and not ballast.held_bytes:
            self._room_pages = ballast.size_bytes // PAGE_BYTES
            ballast._measure_free = lambda _: ballast.size_bytes // 2
            self._limit_pages()

    def close(self) -> None:
        """End the process's use of it."""
        self.task.cancel()
        self.database.close()


def peek(database: Database, clock: Clock, query: Callable[[Any], T]) -> T:
    """Run a query outside of any transaction."""
    txn = Txn(
        database.connection, database._cipher, database._entropy, clock.now_us(), database.space(), database._mender
    )
    return query(txn)


def save_files(place: Path, to: Path) -> None:
    """Copy the files of a store as they lie on the disk, also while it is open."""
    to.mkdir(exist_ok=True)
    for name in FILES:
        (to / name).unlink(missing_ok=True)
        if (place / name).exists():
            shutil.copyfile(place / name, to / name)


def put_back(saved: Path, place: Path) -> None:
    """Replace the files of a closed store."""
    for name in FILES:
        (place / name).unlink(missing_ok=True)
        if (saved / name).exists():
            shutil.copyfile(saved / name, place / name)


def move_back(saved: Path, place: Path) -> None:
    """The same, and nothing stays where they were saved."""
    for name in FILES:
        (place / name).unlink(missing_ok=True)
        if (saved / name).exists():
            (saved / name).rename(place / name)


def tear_tail(place: Path, junk: bytes) -> None:
    """What a power cut leaves of a write that was not finished: junk behind the last durable frame of the WAL."""
    wal = place / "relay.db-wal"
    if wal.exists() and wal.stat().st_size:
        with wal.open("ab") as file:
            file.write(junk)


def _answer(future: "asyncio.Future[Any]", answer: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(answer)
    else:
        future.set_exception(error)
