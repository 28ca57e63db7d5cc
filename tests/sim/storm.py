"""One simulation from one seed: traffic, readers and faults for a while, then healing, then the guarantees (G1-G16)."""

import asyncio
import logging
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import structlog

from config.schema import Prekeys
from protocol.ids import Address
from relay import janitor, pump, restoring, retention, revocations, sealer, spreading, suites, timekeeper
from tests.sim.broken import Broken
from tests.sim.broker import Malice
from tests.sim.cheap import cheap_cryptography
from tests.sim.checks import bounds, forgery, lives, logs, numbers, places, reading, revocation, secrecy, verdicts
from tests.sim.checks.receipts import UNHEARD, check_receipts
from tests.sim.faults import FAULTS, JOINTS
from tests.sim.history import seen, tally
from tests.sim.network import SEATS, Network, sim_place
from tests.sim.office import AUDIT, BALLAST_BYTES, OfficeProcess
from tests.sim.traffic import Traffic
from tests.sim.virtual import Time, VirtualLoop
from tests.sim.weather import Plan, dice_of, weather_of

QUIET_S = 600.0
"""After the verdicts the last receipts find their way within this time."""
HEAL_S = 900.0
"""G16: everything deliverable is delivered within this virtual time after the last fault of a short storm."""
HEAL_LONG_S = 3 * 3600.0
"""The same after hours: a copy that went to many custodians in vain is sent every 64 patiences (SPEC, Timers)."""
PACES = (
    # What ends by time is judged by G9.
    (janitor, "TURN_S", 60.0),
    (timekeeper, "LOOK_S", 60.0),
    # Whatever happens wakes these, or a timer; by themselves they look for what nobody told them.
    (pump, "LONGEST_NAP_S", 300.0),
    (sealer, "LOOK_AGAIN_S", 300.0),
    (restoring, "TURN_S", 300.0),
    (revocations, "LOOK_S", 300.0),
    (spreading, "LOOK_S", 300.0),
    (suites, "LOOK_S", 300.0),
    (retention, "TURN_S", 300.0),
)
"""In a simulation of hours, how often the parts of an engine look at the clock while nothing happens."""
IDLE_PREKEYS = Prekeys(look_s=300)
IDLE_AUDIT = msgspec.structs.replace(AUDIT, tell_s=60)
"""The same for what the settings say."""
LOOK_S = 120.0
"""How often a simulation of hours is looked at while it runs."""


@dataclass(slots=True)
class Result:
    """What a simulation came to; `digest` is the same whenever the plan is."""

    seed: int
    virtual_s: float = 0.0
    accepted: int = 0
    states: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    kinds: frozenset[str] = frozenset()
    digest: str = ""


