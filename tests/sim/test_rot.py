"""Rows that rot beyond mending under a running network: what is lost at one place comes again from another (D10)."""

import asyncio
from functools import partial
from typing import Any

import pytest

from config.schema import Retention
from protocol.ids import message_id_text, uuid7
from relay import restoring
from relay.draft import Draft
from relay.restoring import TURN_S
from relay.retention import DAY_US
from relay.store.database import Txn
from relay.store.tables import EVENTS, INBOX, RECEIPTS
from tests.sim.network import Network
from tests.sim.test_scenes import COUNTY, MESSAGE, NEIGHBOUR, REPORT, play
from tests.sim.virtual import START_US

CITY, PROVINCE = "320900-GO", "320000-GO"
NEXT = message_id_text(uuid7(START_US, bytes([1]) * 10))
LONG_S = 30.0 + 2 * TURN_S


async def rot(network: Network, at: str, table: str, where: str = "1") -> None:
    """The sealed bodies of some rows are nothing but zeros from now on; the next look at them finds it."""
    statement = f"UPDATE {table} SET sealed = zeroblob(60) WHERE {where}"  # noqa: S608 - constants of the tests
    assert network.offices[at].look(lambda txn: txn.connection.execute(statement).rowcount) > 0
    if table == INBOX.name:
        await network.offices[at].service.inbox_list(None, 10)


async def deliver(network: Network) -> None:
    await asyncio.sleep(1)
    await network.offices[COUNTY].service.send([REPORT])
    await asyncio.sleep(10)


async def taken(network: Network) -> list[tuple[str, bool]]:
    """(text, whether redelivered) of all that the neighbour's program gets now."""
    found = await network.offices[NEIGHBOUR].service.inbox_take(10)
    return [(one["body"], "redelivered" in one["flags"]) for one in found]


async def story(network: Network) -> tuple[str, list[str]]:
    """State at the sender, and what happened since it was delivered."""
    (recipient,) = (await network.offices[COUNTY].service.track(MESSAGE))["recipients"]
    types = [event["type"] for event in recipient["events"]]
    return recipient["state"], types[types.index("delivered") + 1 :]


def test_g02_a_damaged_message_that_was_handed_out_comes_again_as_redelivered() -> None:
    async def scene(network: Network) -> Any:
        await deliver(network)
        first = await taken(network)
        await rot(network, NEIGHBOUR, "inbox")
        assert await taken(network) == []
        await asyncio.sleep(LONG_S)
        again = await taken(network)
        alarms = [alarm["code"] for alarm in (await network.offices[NEIGHBOUR].service.status())["alarms"]]
        return first, again, alarms, await story(network)

    first, again, alarms, told = play(scene)
    assert first == [("text", False)]
    assert again == [("text", True)]
    assert alarms == ["DAMAGED_ROWS"]
    assert told == ("delivered", ["custody_lost", "resealed"])


def test_g01_a_damaged_message_that_nobody_has_seen_comes_again_as_new() -> None:
    async def scene(network: Network) -> Any:
        await deliver(network)
        await rot(network, NEIGHBOUR, "inbox")
        await asyncio.sleep(LONG_S)
        return await taken(network), await taken(network)

    assert play(scene) == ([("text", False)], [])


def test_g02_the_place_of_a_damaged_message_is_not_taken_as_new_by_a_duplicate() -> None:
    async def scene(network: Network) -> Any:
        await deliver(network)
        first = await taken(network)
        await rot(network, NEIGHBOUR, "inbox")
        # A broker that repeats everything it has ever seen is quicker than any request.
        network.brokers["y"].malice.replay = 1.0
        again: list[tuple[str, bool]] = []
        while not again:
            network.offices[COUNTY].links.open["y", "slow"].broken()
            await asyncio.sleep(0.5)
            again = await taken(network)
        return first, again, network.offices[NEIGHBOUR].look(INBOX.unverified_count)

    first, again, rows = play(scene)
    assert (first, again, rows) == ([("text", False)], [("text", True)], 1)


def test_g02_a_damaged_message_that_was_signed_for_stays_so_and_is_not_handed_out() -> None:
    async def scene(network: Network) -> Any:
        neighbour = network.offices[NEIGHBOUR]
        await deliver(network)
        await neighbour.service.sign_for(MESSAGE, "王芳", None)
        await rot(network, NEIGHBOUR, "inbox")
        await asyncio.sleep(LONG_S)
        (line,) = await neighbour.service.inbox_list(None, 10)
        return line["state"], await taken(network), (await story(network))[0]

    assert play(scene) == ("signed_for", [], "signed_for")


