"""A simulated network that a test moves by hand: between two calls no time passes, and nothing happens."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

import structlog

from protocol.errors import Refused
from protocol.ids import message_id_text, parse_message_id, uuid7
from relay.draft import Draft
from relay.store import inbox, sent
from relay.store.group import StoreFailed
from tests.sim.broken import Broken
from tests.sim.broker import Malice
from tests.sim.cheap import cheap_cryptography
from tests.sim.checks import numbers, reading, secrecy, verdicts
from tests.sim.facts import CANARY, Sent
from tests.sim.network import Network, sim_place
from tests.sim.office import OfficeProcess
from tests.sim.virtual import START_US, Time, VirtualLoop

T = TypeVar("T")

LONG_LIFE_S = 30 * 86_400.0
HEAL_S = 900.0
"""G16: everything deliverable is delivered within this virtual time after the last fault."""
QUIET_S = 600.0
"""Then the last receipts find their way within this time."""
ASK_S = 20.0


class Play:
    """One network on virtual time; `close` it at the end, whatever happened."""

    def __init__(self, seed: str) -> None:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        self._stack = ExitStack()
        self.place = Path(self._stack.enter_context(sim_place()))
        self._stack.enter_context(cheap_cryptography())
        self.time = Time()
        self.loop = VirtualLoop(self.time)
        self.loop.set_exception_handler(lambda _, context: None)
        self.network = Network(seed, self.place, self.time)
        self.history = self.network.history
        self.offices = list(self.network.offices.values())
        self.messages = 0
        self.do(self.network.start(""))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Let something happen, and the time that it takes."""
        return self.loop.run_until_complete(work)

    def apply(self, change: Callable[[], object]) -> None:
        """Change something in the world, without any time."""

        async def run() -> None:
            change()

        self.do(run())

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.do(asyncio.sleep(seconds))
        self.history.check_processes()

    def ask(self, office: OfficeProcess, work: Coroutine[Any, Any, Any]) -> Any:
        """An API call; None when it was refused, or when no answer came."""
        return self.do(self._ask(office, work))

    async def _ask(self, office: OfficeProcess, work: Coroutine[Any, Any, Any]) -> Any:
        with suppress(asyncio.CancelledError, TimeoutError, StoreFailed, Refused):
            return await asyncio.wait_for(office.call(work), ASK_S)
        return None

    async def kill_during(self, office: OfficeProcess, work: Coroutine[Any, Any, Any], after_s: float) -> None:
        """An API call whose answer nobody hears, for the process dies."""
        task = office.call(work)
        await asyncio.sleep(after_s)
        await office.crash()
        task.cancel()
        with suppress(asyncio.CancelledError, StoreFailed, Refused):
            await asyncio.wait_for(task, ASK_S)

    # What people and programs do.

    def draft(self, to: list[str], urgency: str, size: int, lives_s: float) -> Draft:
        """The next message."""
        self.messages += 1
        message_id = uuid7(START_US, self.messages.to_bytes(10, "big"))
        return Draft(
            id=message_id_text(message_id), to=to, title=f"{CANARY} {self.messages}",
            body=f"{CANARY} {self.messages} " + "x" * size, urgency=urgency, expires_in=f"{lives_s:.0f}s",
            kind="incident_first" if urgency == "flash" else "report",
        )  # fmt: skip

    def note_tried(self, office: OfficeProcess, draft: Draft, lives_s: float) -> dict[tuple[str, str], Sent]:
        """Somebody is about to send a message."""
        tried = {
            (draft.id, to): Sent(office.seat.address, to, draft.title, draft.body, lives_s, self.time.us)
            for to in draft.to
        }
        self.history.tried |= tried
        return tried

    def send(self, office: OfficeProcess, draft: Draft, lives_s: float) -> None:
        """Send, and tell the history when it was accepted."""
        tried = self.note_tried(office, draft, lives_s)
        answer = self.ask(office, office.service.send([draft]))
        if answer is not None and isinstance(answer[0], dict):
            self.history.accepted |= tried

    def take(self, office: OfficeProcess, limit: int) -> list[str]:
        """A program takes what came; the ids."""
        taken = self.ask(office, office.service.inbox_take(limit)) or []
        for one in taken:
            self.history.on_taken(office.seat.address, one)
        return [one["id"] for one in taken]

    # The end.

    def heal(self) -> None:
        """No more faults; whoever lost a retained message hears it again at the next connection."""
        self.do(self._heal())

    async def _heal(self) -> None:
        for broker in self.network.brokers.values():
            broker.malice = Malice()
            broker.severed.clear()
            broker.up = True
        for office in self.offices:
            office.resume()
            office.set_clock(0)
            await office.start()
            office.store.free_disk()
            for link in office.links.open.values():
                link.cut = link.deaf = link.mute = False
                link.broken()

    def settle(self) -> None:
        """After healing: every recipient has its verdict in time, and nothing is left under way (G16)."""
        end_us = self.time.us + int(HEAL_S * 1e6)
        while any(office.look(_count("recipients WHERE stage < 2")) for office in self.offices):
            if self.time.us > end_us:
                verdicts.check_stories(self.history, self.stories(), self.history.accepted, healed=True)
                raise Broken("G16", "a message that nobody knows to be accepted has no verdict after healing")
            self.wait(2.0)
            for office in self.offices:
                self.take(office, 50)
        end_us = self.time.us + int(QUIET_S * 1e6)
        while any(office.look(_count("held")) for office in self.offices):
            if self.time.us > end_us:
                left = {office.seat.address: office.look(_count("held")) for office in self.offices}
                raise Broken("G16", f"parcels that never go: {left}")
            self.wait(5.0)

    def stories(self) -> dict[str, dict[str, Any]]:
        """What every sender says of what it sent."""
        told = [self.ask(office, office.service.sent_list(None, 100_000)) for office in self.offices]
        return {story["id"]: story for one in told for story in one}

    def judge(self) -> None:
        """Everything that is judged on what is there at the end."""
        verdicts.check_stories(self.history, self.stories(), self.history.accepted, healed=True)
        reading.check_inboxes(self.history)
        numbers.check_streams(self.history)
        secrecy.check_disks(self.place)

    def close(self) -> None:
        """End every process and task."""
        try:
            self.loop.thaw_all()
            self.do(self.network.stop())
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.do(asyncio.sleep(0.01))
        finally:
            self.loop.close()
            self._stack.close()

    def check_books(self) -> None:
        """Cheap enough for every step: no sender forgot what it accepted (G1), nobody lies about a delivery (G7)."""
        standings = {office.seat.address: office.look(_standings) for office in self.offices}
        arrived = {office.seat.address: office.look(_arrived) for office in self.offices}
        for (message_id, to), one in self.history.accepted.items():
            raw = bytes(parse_message_id(message_id))
            recipient, sender = self.network.offices[to].seat.office, self.network.offices[one.sender].seat.office
            state = standings[one.sender].get((raw, recipient))
            if state is None:
                raise Broken("G1", f"{one.sender} forgot {message_id}")
            if state in verdicts.ARRIVED and (sender, raw) not in arrived[to]:
                raise Broken("G7", f"{message_id} is {state} and not in the inbox of {to}")
            if state == "expired" and (sender, raw) in arrived[to]:
                raise Broken("G8", f"{message_id} is called expired and is in the inbox of {to}")

    def outcome(self) -> dict[str, Any]:
        """What is left for people when all is over: the texts in every inbox and every verdict."""
        return {
            office.seat.address: (
                sorted(office.look(_texts)),
                sorted((raw.hex(), to.hex(), state) for (raw, to), state in office.look(_standings).items()),
            )
            for office in self.offices
        }


def _count(rows: str) -> Any:
    return lambda txn: txn.connection.execute(f"SELECT count(*) FROM {rows}").fetchone()[0]  # noqa: S608 - ours


def _standings(txn: Any) -> dict[tuple[bytes, bytes], str]:
    rows = sent.RECIPIENTS.unverified_clear(txn)
    return {(row["message_id"], row["office"]): row["state"] for row in rows}  # type: ignore[misc]


def _arrived(txn: Any) -> set[tuple[bytes, bytes]]:
    return set(txn.connection.execute("SELECT sender, message_id FROM inbox").fetchall())


def _texts(txn: Any) -> list[tuple[str, str, str, int]]:
    return [
        (one.sender.hex(), one.message_id.hex(), one.bundle.body, int(one.lane))
        for one in inbox.listed(txn, None, 100_000)
    ]
