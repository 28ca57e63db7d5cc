"""Scenes with custodians that forget receipts: each comes in bounded time all the same (G16)."""

import asyncio
from typing import Any

from relay.store.inbox import UNHEARD_US
from tests.sim.network import SEATS, Network
from tests.sim.office import PATIENCE
from tests.sim.test_hostile_neighbours import CITY, PROVINCE, TO_PROVINCE
from tests.sim.test_scenes import COUNTY, MESSAGE, play

JOINTS = (CITY, "320901-GO")
CLERK = "王芳"


def swallowing(network: Network, address: str, origin: str) -> None:
    """Until it is started again a joint gives custody of what this office made, and forgets it."""
    office = network.offices[address]
    ground, made_by = office.ground, SEATS[origin].office
    hold = ground.outbox.hold

    def forget(parcel: Any, now_us: int) -> None:
        if parcel.origin != made_by:
            hold(parcel, now_us)
            return
        office.look(lambda txn: txn.connection.execute("DELETE FROM held WHERE digest = ?", (parcel.digest,)))
        swallowed.append((address, parcel.message_id))

    ground.outbox.hold = forget  # type: ignore[method-assign]


swallowed: list[tuple[str, bytes]] = []


async def _story(network: Network) -> dict[str, Any]:
    return (await network.offices[COUNTY].service.track(MESSAGE))["recipients"][0]  # type: ignore[no-any-return]


def _unheard(network: Network) -> int:
    query = "SELECT count(*) FROM receipts WHERE again_us IS NOT NULL"
    return int(network.offices[PROVINCE].look(lambda txn: txn.connection.execute(query).fetchone()[0]))


def test_g16_a_delivered_receipt_that_two_relays_forgot_is_repeated_when_the_origin_asks() -> None:
    """Both ways to the province swallow what it says, until they are started again; the copy itself comes through."""

    async def scene(network: Network) -> None:
        swallowed.clear()
        await asyncio.sleep(1)
        for address in JOINTS:
            swallowing(network, address, PROVINCE)
        await network.offices[COUNTY].service.send([TO_PROVINCE])
        await asyncio.sleep(4 * PATIENCE.routine)
        assert {address for address, _ in swallowed} == set(JOINTS)
        assert (await _story(network))["state"] == "custody"
        for address in JOINTS:
            await network.offices[address].crash()
            await network.offices[address].start()
        # Two attempts brought custody and no verdict: the next comes after four patiences.
        await asyncio.sleep(4 * PATIENCE.routine + 10)
        assert (await _story(network))["state"] == "delivered"

    play(scene)


def test_g16_what_a_clerk_said_goes_round_a_custodian_that_swallows_it() -> None:
    async def scene(network: Network) -> None:
        swallowed.clear()
        await asyncio.sleep(1)
        province = network.offices[PROVINCE]
        await network.offices[COUNTY].service.send([TO_PROVINCE])
        await asyncio.sleep(5)
        for address in JOINTS:
            swallowing(network, address, PROVINCE)
        await province.service.inbox_show(MESSAGE)
        await province.service.sign_for(MESSAGE, CLERK, None)
        await asyncio.sleep(5)
        assert (await _story(network))["state"] == "delivered"
        assert {address for address, _ in swallowed} == {CITY}
        await network.offices[CITY].crash()
        await asyncio.sleep(UNHEARD_US / 1e6)
        # The other joint has it now, and swallows it too.
        assert {address for address, _ in swallowed} == set(JOINTS)
        for address in JOINTS:
            await network.offices[address].crash()
            await network.offices[address].start()
        await asyncio.sleep(2 * UNHEARD_US / 1e6)
        story = await _story(network)
        assert story["state"] == "signed_for"
        assert [event["type"] for event in story["events"]].count("opened") == 1
        assert _unheard(network) == 0

    play(scene)


def test_g16_the_reader_says_again_that_it_has_a_receipt_and_records_it_once() -> None:
    """What is swallowed is the county's word that it has it."""

    async def scene(network: Network) -> None:
        swallowed.clear()
        await asyncio.sleep(1)
        await network.offices[COUNTY].service.send([TO_PROVINCE])
        await asyncio.sleep(5)
        for address in JOINTS:
            swallowing(network, address, COUNTY)
        await network.offices[PROVINCE].service.sign_for(MESSAGE, CLERK, None)
        await asyncio.sleep(5)
        story = await _story(network)
        assert (story["state"], len(swallowed), _unheard(network)) == ("signed_for", 1, 1)
        for address in JOINTS:
            await network.offices[address].crash()
            await network.offices[address].start()
        await asyncio.sleep(UNHEARD_US / 1e6)
        assert _unheard(network) == 0
        assert await _story(network) == story

    play(scene)
