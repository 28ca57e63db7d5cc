"""Power cuts, with traffic flowing: at any moment, while starting, and just as a receipt leaves (G1, G2, G7, G8, G16).

The homes lie on disks of their own (tests/torture/disks.py). `control = "no_fsync"` runs the same torture with a store
that does not wait for its disk: that must be noticed, or this harness sees nothing.
"""

import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.live.network import CITY, PROVINCE
from tests.live.running import free_port
from tests.torture.disks import Disk
from tests.torture.ledger import Ledger
from tests.torture.stage import OFFICES, Stage, chain, stage
from tests.torture.traffic import Traffic
from tests.torture.wire import Aim, Tap

KINDS: Final = {"receipt": 0.5, "custody": 0.1, "accepted": 0.1, "work": 0.15, "start": 0.15}
"""How the cuts are shared out: as a `delivered` receipt leaves the destination, as custody leaves the transit relay,
as the answer `accepted` has reached a sender's program, at any moment at several offices at once, and while a daemon
starts on a disk that was cut before."""
WORK_S: Final = 0.3
START_S: Final = 0.25
AIM_S: Final = 20
"""How long a receipt, custody or an answer may take to come by."""


@dataclass(slots=True)
class Result:
    """What one run did and found. `untruthful` counts receipts whose message was not there after the cut (G7)."""

    seed: int
    cuts: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    receipts_aimed_at: int = 0
    untruthful: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def torture(
    seed: int,
    cuts: int,
    enough: Callable[[], bool] = lambda: False,
    *,
    control: str = "",
    kinds: Sequence[str] = tuple(KINDS),
    folder: Path | None = None,
) -> Result:
    """Cut the power so many times; stops early, but properly, when `enough` says so."""
    with tempfile.TemporaryDirectory(prefix="torture-", dir=folder) as name, ExitStack() as stack:
        ports = {CITY: free_port(), PROVINCE: free_port()}
        # The last office of the plan is the province; what follows it goes to it. The city's line is put in by name.
        plan = chain(f"[offices.connect]\nprovince = {ports[PROVINCE]}\n")
        plan = plan.replace(f'parent = "{PROVINCE}"', f'parent = "{PROVINCE}"\nconnect.yancheng = {ports[CITY]}')
        disks: dict[str, Disk] = {}
        stack.callback(lambda: [disk.unmount() for disk in disks.values()])
        found = stack.enter_context(stage(Path(name), plan))
        found.control = control
        for office in OFFICES:
            disks[office] = Disk(found.lab.home(office), Path(name) / f"{office}.img")
        taps = {
            office: stack.enter_context(_tap(ports[office], found.broker_port(broker)))
            for office, broker in ((CITY, "yancheng"), (PROVINCE, "province"))
        }
        return _Blackouts(found, disks, taps, seed).run(cuts, enough, kinds, judge=not control)


@contextmanager
def _tap(port: int, broker_port: int) -> Iterator[Tap]:
    tap = Tap(port, broker_port)
    try:
        yield tap
    finally:
        tap.close()


class _Blackouts:
    def __init__(self, found: Stage, disks: dict[str, Disk], taps: dict[str, Tap], seed: int) -> None:
        self._stage = found
        self._disks = disks
        self._taps = taps
        self._rng = random.Random(f"cuts/{seed}")
        self._ledger = Ledger()
        self._traffic = Traffic(found, self._ledger, seed)
        self._result = Result(seed)

    def run(self, cuts: int, enough: Callable[[], bool], kinds: Sequence[str], *, judge: bool) -> Result:
        self._stage.up()
        self._traffic.start()
        result, rng = self._result, self._rng
        weights = [KINDS[kind] for kind in kinds]
        cut: dict[str, Callable[[], None]] = {
            "receipt": lambda: self._cut_at(PROVINCE, "delivered"),
            "custody": lambda: self._cut_at(CITY, "custody"),
            "accepted": self._cut_at_acceptance,
            "work": self._cut_at_work,
            "start": self._cut_at_start,
        }
        try:
            while result.cuts.total() < cuts and not enough() and (judge or not result.untruthful):
                kind = rng.choices(kinds, weights)[0]
                cut[kind]()
                result.cuts[kind] += 1
        except BaseException:
            self._traffic.abandon()
            raise
        self._traffic.stop()
        result.faults = self._ledger.faults
        if judge:
            self._ledger.settle(self._stage)
            result.faults = self._ledger.judge(self._stage, self._stage.lab.folder)
        result.messages = len(self._ledger.sendings)
        result.outcomes = self._ledger.outcomes
        result.ends = self._ledger.ends
        return result

    def _cut_at(self, office: str, aim: Aim) -> None:
        """The power of one office fails as something leaves it; what left must be true afterwards."""
        tap = self._taps[office]
        tap.arm(aim, lambda: self._black_out([office]))
        assert tap.struck.wait(AIM_S), f"nothing left {office} within {AIM_S} s"
        self._recover([office])
        if aim == "delivered":
            with self._stage.api(office) as api:
                there = {each["id"] for each in api.read("/v1/messages", box="inbox", limit=100_000).many()}
            self._result.receipts_aimed_at += len(tap.fresh)
            for message in tap.left - there:
                self._result.untruthful += 1
                self._ledger.fault(f"{message}: its delivered receipt left, and after the cut it was not there (G7)")

    def _cut_at_acceptance(self) -> None:
        """The power of an office fails as soon as a program there has its answer; that message must not be lost."""
        wanted, struck = self._rng.choice(OFFICES), threading.Event()

        def strike(office: str) -> None:
            if office == wanted and not struck.is_set():
                self._black_out([office])
                struck.set()

        self._ledger.at_acceptance = strike
        assert struck.wait(AIM_S), f"nothing was accepted at {wanted} within {AIM_S} s"
        self._ledger.at_acceptance = lambda office: None
        self._recover([wanted])

    def _cut_at_work(self) -> None:
        """The power fails at some offices at once, at any moment."""
        time.sleep(self._rng.uniform(0, WORK_S))
        victims = self._rng.sample(OFFICES, self._rng.choice((1, 2, 3)))
        self._black_out(victims)
        self._recover(victims)

    def _cut_at_start(self) -> None:
        """The power fails, comes back, and fails again while the daemon starts."""
        office = self._rng.choice(OFFICES)
        self._black_out([office])
        self._power_back(office)
        self._stage.start(office)
        time.sleep(self._rng.uniform(0, START_S))
        self._black_out([office])
        self._recover([office])

    def _black_out(self, offices: Sequence[str]) -> None:
        """At once nothing runs there any more, and nothing reaches the disks."""
        for office in offices:
            self._stage.running(office).freeze()
        for office in offices:
            self._disks[office].cut()

    def _recover(self, offices: Sequence[str]) -> None:
        for office in offices:
            self._power_back(office)
        for office in offices:
            self._stage.start(office)
        for office in offices:
            self._stage.wait_ready(office)

    def _power_back(self, office: str) -> None:
        """A machine without power runs nothing; then the disk is mounted again."""
        self._stage.kill(office)
        self._disks[office].unmount()
        self._disks[office].mount()


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """The sum of several runs."""
    return {
        "cuts": sum((one.cuts for one in results), Counter[str]()),
        "messages": sum(one.messages for one in results),
        "receipts aimed at": sum(one.receipts_aimed_at for one in results),
        "untruthful": sum(one.untruthful for one in results),
        "faults": [fault for one in results for fault in one.faults],
    }
