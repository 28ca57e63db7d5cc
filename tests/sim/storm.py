"""One simulation from one seed: traffic, readers and faults for a while, then healing, then the guarantees (G1-G16)."""

import asyncio
import logging
import random
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from protocol.errors import Refused, RemoteError
from protocol.ids import message_id_text, uuid7
from relay.draft import Draft
from relay.store.group import StoreFailed
from tests.sim.broker import Malice
from tests.sim.cheap import cheap_cryptography
from tests.sim.history import CANARY, Broken, Sent, seen, tally
from tests.sim.network import SEATS, Network, sim_place
from tests.sim.office import OfficeProcess
from tests.sim.virtual import START_US, Time, VirtualLoop
from tests.sim.weather import weather_of

QUIET_S = 300.0
"""After the verdicts the last receipts find their way within this time."""
HEAL_S = 600.0
"""G16: everything deliverable is delivered within this virtual time after the last fault."""


@dataclass(slots=True)
class Result:
    """What a simulation came to; `digest` is the same whenever the seed is."""

    seed: int
    virtual_s: float
    published: int
    accepted: int
    states: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    events: Counter[str] = field(default_factory=Counter)
    digest: str = ""


class Storm:
    """One run."""

    def __init__(self, seed: int, place: Path, time: Time, messages: int) -> None:
        self.time = time
        self.dice = random.Random(f"{seed} storm")
        self.weather = weather_of(self.dice, messages)
        self.network = Network(str(seed), place, time)
        self.history = self.network.history
        self.calm = False
        self.crashes = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> Result:
        network, weather = self.network, self.weather
        for office in network.offices.values():
            office.slow_s = weather.slow_s
            office.quota_bytes = weather.quota_bytes
            if weather.missing_prekeys:
                office.knows_prekeys = [one for one in office.knows_prekeys if self.dice.random() < 0.5]
        for broker in network.brokers.values():
            broker.malice = weather.malice
        late = self.dice.choice(list(network.offices)) if weather.missing_prekeys else ""
        for office in network.offices.values():
            if late and office.seat.address != late:
                office.knows_prekeys = [one for one in office.knows_prekeys if one.office_id != SEATS[late].office]
        await network.start(late)
        for work in (
            self._traffic,
            self._crashes,
            self._flaps,
            self._wipes,
            self._absence,
            self._forgetting,
            self._restores,
        ):
            self._tasks.append(asyncio.create_task(work()))
        readers = [asyncio.create_task(self._read(office)) for office in network.offices.values()]
        await self._watched(weather.storm_s, [*self._tasks, *readers])
        accepted = dict(self.history.accepted)
        self._check(await self._stories(), accepted, healed=False)
        await self._heal()
        await self._watched(HEAL_S, readers, until=self._all_final)
        for task in readers:
            task.cancel()
        await self._watched(QUIET_S, [], until=self._is_quiet)
        for office in network.offices.values():
            if office.look(_held):
                waiting = [(p.kind, stage, tries) for p, stage, _, tries in office.ground.outbox.describe()]
                raise Broken(f"G16: {office.seat.address} never got rid of {office.look(_held)} parcels: {waiting}")
        stories = await self._stories()
        self._check(stories, self.history.accepted, healed=True)
        await network.stop()
        published = sum(broker.published for broker in network.brokers.values())
        accepted = len(self.history.accepted)
        return Result(
            0,
            self.time.us / 1e6,
            published,
            accepted,
            tally(stories),
            self.crashes,
            seen(stories),
            self.history.digest(),
        )

    async def _watched(
        self, seconds: float, tasks: list[asyncio.Task[None]], *, until: Callable[[], bool] | None = None
    ) -> None:
        """Let virtual time pass; what breaks in the meantime is raised here."""
        end_us = self.time.us + int(seconds * 1e6)
        while self.time.us < end_us:
            await asyncio.sleep(1.0)
            self.history.check_processes()
            for task in tasks:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise error
            if until is not None and until():
                return

    def _all_final(self) -> bool:
        """Whether every recipient has its verdict, and every process runs."""
        return all(office.running and not office.look(_without_verdict) for office in self.network.offices.values())

    def _is_quiet(self) -> bool:
        """Whether nothing is under way any more: no copy and no receipt is held by anybody."""
        return not any(office.look(_held) for office in self.network.offices.values())

    async def _stories(self) -> dict[str, dict[str, Any]]:
        stories: dict[str, dict[str, Any]] = {}
        for office in self.network.offices.values():
            told = None
            while told is None:
                # The storm still blows: an office may die under the question, which is then asked again.
                if not office.running:
                    await office.start()
                told = await self._ask(office, office.service.sent_list(None, 100_000))
            stories |= {story["id"]: story for story in told}
        return stories

    def _check(
        self, stories: dict[str, dict[str, Any]], accepted: dict[tuple[str, str], Sent], *, healed: bool
    ) -> None:
        self.history.check_processes()
        self.history.check_stories(stories, accepted, healed=healed)

    # Traffic and readers.

    async def _traffic(self) -> None:
        weather, dice = self.weather, self.dice
        sending = []
        for number in range(weather.messages):
            await asyncio.sleep(dice.expovariate(weather.messages / (0.8 * weather.storm_s)))
            sender = dice.choice(list(self.network.offices.values()))
            others = [name for name in self.network.offices if name != sender.seat.address]
            to = dice.sample(others, 1 if dice.random() < 0.8 else dice.randint(2, 4))
            lives_s = dice.uniform(5, 120) if weather.short_lives and dice.random() < 0.5 else 86_400.0
            sending.append(asyncio.create_task(self._send(sender, number, to, lives_s)))
        for task in sending:
            await task

    async def _send(self, sender: OfficeProcess, number: int, to: list[str], lives_s: float) -> None:
        """One report; the caller tries again with the same id until it has an answer, as CONTRACT asks it to."""
        dice = self.dice
        message_id = message_id_text(uuid7(START_US + self.time.us, dice.randbytes(10)))
        urgency = dice.choice(("flash", "urgent", "priority", "routine", "routine"))
        size = dice.choice((10, 200, 2_000, 12_000))
        body = f"{CANARY} {number} " + dice.randbytes(size).hex()
        draft = Draft(
            id=message_id, to=to, title=f"report {number}", body=body, urgency=urgency, expires_in=f"{lives_s:.0f}s",
            kind="incident_first" if urgency == "flash" else "report",
        )  # fmt: skip
        sent = {
            (message_id, one): Sent(sender.seat.address, one, draft.title, body, lives_s, self.time.us) for one in to
        }
        self.history.tried |= sent
        for _ in range(200):
            if sender.running:
                answer = await self._ask(sender, sender.service.send([draft], "sim"))
                if isinstance(answer, list) and isinstance(answer[0], dict):
                    self.history.accepted |= sent
                    return
                if isinstance(answer, list) and isinstance(answer[0], Refused) and answer[0].code != "STORE_FULL":
                    raise Broken(f"a good report was refused: {answer[0]}")
            await asyncio.sleep(1)

    async def _ask(self, office: OfficeProcess, work: Any) -> Any:
        """An API call that may be cut off by a crash, or given up by an impatient caller."""
        task = asyncio.ensure_future(work)
        boots = office.boots
        patience_s = self.dice.uniform(0, 0.05) if self.weather.kills_callers and not self.calm else 30.0
        waited_s = 0.0
        while not task.done() and office.running and office.boots == boots and waited_s < patience_s:
            step_s = min(0.05, patience_s)
            await asyncio.wait({task}, timeout=step_s)
            waited_s += step_s
        if not task.done():
            task.cancel()
        with suppress(asyncio.CancelledError, StoreFailed, Refused):
            return await task
        return None

    async def _read(self, office: OfficeProcess) -> None:
        """A program that takes what came, and a clerk who sometimes opens and signs."""
        dice = random.Random(f"{office.seat.address} {self.dice.random()}")
        while True:
            await asyncio.sleep(dice.uniform(0.5, 5))
            if not office.running:
                continue
            taken = await self._ask(office, office.service.inbox_take(dice.randint(1, 20)))
            for one in taken or []:
                self.history.on_taken(office.seat.address, one)
            if taken and dice.random() < 0.8 and office.running:
                await self._ask(office, office.service.inbox_ack([one["id"] for one in taken]))
            if taken and dice.random() < 0.3 and office.running:
                await self._ask(office, office.service.sign_for(taken[0]["id"], "王芳", None))

    # Faults.

    async def _crashes(self) -> None:
        while not self.calm:
            await asyncio.sleep(self.dice.expovariate(1 / self.weather.crash_every_s))
            office = self.dice.choice(list(self.network.offices.values()))
            if office.running and not self.calm:
                self.crashes += 1
                await office.crash()
                await asyncio.sleep(self.dice.uniform(0, 10))
                if not office.running:
                    await office.start()

    async def _flaps(self) -> None:
        while not self.calm:
            await asyncio.sleep(self.dice.expovariate(1 / self.weather.flap_every_s))
            office = self.dice.choice(list(self.network.offices.values()))
            if not office.running or self.calm:
                continue
            links = list(office.links.open.values())
            if not links:
                continue
            link = self.dice.choice(links)
            kind = self.dice.choice(("cut", "deaf", "mute", "broken"))
            if kind == "broken":
                link.broken()
                continue
            setattr(link, kind, True)
            if kind == "cut":
                link.broken()
            await asyncio.sleep(self.dice.uniform(1, 15))
            setattr(link, kind, False)

    async def _wipes(self) -> None:
        while not self.calm:
            await asyncio.sleep(self.dice.expovariate(1 / self.weather.wipe_every_s))
            if not self.calm:
                self.dice.choice(list(self.network.brokers.values())).wipe()

    async def _absence(self) -> None:
        """One office is switched off for most of the storm."""
        late = [office for office in self.network.offices.values() if not office.running]
        if late:
            # Nobody has ever heard of its prekey: what is for it waits unsealed.
            await asyncio.sleep(self.weather.storm_s * 0.6)
            await late[0].start()
        if not self.weather.away:
            return
        await asyncio.sleep(self.dice.uniform(0, 10))
        office = self.dice.choice(list(self.network.offices.values()))
        await office.crash()
        await asyncio.sleep(self.weather.storm_s * 0.7)
        if not office.running:
            await office.start()

    async def _forgetting(self) -> None:
        """A custodian swallows mail: a relay loses all that it holds for others and says nothing (D1)."""
        if not self.weather.forgetful:
            return
        await asyncio.sleep(self.dice.uniform(5, self.weather.storm_s))
        office = self.network.offices[self.dice.choice(("320900-GO", "320901-GO"))]
        mine = office.seat.office
        await office.crash()
        office.look(lambda txn: txn.connection.execute("DELETE FROM held WHERE origin != ?", (mine,)).rowcount)
        await office.start()

    async def _restores(self) -> None:
        """Offices that lose the private halves of their prekeys: what is under way must be sealed again (D7)."""
        while self.weather.loses_prekeys and not self.calm:
            await asyncio.sleep(self.dice.uniform(3, 30))
            office = self.dice.choice(list(self.network.offices.values()))
            if office.running and not self.calm:
                await office.crash()
                office.lose_prekey()
                await office.start()

    async def _heal(self) -> None:
        self.calm = True
        for task in self._tasks[1:]:
            task.cancel()
        for broker in self.network.brokers.values():
            broker.malice = Malice()
            broker.up = True
        for office in self.network.offices.values():
            if office.quota_bytes < 1 << 30:
                office.quota_bytes = 1 << 30
                await office.crash()
            if not office.running:
                await office.start()
            for link in office.links.open.values():
                link.cut = link.deaf = link.mute = False
                # Whoever lost a retained message hears it again at the next connection.
                link.broken()
        await self._tasks[0]


def _held(txn: Any) -> int:
    return int(txn.connection.execute("SELECT count(*) FROM held").fetchone()[0])


def _without_verdict(txn: Any) -> int:
    return int(txn.connection.execute("SELECT count(*) FROM recipients WHERE stage < 2").fetchone()[0])


def simulate(seed: int, *, messages: int = 40, real_cryptography: bool = False) -> Result:
    """Run one seed to its end; raises `Broken` or whatever went wrong."""
    time = Time()
    loop = VirtualLoop(time)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with ExitStack() as stack:
        place = Path(stack.enter_context(sim_place()))
        if not real_cryptography:
            stack.enter_context(cheap_cryptography())
        stack.callback(loop.close)
        noises: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: noises.append(context))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)

            async def main() -> Result:
                return await Storm(seed, place, time, messages).run()

            try:
                result = loop.run_until_complete(main())
            finally:
                for task in asyncio.all_tasks(loop):
                    task.cancel()
                loop.run_until_complete(asyncio.sleep(0.01))
        result.seed = seed
        return result


def trace_of(error: BaseException) -> str:
    """The story of a failure, for a person."""
    return "".join(traceback.format_exception(error))


__all__ = ["Broken", "RemoteError", "Result", "simulate", "trace_of"]
