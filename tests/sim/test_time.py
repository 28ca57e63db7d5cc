"""Scenes on the simulated network in which clocks are set (G9, D12)."""

import asyncio
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from keys.trust.store import UpdateResult
from protocol.errors import Refused
from protocol.ids import Address, message_id_text, uuid7
from protocol.limits import SECOND_US
from relay.draft import Draft
from relay.offers import Source
from tests.sim.network import Network
from tests.sim.test_scenes import COUNTY, MESSAGE, NEIGHBOUR, play
from tests.sim.virtual import START_US

CITY = "320900-GO"
HOUR_S = 3_600
DAY_S = 86_400


def draft(number: int, to: str, lives: str = "72h", within: str | None = None) -> Draft:
    """A report with an id of its own."""
    message_id = MESSAGE if number == 0 else message_id_text(uuid7(START_US, number.to_bytes(10)))
    return Draft(id=message_id, to=[to], title="report", body="text", expires_in=lives, deliver_within=within)


async def alarms_of(network: Network, address: str) -> dict[str, str]:
    """The alarms that sound at an office."""
    status = await network.offices[address].service.status()
    return {alarm["code"]: alarm["detail"] for alarm in status["alarms"]}


async def story(network: Network, message_id: str = MESSAGE) -> tuple[str, list[str]]:
    """State and events of a message of the county to its only recipient."""
    (recipient,) = (await network.offices[COUNTY].service.track(message_id))["recipients"]
    return recipient["state"], [event["type"] for event in recipient["events"]]


async def uncertain(network: Network) -> list[bool]:
    """Whether the deadlines of the county's messages are marked uncertain: in their stories, and among the overdue."""
    service = network.offices[COUNTY].service
    told = (await service.track(MESSAGE))["recipients"]
    return [any("deadline_uncertain" in one for one in where) for where in (told, await service.overdue())]


def jump(network: Network, address: str, by_s: int) -> None:
    """Set the clock of an office."""
    network.offices[address].clock.skew_us += by_s * SECOND_US


def test_g09_a_clock_that_jumps_three_days_ahead_expires_nothing() -> None:
    async def scene(network: Network) -> None:
        await network.offices[NEIGHBOUR].crash()
        await asyncio.sleep(1)
        await network.offices[COUNTY].service.send([draft(0, NEIGHBOUR, "1h"), draft(1, CITY, "1h")])
        for address in (COUNTY, CITY):
            jump(network, address, 3 * DAY_S)
        await asyncio.sleep(600)
        assert (await story(network))[0] in ("accepted", "custody")
        assert "3d 0h ahead" in (await alarms_of(network, COUNTY))["CLOCK_JUMP"]
        await network.offices[NEIGHBOUR].start()
        await asyncio.sleep(60)
        assert (await story(network))[0] == "delivered"
        # The others keep to the true time, and say so; that confirms nothing.
        assert "neighbours agree with the believed time" in (await alarms_of(network, COUNTY))["CLOCK_JUMP"]
        for address in (COUNTY, CITY):
            jump(network, address, -3 * DAY_S)
        await asyncio.sleep(2)
        assert await alarms_of(network, COUNTY) == {}

    play(scene)


def test_g09_a_clock_that_jumps_back_sends_and_expires_as_if_it_had_not() -> None:
    async def scene(network: Network) -> None:
        await network.offices[NEIGHBOUR].crash()
        await asyncio.sleep(1)
        jump(network, COUNTY, -2 * HOUR_S)
        await network.offices[COUNTY].service.send([draft(0, NEIGHBOUR, "10m"), draft(1, CITY, "10m")])
        await asyncio.sleep(30)
        assert (await story(network, draft(1, CITY).id))[0] == "delivered"
        await asyncio.sleep(600 + 150)
        assert (await story(network))[0] in ("expired", "unconfirmed")
        assert "2h 0m behind" in (await alarms_of(network, COUNTY))["CLOCK_JUMP"]

    play(scene)


