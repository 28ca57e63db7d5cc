"""Junk from a network where anybody may publish anything: counted, kept in a bounded ring, and harmless (G10, G12)."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from config.schema import Broker
from protocol.cbor import dumps
from protocol.ids import Address
from relay.ports import Arrived
from tests.live.network import CITY, COUNTY, QUICK, BrokerPlan, Network, OfficePlan, network, plan_text, until
from tests.live.running import Peer
from tests.live.running import until as until_async

pytestmark = pytest.mark.live

ROWS = 300
SETTINGS = QUICK + f"[settings.limits]\nquarantine_rows = {ROWS}\nquarantine_bytes = 1048576\n"
TO_CITY = f"relay/1/{CITY}/routine/{COUNTY}"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Network]:
    plan = plan_text(
        (BrokerPlan("open", tls=False),),
        (OfficePlan(CITY, "city", ("open",)), OfficePlan(COUNTY, "county", ("open",), CITY, "liaison")),
        SETTINGS,
    )
    with network(tmp_path, plan) as found:
        found.up()
        yield found


@asynccontextmanager
async def stranger(lab: Network, *, hears: str = "nothing") -> AsyncIterator[Peer]:
    """Somebody without any key who may publish everything and hears all that goes to an address."""
    port = next(line for line in (lab.folder / "plan.toml").read_text().splitlines() if line.startswith("port"))
    broker = Broker(id="open", port=int(port.split("=")[1]), tls=False)
    filters = {"fast": ("none",), "slow": (hears,)}
    async with Peer(broker, Address("999999-X"), None, filters=filters, secret="stranger") as peer:
        await until_async(peer.is_up)
        yield peer


async def publish(peer: Peer, topic: str, payload: bytes, *, retain: bool = False) -> None:
    assert await peer.transport.publish("open", "slow", topic, payload, retain=retain)


def deliver_one(lab: Network, title: str) -> str:
    message = lab.send(COUNTY, CITY, title, "正文" * 300)
    lab.wait_delivered(COUNTY, message)
    return message


async def overhear(lab: Network, peer: Peer) -> list[Arrived]:
    """Real frames from the county to the city, with something in them."""
    for number in range(3):
        await asyncio.to_thread(deliver_one, lab, f"听到{number}")
    return [arrived for arrived in peer.arrived if arrived.topic == TO_CITY and len(arrived.payload) > 1_500]


def shapes(random_: random.Random) -> list[bytes]:
    """What is no frame at all."""
    return [
        b"",
        b"\x00",
        b"\xff" * 100,
        bytes(1_048_576),
        random_.randbytes(1_200_000),
        b"\x81" * 60_000,
        b"\x9f" * 60_000,
        b"\xa1\x00" * 30_000,
        b"\xc2" * 60_000 + b"\x40",
        b"\x9b" + b"\xff" * 8,
        b"\x5b" + b"\x7f" * 8 + b"x",
        b"\xd8\x18" * 20_000,
        dumps([b"", b""]),
        dumps([1, 2, 3]),
        dumps({0: 1}),
        dumps([dumps([b"", {}, b"", b""]), dumps([])]),
        b'{"json": true}',
        "不是帧".encode(),
    ]


def test_g10_junk_is_counted_kept_in_a_bounded_ring_and_stops_nothing(lab: Network) -> None:
    random_ = random.Random(8)

    async def story() -> None:
        async with stranger(lab) as peer:
            for payload in shapes(random_):
                for topic in (TO_CITY, f"relay/1/presence/{COUNTY}/slow", f"relay/1/prekey/{COUNTY}/{COUNTY}"):
                    await publish(peer, topic, payload)
            for topic in (
                f"relay/1/{CITY}/routine/nobody",
                f"relay/1/{CITY}/flash/{CITY}",
                f"relay/1/{CITY}/bulk/999999-GO",
                f"relay/1/presence/{COUNTY}/sideways",
                "relay/1/presence/x/y",
                f"relay/1/prekey/{COUNTY}/999999-GO",
            ):
                await publish(peer, topic, b"junk")
            for _ in range(2_000):
                await publish(peer, TO_CITY, random_.randbytes(random_.randrange(1, 3_000)))

    asyncio.run(story())
    until(lambda: lab.counters(CITY)["quarantined"] >= 2_000 + len(shapes(random_)))
    rows = lab.relay(CITY, "quarantine", "list").many()
    assert 0 < len(rows) <= ROWS
    assert all(row["code"] and row["bytes"] >= 0 for row in rows)
    shown = lab.relay(CITY, "quarantine", "show", rows[0]["key"]).one()
    assert len(bytes.fromhex(shown["sample"])) <= 4_096
    status = lab.status(CITY)
    assert status["rss_bytes"] < 200 * 2**20
    assert status["counters"]["received"] == 0
    for office in (CITY, COUNTY):
        assert lab.offices[office].running
        assert "Traceback" not in lab.log(office)
    deliver_one(lab, "照常")


def test_g10_g12_bent_moved_and_replayed_frames_change_nothing(lab: Network) -> None:
    random_ = random.Random(9)

    async def story() -> None:
        async with stranger(lab, hears=f"relay/1/{CITY}/+/+") as peer:
            frames = await overhear(lab, peer)
            assert frames
            before = lab.counters(CITY)
            for frame in frames:
                await publish(peer, frame.topic, frame.payload)
            await until_async(lambda: lab.counters(CITY)["duplicates"] >= before["duplicates"] + len(frames))
            after = lab.counters(CITY)
            assert (after["received"], after["quarantined"]) == (before["received"], before["quarantined"])
            bent = 0
            data = frames[0].payload
            for end in (1, 10, len(data) // 2, len(data) - 1):
                await publish(peer, TO_CITY, data[:end])
                bent += 1
            for payload, topic in (
                (data + b"\x00", TO_CITY),
                (data, f"relay/1/{CITY}/priority/{COUNTY}"),
                (data, f"relay/1/{CITY}/routine/{CITY}"),
            ):
                await publish(peer, topic, payload)
                bent += 1
            for _ in range(300):
                mutant = bytearray(data)
                mutant[random_.randrange(len(mutant))] ^= 1 << random_.randrange(8)
                await publish(peer, TO_CITY, bytes(mutant))
                bent += 1
            # The county's own frame, sent back to the county.
            await publish(peer, f"relay/1/{COUNTY}/routine/{CITY}", data)
            await until_async(lambda: lab.counters(CITY)["quarantined"] >= after["quarantined"] + bent)
            await until_async(lambda: lab.counters(COUNTY)["quarantined"] >= 1)
            await publish(peer, TO_CITY, data, retain=True)

    asyncio.run(story())
    received = lab.counters(CITY)["received"]
    assert received == len(lab.inbox(CITY)) == 3
    quarantined = lab.counters(CITY)["quarantined"]
    lab.kill(CITY)
    lab.start(CITY)
    until(lambda: lab.counters(CITY)["quarantined"] > quarantined)
    assert "RETAINED" in {row["code"] for row in lab.relay(CITY, "quarantine", "list").many()}
    deliver_one(lab, "照常")
    assert lab.counters(CITY)["received"] == received + 1


def test_g12_old_presence_and_prekeys_replayed_do_not_mislead(lab: Network) -> None:
    async def story() -> None:
        async with stranger(lab, hears="relay/1/+/+/+") as peer:
            await until_async(lambda: any("/prekey/" in one.topic for one in peer.arrived))
            lab.stop(COUNTY)
            await until_async(lambda: sum(f"presence/{COUNTY}" in one.topic for one in peer.arrived) >= 3)
            lab.start(COUNTY)
            lab.wait_connected(COUNTY)
            old = [one for one in peer.arrived if "/presence/" in one.topic or "/prekey/" in one.topic]
            for one in old:
                await publish(peer, one.topic, one.payload, retain=True)
                await publish(peer, one.topic, b"", retain=True)

    asyncio.run(story())
    deliver_one(lab, "照常")
    until(lambda: lab.status(CITY)["links"][0]["peers"] == [COUNTY])
    message = lab.send(CITY, COUNTY, "下行")
    lab.wait_delivered(CITY, message)


def test_g13_junk_trust_and_invented_publishers_cost_little(lab: Network) -> None:
    random_ = random.Random(10)
    before = lab.status(CITY)["rss_bytes"]

    async def story() -> None:
        async with stranger(lab) as peer:
            for number in range(150):
                publisher = f"{100_000 + number}-GO"
                await publish(peer, f"relay/1/trust/{publisher}/2_root_json", random_.randbytes(1_000_000))
                # Timestamps are all that is heard without being asked for.
                await publish(peer, f"relay/1/trust/{publisher}/timestamp_json", random_.randbytes(2_000))
            for name in ("timestamp_json", "2_root_json", "3_root_json", "targets_json", "1_snapshot_json"):
                await publish(peer, f"relay/1/trust/{COUNTY}/{name}", random_.randbytes(5_000))
                await publish(peer, f"relay/1/trust/{COUNTY}/{name}", b"{}")

    asyncio.run(story())
    deliver_one(lab, "照常")
    assert lab.status(CITY)["rss_bytes"] < before + 40 * 2**20
    assert lab.status(CITY)["trust"]["state"] == "ok"
    assert lab.counters(CITY)["quarantined"] > 0
    assert "Traceback" not in lab.log(CITY)