def test_g01_a_sender_that_is_away_is_asked_again_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    again_s = 120.0
    monkeypatch.setattr(restoring, "ASK_AGAIN_US", round(again_s * 1e6))

    async def scene(network: Network) -> Any:
        await deliver(network)
        await rot(network, NEIGHBOUR, "inbox")
        await network.offices[COUNTY].crash()
        await asyncio.sleep(3 * again_s)
        await network.offices[COUNTY].start()
        await asyncio.sleep(LONG_S + again_s)
        return await taken(network)

    assert play(scene) == [("text", False)]


@pytest.mark.parametrize("table", ["held", "passed"])
def test_g16_a_damaged_copy_in_transit_is_sent_again_by_its_origin(table: str) -> None:
    async def scene(network: Network) -> Any:
        report = Draft(id=MESSAGE, to=[PROVINCE], title="report", body="text")
        await asyncio.sleep(1)
        network.brokers["p"].go_down()
        await asyncio.sleep(1)
        await network.offices[COUNTY].service.send([report])
        await asyncio.sleep(10)
        holders = [one for one in network.offices.values() if one.look(_holds_of_others(one.seat.office))]
        for holder in holders:
            if table == "held":
                await rot(network, holder.seat.address, "held")
            holder.ground.shelf._items.clear()
        network.brokers["p"].up = True
        await asyncio.sleep(120)
        (recipient,) = (await network.offices[COUNTY].service.track(MESSAGE))["recipients"]
        return len(holders), recipient["state"], [event["type"] for event in recipient["events"]]

    holders, state, told = play(scene)
    assert holders == 1
    assert state == "delivered"
    assert ("custody_lost" in told) == (table == "held")


def test_g04_numbers_go_on_when_their_row_is_damaged() -> None:
    async def scene(network: Network) -> Any:
        await deliver(network)
        await rot(network, COUNTY, "numbers")
        following = Draft(id=NEXT, to=[NEIGHBOUR], title="next", body="next")
        (answer,) = await network.offices[COUNTY].service.send([following])
        assert isinstance(answer, dict)
        await asyncio.sleep(10)
        numbers = network.offices[COUNTY].look(
            lambda txn: txn.connection.execute("SELECT number FROM recipients ORDER BY number").fetchall()
        )
        flags = [one["flags"] for one in await network.offices[NEIGHBOUR].service.inbox_list(None, 10)]
        return numbers, flags

    assert play(scene) == ([(1,), (2,)], [[], []])


def test_g07_receipts_of_a_damaged_message_are_kept_and_said_again() -> None:
    async def scene(network: Network) -> Any:
        neighbour = network.offices[NEIGHBOUR]
        await deliver(network)
        before = neighbour.look(lambda txn: [row.body for row in RECEIPTS.select(txn)])
        await rot(network, NEIGHBOUR, "inbox")
        await asyncio.sleep(LONG_S)
        return before, neighbour.look(lambda txn: [row.body for row in RECEIPTS.select(txn)])

    before, after = play(scene)
    assert before == after


def test_g13_what_is_left_of_a_damaged_message_ends_with_the_memory_of_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(restoring, "ASK_AGAIN_US", 1)
    longest_us = Retention().evidence_days * DAY_US

    def grow_old(txn: Txn, to_us: int) -> None:
        for row in RECEIPTS.select(txn):
            RECEIPTS.update(txn, row, at_us=to_us)

    def left(txn: Txn) -> tuple[int, int]:
        return RECEIPTS.unverified_count(txn), EVENTS.unverified_count(txn, "type = 'received'")

    async def scene(network: Network) -> Any:
        neighbour, found = network.offices[NEIGHBOUR], []
        await deliver(network)
        await network.offices[COUNTY].crash()
        await rot(network, NEIGHBOUR, "inbox")
        for spare_us in (round(LONG_S * 1e6), 0):
            now_us = neighbour.ground.clock.now_us()
            neighbour.look(partial(grow_old, to_us=now_us - longest_us + spare_us))
            await asyncio.sleep(TURN_S)
            found.append(neighbour.look(left))
        return found

    assert play(scene) == [(1, 1), (0, 0)]


def _holds_of_others(me: bytes) -> Any:
    return lambda txn: txn.connection.execute("SELECT count(*) FROM held WHERE origin != ?", (me,)).fetchone()[0]
