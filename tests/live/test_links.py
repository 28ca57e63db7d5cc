"""Links to real brokers, and to things that only look like brokers."""

import asyncio
import os
import socket
import time
from pathlib import Path

import pytest

from config.schema import Broker
from protocol.ids import Address
from protocol.lanes import Lane
from protocol.topics import frame_topic
from relay.mqtt import PACKET_BYTES_MAX, QueueBounds
from tests.live.running import ENGINES, Peer, RunningBroker, free_port, running, until

pytestmark = pytest.mark.live

COUNTY, PROVINCE = Address("320924-GO"), Address("320000-GO")
TOPIC = frame_topic(PROVINCE, Lane.ROUTINE, COUNTY)


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_links_return_after_the_broker_was_killed(tmp_path: Path, engine: str) -> None:
    async def story() -> None:
        broker = RunningBroker(tmp_path, engine, (COUNTY, PROVINCE))
        try:
            async with (
                Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE)) as province,
                Peer(broker.settings, COUNTY, broker.files_of(COUNTY)) as county,
            ):
                await until(lambda: bool(county.changes))
                assert not await county.transport.publish("province", "slow", TOPIC, b"down")
                for life in range(2):
                    broker.start()
                    await until(lambda: county.is_up() and province.is_up())
                    assert await county.transport.publish("province", "slow", TOPIC, b"up %d" % life)
                    await until(lambda life=life: b"up %d" % life in province.payloads())  # type: ignore[misc]
                    under_way = asyncio.create_task(
                        county.transport.publish("province", "slow", TOPIC, os.urandom(60_000))
                    )
                    await asyncio.sleep(0)
                    broker.stop()
                    assert await under_way in {True, False}
                    await until(lambda: not county.is_up())
                    state = county.transport.links()[0]
                    assert state.last_error
                    assert not await county.transport.publish("province", "slow", TOPIC, b"down")
        finally:
            broker.stop()

    asyncio.run(story())


def test_a_silent_broker_blocks_neither_the_others_nor_the_stop(tmp_path: Path) -> None:
    async def story() -> None:
        # The kernel completes connections to a listening socket; nobody ever answers on them.
        with (
            socket.create_server(("127.0.0.1", 0), backlog=200) as silent,
            running(tmp_path, "mosquitto", (COUNTY, PROVINCE)) as broker,
        ):
            port = silent.getsockname()[1]
            files = broker.files_of(COUNTY)
            dumb = [Peer(Broker(id=f"silent{number}", port=port), COUNTY, files) for number in range(20)]
            for peer in dumb:
                await peer.transport.start()
            async with Peer(broker.settings, COUNTY, files) as county:
                await until(county.is_up, within_s=2)
            await until(lambda: bool(dumb[0].changes))
            assert "no answer" in str(dumb[0].changes[0].error)
            started_s = time.monotonic()
            await asyncio.gather(*(peer.transport.stop() for peer in dumb))
            assert time.monotonic() - started_s < 2

    asyncio.run(story())


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 999, b"\x20\x02\x00\x05", b"\x20\x00"]
)
def test_nonsense_from_a_broker_is_an_error_text_and_no_crash(answer: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with Peer(Broker(id="odd", port=port, tls=False), COUNTY, None) as county:
            await until(lambda: bool(county.changes))
            assert not county.changes[0].up
            assert county.changes[0].error
        server.close()

    asyncio.run(story())


def test_g13_an_oversize_packet_ends_the_connection_before_it_is_read() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        length = bytearray()
        rest = 200 * 1024 * 1024
        while rest:
            rest, digit = divmod(rest, 128)
            length.append(digit | (0x80 if rest else 0))
        writer.write(b"\x20\x02\x00\x00" + b"\x30" + bytes(length) + bytes(100_000))
        await writer.drain()
        await reader.read()
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with Peer(Broker(id="odd", port=port, tls=False), COUNTY, None) as county:
            await until(lambda: bool(county.changes))
            assert "oversize" in str(county.changes[0].error)
        server.close()

    assert PACKET_BYTES_MAX < 200 * 1024 * 1024
    asyncio.run(story())


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_g13_a_slow_intake_holds_the_broker_back_and_loses_nothing(tmp_path: Path, engine: str) -> None:
    async def story() -> None:
        with running(tmp_path, engine, (COUNTY, PROVINCE)) as broker:
            bounds = QueueBounds(messages=4, bytes=100_000)
            async with (
                Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE), bounds=bounds) as province,
                Peer(broker.settings, COUNTY, broker.files_of(COUNTY)) as county,
            ):
                await until(lambda: county.is_up() and province.is_up())
                province.hold.clear()
                sent = [b"%d" % number + bytes(20_000) for number in range(200)]
                for payload in sent:
                    assert await county.transport.publish("province", "slow", TOPIC, payload)
                await asyncio.sleep(0.3)
                assert len(province.arrived) == 1
                live = province.transport._links["province", "slow"]._live
                assert len(live._queued) <= bounds.messages + 1  # type: ignore[union-attr]
                province.hold.set()
                await until(lambda: len(province.arrived) == len(sent))
                assert province.payloads() == sent

    asyncio.run(story())


