"""The store without a thread: for the simulator and for property tests, where time must not pass by itself."""

from collections.abc import Callable
from typing import Any, TypeVar

from protocol.lanes import Lane
from relay.ports import Clock
from relay.store.database import Database
from relay.store.group import StoreFailed, checkpoint, commit_group

T = TypeVar("T")


class InlineStore:
    """`relay.ports.Store` with the same transactions as the daemon's, each committed before `write` returns."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self._clock = clock
        self._failure: StoreFailed | None = None

    @property
    def commits(self) -> int:
        """See `relay.ports.Store`."""
        return self.database.commits

    async def write(self, lane: Lane, change: Callable[[Any], T]) -> T:
        """Run and commit one change; no lane waits here. Raises what it raises, `Refused` STORE_FULL, `StoreFailed`."""
        return self.run(change)

    async def read(self, query: Callable[[Any], T]) -> T:
        """Run one query."""
        return self.run(query)

    def run(self, work: Callable[[Any], T]) -> T:
        """The same without `await`."""
        if self._failure is not None:
            raise self._failure
        try:
            (outcome,) = commit_group(self.database, [work], self._clock.now_us())
            if self.database.checkpoint_due:
                checkpoint(self.database)
        except StoreFailed as failure:
            self._failure = failure
            raise
        if outcome.error is not None:
            raise outcome.error
        value: T = outcome.value
        return value

    def close(self) -> None:
        """Close the database."""
        self.database.close()
