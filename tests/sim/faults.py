"""What goes wrong in a storm, one function for each kind of fault; each draws from dice of its own."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from keys.roster.directory import Directory
from keys.roster.reorganisation import Reform, reorganise
from protocol.errors import Refused
from protocol.ids import Address
from protocol.limits import SECOND_US
from relay.audit.keeper import recall_mark
from tests.sim import logs
from tests.sim.broker import Malice
from tests.sim.checks.revocation import Revocation, late_ids
from tests.sim.forger import Forger
from tests.sim.links import Link
from tests.sim.office import OfficeProcess

if TYPE_CHECKING:
    from tests.sim.storm import Storm

Fault = Callable[["Storm", random.Random], Awaitable[None]]

KEEPALIVE_S = 30.0
"""A broker gives up a connection that says nothing for so long, and publishes its will."""
ROTTEN = ("held", "inbox", "receipts", "recipients", "sent", "events", "passed", "numbers", "streams", "prekeys")
"""Tables in which a bit may flip."""
ROT_MARK = 24
"""Bytes at the beginning of a sealed row that no other row has: its salt."""
BOUND_S = 5.0
"""What was being looked at when a directory came is in the store, or gone, after so long."""
GRANTS_S = 900.0
"""How long after a revocation whoever runs the brokers gets to the grants."""
JOINTS = ("320900-GO", "320901-GO")
"""The offices that join the two brokers."""


async def moments(storm: "Storm", dice: random.Random, every_s: float) -> AsyncIterator[OfficeProcess]:
    """Moments within the bursts, on average so far apart, each with an office that it may happen to."""
    while True:
        await asyncio.sleep(dice.expovariate(1 / every_s))
        await storm.in_burst()
        yield dice.choice(list(storm.network.offices.values()))


async def crash(storm: "Storm", dice: random.Random) -> None:
    """kill -9, and a start some seconds later."""
    async for office in moments(storm, dice, dice.uniform(2, 20)):
        if office.running:
            storm.count("crash")
            await office.crash()
            await asyncio.sleep(dice.uniform(0, 10))
            await office.start()


async def power(storm: "Storm", dice: random.Random) -> None:
    """A power cut: some offices at one moment, with a write torn in the middle."""
    async for _ in moments(storm, dice, dice.uniform(5, 40)):
        offices = dice.sample(list(storm.network.offices.values()), dice.randint(1, 3))
        for office in offices:
            if office.running:
                storm.count("power")
                await office.lose_power()
        await asyncio.sleep(dice.uniform(0, 10))
        for office in offices:
            await office.start()


async def pause(storm: "Storm", dice: random.Random) -> None:
    """SIGSTOP for seconds to minutes; a broker that hears nothing gives up the connections."""
    async for office in moments(storm, dice, dice.uniform(5, 40)):
        if not office.running:
            continue
        storm.count("pause")
        boots, for_s = office.boots, dice.expovariate(1 / 15)
        office.pause()
        await asyncio.sleep(min(for_s, KEEPALIVE_S))
        if for_s > KEEPALIVE_S and office.boots == boots and office.running:
            for link in office.links.open.values():
                link.given_up()
            await asyncio.sleep(for_s - KEEPALIVE_S)
        office.resume()


async def flap(storm: "Storm", dice: random.Random) -> None:
    """One connection breaks, or hears or says nothing for a while."""
    async for office in moments(storm, dice, dice.uniform(1, 10)):
        links = list(office.links.open.values()) if office.running else []
        if not links:
            continue
        storm.count("flap")
        link = dice.choice(links)
        kind = dice.choice(("cut", "deaf", "mute", "broken"))
        if kind == "broken":
            link.broken()
            continue
        await _disturb([link], kind, dice.uniform(1, 15))


async def partition(storm: "Storm", dice: random.Random) -> None:
    """All connections of an office, or of a broker: both ways, or one way only."""
    async for office in moments(storm, dice, dice.uniform(10, 40)):
        storm.count("partition")
        kind = dice.choice(("cut", "deaf", "mute"))
        if dice.random() < 0.5:
            links = list(office.links.open.values()) if office.running else []
        else:
            broker = dice.choice(list(storm.network.brokers.values()))
            running = [one for one in storm.network.offices.values() if one.running]
            links = [link for one in running for link in one.links.open.values() if link.broker is broker]
        await _disturb(links, kind, dice.expovariate(1 / 20))


async def _disturb(links: list[Link], kind: str, for_s: float) -> None:
    for link in links:
        setattr(link, kind, True)
        if kind == "cut":
            link.broken()
    await asyncio.sleep(for_s)
    for link in links:
        setattr(link, kind, False)


async def sever(storm: "Storm", dice: random.Random) -> None:
    """A broker passes on nothing from one office to another, though both are connected: one way or both ways."""
    async for office in moments(storm, dice, dice.uniform(5, 30)):
        storm.count("sever")
        other = dice.choice([one for one in storm.network.offices if one != office.seat.address])
        broker = dice.choice(list(storm.network.brokers.values()))
        pairs = {(office.seat.address, other)}
        if dice.random() < 0.5:
            pairs |= {(other, office.seat.address)}
        broker.severed |= pairs
        await asyncio.sleep(dice.uniform(5, 60))
        broker.severed -= pairs


async def wipe(storm: "Storm", dice: random.Random) -> None:
    """A broker dies and comes back without its database."""
    async for _ in moments(storm, dice, dice.uniform(5, 30)):
        storm.count("wipe")
        dice.choice(list(storm.network.brokers.values())).wipe()


async def liar(storm: "Storm", dice: random.Random) -> None:
    """One broker does every bad thing at once for a while."""
    async for _ in moments(storm, dice, dice.uniform(10, 30)):
        storm.count("liar")
        broker = dice.choice(list(storm.network.brokers.values()))
        broker.malice = Malice(0.3, 0.3, 0.3, 0.2, 0.5, dice.uniform(1, 20), 0.3, 0.1)
        await asyncio.sleep(dice.uniform(3, 20))
        broker.malice = replace(storm.weather.malice)


async def absent(storm: "Storm", dice: random.Random) -> None:
    """One office is switched off for most of the storm."""
    await asyncio.sleep(dice.uniform(0, 10))
    office = dice.choice(list(storm.network.offices.values()))
    storm.count("absent")
    await office.crash()
    await asyncio.sleep(storm.weather.end_s * 0.7)
    await office.start()


async def newcomer(storm: "Storm", _: random.Random) -> None:
    """An office that starts late: nobody has ever heard of its prekey, so that what is for it waits unsealed."""
    await asyncio.sleep(storm.weather.end_s * 0.6)
    for office in storm.network.offices.values():
        await office.start()


async def forgetful(storm: "Storm", dice: random.Random) -> None:
    """A custodian swallows mail: a relay loses all that it holds for others and says nothing (D1)."""
    await asyncio.sleep(dice.uniform(5, storm.weather.end_s))
    office = storm.network.offices[dice.choice(JOINTS)]
    storm.count("forgetful")
    await office.crash()
    mine = office.seat.office
    office.look(lambda txn: txn.connection.execute("DELETE FROM held WHERE origin != ?", (mine,)).rowcount)
    await office.start()


async def prekeys(storm: "Storm", dice: random.Random) -> None:
    """Offices that lose the private halves of their prekeys: what is under way must be sealed again (D7)."""
    async for office in moments(storm, dice, dice.uniform(5, 30)):
        if office.running:
            storm.count("prekeys")
            await office.crash()
            office.lose_prekey()
            await office.start()


async def full_disk(storm: "Storm", dice: random.Random) -> None:
    """Somebody else fills the disk, and frees it again."""
    async for office in moments(storm, dice, dice.uniform(5, 30)):
        if office.running:
            storm.count("full_disk")
            office.store.fill_disk()
            await asyncio.sleep(dice.uniform(1, 30))
            if office.running:
                office.store.free_disk()


async def forge(storm: "Storm", dice: random.Random) -> None:
    """Somebody who is not who they say: strangers and enrolled offices that lie (tests/sim/forger.py)."""
    forger = Forger(storm.history, dice)
    async for _ in moments(storm, dice, dice.uniform(0.5, 5)):
        kind = forger.strike(dice.choice(list(storm.network.brokers.values())))
        if kind is not None:
            storm.count(f"forge_{kind}")


async def revoke(storm: "Storm", dice: random.Random) -> None:
    """One office is revoked: it does not hear of it and goes on; the others hear of it one after the other, and some
    are offered the older directory again.
    """
    await asyncio.sleep(dice.uniform(0, storm.weather.end_s * 0.7))
    history = storm.history
    offices = [one for name, one in storm.network.offices.items() if name not in JOINTS]
    gone = dice.choice(offices)
    old, since_us = history.directory, history.now_us
    record = replace(old.offices[gone.seat.office], state="revoked", revoked_since_us=since_us)
    new = replace(old, version=old.version + 1, offices={**old.offices, record.id: record})
    history.directory = new
    revoked = history.revoked = Revocation(record.id, since_us)
    storm.count("revoke")

    async def hear(office: OfficeProcess, after_s: float) -> None:
        await asyncio.sleep(after_s)
        while not (office.running and office.directory.version >= new.version):
            await office.offer(new, Address(JOINTS[0]))
            await asyncio.sleep(1)
        await asyncio.sleep(BOUND_S)
        revoked.known[office.seat.address] = late_ids(history, revoked, office)
        await office.offer(old, Address(JOINTS[1]))

    others = [one for one in storm.network.offices.values() if one is not gone]
    await asyncio.gather(*(hear(one, dice.uniform(0, 15)) for one in others))
    # In a long storm whoever runs the brokers takes its grants as well; else it would send in vain for hours.
    await asyncio.sleep(GRANTS_S)
    for broker in storm.network.brokers.values():
        broker.bar(gone.seat.address)


async def reform(storm: "Storm", dice: random.Random) -> None:
    """Offices get another address, class or superior from a date on; each office hears of it before that or after."""
    history = storm.history

    async def hear(office: OfficeProcess, directory: Directory, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if not history.exempt(office.seat.address):
            await office.offer(directory, Address(JOINTS[0]))

    async with asyncio.TaskGroup() as telling:
        async for office in moments(storm, dice, dice.uniform(10, 40)):
            old, from_us = history.directory, history.now_us + dice.randint(0, 30) * SECOND_US
            with suppress(Refused):
                new = reorganise(
                    old, Address(office.seat.address), _another_place(dice), history.now_us, from_us=from_us
                )
                history.directory = replace(new, version=old.version + 1)
                storm.count("reform")
                for other in storm.network.offices.values():
                    telling.create_task(hear(other, history.directory, dice.expovariate(1 / 20)))


def _another_place(dice: random.Random) -> Reform:
    address = Address(f"3213{dice.randint(10, 99)}-GO")
    parent, class_ = Address(dice.choice(JOINTS)), dice.choice(("county", "township", "stationed"))
    return dice.choice((Reform(address=address), Reform(office_class=class_), Reform(address=address, parent=parent)))


async def restore(storm: "Storm", dice: random.Random) -> None:
    """A home comes back from an older state of its disk: what it did since it does not know, and others do (G12)."""
    async for office in moments(storm, dice, dice.uniform(8, 40)):
        if not office.running:
            continue
        copy, since_us, epoch = office.back_up(), storm.time.us, office.ground.identity.epoch
        edited = office.seat.address in storm.history.edited
        await asyncio.sleep(dice.expovariate(1 / 10))
        storm.count("restore")
        await office.crash()
        storm.history.on_restored(office, since_us, epoch, edited=edited)
        await office.restore(copy)


async def edit(storm: "Storm", dice: random.Random) -> None:
    """Somebody who has the disk edits what is durable of one audit log, while its relay runs or is down (G15)."""
    async for office in moments(storm, dice, dice.uniform(10, 40)):
        durable = office.look(recall_mark).count if office.boots else 0
        if durable:
            storm.count("edit")
            logs.edit(office.log, durable, dice)
            storm.history.edited.add(office.seat.address)
            return


async def clock(storm: "Storm", dice: random.Random) -> None:
    """Somebody sets a wall clock, and later sets it right again; not before a home's first start, which has nothing to
    hold it against (D12).
    """
    async for office in moments(storm, dice, dice.uniform(10, 40)):
        if office.clock.skew_us or not office.boots:
            continue
        storm.count("clock")
        by_s = dice.choice((dice.uniform(5, 50), dice.uniform(400, 86_400), dice.uniform(86_400, 50 * 86_400)))
        office.set_clock(by_s * dice.choice((-1, 1)))
        await asyncio.sleep(dice.expovariate(1 / 60))
        office.set_clock(0)


async def rot(storm: "Storm", dice: random.Random) -> None:
    """One bit of a row flips on the disk, of each row one at most (D10)."""
    rotten: set[tuple[str, bytes]] = set()
    async for office in moments(storm, dice, dice.uniform(3, 30)):
        if not office.running:
            continue
        table = dice.choice(ROTTEN)
        found = office.look(lambda txn, table=table: _sealed_rows(txn.connection, table))
        rows = [(rowid, sealed) for rowid, sealed in found if (table, sealed[:ROT_MARK]) not in rotten]
        if rows:
            storm.count(f"rot_{table}")
            rowid, sealed = dice.choice(rows)
            at = dice.randrange(len(sealed))
            flipped = sealed[:at] + bytes((sealed[at] ^ (1 << dice.randrange(8)),)) + sealed[at + 1 :]
            rotten |= {(table, sealed[:ROT_MARK]), (table, flipped[:ROT_MARK])}
            statement = f"UPDATE {table} SET sealed = ? WHERE rowid = ?"  # noqa: S608 - a constant
            office.look(lambda txn, to=statement, row=(flipped, rowid): txn.connection.execute(to, row).rowcount)


def _sealed_rows(connection: sqlite3.Connection, table: str) -> list[tuple[int, bytes]]:
    return connection.execute(f"SELECT rowid, sealed FROM {table} ORDER BY rowid").fetchall()  # noqa: S608


FAULTS: dict[str, Fault] = {
    one.__name__: one
    for one in (
        crash, power, pause, flap, partition, sever, wipe, liar, forge, absent, newcomer, forgetful, prekeys, full_disk,
        clock, rot, revoke, reform, restore, edit,
    )
}  # fmt: skip
"""The kinds that act by themselves; the others are traits of brokers, stores, messages and callers."""