class Storm:
    """One run."""

    def __init__(self, plan: Plan, place: Path, time: Time) -> None:
        self.plan = plan
        self.time = time
        self.weather = weather_of(plan)
        self.network = Network(str(plan.seed), place, time)
        self.history = self.network.history
        self.calm = False
        self.faults: Counter[str] = Counter()
        self._place = place
        self._traffic = Traffic(self, plan.messages)

    async def run(self) -> Result:
        """The storm and what comes after it; raises `Broken`."""
        await self._begin()
        offices = self.network.offices.values()
        sending = asyncio.create_task(self._traffic.send_all())
        faults = [
            asyncio.create_task(work(self, dice_of(self.plan.seed, kind)))  # type: ignore[arg-type]
            for kind, work in FAULTS.items()
            if kind in self.weather.kinds
        ]
        readers = [asyncio.create_task(self._traffic.read(office)) for office in offices]
        tasks = [sending, *faults, *readers]
        await self._watch(self.weather.end_s, tasks)
        accepted = dict(self.history.accepted)
        verdicts.check_stories(self.history, await self._stories(), accepted, healed=False)
        if self.plan.mode == "liveness":
            await self._heal(faults)
            heal_s = HEAL_LONG_S if self.plan.hours else HEAL_S
            await self._watch(heal_s, [sending, *readers], until=lambda: sending.done() and self._all_final())
            await self._watch(QUIET_S, readers, until=self._is_quiet)
            self._check_quiet()
            check_receipts(self.history)
            revocation.check_effects(self.history)
            places.check_places(self.history)
            verdicts.check_stories(self.history, await self._stories(), self.history.accepted, healed=True)
        for task in tasks:
            task.cancel()
        stories = await self._stories()
        self._check_end()
        await self.network.stop()
        return self._result(stories)

    async def _begin(self) -> None:
        """Start every office but one that comes late."""
        network, weather, dice = self.network, self.weather, dice_of(self.plan.seed, "newcomer")
        late = dice.choice(list(network.offices)) if "newcomer" in weather.kinds else ""
        for address, office in network.offices.items():
            office.slow_s = weather.slow_s
            office.quota_bytes = weather.quota_bytes
            if self.plan.hours:
                office.prekeys, office.audit = IDLE_PREKEYS, IDLE_AUDIT
            office.ballast_bytes = BALLAST_BYTES if "full_disk" in weather.kinds else 0
            if late and address != late:
                known = [one for one in office.knows_prekeys if one.office_id != SEATS[late].office]
                office.knows_prekeys = [one for one in known if dice.random() < 0.5]
        for broker in network.brokers.values():
            broker.malice = weather.malice
        await network.start(late)

    def count(self, fault: str) -> None:
        """A fault happened."""
        self.faults[fault] += 1

    async def in_burst(self) -> None:
        """Return within the next burst; after the last one, never."""
        for begin, end in self.weather.bursts:
            now_s = self.time.us / 1e6
            if now_s < begin:
                await asyncio.sleep(begin - now_s)
                return
            if now_s < end:
                return
        await asyncio.Event().wait()

    async def _watch(
        self, seconds: float, tasks: list[asyncio.Task[None]], *, until: Callable[[], bool] | None = None
    ) -> None:
        """Let virtual time pass; what breaks in the meantime is raised here."""
        end_us = self.time.us + int(seconds * 1e6)
        while self.time.us < end_us:
            left_s = (end_us - self.time.us) / 1e6
            await asyncio.sleep(min(left_s, LOOK_S if self.plan.hours > 1 else 1.0) + 1e-6)
            self.history.check_processes()
            revocation.check_revocation(self.history)
            for task in tasks:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise error
            for office in self.network.offices.values():
                if office.running:
                    bounds.check_bounds(office)
            if until is not None and until():
                return

    def _all_final(self) -> bool:
        """Whether every recipient has its verdict, and every process runs."""
        return all(office.running for office in self.network.offices.values()) and not any(
            office.look(lambda txn: self._asked(txn, _WITHOUT_VERDICT)) for office in self._members()
        )

    @property
    def _gone(self) -> bytes:
        """The office that was revoked, or nothing."""
        return b"" if self.history.revoked is None else self.history.revoked.office

    def _asked(self, txn: Any, statement: str) -> int:
        """How many rows there are about messages that must come to an end."""
        return len(txn.connection.execute(statement, (self._gone,)).fetchall())

    def _members(self) -> list[OfficeProcess]:
        """The offices that nobody revoked: G16 is judged of what is between them."""
        return [one for one in self.network.offices.values() if one.seat.office != self._gone]

    def _is_quiet(self) -> bool:
        """Whether nothing is under way any more: no copy and no receipt is held by anybody, and each was heard."""
        asked = (_HELD, UNHEARD)
        return not any(
            office.look(lambda txn: sum(self._asked(txn, one) for one in asked)) for office in self._members()
        )

    def _check_quiet(self) -> None:
        for office in self._members():
            held = office.look(lambda txn: self._asked(txn, _HELD))
            if held:
                waiting = [(p.kind, stage, tries) for p, stage, _, tries in office.ground.outbox.describe()]
                raise Broken("G16", f"{office.seat.address} never got rid of {held} parcels: {waiting}")

    def _check_end(self) -> None:
        """What is judged once, on everything that there is."""
        self.history.check_processes()
        # Before the inboxes: what is there and was forged is also something that nobody sent.
        forgery.check_stores(self.history)
        reading.check_inboxes(self.history)
        lives.check_lives(self.history)
        logs.check_logs(self.history)
        numbers.check_streams(self.history)
        secrecy.check_disks(self._place)

    async def _stories(self) -> dict[str, dict[str, Any]]:
        stories: dict[str, dict[str, Any]] = {}
        for office in self.network.offices.values():
            told = None
            while told is None:
                # The storm still blows: an office may die under the question, which is then asked again.
                await office.start()
                office.resume()
                told = await self._traffic.ask(office, office.service.sent_list(None, 100_000))
            stories |= {story["id"]: story for story in told}
        return stories

    async def _heal(self, faults: list["asyncio.Task[None]"]) -> None:
        """No more faults; whoever lost a retained message hears it again at the next connection."""
        self.calm = True
        for task in faults:
            task.cancel()
        for broker in self.network.brokers.values():
            broker.malice = Malice()
            broker.severed.clear()
            broker.up = True
        for office in self.network.offices.values():
            office.resume()
            office.set_clock(0)
            if office.quota_bytes < 1 << 30:
                office.quota_bytes = 1 << 30
                await office.crash()
            await office.start()
            office.store.free_disk()
            if "reform" in self.weather.kinds and office.seat.office != self._gone:
                await office.offer(self.history.directory, Address(JOINTS[0]))
            for link in office.links.open.values():
                link.cut = link.deaf = link.mute = False
                link.broken()

    def _result(self, stories: dict[str, dict[str, Any]]) -> Result:
        history = self.history
        for office in self.network.offices.values():
            history.counts |= office.lanes.worst
        history.counts["arrivals"] = sum(broker.arrived for broker in self.network.brokers.values())
        return Result(
            self.plan.seed, self.time.us / 1e6, len(history.accepted), tally(stories), seen(stories), self.faults,
            history.counts, self.weather.kinds, history.digest(),
        )  # fmt: skip


_HELD = "SELECT message_id FROM held WHERE ? NOT IN (origin, recipient)"
_WITHOUT_VERDICT = "SELECT message_id FROM recipients WHERE stage < 2 AND office != ?"


def simulate(plan: Plan) -> Result:
    """Run one plan to its end; raises `Broken` or whatever went wrong."""
    time = Time()
    loop = VirtualLoop(time)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with ExitStack() as stack:
        place = Path(stack.enter_context(sim_place()))
        if not plan.real_cryptography:
            stack.enter_context(cheap_cryptography())
        if plan.hours:
            for module, name, pace_s in PACES:
                stack.enter_context(patch.object(module, name, pace_s))
        stack.callback(loop.close)
        noises: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: noises.append(context))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)

            async def main() -> Result:
                return await Storm(plan, place, time).run()

            try:
                return loop.run_until_complete(main())
            finally:
                loop.thaw_all()
                for task in asyncio.all_tasks(loop):
                    task.cancel()
                loop.run_until_complete(asyncio.sleep(0.01))


def trace_of(error: BaseException) -> str:
    """The story of a failure, for a person."""
    return "".join(traceback.format_exception(error))
