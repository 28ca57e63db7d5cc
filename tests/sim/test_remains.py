"""Rows of any table that rot beyond mending under a running network: no message ends in silence (D10, G1, G8)."""

import asyncio
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from keys.rows import RowCipher
from protocol.ids import message_id_text, uuid7
from protocol.limits import SECOND_US
from relay import restoring
from relay.draft import Draft
from relay.restoring import FIRST, LOOKED_THROUGH, TURN_S, _look_through
from relay.store.database import DATABASE_NAME, PAGE_BYTES, Txn
from relay.store.sealed_table import SealedTable
from relay.store.tables import (
    ALL,
    AUDIT_HEADS,
    COUNTERS,
    HELD,
    INBOX,
    PREKEYS,
    PROOFS,
    QUARANTINE,
    RECIPIENTS,
    SENT,
    STATISTICS,
    STREAMS,
    WITNESSES,
)
from relay.store.wal import write_home
from tests.sim.network import Network
from tests.sim.test_scenes import COUNTY, MESSAGE, NEIGHBOUR, REPORT, play
from tests.sim.virtual import START_US

BESIDE = [COUNTERS, STATISTICS, PROOFS, WITNESSES, PREKEYS, STREAMS, AUDIT_HEADS, QUARANTINE]
"""Tables in which no message and nobody's word about one is."""
REST_S = 60
"""Between two rounds, where a test waits for the next."""
WAITING = message_id_text(uuid7(START_US, bytes([2]) * 10))


def zero(network: Network, at: str, table: SealedTable) -> int:
    """The sealed bodies of a table are nothing but zeros from now on; how many."""
    statement = f"UPDATE {table.name} SET sealed = zeroblob(60)"  # noqa: S608 - constants of the program
    return int(network.offices[at].look(lambda txn: txn.connection.execute(statement).rowcount))


async def story(network: Network, message_id: str) -> tuple[str, list[tuple[str, str]], bool]:
    """State, events with their codes, and whether the words are lost."""
    shown = await network.offices[COUNTY].service.track(message_id)
    (recipient,) = shown["recipients"]
    events = [(event["type"], event.get("code", "")) for event in recipient["events"]]
    return recipient["state"], events, shown.get("damaged", False)


async def send_into_an_outage(network: Network) -> None:
    """One report that was delivered, and one that waits, sealed, for the broker."""
    await asyncio.sleep(1)
    county = network.offices[COUNTY]
    await county.service.send([REPORT])
    await asyncio.sleep(5)
    network.brokers["y"].go_down()
    await asyncio.sleep(1)
    await county.service.send([Draft(id=WAITING, to=[NEIGHBOUR], title="waiting", body="waiting")])
    await asyncio.sleep(1)


@pytest.mark.parametrize("tables", [BESIDE, *([table] for table in ALL if table not in BESIDE)])
def test_g01_g02_a_table_that_rots_at_both_ends_loses_and_repeats_no_message(tables: list[SealedTable]) -> None:
    async def scene(network: Network) -> Any:
        await send_into_an_outage(network)
        for at in (COUNTY, NEIGHBOUR):
            for table in tables:
                zero(network, at, table)
            await network.offices[at].crash()
            await network.offices[at].start()
        network.brokers["y"].up = True
        await asyncio.sleep(60)
        neighbour = network.offices[NEIGHBOUR].service
        taken = [one["body"] for one in await neighbour.inbox_take(10)]
        states = [(await story(network, one))[0] for one in (MESSAGE, WAITING)]
        return sorted(taken), await neighbour.inbox_take(10), states

    assert play(scene) == (["text", "waiting"], [], ["delivered", "delivered"])


def test_g01_g08_a_message_without_words_and_copies_is_asked_about_and_ends() -> None:
    async def scene(network: Network) -> Any:
        await send_into_an_outage(network)
        county = network.offices[COUNTY]
        assert (zero(network, COUNTY, HELD), zero(network, COUNTY, SENT)) == (1, 2)
        county.ground.shelf._items.clear()
        network.brokers["y"].up = True
        await asyncio.sleep(60)
        (again,) = await county.service.send([Draft(id=WAITING, to=[NEIGHBOUR], title="waiting", body="waiting")])
        return await story(network, MESSAGE), await story(network, WAITING), getattr(again, "code", again)

    delivered, waiting, again = play(scene)
    assert (delivered[0], delivered[2]) == ("delivered", True)
    assert waiting == ("expired", [("accepted", ""), ("tombstone", "DAMAGED"), ("expired", "CANCELLED")], True)
    assert again == "ID_REUSED"