def test_g09_a_jump_between_two_processes_is_noticed() -> None:
    async def scene(network: Network) -> None:
        county = network.offices[COUNTY]
        await network.offices[NEIGHBOUR].crash()
        await county.service.send([draft(0, NEIGHBOUR)])
        await asyncio.sleep(5)
        await county.crash()
        await asyncio.sleep(60)
        jump(network, COUNTY, 30 * DAY_S)
        await county.start()
        await asyncio.sleep(300)
        assert (await story(network))[0] in ("accepted", "custody")
        assert "30d 0h ahead" in (await alarms_of(network, COUNTY))["CLOCK_JUMP"]

    play(scene)


def test_g09_neighbours_confirm_a_clock_that_was_set_right() -> None:
    async def scene(network: Network) -> None:
        county = network.offices[COUNTY]
        # Longer than the clock is off, since prekeys are valid from the beginning only.
        await asyncio.sleep(600)
        await county.crash()
        county.look(lambda txn: txn.connection.execute("DELETE FROM meta WHERE name = 'clock'"))
        jump(network, COUNTY, -400)
        await county.start()
        await asyncio.sleep(1)
        # Neighbours greet a start with a frame, so it may know already.
        assert (await alarms_of(network, COUNTY)).keys() <= {"CLOCK_SKEW"}
        away = network.offices["320000-GO"]
        await away.crash()
        late = draft(2, away.seat.address, within="1s")
        await county.service.send([draft(0, NEIGHBOUR, within="1s"), draft(1, CITY), late])
        await asyncio.sleep(10)
        assert await uncertain(network) == [True, True]
        skew = (await alarms_of(network, COUNTY))["CLOCK_SKEW"]
        assert NEIGHBOUR in skew
        assert CITY in skew
        assert "6m 40s ahead" in skew
        jump(network, COUNTY, 400)
        await asyncio.sleep(2)
        assert await alarms_of(network, COUNTY) == {}
        assert await uncertain(network) == [False, False]
        assert county.clock.now_us() == START_US + network.time.us

    play(scene)


def test_g09_a_newer_directory_confirms_a_jump_ahead_that_it_explains() -> None:
    async def scene(network: Network) -> None:
        county = network.offices[COUNTY]
        await asyncio.sleep(1)
        jump(network, COUNTY, 3 * DAY_S)
        await asyncio.sleep(2)
        assert "CLOCK_JUMP" in await alarms_of(network, COUNTY)
        signed_us = START_US + network.time.us + (3 * DAY_S - 60) * SECOND_US
        newer = replace(county.ground.trust, clock_floor_us=signed_us)
        with patch.object(county._trust, "take", lambda files, now_us: UpdateResult(True, newer)):
            assert county._engine is not None
            await county._engine._spreading.consider(Source("", Address(CITY)), {})
        await asyncio.sleep(2)
        assert "CLOCK_JUMP" not in await alarms_of(network, COUNTY)
        assert county.clock.now_us() == START_US + network.time.us + 3 * DAY_S * SECOND_US

    play(scene)


def test_g09_an_operator_cannot_confirm_what_a_signed_time_disproves() -> None:
    async def scene(network: Network) -> None:
        county = network.offices[COUNTY]
        await asyncio.sleep(10)
        county.clock.raise_floor(START_US)
        jump(network, COUNTY, -2 * HOUR_S)
        with pytest.raises(Refused, match="CLOCK_TOO_EARLY"):
            await county.service.clock_accept()
        assert county.clock.now_us() == START_US + network.time.us

    play(scene)


def test_g09_an_operator_confirms_a_jump() -> None:
    async def scene(network: Network) -> Any:
        county = network.offices[COUNTY]
        await network.offices[NEIGHBOUR].crash()
        await county.service.send([draft(0, NEIGHBOUR)])
        jump(network, COUNTY, 4 * DAY_S)
        await asyncio.sleep(5)
        assert (await county.service.status())["clock"]["offset_s"] == 4 * DAY_S
        accepted = await county.service.clock_accept()
        await asyncio.sleep(5)
        assert "CLOCK_JUMP" not in await alarms_of(network, COUNTY)
        await asyncio.sleep(60)
        assert (await story(network))[0] == "unconfirmed"
        await county.crash()
        await county.start()
        await asyncio.sleep(5)
        assert "CLOCK_JUMP" not in await alarms_of(network, COUNTY)
        return accepted["state"], accepted["offset_s"]

    assert play(scene) == ("following", 0.0)
