"""What brokers let through, on real brokers: every office only as itself, and nobody else at all (D8, D9)."""

import asyncio
import re
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from keys.tls import new_authority
from protocol.ids import Address
from protocol.lanes import Lane
from protocol.topics import TIMESTAMPS, frame_topic, prekey_topic, presence_topic, trust_topic
from relay.mqtt import PACKET_BYTES_MAX, Will
from relay.mqtt_socket import TlsFiles, tls_context
from tests.certificates import office_credential
from tests.live.intruder import Intruder
from tests.live.running import ENGINES, Peer, RunningBroker, running, until

pytestmark = pytest.mark.live

COUNTY, PROVINCE, OTHER = Address("320924-GO"), Address("320000-GO"), Address("320900-GO")
OFFICES = (COUNTY, PROVINCE, OTHER)
EVERYTHING = {"slow": ("relay/1/+/+/+",)}
TRICKS = {"slow": ("relay/1/320000-GO/+/+", "relay/1/320000-GO/#", "#", "+/+/+/+/+", "$MQTT/sub/+", "$MQTT/+/+")}


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_office_publishes_and_reads_what_is_its_own(tmp_path: Path, engine: str) -> None:
    async def story() -> None:
        with running(tmp_path, engine, OFFICES) as broker:
            async with (
                Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE)) as province,
                Peer(broker.settings, COUNTY, broker.files_of(COUNTY)) as county,
            ):
                await until(lambda: province.is_up() and county.is_up())
                for lane in Lane:
                    topic = frame_topic(PROVINCE, lane, COUNTY)
                    assert await county.transport.publish("province", lane.group, topic, lane.label.encode())
                large = bytes(200_000)
                roster = trust_topic(COUNTY, "roster.cbor")
                assert await province.transport.subscribe("province", "slow", [roster])
                assert await county.transport.publish("province", "slow", roster, large)
                await until(lambda: len(province.arrived) == 6)
                assert set(province.payloads()) == {lane.label.encode() for lane in Lane} | {large}

    asyncio.run(story())


def test_retained_records_reach_an_office_that_comes_later(tmp_path: Path, engine: str) -> None:
    async def story() -> None:
        with running(tmp_path, engine, OFFICES) as broker:
            async with Peer(broker.settings, COUNTY, broker.files_of(COUNTY)) as county:
                await until(county.is_up)
                for topic in (
                    presence_topic(COUNTY, "fast"),
                    prekey_topic(COUNTY, PROVINCE),
                    trust_topic(COUNTY, "timestamp.json"),
                ):
                    assert await county.transport.publish("province", "slow", topic, topic.encode(), retain=True)
            async with Peer(broker.settings, OTHER, broker.files_of(OTHER)) as other:
                await until(lambda: len(other.arrived) == 3)
                assert all(arrived.retained and arrived.topic.encode() == arrived.payload for arrived in other.arrived)

    asyncio.run(story())


def test_trust_files_come_when_they_are_asked_for_and_no_longer(tmp_path: Path, engine: str) -> None:
    """Only timestamps are heard for good (relay/spreading.py); the rest of one publisher, retained, on demand."""
    wanted = [trust_topic(COUNTY, name) for name in ("snapshot.json", "roster.cbor")]

    async def story() -> None:
        with running(tmp_path, engine, OFFICES) as broker:
            async with (
                Peer(broker.settings, COUNTY, broker.files_of(COUNTY)) as county,
                Peer(broker.settings, OTHER, broker.files_of(OTHER)) as other,
            ):
                await until(lambda: county.is_up() and other.is_up())

                async def retain(topic: str, payload: bytes) -> None:
                    assert await county.transport.publish("province", "slow", topic, payload, retain=True)

                for topic in (*wanted, trust_topic(COUNTY, "timestamp.json")):
                    await retain(topic, b"1")
                await until(lambda: len(other.arrived) == 1)
                for _ in range(2):
                    assert await other.transport.subscribe("province", "slow", wanted)
                    await until(lambda: {one.topic for one in other.arrived if one.retained} >= set(wanted))
                    assert await other.transport.unsubscribe("province", "slow", wanted)
                    other.arrived.clear()
                for topic in (*wanted, trust_topic(COUNTY, "timestamp.json")):
                    await retain(topic, b"2")
                await until(lambda: len(other.arrived) == 1)
                await asyncio.sleep(0.2)
                assert [one.topic for one in other.arrived] == [trust_topic(COUNTY, "timestamp.json")]
                assert not await other.transport.subscribe("nowhere", "slow", wanted)
                # Asking again for what is heard already brings what is retained once more.
                assert await other.transport.subscribe("province", "slow", [TIMESTAMPS])
                await until(lambda: len(other.arrived) == 2)

    asyncio.run(story())


