"""Group commit: order, isolation, cancellation, bounds, failure (D10, G1, G5, G13)."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from protocol.errors import Refused
from protocol.lanes import Lane
from relay.store import writer as writer_module
from relay.store.database import Database, HomeInUse, Txn
from relay.store.group import StoreFailed
from relay.store.writer import GROUP_CHANGES, LANE_SHARE, GroupCommitStore
from tests.relay.store.place import LETTERS, Place, write_letter, writing


@asynccontextmanager
async def opened(place: Place, failures: list[StoreFailed] | None = None) -> AsyncIterator[GroupCommitStore]:
    store = await GroupCommitStore.open(place.opener(), place.clock, ([] if failures is None else failures).append)
    try:
        yield store
    finally:
        await store.close()


def numbers(txn: Txn) -> list[object]:
    return [row["number"] for row in LETTERS.select(txn, order="number")]


def run(place: Place, scene: Callable[[GroupCommitStore], Awaitable[None]]) -> None:
    async def play() -> None:
        async with opened(place) as store:
            await scene(store)

    asyncio.run(play())


def check_ended(before: set[threading.Thread]) -> None:
    """No thread is left that was not there before."""
    for thread in set(threading.enumerate()) - before:
        # Its last answer comes a moment before its end.
        thread.join(10)
        assert not thread.is_alive()


class Gate:
    """A change that holds the writer's thread until it is opened, so that others queue up behind it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()

    def __call__(self, _: Txn) -> None:
        self.entered.set()
        assert self.released.wait(10)

    async def hold(self, store: GroupCommitStore) -> "asyncio.Task[None]":
        task = asyncio.create_task(store.write(Lane.FLASH, self))
        await asyncio.to_thread(self.entered.wait, 10)
        return task


def test_g05_flash_is_committed_first_and_no_lane_starves(place: Place) -> None:
    async def scene(store: GroupCommitStore) -> None:
        gate, order = Gate(), list[Lane]()
        held = await gate.hold(store)
        waiting = [
            asyncio.create_task(store.write(lane, lambda txn, lane=lane: order.append(lane)))  # type: ignore[misc]
            for lane in (Lane.BULK, Lane.ROUTINE, Lane.FLASH)
            for _ in range(GROUP_CHANGES)
        ]
        await asyncio.sleep(0)
        gate.released.set()
        await asyncio.gather(held, *waiting)
        first = order[:GROUP_CHANGES]
        assert first == sorted(first)
        assert first.count(Lane.FLASH) == GROUP_CHANGES - 2 * LANE_SHARE
        assert first.count(Lane.BULK) == LANE_SHARE
        assert len(order) == 3 * GROUP_CHANGES

    run(place, scene)


def test_changes_that_queue_share_a_commit_and_a_time(place: Place) -> None:
    async def scene(store: GroupCommitStore) -> None:
        gate = Gate()
        held = await gate.hold(store)
        place.clock.us = 2_000_000
        waiting = [asyncio.create_task(store.write(Lane.ROUTINE, lambda txn: (id(txn), txn.now_us))) for _ in range(9)]
        await asyncio.sleep(0)
        gate.released.set()
        await held
        assert len({await task for task in waiting}) == 1
        assert (await waiting[0])[1] == 2_000_000

    run(place, scene)


def test_g01_a_failing_change_undoes_only_itself(place: Place) -> None:
    async def scene(store: GroupCommitStore) -> None:
        def change(txn: Txn, number: int) -> int:
            write_letter(txn, number)
            if number % 3 == 0:
                raise LookupError(number)
            if number % 3 == 1:
                next(iter(()))
            return number

        gate = Gate()
        held = await gate.hold(store)
        tasks = [asyncio.create_task(store.write(Lane.BULK, lambda txn, n=n: change(txn, n))) for n in range(9)]  # type: ignore[misc]
        await asyncio.sleep(0)
        gate.released.set()
        await held
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [LookupError, RuntimeError, int] * 3
        assert await store.read(numbers) == [2, 5, 8]

    run(place, scene)


