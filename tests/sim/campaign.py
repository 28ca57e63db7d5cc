"""Many simulations: on several processes, counted, and with what fails made small."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from tests.sim.broken import Broken
from tests.sim.storm import Result, simulate, trace_of
from tests.sim.weather import Plan, weather_of

SHRINKS_MOST = 60
"""Simulations spent on making one failure small."""
AHEAD = 4
"""Plans given to each process before the first of them is done."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A plan under which something broke: what, in one line that stays the same, and the whole story."""

    plan: Plan
    sign: str
    what: str
    trace: str

    def __str__(self) -> str:
        return f"{self.what}\nrepeat (revision {REVISION}): python -m tests.sim {self.plan.options()}"


def attempt(plan: Plan) -> Result | Failure:
    """Simulate, whatever comes of it."""
    try:
        return simulate(plan)
    except Broken as broken:
        return Failure(plan, broken.guarantee, str(broken), trace_of(broken))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        return Failure(plan, type(error).__name__, repr(error), trace_of(error))


def shrink(failure: Failure, try_: Callable[[Plan], Result | Failure] = attempt) -> Failure:
    """The same guarantee broken by less: kinds of faults are dropped first, then messages, then hours."""
    left = SHRINKS_MOST

    def smaller(plan: Plan) -> Failure | None:
        nonlocal left
        if left == 0:
            return None
        left -= 1
        result = try_(plan)
        return result if isinstance(result, Failure) and result.sign == failure.sign else None

    for kind in sorted(weather_of(failure.plan).kinds):
        kinds = weather_of(failure.plan).kinds - {kind}
        failure = smaller(replace(failure.plan, only=kinds, without=frozenset())) or failure
    while failure.plan.messages > 1:
        for messages in (failure.plan.messages // 4, failure.plan.messages // 2, failure.plan.messages - 1):
            found = smaller(replace(failure.plan, messages=messages)) if messages else None
            if found is not None:
                failure = found
                break
        else:
            break
    while failure.plan.hours > 1 / 60:
        found = smaller(replace(failure.plan, hours=failure.plan.hours / 2))
        if found is None:
            break
        failure = found
    return failure


class Campaign:
    """Runs plans and adds up what came of them."""

    def __init__(self, jobs: int = 1, *, keep_going: bool = False, shrinks: bool = True) -> None:
        self.failures: list[Failure] = []
        self.seeds = 0
        self.virtual_s = 0.0
        self.totals: Counter[str] = Counter()
        self.states: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.took_s = 0.0
        self.cpu_s = 0.0
        self._jobs = jobs
        self._keep_going = keep_going
        self._shrinks = shrinks

    def run(self, plans: Sequence[Plan]) -> None:
        """Simulate all of them; the first failure ends it unless it is to keep going."""
        began_s = time.monotonic()
        for result in self._results(plans):
            self._note(result)
            if self.failures and not self._keep_going:
                break
        self.took_s += time.monotonic() - began_s

    def _results(self, plans: Sequence[Plan]) -> Iterable[tuple[Result | Failure, float]]:
        if self._jobs <= 1:
            yield from map(_timed, plans)
            return
        with ProcessPoolExecutor(self._jobs) as pool:
            waiting = list(reversed(plans))
            running: set[Future[tuple[Result | Failure, float]]] = set()
            try:
                while waiting or running:
                    while waiting and len(running) < AHEAD * self._jobs:
                        running.add(pool.submit(_timed, waiting.pop()))
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for one in done:
                        yield one.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _note(self, timed: tuple[Result | Failure, float]) -> None:
        result, cpu_s = timed
        self.seeds += 1
        self.cpu_s += cpu_s
        if isinstance(result, Failure):
            print(f"{result.trace}\nseed {result.plan.seed} failed: {result}", flush=True)
            if self._shrinks:
                result = shrink(result)
                print(f"smallest: {result}", flush=True)
            self.failures.append(result)
            return
        self.virtual_s += result.virtual_s
        self.totals["accepted"] += result.accepted
        self.totals["delivered"] += result.events["delivered"]
        for name, count in result.counts.items():
            if name in ("passed_over", "lower_before_flash"):
                self.totals[name] = max(self.totals[name], count)
            else:
                self.totals[name] += count
        self.states += result.states
        self.events += result.events
        self.faults += result.faults

    def summary(self) -> str:
        """Figures of all seeds. `accepted` counts (message, recipient) pairs that senders were answered for,
        `delivered` those whose receipt came back, `items` copies and receipts in frames, `publishes` MQTT messages that
        offices sent, `arrivals` those that brokers gave them, `lines` those of audit logs; rates are per second of CPU
        time, which is what one core does.
        """
        cpu_s = max(self.cpu_s, 1e-9)
        totals = self.totals
        rates = ", ".join(f"{name} {totals[name]} ({totals[name] / cpu_s:.0f}/s)" for name in RATED)
        failed = f"{len(self.failures)} failed, " if self.failures else ""
        lines = [
            f"{self.seeds} seeds, {failed}{self.virtual_s / 3600:.1f} virtual hours, revision {REVISION}",
            f"{self.took_s:.1f} s on {self._jobs} processes: {self.seeds / max(self.took_s, 1e-9):.1f} seeds/s",
            f"{self.cpu_s:.1f} s of CPU; what a core did in one: {rates}",
            f"worst: a lane passed over {totals['passed_over']} times, {totals['lower_before_flash']} before flash",
        ]
        for name, counts in (("states", self.states), ("events", self.events), ("faults", self.faults)):
            lines.append(f"{name}: {_counted(counts)}")
        return "\n".join(lines)


RATED = ("accepted", "delivered", "taken", "items", "custody", "publishes", "arrivals", "lines")


def _timed(plan: Plan) -> tuple[Result | Failure, float]:
    began_s = time.process_time()
    result = attempt(plan)
    return result, time.process_time() - began_s


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def _describe_revision() -> str:
    top = Path(__file__).resolve().parents[2]
    told = subprocess.run(
        ["git", "-C", str(top), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"


REVISION = _describe_revision()
"""The code that runs, for whoever repeats a failure; the checkout may change while it does."""