def test_an_absent_office_gets_its_frames_when_it_returns(tmp_path: Path, engine: str) -> None:
    async def story() -> None:
        with running(tmp_path, engine, OFFICES) as broker:
            async with Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE)) as province:
                await until(province.is_up)
            async with Peer(broker.settings, COUNTY, broker.files_of(COUNTY)) as county:
                await until(county.is_up)
                topic = frame_topic(PROVINCE, Lane.FLASH, COUNTY)
                for number in range(50):
                    assert await county.transport.publish("province", "fast", topic, b"%d" % number)
            async with Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE)) as province:
                await until(lambda: len(province.arrived) == 50)
                assert province.payloads() == [b"%d" % number for number in range(50)]

    asyncio.run(story())


def test_a_publish_in_another_office_s_name_reaches_nobody(tmp_path: Path, engine: str) -> None:
    forged = (
        frame_topic(PROVINCE, Lane.FLASH, OTHER),
        presence_topic(OTHER, "fast"),
        prekey_topic(OTHER, COUNTY),
        prekey_topic(OTHER, OTHER),
        trust_topic(OTHER, "timestamp.json"),
        "relay/1/trust/320900-GO/320924-GO",
        "relay/1/presence/320900-GO/320924-GO",
    )

    async def story() -> None:
        with running(tmp_path, engine, OFFICES) as broker:
            async with (
                Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE)) as province,
                Peer(broker.settings, COUNTY, broker.files_of(COUNTY)) as county,
            ):
                await until(lambda: province.is_up() and county.is_up())
                for topic in forged:
                    for retain in (False, True):
                        await county.transport.publish("province", "slow", topic, b"forged", retain=retain)
                last = frame_topic(PROVINCE, Lane.ROUTINE, COUNTY)
                assert await county.transport.publish("province", "slow", last, b"last")
                await until(lambda: b"last" in province.payloads())
                assert province.payloads() == [b"last"]

    asyncio.run(story())


@pytest.mark.parametrize("spare", [False, True])
def test_nobody_reads_frames_for_another_office(tmp_path: Path, engine: str, *, spare: bool) -> None:
    async def story() -> None:
        with running(tmp_path, engine, OFFICES) as broker:
            spare_files = TlsFiles(broker.folder / "ca.pem", broker.folder / "spare.pem", broker.folder / "spare.key")
            files = spare_files if spare else broker.files_of(OTHER)
            async with (
                Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE)) as province,
                Peer(broker.settings, COUNTY, broker.files_of(COUNTY)) as county,
                Peer(broker.settings, OTHER, files, filters=TRICKS) as spy,
            ):
                await until(lambda: province.is_up() and county.is_up())
                await until(lambda: spy.is_up() or bool(spy.changes))
                topic = frame_topic(PROVINCE, Lane.ROUTINE, COUNTY)
                for _ in range(5):
                    assert await county.transport.publish("province", "slow", topic, b"secret")
                    await asyncio.sleep(0.1)
                await until(lambda: len(province.arrived) == 5)
                assert b"secret" not in spy.payloads()

    asyncio.run(story())


def test_the_spare_certificate_can_publish_nothing(tmp_path: Path, engine: str) -> None:
    async def story() -> None:
        with running(tmp_path, engine, OFFICES) as broker:
            files = TlsFiles(broker.folder / "ca.pem", broker.folder / "spare.pem", broker.folder / "spare.key")
            async with (
                Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE)) as province,
                Peer(broker.settings, COUNTY, broker.files_of(COUNTY)) as county,
                Peer(broker.settings, COUNTY, files, filters=EVERYTHING, secret="spare") as spare,
            ):
                await until(lambda: province.is_up() and county.is_up())
                await until(lambda: spare.is_up() or bool(spare.changes))
                topic = frame_topic(PROVINCE, Lane.ROUTINE, COUNTY)
                await spare.transport.publish("province", "slow", topic, b"forged")
                await spare.transport.publish("province", "slow", "relay/1/320000-GO/flash/spare", b"forged")
                assert await county.transport.publish("province", "slow", topic, b"true")
                await until(lambda: b"true" in province.payloads())
                assert province.payloads() == [b"true"]
                assert spare.payloads() == []

    asyncio.run(story())


