"""Scenes in which an office signs with another key from some moment on, and what it signs is older (G1, G4, G8, D7)."""

import asyncio
from dataclasses import replace
from functools import partial

from keys.primitives import SigningKey, sha256
from keys.roster.office_record import OfficeKey
from protocol.ids import Address
from protocol.limits import MAX_LIFE_US
from relay.store import inbox
from relay.store.database import Txn
from relay.store.inbox import SealedReceipt
from relay.store.tables import RECEIPTS
from tests.sim.network import SEATS, Network
from tests.sim.test_endings import draft, state_of
from tests.sim.test_scenes import COUNTY, MESSAGE, NEIGHBOUR, play


async def rotate(network: Network, address: str) -> None:
    """The office has a new key, which begins at this moment, and signs with it from now on."""
    await asyncio.sleep(1)
    key = SigningKey.from_seed(sha256(b"new key " + address.encode()))
    now_us = network.history.now_us
    for office in network.offices.values():
        old = office.directory.by_address(Address(address))
        assert old is not None
        new = replace(old, keys=(OfficeKey.of(key.public(), now_us, now_us + MAX_LIFE_US), *old.keys))
        offices = {**office.directory.offices, old.id: new}
        office._trust.directory = replace(office.directory, version=office.directory.version + 1, offices=offices)
        if office.running:
            office.ground.take_trust(office._trust.trust())
    ground = network.offices[address].ground
    ground.identity = replace(ground.identity, key=key)
    await asyncio.sleep(1)


def test_g01_what_was_accepted_before_a_rotation_and_is_sealed_after_it_is_delivered() -> None:
    async def scene(network: Network) -> str:
        await asyncio.sleep(1)
        county, neighbour = network.offices[COUNTY], SEATS[NEIGHBOUR].office
        record = county.ground.keyring.records[neighbour]
        county.ground.keyring.drop(neighbour)
        await county.service.send([draft(lives="2h")])
        await rotate(network, COUNTY)
        county.ground.keyring.take(record)
        await county.engine._sealer.prekey_came(neighbour)
        await asyncio.sleep(30)
        return await state_of(network)

    assert play(scene) == "delivered"


def test_g04_g08_a_tombstone_that_is_sent_again_after_a_rotation_is_answered() -> None:
    async def scene(network: Network) -> list[str]:
        await asyncio.sleep(1)
        await network.offices[NEIGHBOUR].crash()
        await network.offices[COUNTY].service.send([draft(lives="30s")])
        await asyncio.sleep(40)
        # What was said before is lost on the way; only what is said again arrives.
        for broker in network.brokers.values():
            broker.wipe()
        for office in network.offices.values():
            if office.running:
                office.look(lambda txn: txn.connection.execute("DELETE FROM held"))
                await office.crash()
                await office.start()
        await rotate(network, COUNTY)
        await asyncio.sleep(60)
        await network.offices[NEIGHBOUR].start()
        await asyncio.sleep(300)
        (recipient,) = (await network.offices[COUNTY].service.track(MESSAGE))["recipients"]
        assert recipient["state"] == "unconfirmed"
        return [one["code"] for one in recipient["events"] if one["type"] == "correction"]

    assert play(scene) == ["expired"]


def _opened(txn: Txn, sender: bytes) -> SealedReceipt:
    (row,) = RECEIPTS.select(txn, "type = 'opened'")
    message_id = row["message_id"]
    assert isinstance(message_id, bytes)
    left = inbox.receipt(txn, sender, message_id, "opened")
    plain = inbox.plain_receipt(txn, sender, message_id, "opened")
    assert left is not None
    assert plain is not None
    at_us = row["at_us"]
    assert isinstance(at_us, int)
    return SealedReceipt(SEATS[COUNTY].office, message_id, "opened", at_us, left, plain)


def test_a_receipt_that_is_sealed_again_after_a_rotation_is_the_one_that_was_signed_before() -> None:
    async def scene(network: Network) -> str:
        await asyncio.sleep(1)
        county, neighbour = network.offices[COUNTY], network.offices[NEIGHBOUR]
        await county.service.send([draft(lives="2h")])
        await asyncio.sleep(10)
        await county.crash()
        await neighbour.service.inbox_show(MESSAGE)
        opened = neighbour.look(partial(_opened, sender=SEATS[COUNTY].office))
        await rotate(network, NEIGHBOUR)
        county.lose_prekey()
        await county.start()
        await asyncio.sleep(60)
        again = neighbour.look(partial(_opened, sender=SEATS[COUNTY].office))
        assert again.left != opened.left
        assert again.plain == opened.plain
        return await state_of(network)

    assert play(scene) == "opened"
