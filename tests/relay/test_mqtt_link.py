"""The link with a broker of a few lines: back-off, window, silence, take-over, backpressure."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from relay.mqtt_link import BRIEF_LIVES, WINDOW, Link, LinkError, Received, Timing
from relay.ports import Arrived, LinkChanged

QUICK = Timing(retry_min_s=0.001, retry_max_s=0.004, connect_s=0.2, publish_s=0.1)


class FakeConnection:
    def __init__(self, client_id: str, *, refuses: bool = False, silent: bool = False, answers: bool = True) -> None:
        self.client_id, self.refuses, self.silent, self.answers = client_id, refuses, silent, answers
        self.spoilt = self.anew = False
        self.inbox: asyncio.Queue[Received] = asyncio.Queue()
        self.acknowledged: list[int] = []
        self.sending: list[asyncio.Future[bool]] = []
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        if self.refuses:
            raise LinkError("connection refused")
        if self.silent:
            await asyncio.Event().wait()

    async def subscribe_all(self, filters: Sequence[str]) -> list[str]:
        return []

    def send(self, topic: str, payload: bytes, retain: bool) -> asyncio.Future[bool]:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.sending.append(answer)
        if self.answers:
            answer.set_result(True)
        return answer

    async def next(self) -> Received:
        return await self.inbox.get()

    def acknowledge(self, message: Received) -> None:
        self.acknowledged.append(message.number)

    async def closed(self) -> str:
        return await asyncio.shield(self.end)

    def close(self, reason: str) -> None:
        if not self.end.done():
            self.end.set_result(reason)
        for answer in self.sending:
            if not answer.done():
                answer.set_result(False)


class Bench:
    """A link whose connections are made by `make`, in order; the last kind of connection is repeated."""

    def __init__(self, *make: Callable[[str], FakeConnection], timing: Timing = QUICK) -> None:
        self.make = list(make)
        self.connections: list[FakeConnection] = []
        self.changes: list[LinkChanged] = []
        self.arrived: list[Arrived] = []
        self.intake: Callable[[Arrived], Awaitable[None]] | None = None
        self.link = Link(
            "b", "fast", client_id="fast-x", filters=("a",), connect=self.connect, on_arrived=self.on_arrived,
            on_changed=self.on_changed, timing=timing, now_us=lambda: 7,
        )  # fmt: skip

    def connect(self, client_id: str, anew: bool) -> FakeConnection:
        maker = self.make.pop(0) if len(self.make) > 1 else self.make[0]
        self.connections.append(maker(client_id))
        self.connections[-1].anew = anew
        return self.connections[-1]

    async def on_arrived(self, arrived: Arrived) -> None:
        self.arrived.append(arrived)
        if self.intake is not None:
            await self.intake(arrived)

    async def on_changed(self, change: LinkChanged) -> None:
        self.changes.append(change)

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 3
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            await asyncio.sleep(0.001)

    def play(self, story: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            task = asyncio.create_task(self.link.run())
            try:
                await story()
            finally:
                task.cancel()
                await asyncio.wait([task])
            assert task.cancelled()
            assert self.link.state().state == "stopped"

        asyncio.run(whole())

    def up(self) -> bool:
        return self.link.state().state == "connected"


def test_a_publish_while_the_link_is_down_is_false() -> None:
    bench = Bench(lambda client_id: FakeConnection(client_id, refuses=True))

    async def story() -> None:
        await bench.until(lambda: len(bench.connections) > 3)
        assert not await bench.link.publish("t", b"", False)
        assert bench.link.state().last_error == "connection refused"

    bench.play(story)
    assert bench.changes == [LinkChanged("b", "fast", False, "connection refused")], "the same failure is told once"


def test_the_link_comes_back_after_failures() -> None:
    bench = Bench(
        lambda client_id: FakeConnection(client_id, refuses=True),
        lambda client_id: FakeConnection(client_id, silent=True),
        FakeConnection,
    )

    async def story() -> None:
        await bench.until(bench.up)
        assert await bench.link.publish("t", b"", False)
        bench.connections[-1].close("gone")
        await bench.until(lambda: len(bench.connections) == 4 and bench.up())
        assert await bench.link.publish("t", b"", False)

    bench.play(story)
    assert [change.error for change in bench.changes] == [
        "connection refused",
        "no answer within 0.2 s",
        None,
        "gone",
        None,
    ]


def test_a_broker_that_does_not_acknowledge_is_left() -> None:
    bench = Bench(lambda client_id: FakeConnection(client_id, answers=False), FakeConnection)

    async def story() -> None:
        await bench.until(bench.up)
        assert not await bench.link.publish("t", b"", False)
        await bench.until(lambda: len(bench.connections) == 2 and bench.up())

    bench.play(story)
    assert "did not acknowledge" in str(bench.changes[1].error)


def test_no_more_than_the_window_is_under_way_and_a_break_answers_all() -> None:
    bench = Bench(lambda client_id: FakeConnection(client_id, answers=False), timing=Timing(publish_s=9))

    async def story() -> None:
        await bench.until(bench.up)
        sends = [asyncio.create_task(bench.link.publish("t", b"", False)) for _ in range(3 * WINDOW)]
        await asyncio.sleep(0.02)
        assert len(bench.connections[0].sending) == WINDOW
        bench.connections[0].close("gone")
        assert await asyncio.gather(*sends) == [False] * len(sends)
        assert len(bench.connections[0].sending) == WINDOW

    bench.play(story)


def test_messages_come_one_at_a_time_and_are_acknowledged_after_the_intake() -> None:
    bench = Bench(FakeConnection)

    async def story() -> None:
        release = asyncio.Event()

        async def intake(arrived: Arrived) -> None:
            await release.wait()
            if arrived.payload == b"1":
                raise ValueError("the intake tripped")

        bench.intake = intake
        await bench.until(bench.up)
        connection = bench.connections[0]
        for number in range(3):
            connection.inbox.put_nowait(Received("t", b"%d" % number, False, number, 1))
        await asyncio.sleep(0.02)
        assert len(bench.arrived) == 1
        assert connection.acknowledged == []
        release.set()
        await bench.until(lambda: connection.acknowledged == [0, 1, 2])

    bench.play(story)


def test_d09_repeated_take_over_changes_the_client_id() -> None:
    bench = Bench(FakeConnection)

    async def story() -> None:
        for life in range(BRIEF_LIVES):
            await bench.until(lambda life=life: len(bench.connections) == life + 1 and bench.up())  # type: ignore[misc]
            bench.connections[-1].close("thrown out")
        await bench.until(lambda: len(bench.connections) == BRIEF_LIVES + 1 and bench.up())

    bench.play(story)
    ids = [connection.client_id for connection in bench.connections]
    assert set(ids[:BRIEF_LIVES]) == {"fast-x"}
    assert ids[-1].startswith("fast-x-")
    assert [change.taken_over for change in bench.changes if not change.up] == [False] * (BRIEF_LIVES - 1) + [True]


def test_g13_a_session_that_holds_what_no_connection_can_take_is_discarded() -> None:
    def spoils(client_id: str) -> FakeConnection:
        connection = FakeConnection(client_id)
        connection.spoilt = True
        connection.close("the broker sent an oversize packet")
        return connection

    bench = Bench(FakeConnection, spoils, spoils, spoils, spoils, FakeConnection)

    async def story() -> None:
        await bench.until(bench.up)
        bench.connections[0].close("the broker closed the connection")
        await bench.until(lambda: len(bench.connections) == 6 and bench.up())
        bench.connections[5].close("the broker closed the connection")
        await bench.until(lambda: len(bench.connections) == 7 and bench.up())

    bench.play(story)
    assert [connection.anew for connection in bench.connections] == [False, False, True, True, True, True, False]
    # Nobody else holds our id.
    assert {connection.client_id for connection in bench.connections} == {"fast-x"}


def test_d09_connections_that_are_made_anew_by_ourselves_are_no_take_over() -> None:
    bench = Bench(FakeConnection)

    async def story() -> None:
        for life in range(2 * BRIEF_LIVES):
            await bench.until(lambda life=life: len(bench.connections) == life + 1 and bench.up())  # type: ignore[misc]
            bench.link.renew()
        await bench.until(lambda: len(bench.connections) == 2 * BRIEF_LIVES + 1 and bench.up())

    bench.play(story)
    assert {connection.client_id for connection in bench.connections} == {"fast-x"}
    assert not any(change.taken_over for change in bench.changes)


def test_a_broker_that_was_restarted_is_no_take_over() -> None:
    def down(client_id: str) -> FakeConnection:
        return FakeConnection(client_id, refuses=True)

    bench = Bench(FakeConnection, down, FakeConnection, down, FakeConnection, down, FakeConnection)

    async def story() -> None:
        for life in (1, 3, 5, 7):
            await bench.until(lambda life=life: len(bench.connections) == life and bench.up())  # type: ignore[misc]
            bench.connections[-1].close("gone")

    bench.play(story)
    assert {connection.client_id for connection in bench.connections} == {"fast-x"}


def test_a_fault_of_the_engine_does_not_end_the_link() -> None:
    def broken(client_id: str) -> FakeConnection:
        raise ValueError("no will can be made")

    bench = Bench(broken, FakeConnection)
    told: list[bool] = []

    async def on_changed(change: LinkChanged) -> None:
        told.append(change.up)
        raise ValueError("the engine tripped")

    bench.link._on_changed = on_changed

    async def story() -> None:
        await bench.until(bench.up)
        assert await bench.link.publish("t", b"", False)

    bench.play(story)
    assert told == [False, True]


@given(st.floats(0.01, 10), st.floats(1, 100), st.integers(0, 2000))
def test_the_pause_stays_within_the_two_settings(low: float, factor: float, attempt: int) -> None:
    async def pause() -> float:
        bench = Bench(FakeConnection, timing=Timing(retry_min_s=low, retry_max_s=low * factor))
        bench.link._attempt = attempt
        return bench.link._delay_s()

    assert low <= asyncio.run(pause()) <= low * factor


def follower(leader: Bench) -> Bench:
    """A second link to the same broker, which comes up after the first."""
    bench = Bench(FakeConnection)
    bench.link = Link(
        "b", "slow", client_id="slow-x", filters=("a",), connect=bench.connect, on_arrived=bench.on_arrived,
        on_changed=bench.on_changed, timing=QUICK, now_us=lambda: 7, leader=leader.link,
    )  # fmt: skip
    return bench


def test_after_a_break_the_fast_link_is_up_before_the_slow_one_tries() -> None:
    ready = False

    def connection(client_id: str) -> FakeConnection:
        return FakeConnection(client_id, refuses=not ready)

    fast = Bench(connection)
    slow = follower(fast)

    async def story() -> None:
        nonlocal ready
        task = asyncio.create_task(slow.link.run())
        for _ in range(20):
            ready = True
            await fast.until(lambda: fast.up() and slow.up())
            ready = False
            tries = len(slow.connections)
            fast.connections[-1].close("gone")
            await fast.until(lambda: not fast.up())
            slow.connections[-1].close("gone")
            seen = len(fast.connections)
            await fast.until(lambda seen=seen: len(fast.connections) > seen + 3)  # type: ignore[misc]
            assert len(slow.connections) == tries
        task.cancel()
        await asyncio.wait([task])

    fast.play(story)


def test_a_fast_link_that_cannot_come_up_does_not_hold_the_slow_one_for_ever() -> None:
    fast = Bench(lambda client_id: FakeConnection(client_id, refuses=True))
    slow = follower(fast)

    async def story() -> None:
        task = asyncio.create_task(slow.link.run())
        await slow.until(slow.up)
        assert not fast.up()
        task.cancel()
        await asyncio.wait([task])

    fast.play(story)


def test_a_stop_while_a_connection_ends_is_a_stop() -> None:
    """The cancellation of a link must not be taken for the one of its intake."""
    bench = Bench(FakeConnection)

    async def slow_to_end(arrived: Arrived) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)

    bench.intake = slow_to_end

    async def story() -> None:
        await bench.until(bench.up)
        bench.connections[0].inbox.put_nowait(Received("t", b"", False, 1, 1))
        await bench.until(lambda: bool(bench.arrived))
        bench.connections[0].close("gone")
        await asyncio.sleep(0.01)

    bench.play(story)
