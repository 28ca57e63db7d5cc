"""kill -9 at random instants, also during start and recovery, with traffic flowing (G1, G2, G3, G7, G8, G16)."""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.ledger import Ledger
from tests.torture.stage import OFFICES, Stage, stage
from tests.torture.traffic import Traffic

WORK_S = 0.2
"""Longest time that all daemons work between two rounds of kills."""
START_S = 0.25
"""Kills during start come within this time of the fork: READY takes 0.05 to 0.2 s."""
AGAIN = 0.6
"""How likely a daemon that starts is killed once more before it is ready."""
FRESH = 0.03
"""The share of starts made by a new interpreter instead of the nursery."""
BROKER = 0.02
"""How likely a round also kills a broker and makes it forget everything."""


@dataclass(slots=True)
class Result:
    """What one run did and found."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def torture(seed: int, kills: int, enough: Callable[[], bool] = lambda: False, folder: Path | None = None) -> Result:
    """Kill so many daemons; stops early, but properly, when `enough` says so. The daemons' instants are drawn from
    the seed; what happens at them is up to the machine.
    """
    with tempfile.TemporaryDirectory(prefix="torture-", dir=folder) as name, stage(Path(name)) as found:
        return _Executioner(found, seed).run(kills, enough)


class _Executioner:
    def __init__(self, found: Stage, seed: int) -> None:
        self._stage = found
        self._rng = random.Random(f"kills/{seed}")
        self._ledger = Ledger()
        self._traffic = Traffic(found, self._ledger, seed)
        self._result = Result(seed)

    def run(self, kills: int, enough: Callable[[], bool]) -> Result:
        self._stage.up()
        self._traffic.start()
        try:
            while self._result.kills.total() < kills and not enough():
                self._round()
        except BaseException:
            self._traffic.abandon()
            raise
        self._traffic.stop()
        self._ledger.settle(self._stage)
        result = self._result
        result.faults += self._ledger.judge(self._stage, self._stage.lab.folder)
        result.messages = len(self._ledger.sendings)
        result.outcomes = self._ledger.outcomes
        result.ends = self._ledger.ends
        return result

    def _round(self) -> None:
        """Some daemons die at instants of their own; each starts again, and may die again while it starts."""
        rng = self._rng
        victims = rng.sample(OFFICES, rng.choice((1, 1, 2, 3)))
        if rng.random() < BROKER:
            self._forget(rng.choice(sorted(self._stage.lab.brokers)))
        for office in victims:
            time.sleep(rng.uniform(0, WORK_S / len(victims)))
            self._kill(office, "at work")
        for office in victims:
            self._start(office)
        while victims:
            again = [office for office in victims if rng.random() < AGAIN]
            began_s = time.monotonic()
            instants = sorted((rng.uniform(0, START_S), office) for office in again)
            for instant_s, office in instants:
                time.sleep(max(0.0, began_s + instant_s - time.monotonic()))
                self._kill(office, "at start")
                self._start(office)
            victims = again
        for office in OFFICES:
            self._stage.wait_ready(office)

    def _start(self, office: str) -> None:
        self._stage.start(office, fresh=self._rng.random() < FRESH)

    def _kill(self, office: str, when: str) -> None:
        assert not self._stage.running(office).has_ended(), f"{office} ended by itself: {self._stage.lab.log(office)}"
        self._stage.kill(office)
        self._result.kills[when] += 1

    def _forget(self, broker: str) -> None:
        self._stage.lab.kill_broker(broker)
        self._stage.lab.wipe_broker(broker)
        self._stage.lab.start_broker(broker)
        self._result.kills["brokers"] += 1
