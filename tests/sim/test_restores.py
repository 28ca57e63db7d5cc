"""Scenes on the simulated network in which homes are restored from backups or cloned (G12, D11)."""

import asyncio
import os
import random
from typing import Any

import pytest

from protocol.errors import Refused
from protocol.ids import message_id_text, uuid7
from protocol.lanes import Lane
from relay.draft import Draft
from relay.store import events, lives
from relay.store.lives import Cause
from tests.sim.broken import Broken
from tests.sim.checks.lives import check_lives
from tests.sim.network import Network
from tests.sim.test_scenes import COUNTY, MESSAGE, NEIGHBOUR, play
from tests.sim.test_time import CITY, alarms_of
from tests.sim.virtual import START_US

PROVINCE = "320000-GO"
RESTORES = int(os.environ.get("SIM_RESTORES", "15"))
"""More of them: `SIM_RESTORES=1000 pytest tests/sim/test_restores.py`."""


class Mail:
    """Sends numbered messages, and remembers what was handed out as new."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.count = 0
        self.new: list[str] = []
        self.flags: dict[str, list[str]] = {}

    async def send(self, sender: str, to: str, many: int = 1) -> list[str]:
        ids = [message_id_text(uuid7(START_US, (self.count + n).to_bytes(10))) for n in range(many)]
        self.count += many
        drafts = [Draft(id=one, to=[to], title="report", body="text") for one in ids]
        answers = await self.network.offices[sender].service.send(drafts)
        assert not any(isinstance(answer, Refused) for answer in answers)
        return ids

    async def take(self, address: str, *, ack: bool = True) -> list[str]:
        """What is handed out now; whatever is not flagged as a repetition must be new."""
        service = self.network.offices[address].service
        taken = await service.inbox_take(100)
        for message in taken:
            self.flags[message["id"]] = message["flags"]
            if "redelivered" not in message["flags"]:
                self.new.append(message["id"])
        ids = [message["id"] for message in taken]
        if ack and ids:
            await service.inbox_ack(ids)
        return ids

    def nothing_was_new_twice(self) -> bool:
        return len(self.new) == len(set(self.new))


async def home_of(network: Network, address: str) -> dict[str, Any]:
    status = await network.offices[address].service.status()
    home: dict[str, Any] = status["home"]
    return home


def test_g12_g02_a_restored_recipient_is_told_and_hands_nothing_out_as_new_twice() -> None:
    async def scene(network: Network) -> None:
        mail = Mail(network)
        county = network.offices[NEIGHBOUR]
        first = await mail.send(COUNTY, NEIGHBOUR, 3)
        await asyncio.sleep(5)
        copy = county.back_up()
        before = await home_of(network, NEIGHBOUR)
        assert sorted(await mail.take(NEIGHBOUR)) == sorted(first)
        later = await mail.send(COUNTY, NEIGHBOUR, 2)
        await asyncio.sleep(5)
        assert sorted(await mail.take(NEIGHBOUR)) == sorted(later)
        await county.restore(copy)
        await asyncio.sleep(5)
        assert "goes on from an older state" in (await alarms_of(network, NEIGHBOUR))["RESTORED"]
        after = await home_of(network, NEIGHBOUR)
        assert after["epoch"] != before["epoch"]
        assert after["restored_at"] is not None
        again = await mail.take(NEIGHBOUR)
        assert sorted(again) == sorted(first)
        assert all("redelivered" in mail.flags[one] for one in again)
        assert mail.nothing_was_new_twice()
        # What comes from now on is new, and shows that two numbers are missing here.
        (fresh,) = await mail.send(COUNTY, NEIGHBOUR)
        await asyncio.sleep(5)
        assert await mail.take(NEIGHBOUR) == [fresh]
        assert mail.flags[fresh] == ["gap"]
        # The alarm outlives a restart, and ends with an operator's word.
        await county.crash()
        await county.start()
        await asyncio.sleep(5)
        assert list(await alarms_of(network, NEIGHBOUR)) == ["RESTORED"]
        assert (await county.service.home_accept())["epoch"] == after["epoch"]
        assert await alarms_of(network, NEIGHBOUR) == {}
        await county.crash()
        await county.start()
        await asyncio.sleep(5)
        assert await alarms_of(network, NEIGHBOUR) == {}

    play(scene)


def test_g12_g04_a_restored_sender_begins_new_numbers_and_no_gap_is_false() -> None:
    async def scene(network: Network) -> None:
        mail = Mail(network)
        county = network.offices[COUNTY]
        await mail.send(COUNTY, NEIGHBOUR, 4)
        await asyncio.sleep(5)
        copy = county.back_up()
        # These numbers the restored home will not know that it gave.
        await mail.send(COUNTY, NEIGHBOUR, 7)
        await asyncio.sleep(5)
        await county.restore(copy)
        await asyncio.sleep(5)
        assert list(await alarms_of(network, COUNTY)) == ["RESTORED"]
        sent = await mail.send(COUNTY, NEIGHBOUR, 5)
        await asyncio.sleep(5)
        await mail.take(NEIGHBOUR)
        assert len(mail.new) == 4 + 7 + 5
        assert set(sent) <= set(mail.new)
        assert not any(set(flags) & {"gap", "fills_gap"} for flags in mail.flags.values())

    play(scene)


def test_g08_g12_a_restored_sender_does_not_call_expired_what_its_other_life_sent() -> None:
    async def scene(network: Network) -> list[str]:
        county = network.offices[COUNTY]
        for broker in network.brokers.values():
            broker.go_down()
        await asyncio.sleep(5)
        draft = Draft(id=MESSAGE, to=[NEIGHBOUR], title="report", body="text", expires_in="60s")
        await county.service.send([draft])
        copy = county.back_up()
        for broker in network.brokers.values():
            broker.up = True
        await asyncio.sleep(70)
        await county.restore(copy)
        await asyncio.sleep(60)
        (recipient,) = (await county.service.track(MESSAGE))["recipients"]
        return [event["type"] for event in recipient["events"]]

    told = play(scene)
    assert "expired" not in told
    assert "unconfirmed" not in told
    assert told[-1] == "delivered"


@pytest.mark.parametrize(("to", "cancelled"), [(NEIGHBOUR, False), (PROVINCE, False), (PROVINCE, True)])
def test_g08_g12_an_id_that_a_restored_sender_uses_again_ends_as_refused_and_not_as_silence(
    to: str, cancelled: bool
) -> None:
    """The recipient has the first content, and says so; also where it is asked about the second by a tombstone."""

    async def scene(network: Network) -> None:
        await asyncio.sleep(5)
        county, recipient = network.offices[COUNTY], network.offices[to]
        copy = county.back_up()
        await county.service.send([Draft(id=MESSAGE, to=[to], title="report", body="first")])
        await asyncio.sleep(10)
        network.history.lost[COUNTY] = [(0, network.time.us)]
        await county.restore(copy)
        await asyncio.sleep(5)
        if cancelled:
            await recipient.crash()
        await county.service.send([Draft(id=MESSAGE, to=[to], title="report", body="second")])
        if cancelled:
            await asyncio.sleep(5)
            await county.service.cancel(MESSAGE)
            await recipient.start()
        await asyncio.sleep(20)
        (story,) = (await county.service.track(MESSAGE))["recipients"]
        told = [(one["type"], one["by"]) for one in story["events"] if one["type"] in ("delivered", "refused")]
        assert (story["state"], told) == ("refused", [("refused", to)])
        (message,) = await recipient.service.inbox_take(9)
        assert message["body"] == "first"
        # Nobody carries the second one any further.
        for office in network.offices.values():
            assert office.look(lambda txn: txn.connection.execute("SELECT count(*) FROM held").fetchone()) == (0,)

    play(scene)


def test_g12_g01_custody_that_a_restored_transit_forgot_is_asked_for_again() -> None:
    async def scene(network: Network) -> None:
        mail = Mail(network)
        city = network.offices[CITY]
        department = network.offices["320901-GO"]
        # The only way to the province leads through the city, and the province is away.
        await department.crash()
        await network.offices[PROVINCE].crash()
        await asyncio.sleep(5)
        copy = city.back_up()
        await mail.send(COUNTY, PROVINCE)
        await asyncio.sleep(3)
        assert city.look(lambda txn: txn.connection.execute("SELECT count(*) FROM held").fetchone()) == (1,)
        await city.restore(copy)
        await asyncio.sleep(4)
        assert list(await alarms_of(network, CITY)) == ["RESTORED"]
        # Long before the patience of a routine message has run out.
        assert city.look(lambda txn: txn.connection.execute("SELECT count(*) FROM held").fetchone()) == (1,)
        await network.offices[PROVINCE].start()
        await asyncio.sleep(10)
        assert len(await mail.take(PROVINCE)) == 1
        (recipient,) = (await network.offices[COUNTY].service.track(message_id_text(uuid7(START_US, bytes(10)))))[
            "recipients"
        ]
        events = [event["type"] for event in recipient["events"]]
        assert "custody_lost" in events
        assert recipient["state"] == "delivered"

    play(scene)


def test_g12_a_witness_remembers_over_its_own_restart() -> None:
    async def scene(network: Network) -> None:
        mail = Mail(network)
        county = network.offices[COUNTY]
        copy = county.back_up()
        await mail.send(COUNTY, NEIGHBOUR, 3)
        await asyncio.sleep(30)
        # Every broker forgets what it retained, and every neighbour dies.
        await county.crash()
        for address, office in network.offices.items():
            if address != COUNTY:
                await office.crash()
        for broker in network.brokers.values():
            broker.wipe()
        await network.offices[NEIGHBOUR].start()
        await county.restore(copy)
        await asyncio.sleep(5)
        assert NEIGHBOUR in (await alarms_of(network, COUNTY))["RESTORED"]

    play(scene)


def test_g12_a_retained_presence_is_a_witness_where_no_neighbour_is() -> None:
    async def scene(network: Network) -> None:
        county = network.offices[COUNTY]
        copy = county.back_up()
        await county.crash()
        await county.start()
        await asyncio.sleep(5)
        for address, office in network.offices.items():
            if address != COUNTY:
                await office.crash()
        await county.restore(copy)
        await asyncio.sleep(5)
        assert "broker y" in (await alarms_of(network, COUNTY))["RESTORED"]

    play(scene)


def test_g12_a_clone_beside_the_original_is_noticed_by_both() -> None:
    async def scene(network: Network) -> None:
        mail = Mail(network)
        county = network.offices[COUNTY]
        clone = county.clone(network.brokers)
        await clone.start()
        await asyncio.sleep(60)
        assert "CLONED" in await alarms_of(network, COUNTY)
        status = await clone.service.status()
        assert {alarm["code"] for alarm in status["alarms"]} & {"CLONED", "RESTORED"}
        epochs = {(await home_of(network, COUNTY))["epoch"], status["home"]["epoch"]}
        assert len(epochs) == 2
        await asyncio.sleep(600)
        status = await clone.service.status()
        assert epochs == {(await home_of(network, COUNTY))["epoch"], status["home"]["epoch"]}
        await clone.crash()
        await asyncio.sleep(120)
        await county.service.home_accept()
        await asyncio.sleep(600)
        assert await alarms_of(network, COUNTY) == {}
        await mail.send(COUNTY, NEIGHBOUR)

    play(scene)


def test_g12_g02_restore_after_restore_is_noticed_and_hands_out_nothing_as_new_twice() -> None:
    """Backups are taken at any time, also in the middle of traffic; every restore is told by the first greeting."""

    async def scene(network: Network) -> int:
        dice = random.Random(12)
        mail = Mail(network)
        county = network.offices[NEIGHBOUR]
        noticed = 0
        copies = [county.back_up("backup-0")]
        for turn in range(RESTORES):
            for _ in range(dice.randrange(1, 4)):
                await mail.send(COUNTY, NEIGHBOUR, dice.randrange(1, 4))
                await mail.send(NEIGHBOUR, COUNTY, dice.randrange(1, 4))
                await asyncio.sleep(dice.uniform(0, 3))
                await mail.take(NEIGHBOUR, ack=dice.random() < 0.5)
                copies = [*copies[-3:], county.back_up(f"backup-{turn % 5}")]
                await mail.send(NEIGHBOUR, COUNTY)
            await asyncio.sleep(3)
            epoch = (await home_of(network, NEIGHBOUR))["epoch"]
            await county.restore(dice.choice(copies))
            await asyncio.sleep(8)
            home = await home_of(network, NEIGHBOUR)
            noticed += home["epoch"] != epoch and "RESTORED" in await alarms_of(network, NEIGHBOUR)
            await county.service.home_accept()
        assert mail.nothing_was_new_twice()
        return noticed

    assert play(scene) == RESTORES


def test_g12_the_storms_notice_a_home_that_is_alarmed_for_nothing() -> None:
    async def scene(network: Network) -> None:
        county = network.offices[COUNTY]
        check_lives(network.history)
        await county.restore(county.back_up())
        await asyncio.sleep(5)
        # What was never lost is no restore: the copy is of this very moment.
        assert await alarms_of(network, COUNTY) == {}
        cause = Cause("RESTORED", START_US, "for nothing")
        await county.ground.store.write(Lane.FLASH, lambda txn: lives.keep_causes(txn, [cause]))
        county.restores = 0
        with pytest.raises(Broken, match="never restored"):
            check_lives(network.history)

    play(scene)


def test_g12_g02_what_was_on_its_way_while_the_home_was_restored_is_no_certain_news() -> None:
    async def scene(network: Network) -> None:
        mail = Mail(network)
        neighbour = network.offices[NEIGHBOUR]
        copy = neighbour.back_up()
        await mail.send(NEIGHBOUR, COUNTY)
        await asyncio.sleep(5)
        await neighbour.crash()
        # Its last life may have handed this out and lost the receipt: nobody can tell.
        waiting = await mail.send(COUNTY, NEIGHBOUR, 2)
        await asyncio.sleep(1)
        await neighbour.restore(copy)
        await asyncio.sleep(20)
        assert sorted(await mail.take(NEIGHBOUR)) == sorted(waiting)
        assert all("redelivered" in mail.flags[one] for one in waiting)
        assert await mail.send(COUNTY, NEIGHBOUR) != []
        await asyncio.sleep(5)
        (fresh,) = await mail.take(NEIGHBOUR)
        assert "redelivered" not in mail.flags[fresh]

    play(scene)


def test_g08_g12_a_program_that_listened_to_another_life_hears_what_happens_in_this_one() -> None:
    async def scene(network: Network) -> None:
        mail = Mail(network)
        county = network.offices[COUNTY]
        copy = county.back_up()
        await mail.send(COUNTY, NEIGHBOUR, 5)
        await asyncio.sleep(5)
        last = county.look(events.last_seq)
        await county.restore(copy)
        await asyncio.sleep(5)
        heard: dict[int, tuple[str, str]] = {}

        async def listen() -> None:
            async for event in county.service.events(last):
                heard[event["seq"]] = event["id"], event["type"]

        listening = asyncio.create_task(listen())
        (later,) = await mail.send(COUNTY, NEIGHBOUR)
        await asyncio.sleep(5)
        listening.cancel()
        assert [type_ for id_, type_ in heard.values() if id_ == later] == ["accepted", "custody", "delivered"]

    play(scene)
