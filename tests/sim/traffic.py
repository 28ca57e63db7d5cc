"""Who uses the offices in a storm: programs that send, programs that take, clerks that open and sign."""

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from protocol.errors import Refused
from protocol.ids import message_id_text, uuid7
from relay.draft import Draft
from relay.store.group import StoreFailed
from tests.sim.broken import Broken
from tests.sim.facts import CANARY, CLERK, Sent
from tests.sim.office import OfficeProcess
from tests.sim.virtual import START_US
from tests.sim.weather import dice_of

if TYPE_CHECKING:
    from tests.sim.storm import Storm

SIZES = (10, 200, 2_000, 12_000)
URGENCIES = ("flash", "urgent", "priority", "routine", "routine")
TRIES = 200
IDLE_MOST_S = 300.0


class Traffic:
    """The users of one simulation."""

    def __init__(self, storm: "Storm", messages: int) -> None:
        self._storm = storm
        self._messages = messages
        self._dice = dice_of(storm.plan.seed, "traffic")
        self._sending: list[asyncio.Task[None]] = []

    async def send_all(self) -> None:
        """Every message at its time, in the first four fifths of the bursts."""
        dice, bursts = self._dice, self._storm.weather.bursts
        moments = []
        for _ in range(self._messages):
            begin, end = dice.choice(bursts)
            moments.append(begin + dice.random() * 0.8 * (end - begin))
        offices = list(self._storm.network.offices.values())
        # In half of the seeds most messages go one way, so that numbers follow each other and queues grow.
        heat = 0.7 if dice.random() < 0.5 else 0.0
        hot_from, hot_to = dice.sample(offices, 2)
        for number, at_s in enumerate(sorted(moments)):
            await asyncio.sleep(at_s - self._storm.time.us / 1e6)
            hot = dice.random() < heat
            sender = hot_from if hot else dice.choice(offices)
            others = [one.seat.address for one in offices if one is not sender]
            to = dice.sample(others, 1 if dice.random() < 0.8 else dice.randint(2, 4))
            if hot:
                to = [hot_to.seat.address]
            self._sending.append(asyncio.create_task(self._send(sender, number, to, self._life_s())))
        for task in self._sending:
            await task

    def _life_s(self) -> float:
        dice = self._dice
        short = dice.random() < 0.5
        drawn_s = dice.uniform(5, 120)
        return drawn_s if short and "short_lives" in self._storm.weather.kinds else 30 * 86_400.0

    async def _send(self, sender: OfficeProcess, number: int, to: list[str], lives_s: float) -> None:
        """One report; the caller tries again with the same id until it has an answer, as CONTRACT asks it to."""
        dice, history = dice_of(self._storm.plan.seed, f"message {number}"), self._storm.history
        message_id = message_id_text(uuid7(START_US + self._storm.time.us, dice.randbytes(10)))
        names = [self._name(sender, one, dice) for one in to]
        urgency = dice.choice(URGENCIES)
        body = f"{CANARY} {number} " + dice.randbytes(dice.choice(SIZES)).hex()
        draft = Draft(
            id=message_id, to=names, title=f"{CANARY} {number}", body=body, urgency=urgency,
            expires_in=f"{lives_s:.0f}s", kind="incident_first" if urgency == "flash" else "report",
        )  # fmt: skip
        sent = {
            (message_id, one): Sent(sender.seat.address, one, draft.title, body, lives_s, self._storm.time.us)
            for one in to
        }
        history.tried |= sent
        for _ in range(TRIES):
            if sender.running:
                answer = await self.ask(sender, sender.service.send([draft]))
                if isinstance(answer, list) and isinstance(answer[0], dict):
                    history.accepted |= sent
                    return
                if isinstance(answer, list) and isinstance(answer[0], Refused) and answer[0].code != "STORE_FULL":
                    if answer[0].code == "REVOKED" and self._storm.history.exempt(*to):
                        return
                    raise Broken("G1", f"a good report was refused: {answer[0]}")
            await asyncio.sleep(1)

    def _name(self, sender: OfficeProcess, to: str, dice: random.Random) -> str:
        """The office under one of the addresses that the sender knows."""
        known = sender.directory.by_address(to)
        return to if known is None else dice.choice(sorted(sender.directory.names_of(known.id)))

    async def ask(self, office: OfficeProcess, work: Any) -> Any:
        """An API call that may be cut off by a crash, or given up by an impatient caller."""
        task = office.call(work)
        impatient = "callers" in self._storm.weather.kinds and not self._storm.calm
        patience_s = self._dice.uniform(0, 0.05) if impatient else 30.0
        ended = asyncio.ensure_future(office.ended.wait())
        await asyncio.wait({task, ended}, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not task.done():
            task.cancel()
        with suppress(asyncio.CancelledError, TimeoutError, StoreFailed, Refused):
            return await asyncio.wait_for(task, 60)
        return None

    async def read(self, office: OfficeProcess) -> None:
        """A program that takes what came, and a clerk who sometimes opens and signs."""
        dice = dice_of(self._storm.plan.seed, f"reader {office.seat.address}")
        nap_s = 0.0
        while True:
            await asyncio.sleep(nap_s + dice.uniform(0.5, 5))
            nap_s = min(2 * nap_s + 1, IDLE_MOST_S if self._storm.plan.hours else 0)
            if not office.running:
                continue
            taken = await self.ask(office, office.service.inbox_take(dice.randint(1, 20)))
            for one in taken or []:
                self._storm.history.on_taken(office.seat.address, one)
                nap_s = 0.0
            await self._handle(office, taken or [], dice)

    async def _handle(self, office: OfficeProcess, taken: list[dict[str, Any]], dice: random.Random) -> None:
        if taken and dice.random() < 0.8 and office.running:
            await self.ask(office, office.service.inbox_ack([one["id"] for one in taken]))
        if taken and dice.random() < 0.3 and office.running:
            await self.ask(office, office.service.sign_for(taken[0]["id"], CLERK, None))
