"""One office sends without end into an outage: what the others send finds room, and nothing is lost (D4, M95)."""

import asyncio
import random
from typing import Any

from protocol.errors import Refused
from protocol.ids import message_id_text, uuid7
from relay.draft import Draft
from relay.store import shares
from tests.sim.network import SEATS, Network
from tests.sim.test_scenes import COUNTY, NEIGHBOUR, play
from tests.sim.virtual import START_US

CITY, DEPARTMENT, PROVINCE = "320900-GO", "320901-GO", "320000-GO"
QUOTA_BYTES = 3 << 19
WORDS = random.Random("greedy").randbytes(20_000).hex()
FLOOD = 50
"""Messages of 20 KiB and more, flash and once more as many routine: more than the city can hold."""


def report(number: int, urgency: str, body: str) -> Draft:
    return Draft(
        id=message_id_text(uuid7(START_US, number.to_bytes(10, "big"))), to=[PROVINCE], title="report", body=body,
        urgency=urgency, kind="incident_first" if urgency == "flash" else "report",
    )  # fmt: skip


async def send(network: Network, office: str, drafts: list[Draft]) -> None:
    answers = await network.offices[office].service.send(drafts)
    assert not any(isinstance(answer, Refused) for answer in answers)


def carried(network: Network, origin: str) -> int:
    """How many messages of an office the city holds."""
    query, args = "SELECT count(*) FROM held WHERE origin = ? AND own = 0 AND kind = 0", (SEATS[origin].office,)
    return int(network.offices[CITY].look(lambda txn: txn.connection.execute(query, args).fetchone()[0]))


async def unfinished(network: Network) -> int:
    """Messages of both offices that have not been delivered."""
    told = [await network.offices[office].service.sent_list(None, 1_000) for office in (COUNTY, NEIGHBOUR)]
    return sum(story["recipients"][0]["state"] not in ("delivered", "opened") for stories in told for story in stories)


def test_g13_g16_a_greedy_office_takes_nobodys_room_and_loses_nothing() -> None:
    async def scene(network: Network) -> Any:
        city = network.offices[CITY]
        city.quota_bytes = QUOTA_BYTES
        await city.crash()
        await city.start()
        await network.offices[DEPARTMENT].crash()
        network.brokers["p"].go_down()
        for first, urgency in ((0, "flash"), (FLOOD, "routine")):
            flood = [report(first + number, urgency, f"{number} {WORDS}") for number in range(FLOOD)]
            await send(network, COUNTY, flood)
        await asyncio.sleep(120)
        taken, state = carried(network, COUNTY), city.look(shares.state)
        # The city is as full of it as one office may make it; the county goes on asking.
        few = [report(9_000 + number, urgency, "") for number, urgency in enumerate(("flash", "urgent", "routine"))]
        await send(network, NEIGHBOUR, few)
        await asyncio.sleep(60)
        others, still = carried(network, NEIGHBOUR), carried(network, COUNTY)
        network.brokers["p"].up = True
        left = await unfinished(network)
        for _ in range(60):
            if left:
                await asyncio.sleep(60)
                left = await unfinished(network)
        return taken, state, others, still, left

    taken, state, others, still, left = play(scene)
    assert others == 3
    assert (20 < taken <= still < FLOOD, state) == (True, "low")
    assert left == 0
