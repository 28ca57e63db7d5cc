"""A directory that asks for what a running relay cannot do: an alarm at once, and the rest goes on (DESIGN D5)."""

import asyncio
from dataclasses import replace
from unittest.mock import patch

from keys import gm
from keys.gm import GmMissing
from keys.roster.directory import Rules
from protocol.ids import Address
from relay.suites import LOOK_S
from tests.sim.network import Network
from tests.sim.test_endings import draft, state_of
from tests.sim.test_scenes import COUNTY, NEIGHBOUR, play
from tests.sim.test_time import CITY, alarms_of


async def allow(network: Network, *suites: int) -> set[str]:
    """Every office takes a directory that allows these suites; the alarms of the county a moment later."""
    newest = network.offices[COUNTY].directory
    new = replace(newest, version=newest.version + 1, rules=Rules(suites=suites))
    for office in network.offices.values():
        await office.offer(new, Address(CITY))
    return set(await alarms_of(network, COUNTY))


async def delivers(network: Network, number: int) -> bool:
    """Whether mail flows from the county."""
    message = draft(number)
    await network.offices[COUNTY].service.send([message])
    await asyncio.sleep(30)
    return await state_of(network, str(message.id)) == "delivered"


def test_g10_a_directory_with_a_suite_that_is_not_here_is_an_alarm_and_mail_flows_on() -> None:
    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        links = network.offices[NEIGHBOUR].links
        with patch.object(gm, "_library", side_effect=GmMissing):
            assert await allow(network, 1, 2, 3) == {"SUITE_MISSING"}
            assert await delivers(network, 1)
            assert set(await alarms_of(network, COUNTY)) == {"SUITE_MISSING"}
        # Installed while it runs: found without a restart, and what was refused comes again over new connections.
        with patch.object(links, "renew") as renewed:
            await asyncio.sleep(LOOK_S + 1)
        assert renewed.call_count == 1
        assert set(await alarms_of(network, COUNTY)) == set()
        assert await delivers(network, 2)

    play(scene)


def test_g10_a_directory_that_withdraws_the_suites_of_our_key_is_an_alarm_until_it_allows_one_again() -> None:
    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        with patch.object(gm, "_library"):
            assert await allow(network, 3) == {"KEY_SUITE"}
            await asyncio.sleep(30)
        assert await allow(network, 2) == set()
        assert await delivers(network, 1)

    play(scene)