def test_only_the_network_s_own_authority_is_believed(tmp_path: Path, engine: str) -> None:
    stranger = new_authority("stranger", days=2)
    issued = office_credential(stranger, COUNTY, days=2)
    for name, text in (
        ("stranger-ca.pem", stranger.credential.certificate),
        ("stranger.pem", issued.certificate),
        ("stranger.key", issued.key),
    ):
        (tmp_path / name).write_bytes(text)

    async def story() -> None:
        with running(tmp_path, engine, OFFICES) as broker:
            good = broker.files_of(COUNTY)
            deceived = TlsFiles(tmp_path / "stranger-ca.pem", good.certificate, good.key)
            intruding = TlsFiles(good.ca, tmp_path / "stranger.pem", tmp_path / "stranger.key")
            async with (
                Peer(broker.settings, COUNTY, deceived, secret="deceived") as victim,
                Peer(broker.settings, COUNTY, intruding, secret="intruding") as intruder,
            ):
                await until(lambda: len(victim.changes) >= 2 and len(intruder.changes) >= 2)
                assert not any(change.up for change in victim.changes + intruder.changes)
                assert "certificate is not valid" in str(victim.changes[0].error)

    asyncio.run(story())


def test_a_broker_without_tls_lets_anyone_in(tmp_path: Path, engine: str) -> None:
    async def story() -> None:
        with running(tmp_path, engine, OFFICES, tls=False) as broker:
            async with (
                Peer(broker.settings, PROVINCE, None) as province,
                Peer(broker.settings, COUNTY, None) as county,
            ):
                await until(lambda: province.is_up() and county.is_up())
                topic = frame_topic(PROVINCE, Lane.FLASH, COUNTY)
                assert await county.transport.publish("province", "fast", topic, b"open")
                await until(lambda: province.payloads() == [b"open"])

    asyncio.run(story())


def test_a_will_is_published_when_an_office_vanishes_and_not_when_it_leaves(tmp_path: Path, engine: str) -> None:
    async def story() -> None:
        with running(tmp_path, engine, OFFICES) as broker:
            will = Will(presence_topic(COUNTY, "slow"), b"gone")
            async with Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE)) as province:
                await until(province.is_up)
                filters = {"slow": ("relay/1/presence/+/+",)}
                async with Peer(broker.settings, COUNTY, broker.files_of(COUNTY), will=will, filters=filters) as county:
                    await until(county.is_up)
                await asyncio.sleep(0.2)
                assert province.arrived == []
                county = Peer(broker.settings, COUNTY, broker.files_of(COUNTY), will=will, filters=filters)
                async with county:
                    await until(county.is_up)
                    live = county.transport._links["province", "slow"]._live
                    live._sock._sock.close()  # type: ignore[union-attr]
                    await until(lambda: b"gone" in province.payloads())

    asyncio.run(story())


def test_g13_a_packet_that_no_connection_can_take_does_not_come_again_for_ever(tmp_path: Path) -> None:
    """A broker without our limit of size keeps it in the session and sends it first, whenever the office returns."""

    async def story() -> None:
        broker = RunningBroker(tmp_path, "mosquitto", OFFICES)
        configuration = broker.folder / "mosquitto.conf"
        lines = configuration.read_text().splitlines(keepends=True)
        configuration.write_text("".join(line for line in lines if not line.startswith("max_packet_size")))
        broker.start()
        try:
            async with Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE)) as province:
                await until(province.is_up)
                thief = await Intruder.open(broker.port, broker.files_of(OTHER), "thief")
                await thief.publish(frame_topic(PROVINCE, Lane.BULK, OTHER), bytes(PACKET_BYTES_MAX + 1))
                await until(lambda: any("oversize" in str(change.error) for change in province.changes))
                await until(province.is_up)
                await thief.publish(frame_topic(PROVINCE, Lane.BULK, OTHER), b"small")
                await until(lambda: b"small" in province.payloads())
                await thief.close()
        finally:
            broker.stop()

    asyncio.run(story())


@pytest.mark.parametrize("greeting", ["CONNECT {}", 'CONNECT {"user":"320924-go.office","pass":""}'])
@pytest.mark.parametrize("with_tls", [True, False])
def test_the_own_listener_of_nats_lets_no_office_in(tmp_path: Path, greeting: str, *, with_tls: bool) -> None:
    """There one could subscribe to what is delivered to others."""
    with running(tmp_path, "nats", OFFICES) as broker:
        found = re.search(r"client connections on 127\.0\.0\.1:(\d+)", broker.log())
        assert found is not None
        files = broker.files_of(COUNTY)
        with ExitStack() as stack:
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", int(found.group(1))), 5))
            assert b'"tls_required":true' in sock.recv(65536)
            if with_tls:
                sock = stack.enter_context(tls_context(files).wrap_socket(sock, server_hostname="127.0.0.1"))
            sock.sendall(f"{greeting}\r\nSUB $MQTT.sub.> 1\r\nPING\r\n".encode())
            answer = b""
            with suppress(OSError):
                while chunk := sock.recv(65536):
                    answer += chunk
            assert b"PONG" not in answer
            assert not with_tls or b"-ERR" in answer
