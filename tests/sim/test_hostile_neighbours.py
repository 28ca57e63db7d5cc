"""Scenes with an enrolled office, or a broker, that says by the book what should hurt others (G10, G12, G13, G16)."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from keys.signing import FRAME, UnverifiedRecord, sign_record
from protocol import frame as wire
from protocol.fields import UINT_MAX
from protocol.frame import Frame, decode_frame_payload, encode_frame, encode_frame_payload, encode_items, items_digest
from protocol.ids import Address, Digest, Epoch, OfficeId, StartId
from protocol.lanes import GROUPS, Lane
from protocol.limits import SECOND_US
from protocol.moment import NO_EPOCH, Moment
from protocol.topics import FrameTopic, frame_topic, parse_topic, presence_topic
from relay.beacon import CALM_US, CHANGES_MAX
from relay.draft import Draft
from relay.store import held
from tests.sim.broker import Broker
from tests.sim.history import FRAME_MAX
from tests.sim.network import DIRECTORY, SEATS, Network
from tests.sim.test_scenes import COUNTY, MESSAGE, NEIGHBOUR, REPORT, play

CITY, PROVINCE = "320900-GO", "320000-GO"
TO_PROVINCE = Draft(id=MESSAGE, to=[PROVINCE], title="report", body="text")


def frame_of(sender: str, receiver: str, custody: Sequence[Digest], at_us: int) -> tuple[str, bytes]:
    """Topic and bytes of a frame that acknowledges, signed by its sender."""
    items = encode_items(())
    said = Frame(
        DIRECTORY.network_id, SEATS[sender].office, SEATS[receiver].office, Lane.ROUTINE,
        Moment(Epoch(bytes(8)), NO_EPOCH, StartId(bytes(8)), 1, 1), 1, at_us, items_digest(items), tuple(custody), (),
    )  # fmt: skip
    record = sign_record(SEATS[sender].key, FRAME, encode_frame_payload(said))
    return frame_topic(Address(receiver), Lane.ROUTINE, Address(sender)), encode_frame(record, items)


@pytest.mark.parametrize("at_us", [UINT_MAX + 1, 2**64 - 1])
def test_g10_g13_a_neighbour_with_a_time_that_no_store_can_hold_is_a_suspect_and_ends_nothing(at_us: int) -> None:
    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        await network.offices[NEIGHBOUR].crash()
        county = network.offices[COUNTY]
        await county.service.send([REPORT])
        await asyncio.sleep(1)
        digests = [
            one.parcel.digest for one in county.look(lambda txn: held.to_office(txn, SEATS[NEIGHBOUR].office, 9))
        ]
        assert digests
        topic, data = frame_of(NEIGHBOUR, COUNTY, digests, at_us)
        network.brokers["y"].inject(topic, data, retain=False)
        await asyncio.sleep(2)
        assert [one["code"] for one in await county.service.quarantine_list()] == ["MALFORMED"]
        await network.offices[NEIGHBOUR].start()
        await asyncio.sleep(60)
        (recipient,) = (await county.service.track(MESSAGE))["recipients"]
        assert recipient["state"] == "delivered"

    play(scene)


def keeping(broker: Broker, sender: str, receiver: str) -> list[tuple[str, bytes]]:
    """What the broker keeps from now on: frames in which one office gives custody to another."""
    kept: list[tuple[str, bytes]] = []
    watch: Callable[[str, str, bytes], None] = broker._watch

    def watched(name: str, topic: str, payload: bytes) -> None:
        parts = parse_topic(topic)
        if isinstance(parts, FrameTopic) and (parts.sender, parts.receiver) == (sender, receiver):
            record, _ = wire.split_frame(payload, max_bytes=FRAME_MAX)
            if decode_frame_payload(UnverifiedRecord(record, max_bytes=FRAME_MAX).payload).custody:
                kept.append((topic, payload))
        watch(name, topic, payload)

    broker._watch = watched
    return kept


def test_g12_g16_custody_that_a_broker_shows_again_and_again_keeps_no_copy_back() -> None:
    """The city took custody and cannot pass it on; the department could, if the county were let to ask it."""

    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        county, city, y = network.offices[COUNTY], network.offices[CITY], network.brokers["y"]
        for link in city.links.open.values():
            if link.broker is network.brokers["p"]:
                link.cut = True
                link.broken()
        kept = keeping(y, CITY, COUNTY)
        await county.service.send([TO_PROVINCE])
        for _ in range(60):
            await asyncio.sleep(1)
            for topic, payload in kept[:1]:
                y.inject(topic, payload, retain=False)
        assert kept
        (recipient,) = (await county.service.track(MESSAGE))["recipients"]
        assert recipient["state"] == "delivered"
        assert [one["by"] for one in recipient["events"] if one["type"] == "custody"] == [CITY, "320901-GO"]

    play(scene)


def test_g07_custody_of_an_office_that_was_never_asked_says_nothing() -> None:
    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        await network.offices[NEIGHBOUR].crash()
        county = network.offices[COUNTY]
        for broker in network.brokers.values():
            broker.malice.drop = 1.0
        await county.service.send([REPORT])
        await asyncio.sleep(1)
        digests = [
            one.parcel.digest for one in county.look(lambda txn: held.to_office(txn, SEATS[NEIGHBOUR].office, 9))
        ]
        assert digests
        for broker in network.brokers.values():
            broker.malice.drop = 0.0
        topic, data = frame_of(PROVINCE, COUNTY, digests, network.history.now_us)
        network.brokers["y"].inject(topic, data, retain=False)
        await asyncio.sleep(0.2)
        (recipient,) = (await county.service.track(MESSAGE))["recipients"]
        assert PROVINCE not in [one["by"] for one in recipient["events"]]

    play(scene)


def test_g13_a_neighbour_that_comes_and_goes_as_fast_as_it_can_is_not_followed_for_long() -> None:
    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        beacon, broker = network.offices[NEIGHBOUR].engine._beacon, network.brokers["y"]
        outbox, told = network.offices[COUNTY].ground.outbox, 0
        set_present = outbox.set_present

        def counted(office: OfficeId, present: bool, now_us: int) -> bool:
            nonlocal told
            changed = set_present(office, present, now_us)
            told += changed
            return changed

        outbox.set_present = counted  # type: ignore[method-assign]

        async def say(*, online: bool) -> None:
            beacon._sessions += 1
            for group in GROUPS:
                data = beacon._presence(group, beacon._sessions, online=online)
                broker.inject(presence_topic(Address(NEIGHBOUR), group), data, retain=True)
            await asyncio.sleep(0.05)

        for _ in range(100):
            await say(online=False)
            await say(online=True)
        assert CHANGES_MAX - 5 <= told <= CHANGES_MAX
        # How it was left is known a little later, although it says nothing more; what it says then is followed again.
        assert SEATS[NEIGHBOUR].office not in outbox._present
        await asyncio.sleep(CALM_US / SECOND_US)
        assert SEATS[NEIGHBOUR].office in outbox._present
        for online in (False, True, False):
            await say(online=online)
            assert (SEATS[NEIGHBOUR].office in outbox._present) is online

    play(scene)