def test_g01_a_cancelled_caller_tears_nothing(place: Place) -> None:
    async def scene(store: GroupCommitStore) -> None:
        gate = Gate()
        held = await gate.hold(store)
        tasks = [asyncio.create_task(store.write(Lane.ROUTINE, writing(n))) for n in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        held.cancel()
        gate.released.set()
        results = await asyncio.gather(held, *tasks, return_exceptions=True)
        assert [type(result) for result in results[:3]] == [asyncio.CancelledError, type(None), asyncio.CancelledError]
        assert await store.read(numbers) == [0, 1, 2, 3]
        assert not await store.read(lambda txn: txn.connection.total_changes < 0)

    run(place, scene)


def test_g01_what_was_answered_is_there_after_reopening(place: Place) -> None:
    async def play() -> None:
        async with opened(place) as store:
            await asyncio.gather(*(store.write(Lane.ROUTINE, writing(n)) for n in range(300)))
        async with opened(place) as store:
            assert await store.read(numbers) == list(range(300))
            with pytest.raises(HomeInUse):
                await GroupCommitStore.open(place.opener(), place.clock, print)

    asyncio.run(play())


def test_g13_too_many_waiting_are_refused_and_flash_last(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "WAITING_MAX", 5)
    monkeypatch.setattr(writer_module, "FLASH_EXTRA", 2)

    async def scene(store: GroupCommitStore) -> None:
        gate = Gate()
        held = await gate.hold(store)
        tasks = [asyncio.create_task(store.write(Lane.BULK, lambda _: None)) for _ in range(7)]
        flashes = [asyncio.create_task(store.write(Lane.FLASH, lambda _: None)) for _ in range(3)]
        reads = [asyncio.create_task(store.read(lambda _: None)) for _ in range(6)]
        await asyncio.sleep(0)
        gate.released.set()
        await held
        results = await asyncio.gather(*tasks, *flashes, *reads, return_exceptions=True)
        assert [isinstance(result, Refused) and result.code == "BUSY" for result in results] == (
            [False] * 5 + [True] * 2 + [False] * 2 + [True] + [False] * 5 + [True]
        )

    run(place, scene)


def test_g13_a_full_store_refuses_and_recovers(place: Place) -> None:
    place.quota_bytes = 400_000

    async def scene(store: GroupCommitStore) -> None:
        results = await asyncio.gather(
            *(store.write(Lane.ROUTINE, writing(n, bytes(4000))) for n in range(100)),
            return_exceptions=True,
        )
        refused = [result for result in results if isinstance(result, Refused)]
        assert {error.code for error in refused} == {"STORE_FULL"}
        assert len(await store.read(numbers)) == 100 - len(refused) > 10
        await store.write(Lane.ROUTINE, lambda txn: txn.connection.execute("DELETE FROM letters WHERE number < 10"))
        await store.write(Lane.ROUTINE, writing(500, bytes(4000)))

    run(place, scene)


def test_a_failed_disk_stops_the_writer_and_tells_everybody_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[StoreFailed] = []

    def fail(_: Database) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC"
        raise error

    async def play() -> None:
        async with opened(place, failures) as store:
            await store.write(Lane.ROUTINE, writing(1))
            monkeypatch.setattr(Database, "commit", fail)
            gate = Gate()
            held = await gate.hold(store)
            waiting = asyncio.create_task(store.write(Lane.ROUTINE, writing(2)))
            reading = asyncio.create_task(store.read(numbers))
            await asyncio.sleep(0)
            gate.released.set()
            results = await asyncio.gather(held, waiting, reading, return_exceptions=True)
            assert [type(result) for result in results] == [StoreFailed] * 3
            assert [str(result) for result in results] == ["OperationalError SQLITE_IOERR_FSYNC: disk I/O error"] * 3
            monkeypatch.undo()
            with pytest.raises(StoreFailed, match=r"^OperationalError SQLITE_IOERR_FSYNC: disk I/O error$"):
                await store.write(Lane.FLASH, writing(3))
        (failure,) = failures
        assert isinstance(failure.__cause__, sqlite3.OperationalError), "the daemon's log says where it came from"
        async with opened(place) as store:
            assert await store.read(numbers) == [1]

    asyncio.run(play())


def test_g01_a_writer_that_fails_by_itself_stops_the_store_and_says_why(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[StoreFailed] = []

    def fails(*_: object) -> None:
        raise MemoryError("none left")

    async def play() -> None:
        async with opened(place, failures) as store:
            monkeypatch.setattr(writer_module, "commit_group", fails)
            with pytest.raises(StoreFailed, match=r"^MemoryError: none left$"):
                await store.write(Lane.ROUTINE, writing(1))
        assert [(type(failure), str(failure)) for failure in failures] == [(StoreFailed, "MemoryError: none left")]

    asyncio.run(play())


def test_a_change_that_ends_the_transaction_of_its_group_stops_the_store(place: Place) -> None:
    failures: list[StoreFailed] = []

    async def play() -> None:
        async with opened(place, failures) as store:
            with pytest.raises(StoreFailed):
                await store.write(Lane.ROUTINE, lambda txn: txn.connection.execute("COMMIT"))
        assert [type(failure) for failure in failures] == [StoreFailed]

    asyncio.run(play())


def test_closing_finishes_what_waits_and_refuses_the_rest(place: Place) -> None:
    async def play() -> None:
        async with opened(place) as store:
            tasks = [asyncio.create_task(store.write(Lane.BULK, writing(n))) for n in range(500)]
            await asyncio.sleep(0)
            await store.close()
            await asyncio.gather(*tasks)
            with pytest.raises(Refused, match=r"^BUSY"):
                await store.write(Lane.FLASH, writing(900))
        async with opened(place) as store:
            assert len(await store.read(numbers)) == 500

    asyncio.run(play())


@pytest.mark.parametrize("written", [0, 1])
def test_a_loop_that_ends_without_close_leaves_no_thread_and_tells_the_daemon(place: Place, written: int) -> None:
    failures: list[StoreFailed] = []

    async def play() -> None:
        store = await GroupCommitStore.open(place.opener(), place.clock, failures.append)
        for number in range(written):
            await store.write(Lane.ROUTINE, writing(number))
        await asyncio.sleep(0)

    before = set(threading.enumerate())
    asyncio.run(play())
    check_ended(before)
    assert [str(failure) for failure in failures] == ["CancelledError: "]
    place.open().close()


def test_g11_what_a_change_erased_is_gone_from_the_log_before_the_next_answer(place: Place) -> None:
    async def scene(store: GroupCommitStore) -> None:
        await store.write(Lane.ROUTINE, writing(1))
        await store.write(Lane.ROUTINE, lambda txn: txn.erasures.append("letters"))
        assert await store.read(numbers) == [1]
        assert place.database.with_name("relay.db-wal").stat().st_size == 0

    run(place, scene)


def test_a_database_that_does_not_close_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    close = Database.close

    def fail(database: Database) -> None:
        close(database)
        raise sqlite3.OperationalError("disk I/O error")

    async def play() -> None:
        store = await GroupCommitStore.open(place.opener(), place.clock, print)
        await store.write(Lane.ROUTINE, writing(1))
        monkeypatch.setattr(Database, "close", fail)
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
                await store.close()

    before = set(threading.enumerate())
    asyncio.run(play())
    check_ended(before)


def test_a_writer_that_was_cancelled_is_closed_like_any_other(place: Place) -> None:
    async def play() -> None:
        store = await GroupCommitStore.open(place.opener(), place.clock, print)
        await asyncio.sleep(0)
        store._writer.cancel()
        await store.close()

    asyncio.run(play())
    place.open().close()


def test_a_store_that_does_not_open_leaves_no_thread_behind(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its thread answers into a loop that is closed, and people get a traceback (CONTRACT section 2)."""
    empty = place.directory / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)

    async def play() -> None:
        async with opened(place):
            with pytest.raises(HomeInUse):
                await GroupCommitStore.open(place.opener(), place.clock, print)

    before = set(threading.enumerate())
    asyncio.run(play())
    check_ended(before)
    assert capfd.readouterr().err == ""
    assert list(empty.iterdir()) == []
