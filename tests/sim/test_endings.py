"""Scenes on the simulated network in which messages end without being delivered, and gaps with them (G4, G8, G9)."""

import asyncio
from functools import partial
from typing import Any

from protocol.ids import message_id_text, uuid7
from protocol.lanes import Lane
from relay.draft import Draft
from relay.store import inbox, sent
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.tables import RECIPIENTS
from tests.sim.network import Network
from tests.sim.office import OfficeProcess
from tests.sim.test_scenes import COUNTY, MESSAGE, NEIGHBOUR, play
from tests.sim.virtual import START_US

KNOWN_S = 180
"""Within so long after its expiry a sender knows what became of a message (G9)."""


def draft(number: int = 0, lives: str = "2m", to: str = NEIGHBOUR) -> Draft:
    """A report with an id of its own."""
    message_id = MESSAGE if number == 0 else message_id_text(uuid7(START_US, number.to_bytes(10)))
    return Draft(id=message_id, to=[to], title="report", body="text", expires_in=lives)


async def story(network: Network, message_id: str = MESSAGE) -> tuple[str, list[tuple[str, str]]]:
    """State and events, each with who said it, of a message of the county to its only recipient."""
    (recipient,) = (await network.offices[COUNTY].service.track(message_id))["recipients"]
    return recipient["state"], [(event["type"], event["by"]) for event in recipient["events"]]


async def state_of(network: Network, message_id: str = MESSAGE) -> str:
    return (await story(network, message_id))[0]


def call_sealed(txn: Txn, message_id: bytes, to: bytes) -> None:
    """A copy that waits for a prekey counts as sealed and sent."""
    row = RECIPIENTS.get(txn, message_id, to)
    assert row is not None
    RECIPIENTS.update(txn, row, stage=sent.ON_ITS_WAY, begun=1)


def news_count(office: OfficeProcess) -> int:
    """How many events an office has recorded."""
    return int(office.look(lambda txn: txn.connection.execute("SELECT count(*) FROM events").fetchone()[0]))


async def gaps_of(network: Network, address: str) -> list[tuple[str, str, int]]:
    status = await network.offices[address].service.status()
    return [(gap["from"], gap["numbers"], gap["missing"]) for gap in status["gaps"]]


def heard(news: "asyncio.Queue[Event | None]", type_: str) -> list[str]:
    """Ids of the events of a type that came since the last look."""
    events = [news.get_nowait() for _ in range(news.qsize())]
    return [message_id_text(event.message_id) for event in events if event is not None and event.type == type_]


async def cut(network: Network, address: str, lives_s: float, number: int = 0) -> None:
    """Sending begins, and the recipient is away until the message is over."""
    await network.offices[address].crash()
    await asyncio.sleep(1)
    await network.offices[COUNTY].service.send([draft(number, f"{lives_s:g}s", to=address)])
    await asyncio.sleep(lives_s)


def test_g08_expired_by_the_tombstone_of_a_recipient_that_is_there() -> None:
    async def scene(network: Network) -> None:
        await cut(network, NEIGHBOUR, 60)
        await network.offices[NEIGHBOUR].start()
        await asyncio.sleep(30)
        state, events = await story(network)
        assert state == "expired"
        assert ("tombstone", COUNTY) in events
        assert events[-1] == ("expired", NEIGHBOUR)
        assert (await network.offices[COUNTY].service.status())["counters"]["expired"] == 1
        assert await network.offices[NEIGHBOUR].service.inbox_list(None, 10) == []

    play(scene)


def test_g08_g09_unconfirmed_where_nobody_answers_and_a_correction_later() -> None:
    async def scene(network: Network) -> None:
        await cut(network, NEIGHBOUR, 60)
        await asyncio.sleep(50)
        assert await state_of(network) in ("accepted", "custody"), "silence is no verdict within the grace"
        await asyncio.sleep(KNOWN_S - 50)
        assert await state_of(network) == "unconfirmed"
        await network.offices[NEIGHBOUR].start()
        await asyncio.sleep(300)
        state, events = await story(network)
        assert state == "unconfirmed"
        assert [type_ for type_, _ in events].count("unconfirmed") == 1
        assert events[-1] == ("correction", NEIGHBOUR)

    play(scene)


def test_g08_expired_at_once_where_nothing_was_ever_sent() -> None:
    async def scene(network: Network) -> None:
        for broker in network.brokers.values():
            broker.go_down()
        await asyncio.sleep(1)
        await network.offices[COUNTY].service.send([draft(0, "60s")])
        await asyncio.sleep(62)
        state, events = await story(network)
        assert (state, events) == ("expired", [("accepted", COUNTY), ("expired", COUNTY)])
        # Its number is missing all the same, so the recipient is told when there is a way.
        for broker in network.brokers.values():
            broker.up = True
        await asyncio.sleep(300)
        neighbour = network.offices[NEIGHBOUR]
        raw = bytes.fromhex(MESSAGE.replace("-", ""))
        assert neighbour.look(lambda txn: inbox.digests(txn, network.offices[COUNTY].seat.office, raw)) is not None
        assert (await story(network))[1][2:] == [("tombstone", NEIGHBOUR)]

    play(scene)


def test_g08_what_was_sealed_without_a_broker_and_sent_since_is_not_called_expired() -> None:
    async def scene(network: Network) -> None:
        county = network.offices[COUNTY]
        for broker in network.brokers.values():
            broker.go_down()
        await asyncio.sleep(1)
        await county.service.send([draft(0, "60s")])
        await asyncio.sleep(5)
        for broker in network.brokers.values():
            broker.up, broker.malice.drop = True, 1.0
        await asyncio.sleep(60)
        # It left and may have arrived: only silence until the grace is over, or the recipient's word, ends it.
        state, events = await story(network)
        assert (state, events[-1]) == ("accepted", ("tombstone", COUNTY))
        await asyncio.sleep(KNOWN_S)
        assert await state_of(network) == "unconfirmed"

    play(scene)


