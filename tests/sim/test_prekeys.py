"""Scenes in which a prekey comes at the wrong moment (G1, G14, G16, D7)."""

import asyncio
from functools import partial

from keys.prekeys import PrekeyRecord, make_prekey
from keys.primitives import sha256
from protocol.ids import Address
from protocol.topics import PrekeyTopic, prekey_topic
from relay.ports import Arrived
from relay.store import sent
from tests.sim.network import DIRECTORY, SEATS, Network
from tests.sim.test_revocations import revoke
from tests.sim.test_scenes import COUNTY, MESSAGE, NEIGHBOUR, REPORT, play

RECIPIENT = SEATS[NEIGHBOUR].office


def following(network: Network, before: PrekeyRecord) -> PrekeyRecord:
    """The next prekey of the neighbour, whose private half nobody has."""
    return make_prekey(
        SEATS[NEIGHBOUR].key, network_id=DIRECTORY.network_id, office_id=RECIPIENT, suite=1,
        seed=sha256(bytes([before.epoch])), now_us=network.history.now_us, previous=before,
    )  # fmt: skip


def test_of_two_prekeys_that_come_at_once_the_later_one_is_sealed_to() -> None:
    async def scene(network: Network) -> tuple[int, int]:
        await asyncio.sleep(1)
        county = network.offices[COUNTY]
        second = following(network, county.ground.keyring.records[RECIPIENT])
        third = following(network, second)
        take = county.engine._beacon.take_prekey
        await asyncio.gather(take(third.data), take(second.data))
        kept = await county.store.read(partial(sent.awaiting))
        assert kept == []
        return county.ground.keyring.records[RECIPIENT].epoch, third.epoch

    found, wanted = play(scene)
    assert found == wanted == 3


def test_g16_what_waits_for_a_prekey_is_looked_at_again_while_the_sealer_has_work() -> None:
    async def scene(network: Network) -> str:
        county = network.offices[COUNTY]
        county.set_clock(-50)
        await asyncio.sleep(1)
        await county.service.send([REPORT])
        for _ in range(30):
            await asyncio.sleep(5)
            county.engine._sealer._awake.set()
        (recipient,) = (await county.service.track(MESSAGE))["recipients"]
        return str(recipient["state"])

    assert play(scene) == "delivered"


def test_g14_a_prekey_that_was_being_taken_in_when_its_signer_was_revoked_is_dropped_with_what_was_sealed_to_it() -> (
    None
):
    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        county, neighbour = network.offices[COUNTY], network.offices[NEIGHBOUR]
        record = county.ground.keyring.records[RECIPIENT]
        await neighbour.crash()
        await asyncio.sleep(1)
        await revoke(network, NEIGHBOUR, network.history.now_us, key=neighbour.seat.key.key_id())
        await asyncio.sleep(1)
        assert RECIPIENT not in county.ground.keyring.records
        # Verified by the directory before, and taken now; a report follows at once.
        county.ground.keyring.take(record)
        await county.service.send([REPORT])
        await asyncio.sleep(4)
        assert RECIPIENT not in county.ground.keyring.records
        (recipient,) = (await county.service.track(MESSAGE))["recipients"]
        assert [one["type"] for one in recipient["events"]][-1] == "awaiting_prekey"
        assert not county.look(lambda txn: txn.connection.execute("SELECT 1 FROM held WHERE own = 1").fetchall())

    play(scene)


def test_g16_a_prekey_is_acted_upon_when_the_connection_that_brought_it_ends_meanwhile() -> None:
    async def scene(network: Network) -> str:
        await asyncio.sleep(1)
        county = network.offices[COUNTY]
        record = following(network, county.ground.keyring.records[RECIPIENT])
        county.ground.keyring.drop(RECIPIENT)
        await county.service.send([REPORT])
        await asyncio.sleep(1)
        topic = PrekeyTopic(Address(NEIGHBOUR), Address(NEIGHBOUR))
        arrived = Arrived("y", prekey_topic(topic.publisher, topic.office), record.data, False)
        taking = county.call(county.engine._beacon.on_prekey(arrived, topic))
        for _ in range(1_000):
            await asyncio.sleep(0.001)
            if not county.look(sent.awaiting):
                break
        taking.cancel()
        await asyncio.sleep(40)
        assert taking.cancelled()
        (recipient,) = (await county.service.track(MESSAGE))["recipients"]
        return str([one["type"] for one in recipient["events"]])

    assert "custody" in play(scene)
