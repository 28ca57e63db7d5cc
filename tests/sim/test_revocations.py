"""Scenes in which an office is revoked or suspended while messages are under way (G1, G8, G14)."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from keys.roster.revocation import revoke_key, revoke_office
from keys.roster.suspensions import Suspension
from protocol.errors import Refused
from protocol.ids import Address
from protocol.limits import SECOND_US
from relay import intake
from relay.draft import Draft
from relay.examine import Message
from tests.sim.network import Network
from tests.sim.test_endings import draft
from tests.sim.test_scenes import COUNTY, MESSAGE, NEIGHBOUR, play

CITY, PROVINCE = "320900-GO", "320000-GO"


async def recipient_of(network: Network, office: str, message_id: str = MESSAGE) -> dict[str, Any]:
    (recipient,) = (await network.offices[office].service.track(message_id))["recipients"]
    return dict(recipient)


async def revoke(network: Network, address: str, since_us: int, *, but: str = "", key: bytes | None = None) -> None:
    """Every office but one hears of it at once."""
    old = network.history.directory
    if key is None:
        new = revoke_office(old, address, since_us, network.history.now_us)
    else:
        new = revoke_key(old, address, key, since_us, network.history.now_us)
    new = replace(new, version=old.version + 1)
    for office in network.offices.values():
        if office.seat.address != but and office.running:
            await office.offer(new, Address(CITY))


async def suspend(network: Network, address: str, for_s: float) -> None:
    now_us = network.history.now_us
    brake = Suspension(network.offices[address].seat.office, now_us, now_us + round(for_s * SECOND_US), "drill")
    for office in network.offices.values():
        if office.running:
            office.suspend(brake)


async def flags_at(network: Network, address: str) -> list[list[str]]:
    return [one["flags"] for one in await network.offices[address].service.inbox_list(None, 10)]


def test_g01_g14_a_message_under_way_to_an_office_that_is_revoked_has_one_verdict_at_once() -> None:
    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        await network.offices[NEIGHBOUR].crash()
        await asyncio.sleep(1)
        await network.offices[COUNTY].service.send([draft(lives="2h")])
        await asyncio.sleep(20)
        assert (await recipient_of(network, COUNTY))["state"] in ("accepted", "custody")
        await revoke(network, NEIGHBOUR, network.history.now_us)
        await asyncio.sleep(5)
        recipient = await recipient_of(network, COUNTY)
        assert (recipient["state"], recipient["code"], recipient["final"]) == ("refused", "REVOKED", True)
        held = [len(await one.service.queue_list(10)) for one in network.offices.values() if one.running]
        await network.offices[NEIGHBOUR].start()
        await asyncio.sleep(60)
        recipient = await recipient_of(network, COUNTY)
        assert [one["type"] for one in recipient["events"] if one["type"] in ("refused", "delivered")] == ["refused"]
        assert sum(held) == 0
        (answer,) = await network.offices[COUNTY].service.send([draft(1)])
        assert isinstance(answer, Refused)
        assert answer.code == "REVOKED"

    play(scene)


def test_g14_what_a_relay_has_had_since_before_is_plain_for_a_recipient_that_was_away() -> None:
    """The office is revoked after it sent; its recipient comes back later: the relay between is the witness."""

    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        await network.offices[NEIGHBOUR].crash()
        await asyncio.sleep(1)
        await network.offices[COUNTY].service.send([draft(lives="2h")])
        await asyncio.sleep(30)
        await revoke(network, COUNTY, network.history.now_us)
        await asyncio.sleep(30)
        await network.offices[NEIGHBOUR].start()
        old = network.history.directory
        new = replace(
            revoke_office(old, COUNTY, network.history.now_us - 30 * SECOND_US, network.history.now_us), version=2
        )
        await network.offices[NEIGHBOUR].offer(new, Address(CITY))
        await asyncio.sleep(60)
        assert await flags_at(network, NEIGHBOUR) == [[]]

    play(scene)


def test_g14_what_only_the_revoked_office_says_it_had_written_before_is_doubted() -> None:
    """It was taken by the relay after the revocation, which nobody knew of yet."""

    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        await network.offices[NEIGHBOUR].crash()
        await asyncio.sleep(1)
        await network.offices[COUNTY].service.send([draft(lives="2h")])
        await asyncio.sleep(30)
        # The thief's clock was set back: all that tells is who had it when.
        network.offices[NEIGHBOUR].clock.skew_us = 0
        created_us = next(iter(network.history.copies.values())).created_us
        await revoke(network, COUNTY, created_us + 1)
        await asyncio.sleep(5)
        await network.offices[NEIGHBOUR].start()
        new = replace(
            revoke_office(network.history.directory, COUNTY, created_us + 1, network.history.now_us), version=2
        )
        await network.offices[NEIGHBOUR].offer(new, Address(CITY))
        await asyncio.sleep(60)
        assert await flags_at(network, NEIGHBOUR) == [["doubted"]]

    play(scene)


def test_g14_a_suspended_office_is_not_heard_and_goes_on_when_the_suspension_lapses() -> None:
    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        await suspend(network, COUNTY, 120)
        await network.offices[COUNTY].service.send([draft(lives="2h")])
        await asyncio.sleep(100)
        assert (await recipient_of(network, COUNTY))["state"] == "accepted"
        assert await flags_at(network, NEIGHBOUR) == []
        (answer,) = await network.offices[NEIGHBOUR].service.send([draft(1, to=COUNTY)])
        assert isinstance(answer, Refused)
        assert answer.code == "REVOKED"
        status = await network.offices[NEIGHBOUR].service.status()
        assert COUNTY in next(one["detail"] for one in status["alarms"] if one["code"] == "OFFICE_SUSPENDED")
        await asyncio.sleep(80)
        assert (await recipient_of(network, COUNTY))["state"] == "delivered"
        assert await flags_at(network, NEIGHBOUR) == [[]]
        status = await network.offices[NEIGHBOUR].service.status()
        assert status["alarms"] == []

    play(scene)


def test_g16_no_way_leads_over_a_suspended_relay() -> None:
    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        await suspend(network, CITY, 3_600)
        await network.offices[COUNTY].service.send([Draft(id=MESSAGE, to=[PROVINCE], title="t", body="b")])
        await asyncio.sleep(60)
        recipient = await recipient_of(network, COUNTY)
        assert recipient["state"] == "delivered"
        assert {one["by"] for one in recipient["events"] if one["type"] == "custody"} == {"320901-GO"}

    play(scene)


def test_g14_mail_waits_for_a_new_prekey_when_the_key_that_signed_the_old_one_is_revoked() -> None:
    """Only a key goes, the office stays: what is sealed to its prekey may be for a thief, and is taken back."""

    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        neighbour = network.offices[NEIGHBOUR]
        await neighbour.crash()
        await asyncio.sleep(1)
        await network.offices[COUNTY].service.send([draft(lives="2h")])
        await asyncio.sleep(20)
        await revoke(network, NEIGHBOUR, network.history.now_us, key=neighbour.seat.key.key_id())
        await asyncio.sleep(10)
        recipient = await recipient_of(network, COUNTY)
        assert not recipient["final"]
        assert [one["type"] for one in recipient["events"]][-2:] == ["resealed", "awaiting_prekey"]

    play(scene)


def test_g14_a_node_that_is_behind_accepts_nothing_after_a_while_and_carries_on_what_it_has() -> None:
    """A newer directory is proven to exist and does not come: what is new would be sent by an old one."""

    async def scene(network: Network) -> None:
        county = network.offices[COUNTY]
        await asyncio.sleep(1)
        await county.service.send([draft(lives="2h")])
        county.ground.behind_since_us = county.clock.now_us()
        (answer,) = await county.service.send([draft(1)])
        assert not isinstance(answer, Refused)
        await asyncio.sleep(61)
        county.ground.behind_since_us = county.clock.now_us() - 61 * SECOND_US
        (answer,) = await county.service.send([draft(2)])
        assert isinstance(answer, Refused)
        assert answer.code == "TRUST_STALE"
        # A repeat of what was accepted is answered all the same.
        (answer,) = await county.service.send([draft(1)])
        assert not isinstance(answer, Refused)
        assert answer["repeated"]
        assert (await recipient_of(network, COUNTY))["state"] == "delivered"

    play(scene)


def test_g14_a_directory_too_old_warns_and_then_accepts_nothing_and_still_takes_in() -> None:
    async def scene(network: Network) -> None:
        county, neighbour = network.offices[COUNTY], network.offices[NEIGHBOUR]
        await asyncio.sleep(1)
        trust = county.ground.trust
        for days, alarm, refused in ((6, False, False), (8, True, False), (46, True, True)):
            county.ground.trust = replace(trust, issued_us=county.clock.now_us() - days * 86_400 * SECOND_US)
            await asyncio.sleep(3)
            status = await county.service.status()
            assert ("TRUST_OLD" in {one["code"] for one in status["alarms"]}) is alarm
            (answer,) = await county.service.send([draft(days)])
            assert (isinstance(answer, Refused) and answer.code == "TRUST_STALE") is refused
        await neighbour.service.send([draft(99, to=COUNTY)])
        await asyncio.sleep(30)
        assert await flags_at(network, COUNTY) == [[]]

    play(scene)


def test_g14_what_was_examined_by_the_directory_before_is_examined_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory that revokes its author comes between the examination of a message and its commit."""

    async def scene(network: Network) -> None:
        await asyncio.sleep(1)
        neighbour = network.offices[NEIGHBOUR]
        old, since_us = network.history.directory, network.history.now_us
        new = replace(revoke_office(old, COUNTY, since_us, since_us), version=2)
        real, seen = intake._examine_all, []

        def examine_all(batch: Any, eyes: Any, *rest: Any) -> Any:
            found = real(batch, eyes, *rest)
            copies = [one for one in found[0] for finding in one.findings if isinstance(finding, Message)]
            if eyes.identity.office == neighbour.seat.office and copies:
                seen.append(eyes.directory.version)
                neighbour.ground.take_trust(replace(neighbour.ground.trust, directory=new, version=2))
            return found

        monkeypatch.setattr(intake, "_examine_all", examine_all)
        await network.offices[COUNTY].service.send([draft(lives="2h")])
        await asyncio.sleep(30)
        assert seen == [1]
        assert await flags_at(network, NEIGHBOUR) == []

    play(scene)
