"""What waits to be sealed is in the store; only a bounded part of it is in memory (G13)."""

import asyncio
from typing import Any

import pytest

from protocol.ids import message_id_text, uuid7
from relay import sealer
from relay.draft import Draft
from relay.store import sent
from tests.sim.network import PLAN, Network
from tests.sim.test_scenes import COUNTY, NEIGHBOUR, play
from tests.sim.virtual import START_US

OTHERS = [address for address in PLAN if address != COUNTY]
MESSAGES = 12


def broadcast(number: int, to: list[str] = OTHERS) -> Draft:
    return Draft(
        id=message_id_text(uuid7(START_US, number.to_bytes(10, "big"))), to=to, title="to all", body=str(number)
    )


def test_g13_what_is_accepted_faster_than_it_is_sealed_waits_in_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealer, "QUEUED_MAX", 8)
    monkeypatch.setattr(sealer, "PAGE_ROWS", 7)
    monkeypatch.setattr(sealer, "BATCH", 3)

    async def scene(network: Network) -> tuple[int, set[str]]:
        county = network.offices[COUNTY]
        await asyncio.sleep(1)
        queued = county._engine._sealer._queued  # type: ignore[union-attr]
        answers = await county.service.send([broadcast(number) for number in range(MESSAGES)])
        assert all(isinstance(answer, dict) for answer in answers)
        most = len(queued)
        for _ in range(400):
            await asyncio.sleep(0.1)
            most = max(most, len(queued))
        return most, {one["recipients"][at]["state"] for one in await stories(county) for at in range(len(OTHERS))}

    most, states = play(scene)
    assert most <= 8 + len(OTHERS)
    assert states == {"delivered"}


def test_g13_what_waits_for_a_prekey_is_in_the_store_and_is_sealed_when_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sealer, "WOKEN_ROWS", 5)

    async def scene(network: Network) -> tuple[int, int, set[str], list[str]]:
        county, neighbour = network.offices[COUNTY], network.offices[NEIGHBOUR]
        county.ground.keyring.records.pop(neighbour.seat.office)
        await county.service.send([broadcast(number, [NEIGHBOUR]) for number in range(MESSAGES)])
        await asyncio.sleep(0.1)
        waiting = len(await county.service.sent_list("awaiting_prekey", 100))
        engine = county._engine
        assert engine is not None
        in_memory = len(engine._sealer._queued)
        # Its prekey comes while nobody looks; only the next start finds it.
        county.knows_prekeys = [one.own_record for one in network.offices.values() if one is not county]
        await county.crash()
        await county.start()
        await asyncio.sleep(30)
        found = await stories(county)
        told = [event["type"] for event in found[0]["recipients"][0]["events"]]
        assert county.look(sent.awaiting) == []
        return waiting, in_memory, {one["recipients"][0]["state"] for one in found}, told

    waiting, in_memory, states, told = play(scene)
    assert (waiting, in_memory, states) == (MESSAGES, 0, {"delivered"})
    assert told[:2] == ["accepted", "awaiting_prekey"]
    assert told.count("awaiting_prekey") == 1


async def stories(county: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await county.service.sent_list(None, 100)
    return found