def test_a_second_client_with_our_id_is_noticed_and_left_behind(tmp_path: Path) -> None:
    async def story() -> None:
        with running(tmp_path, "mosquitto", (COUNTY, PROVINCE)) as broker:
            files, filters = broker.files_of(COUNTY), {"fast": ("relay/1/presence/+/+",)}
            async with (
                Peer(broker.settings, COUNTY, files, secret="same", filters=filters) as first,
                Peer(broker.settings, COUNTY, files, secret="same", filters=filters) as second,
            ):
                await until(lambda: first.is_up() and second.is_up() and _ids_differ(first, second))
                changes = len(first.changes) + len(second.changes)
                await asyncio.sleep(0.5)
                assert len(first.changes) + len(second.changes) == changes, "peace"

    asyncio.run(story())


def test_stop_is_quick_while_the_broker_is_away(tmp_path: Path) -> None:
    async def story() -> None:
        peer = Peer(Broker(id="away", port=free_port(), tls=False), COUNTY, None)
        await peer.transport.start()
        await until(lambda: bool(peer.changes))
        started_s = time.monotonic()
        await peer.transport.stop()
        assert time.monotonic() - started_s < 1
        assert {link.state for link in peer.transport.links()} == {"stopped"}

    asyncio.run(story())


def _ids_differ(first: Peer, second: Peer) -> bool:
    return first.transport._links["province", "fast"].client_id != second.transport._links["province", "fast"].client_id


def test_g13_a_connection_that_ends_while_it_is_held_back_leaves_descriptors_alone(tmp_path: Path) -> None:
    """Its number may belong to another connection by then."""

    async def story() -> None:
        with running(tmp_path, "mosquitto", (COUNTY, PROVINCE)) as broker:
            bounds = QueueBounds(messages=2, bytes=100_000)
            async with (
                Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE), bounds=bounds) as province,
                Peer(broker.settings, COUNTY, broker.files_of(COUNTY)) as county,
            ):
                await until(lambda: county.is_up() and province.is_up())
                live = province.transport._links["province", "slow"]._live
                province.hold.clear()
                for number in range(20):
                    await county.transport.publish("province", "slow", TOPIC, b"%d" % number)
                await until(lambda: live._paused)  # type: ignore[union-attr]
                live.close("as if the broker had gone")  # type: ignore[union-attr]
                watched: list[int] = []
                add_reader = live._loop.add_reader  # type: ignore[union-attr]
                loop = live._loop  # type: ignore[union-attr]
                loop.add_reader = lambda number, *work: watched.append(number) or add_reader(number, *work)
                await live.next()  # type: ignore[union-attr]
                assert watched == []
                loop.add_reader = add_reader
                province.hold.set()
                await until(province.is_up)
                assert not [change.error for change in province.changes if "internal error" in str(change.error)]

    asyncio.run(story())