def test_g01_g08_a_message_of_which_only_its_story_is_left_is_unconfirmed() -> None:
    async def scene(network: Network) -> Any:
        await send_into_an_outage(network)
        county = network.offices[COUNTY]
        for table in (HELD, SENT, RECIPIENTS):
            assert zero(network, COUNTY, table)
        await county.crash()
        await county.start()
        network.brokers["y"].up = True
        await asyncio.sleep(60)
        return await story(network, MESSAGE), await story(network, WAITING)

    delivered, waiting = play(scene)
    assert (delivered[0], delivered[2]) == ("delivered", True)
    assert waiting == ("unconfirmed", [("accepted", ""), ("unconfirmed", "DAMAGED")], True)


@pytest.mark.parametrize(("at", "table"), [(COUNTY, "sent"), (NEIGHBOUR, "inbox")])
def test_g01_g02_g16_a_page_of_nothing_in_a_store_loses_and_repeats_no_message(at: str, table: str) -> None:
    async def scene(network: Network) -> Any:
        await send_into_an_outage(network)
        office = network.offices[at]
        where = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (root,) = office.look(lambda txn: txn.connection.execute(where, (table,)).fetchone())
        await office.crash()
        path = office._place / DATABASE_NAME
        write_home(path, PAGE_BYTES)
        with path.open("r+b") as file:
            file.seek((root - 1) * PAGE_BYTES)
            file.write(bytes(PAGE_BYTES))
        await office.start()
        network.brokers["y"].up = True
        await asyncio.sleep(60)
        taken = [(one["body"], one["flags"]) for one in await network.offices[NEIGHBOUR].service.inbox_take(10)]
        states = [(await story(network, one))[0] for one in (MESSAGE, WAITING)]
        return sorted(taken), states, "DAMAGED_ROWS" in office.ground.alarms

    # Whether the reader had it was in the row; a needless mark is better than the same message twice as new.
    again = ["redelivered"] if at == NEIGHBOUR else []
    assert play(scene) == ([("text", again), ("waiting", [])], ["delivered", "delivered"], True)


def test_g01_a_row_that_no_query_finds_any_more_is_looked_for_and_mended() -> None:
    async def scene(network: Network) -> Any:
        await asyncio.sleep(1)
        await network.offices[COUNTY].service.send([REPORT])
        await asyncio.sleep(5)
        neighbour = network.offices[NEIGHBOUR]
        neighbour.look(lambda txn: txn.connection.execute("UPDATE inbox SET acked = 1").rowcount)
        hidden = await neighbour.service.inbox_take(10)
        await asyncio.sleep(REST_S + TURN_S * (2 + neighbour.look(_count_rows) // LOOKED_THROUGH))
        return hidden, [one["body"] for one in await neighbour.service.inbox_take(10)]

    with patch.object(restoring, "REST_US", REST_S * SECOND_US):
        assert play(scene) == ([], ["text"])


def test_g01_looking_through_opens_every_row_once_and_then_rests() -> None:
    async def scene(network: Network) -> Any:
        await send_into_an_outage(network)
        neighbour = network.offices[NEIGHBOUR]
        with patch.object(RowCipher, "open", autospec=True, side_effect=RowCipher.open) as opened:
            for limit in (1, 2, 5, LOOKED_THROUGH):
                with patch.object(restoring, "LOOKED_THROUGH", limit):
                    place = neighbour.look(partial(_look_through, place=FIRST))
                    while place != FIRST:
                        place = neighbour.look(partial(_look_through, place=place))
            rows = neighbour.look(_count_rows)
        with patch.object(restoring, "_look_through", side_effect=_look_through) as turns:
            await asyncio.sleep(10 * TURN_S)
        return opened.call_count / rows, turns.call_count

    assert play(scene) == (4, 0)


def _count_rows(txn: Txn) -> int:
    return sum(table.unverified_count(txn) for table in ALL)


def test_g01_a_received_message_that_nobody_can_send_again_is_named_by_the_alarm() -> None:
    async def scene(network: Network) -> Any:
        await asyncio.sleep(1)
        short = Draft(id=MESSAGE, to=[NEIGHBOUR], title="report", body="text", expires_in="1m")
        await network.offices[COUNTY].service.send([short])
        await asyncio.sleep(90)
        assert zero(network, NEIGHBOUR, INBOX) == 1
        await asyncio.sleep(30)
        return [alarm["detail"] for alarm in (await network.offices[NEIGHBOUR].service.status())["alarms"]]

    with patch.object(restoring, "REST_US", TURN_S * SECOND_US):
        (detail,) = play(scene)
    assert f"1 received messages cannot be sent again: {MESSAGE} from {COUNTY}" in detail
