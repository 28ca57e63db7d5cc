"""Single scenes on the simulated network that storms meet too seldom."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keys.primitives import NotAuthentic
from keys.roster.reorganisation import Reform, reorganise
from protocol.errors import Refused
from protocol.ids import Address, message_id_text, uuid7
from protocol.limits import SECOND_US
from relay import sealing
from relay.draft import Draft
from tests.sim.cheap import cheap_cryptography
from tests.sim.network import DIRECTORY, Network, sim_place
from tests.sim.virtual import START_US, Time, VirtualLoop

COUNTY, NEIGHBOUR = "320924-GO", "320925-GO"
MESSAGE = message_id_text(uuid7(START_US, bytes(10)))
REPORT = Draft(id=MESSAGE, to=[NEIGHBOUR], title="report", body="text")


def play(scene: Callable[[Network], Awaitable[Any]]) -> Any:
    """Run one scene on virtual time."""
    time = Time()
    loop = VirtualLoop(time)

    async def run(place: Path) -> Any:
        network = Network("scene", place, time)
        try:
            await network.start("")
            result = await scene(network)
            network.history.check_processes()
        finally:
            await network.stop()
        return result

    try:
        with sim_place() as place, cheap_cryptography():
            return loop.run_until_complete(run(Path(place)))
    finally:
        loop.close()


async def _state(network: Network) -> str:
    story = await network.offices[COUNTY].service.track(MESSAGE)
    return str(story["recipients"][0]["state"])


def test_g01_a_copy_whose_row_is_gone_is_sealed_again() -> None:
    async def scene(network: Network) -> str:
        network.brokers["y"].go_down()
        await asyncio.sleep(1)
        county = network.offices[COUNTY]
        await county.service.send([REPORT])
        await asyncio.sleep(1)
        gone = county.look(lambda txn: txn.connection.execute("DELETE FROM held").rowcount)
        assert gone == 1
        county.ground.shelf._items.clear()
        network.brokers["y"].up = True
        await asyncio.sleep(60)
        return await _state(network)

    assert play(scene) == "delivered"


def test_g01_what_was_accepted_is_sealed_even_if_its_caller_went_away() -> None:
    async def scene(network: Network) -> str:
        county = network.offices[COUNTY]
        await asyncio.sleep(1)
        call = asyncio.ensure_future(county.service.send([REPORT]))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.sleep(30)
        return await _state(network)

    assert play(scene) == "delivered"


def test_a_copy_whose_prekey_is_no_key_waits_for_the_next_prekey(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise NotAuthentic("no point of the curve")

    async def scene(network: Network) -> tuple[list[str], str]:
        county = network.offices[COUNTY]
        await asyncio.sleep(1)
        with monkeypatch.context() as broken:
            broken.setattr(sealing, "seal_copy", refuse)
            await county.service.send([REPORT])
            await asyncio.sleep(1)
        waiting = [each["id"] for each in await county.service.sent_list("awaiting_prekey", 10)]
        engine = county._engine
        assert engine is not None
        await engine._sealer.prekey_came(network.offices[NEIGHBOUR].seat.office)
        await asyncio.sleep(30)
        return waiting, await _state(network)

    assert play(scene) == ([MESSAGE], "delivered")


def test_g16_what_waits_for_a_prekey_that_is_not_valid_yet_is_sealed_when_it_is() -> None:
    async def scene(network: Network) -> tuple[str, str]:
        county = network.offices[COUNTY]
        county.set_clock(-50)
        await asyncio.sleep(1)
        await county.service.send([REPORT])
        await asyncio.sleep(1)
        before = await _state(network)
        await asyncio.sleep(120)
        return before, await _state(network)

    assert play(scene) == ("accepted", "delivered")


def test_a_sealed_receipt_in_the_queue_is_a_receipt() -> None:
    async def scene(network: Network) -> list[str]:
        neighbour = network.offices[NEIGHBOUR]
        await asyncio.sleep(1)
        await network.offices[COUNTY].service.send([REPORT])
        await asyncio.sleep(30)
        for broker in network.brokers.values():
            broker.go_down()
        await asyncio.sleep(1)
        await neighbour.service.inbox_show(MESSAGE)
        return [each["what"] for each in await neighbour.service.queue_list(10)]

    assert play(scene) == ["receipt"]


def test_a_wait_ends_with_the_state_or_with_its_time() -> None:
    async def scene(network: Network) -> tuple[str, str]:
        county = network.offices[COUNTY]
        await asyncio.sleep(1)
        await county.service.send([REPORT])
        story = await county.service.wait_for(MESSAGE, "delivered", 60)
        with pytest.raises(Refused) as refused:
            await county.service.wait_for(MESSAGE, "signed_for", 60)
        return str(story["recipients"][0]["state"]), refused.value.code

    assert play(scene) == ("delivered", "WAIT_TIMEOUT")


def test_g01_g10_a_county_is_moved_and_renamed_while_mail_is_on_its_way_to_it() -> None:
    """As Shuyang in 1996: nobody is there at the date; mail to its old address, to the new one and from it comes."""
    new, province = Address("321322-GO"), "320000-GO"

    async def scene(network: Network) -> dict[str, Any]:
        county, capital = network.offices[COUNTY], network.offices[province]
        start_us = county.ground.clock.now_us()
        date_us = start_us + 600 * SECOND_US
        reform = Reform(address=new, name="沭阳县", parent=Address("320901-GO"))
        planned = reorganise(DIRECTORY, Address(COUNTY), reform, start_us, from_us=date_us)
        planned = replace(planned, version=2)
        for office in network.offices.values():
            await office.offer(planned, Address(province))
        await asyncio.sleep(60)

        async def sent(process: Any, number: int, to: str) -> str:
            draft = Draft(id=message_id_text(uuid7(START_US, bytes((number,)) * 10)), to=[to], title="t", body="b")
            return str((await process.service.send([draft]))[0]["to"])

        told = [await sent(county, 1, province)]
        await county.crash()
        told.append(await sent(capital, 2, COUNTY))
        await asyncio.sleep(700)
        told += [await sent(capital, 3, COUNTY), await sent(capital, 4, new)]
        await county.start()
        told.append(await sent(county, 5, province))
        await asyncio.sleep(120)
        stories = await capital.service.sent_list(None, 10)
        states = [str(story["recipients"][0]["state"]) for story in stories]
        inbox = [str(each["from"]) for each in await capital.service.inbox_list(None, 10)]
        report = await county.service.status()
        return {"told": told, "states": states, "from": inbox, "office": report["office"], "name": report["name"]}

    found = play(scene)
    assert found["told"] == ["['320000-GO']", f"['{COUNTY}']", f"['{COUNTY}']", f"['{new}']", "['320000-GO']"]
    assert found["states"] == ["delivered"] * 3
    # What was written under the old address says so for ever.
    assert found["from"] == [COUNTY, new]
    assert (found["office"], found["name"]) == (new, "沭阳县")
