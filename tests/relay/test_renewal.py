"""Prekeys of an office over weeks, restores and absences: renewed, published, numbered, forgotten (D7, G11, G12)."""

import asyncio
from typing import Any

from config.schema import Prekeys
from keys.prekeys import parse_prekey
from protocol.ids import message_id_text, uuid7
from relay.draft import Draft
from relay.store import prekeys, sent
from tests.sim.network import Network
from tests.sim.test_scenes import COUNTY, MESSAGE, NEIGHBOUR, REPORT, _state, play
from tests.sim.virtual import START_US

LATE = message_id_text(uuid7(START_US, bytes(9) + b"\1"))
PREKEYS = Prekeys(renew_s=70, valid_s=450, keep_s=450, look_s=1)
"""A second for a tenth of a day: virtual weeks would take minutes."""


def epochs(network: Network, office: str, of: str) -> int:
    """The highest epoch that an office holds of another."""
    record = network.offices[office].look(lambda txn: prekeys.record_of(txn, network.offices[of].seat.office))
    return parse_prekey(record).epoch


def events(story: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(event["type"], event.get("code")) for event in story["recipients"][0]["events"]]


async def hurry(network: Network, *offices: str) -> None:
    """Let prekeys of these offices live for minutes instead of weeks."""
    await asyncio.sleep(1)
    for name in offices:
        office = network.offices[name]
        await office.crash()
        office.prekeys = PREKEYS
        await office.start()
        await asyncio.sleep(1)
        assert await office.engine._renewal.renew() is not None
    await asyncio.sleep(1)


def test_g11_a_prekey_is_renewed_published_and_forgotten_when_nothing_sealed_to_it_lives() -> None:
    async def scene(network: Network) -> None:
        county = network.offices[COUNTY]
        await hurry(network, COUNTY)
        first = county.own_record
        await asyncio.sleep(66)
        assert county.own_record == first
        await asyncio.sleep(6)
        second = county.own_record
        assert (second.epoch, second.previous) == (first.epoch + 1, first.digest)
        await asyncio.sleep(5)
        # Also where it takes a relay between two brokers.
        assert epochs(network, NEIGHBOUR, COUNTY) == epochs(network, "320000-GO", COUNTY) == second.epoch
        await asyncio.sleep(900 - 80)
        assert first.prekey_id in county.ground.keyring.own
        await asyncio.sleep(10)
        assert first.prekey_id not in county.ground.keyring.own
        assert first.prekey_id not in {one for one, _, _ in county.look(lambda txn: list(prekeys.own(txn)))}
        assert county.own_record.epoch >= first.epoch + 12

    play(scene)


def test_g12_a_home_without_its_prekeys_numbers_on_above_what_its_neighbours_have_seen() -> None:
    """It comes with an older prekey, or none: neighbours refuse that, and show it what they hold."""

    async def scene(network: Network) -> tuple[int, str]:
        neighbour = network.offices[NEIGHBOUR]
        await asyncio.sleep(1)
        for _ in range(4):
            assert await neighbour.engine._renewal.renew() is not None
        await asyncio.sleep(5)
        assert epochs(network, COUNTY, NEIGHBOUR) == 5
        await neighbour.crash()
        # The broker forgets what was retained, so that only neighbours can tell.
        network.brokers["y"]._retained.clear()
        neighbour.lose_prekey()
        await network.offices[COUNTY].service.send([REPORT])
        await neighbour.start()
        await asyncio.sleep(120)
        return epochs(network, COUNTY, NEIGHBOUR), await _state(network)

    epoch, state = play(scene)
    assert epoch > 5
    assert state == "delivered"


def test_g11_what_waits_for_an_office_beyond_its_prekeys_end_is_sealed_again_to_the_next() -> None:
    async def scene(network: Network) -> tuple[list[Any], str, int]:
        county, neighbour = network.offices[COUNTY], network.offices[NEIGHBOUR]
        await hurry(network, NEIGHBOUR)
        await neighbour.crash()
        await county.service.send([REPORT])
        await asyncio.sleep(460)
        # Its prekey has ended: a message of now waits, and nothing weaker is used.
        await county.service.send([Draft(id=LATE, to=[NEIGHBOUR], title="late", body="text")])
        await asyncio.sleep(40)
        waiting = len(county.look(sent.awaiting))
        # It makes its next prekey before anybody can reach it: what was sealed to the last one cannot be quicker.
        for broker in network.brokers.values():
            broker.go_down()
        await neighbour.start()
        await asyncio.sleep(5)
        await county.engine._beacon.take_prekey(neighbour.own_record.data)
        for broker in network.brokers.values():
            broker.up = True
        await asyncio.sleep(60)
        story = await county.service.track(MESSAGE)
        states = {one["recipients"][0]["state"] for one in await county.service.sent_list(None, 10)}
        return events(story), " ".join(sorted(states)), waiting

    story, states, waiting = play(scene)
    assert waiting == 1
    assert states == "delivered"
    assert ("resealed", "PREKEY_ENDED") in story
    assert story[-1][0] == "delivered"


def test_g12_a_prekey_of_ours_that_is_replayed_changes_nothing() -> None:
    async def scene(network: Network) -> None:
        county = network.offices[COUNTY]
        await asyncio.sleep(1)
        old = county.own_record
        await county.engine._renewal.renew()
        newest = county.own_record
        for data in (old.data, newest.data):
            await county.engine._renewal.hear(data)
        assert county.own_record == newest
        assert county.look(prekeys.own_epoch) == 2

    play(scene)