def test_g09_a_sender_that_was_down_knows_soon_after_its_start() -> None:
    async def scene(network: Network) -> None:
        county = network.offices[COUNTY]
        await network.offices[NEIGHBOUR].crash()
        await asyncio.sleep(1)
        await county.service.send([draft(0, "60s")])
        await asyncio.sleep(5)
        await county.crash()
        await asyncio.sleep(300)
        await county.start()
        await asyncio.sleep(20)
        assert await state_of(network) in ("accepted", "custody"), "answers may wait with neighbours yet"
        await asyncio.sleep(60)
        assert await state_of(network) == "unconfirmed"

    play(scene)


def test_g08_a_receipt_that_was_under_way_outdoes_expiry() -> None:
    async def scene(network: Network) -> None:
        county = network.offices[COUNTY]
        await asyncio.sleep(1)
        await county.service.send([draft(0, "60s")])
        await asyncio.sleep(0.05)
        await county.crash()
        await asyncio.sleep(120)
        await county.start()
        await asyncio.sleep(90)
        assert await state_of(network) == "delivered"

    play(scene)


def test_a_message_under_way_is_cancelled() -> None:
    async def scene(network: Network) -> Any:
        county, neighbour = network.offices[COUNTY], network.offices[NEIGHBOUR]
        for address, office in network.offices.items():
            if address != COUNTY:
                await office.crash()
        await asyncio.sleep(1)
        await county.service.send([draft(0, "72h")])
        await asyncio.sleep(5)
        for broker in network.brokers.values():
            broker.go_down()
            broker.wipe()
            broker.up = True
        answers = [await county.service.cancel(MESSAGE) for _ in range(2)]
        assert answers[0] == answers[1]
        assert (answers[0]["cancelled"], answers[0]["requested"], answers[0]["not_cancelled"]) == ([], [NEIGHBOUR], [])
        assert await state_of(network) in ("accepted", "custody")
        await neighbour.start()
        await asyncio.sleep(60)
        state, events = await story(network)
        assert state == "expired"
        assert [type_ for type_, _ in events if type_ in ("cancelled", "expired")] == ["cancelled", "expired"]
        assert await neighbour.service.inbox_list(None, 10) == []
        return (await county.service.cancel(MESSAGE))["cancelled"]

    assert play(scene) == [NEIGHBOUR]


def test_what_was_delivered_stays_delivered_when_it_is_cancelled() -> None:
    async def scene(network: Network) -> Any:
        county = network.offices[COUNTY]
        await asyncio.sleep(1)
        await county.service.send([draft(0, "72h")])
        await asyncio.sleep(30)
        answer = await county.service.cancel(MESSAGE)
        assert (await story(network))[0] == "delivered"
        return answer["cancelled"], answer["requested"], answer["not_cancelled"]

    assert play(scene) == ([], [], [NEIGHBOUR])


def test_g04_a_gap_is_told_within_a_minute_and_closed_by_a_tombstone() -> None:
    async def scene(network: Network) -> None:
        county, neighbour = network.offices[COUNTY], network.offices[NEIGHBOUR]
        await asyncio.sleep(1)
        news = neighbour.ground.news.listen()
        # The only copy of the first is lost: it waits for a prekey, and is then called sealed.
        record = county.ground.keyring.records.pop(neighbour.seat.office)
        await county.service.send([draft(0, "300s")])
        await asyncio.sleep(1)
        first = bytes.fromhex(MESSAGE.replace("-", ""))
        await county.ground.store.write(Lane.ROUTINE, partial(call_sealed, message_id=first, to=neighbour.seat.office))
        county.ground.keyring.take(record)
        await county.service.send([draft(1, "72h")])
        await asyncio.sleep(30)
        (line,) = await neighbour.service.inbox_list(None, 10)
        assert line["flags"] == ["gap"], "the message that skipped a number says so at once"
        assert await gaps_of(network, NEIGHBOUR) == [], "people are not told before it is old enough"
        await asyncio.sleep(30)
        assert await gaps_of(network, NEIGHBOUR) == [(COUNTY, "1", 1)]
        assert heard(news, "gap") == [draft(1).id]
        await asyncio.sleep(300)
        assert await state_of(network) == "expired"
        assert await gaps_of(network, NEIGHBOUR) == []
        assert heard(news, "gap_closed") == [MESSAGE]
        stream = neighbour.service.events(0)
        shown = [await anext(stream) for _ in range(news_count(neighbour))]
        of_gaps = [
            (one["type"], one["from"], one["to"], one["lane"], one["numbers"]) for one in shown if "numbers" in one
        ]
        assert of_gaps == [(type_, COUNTY, NEIGHBOUR, "routine", "1") for type_ in ("gap", "gap_closed")]

    play(scene)


def test_g04_a_tombstone_that_a_custodian_swallows_goes_another_way() -> None:
    async def scene(network: Network) -> None:
        city = network.offices["320900-GO"]
        target = "320000-GO"
        await cut(network, target, 60)
        # The city takes the tombstone into custody and loses its disk.
        await asyncio.sleep(30)
        city.look(lambda txn: txn.connection.execute("DELETE FROM held"))
        city.ground.outbox._entries.clear()
        await network.offices[target].start()
        await asyncio.sleep(400)
        state, events = await story(network)
        assert state in ("expired", "unconfirmed")
        assert target in [by for type_, by in events if type_ in ("expired", "correction")]

    play(scene)
