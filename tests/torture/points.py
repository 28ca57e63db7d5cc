"""Every system call of one journey as a crash point, at the sender, the transit relay and the destination.

A journey (tests/torture/journey.py) is counted with strace, thread by thread and call by call; then it is made again
for each call of each kind, and the daemon on trial is killed as it enters that call. The same for a daemon that starts
with a message to care for. What was answered `accepted` must be delivered exactly once, with true receipts, and its
evidence must verify (G1, G2, G3, G7, G8, G16).
"""

import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from tests.live.network import CITY, COUNTY, PROVINCE
from tests.torture.journey import Journey
from tests.torture.ledger import Ledger
from tests.torture.stage import Stage, stage
from tests.torture.tracer import Tracer, count, counter, killer, threads_of

ROLES: Final = {"sender": COUNTY, "transit": CITY, "destination": PROVINCE}
PHASES: Final = ("journey", "start")
DURABLE: Final = frozenset(
    "pwrite64 fdatasync fsync rename renameat renameat2 unlink unlinkat ftruncate fallocate sendto sendmsg".split()
)
"""Calls that change a disk or tell a neighbour or a client something: all of these are tried in CI, too."""
AT_START: Final = DURABLE | frozenset("openat mkdir bind flock fchmod fchown write".split())
"""A start is killed at the calls that leave something behind; what it only reads is left out."""
COUNTINGS: Final = 3
"""Journeys counted; no two make exactly the same calls, and the largest number counts."""
PRESENCE_S: Final = 0.05
"""After its connections are up, neighbours still tell a daemon what they are; a journey starts after that."""


class Point(NamedTuple):
    """Kill `role` during `phase` as its main or any other thread enters its Nth `call`."""

    role: str
    phase: str
    thread: str
    call: str
    number: int

    def __str__(self) -> str:
        return "/".join(map(str, self))


@dataclass(slots=True)
class Result:
    """What one run did and found. A point is missed when the daemon made fewer such calls this time."""

    hit: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def enumerate_points(folder: Path | None = None) -> list[Point]:
    """All points of a journey and of a start, by counting."""
    found: set[Point] = set()
    with _trial(folder) as trial:
        for role in ROLES:
            for phase in PHASES:
                for _ in range(COUNTINGS):
                    found |= trial.count(role, phase)
    return sorted(found)


def torture(points: Sequence[Point], enough: Callable[[], bool] = lambda: False, folder: Path | None = None) -> Result:
    """Kill at each of these points; stops early, but properly, when `enough` says so."""
    result = Result()
    with _trial(folder) as trial:
        for point in points:
            if enough():
                break
            hit = trial.kill_at(point)
            (result.hit if hit else result.missed).append(str(point))
        result.faults = trial.close()
    return result


def rank(point: Point) -> int:
    """0 for calls of a journey that change a disk or tell somebody something, 1 for those of a start, 2 for others."""
    if point.call not in DURABLE:
        return 2
    return int(point.phase == "start")


def share(points: Sequence[Point], hands: int, seed: int) -> list[list[Point]]:
    """The points for several hands: by rank, and at random within each."""
    rng = random.Random(f"points/{seed}")
    mixed = sorted(points, key=lambda point: (rank(point), rng.random()))
    return [mixed[hand::hands] for hand in range(hands)]


@contextmanager
def _trial(folder: Path | None) -> Iterator["_Trial"]:
    with tempfile.TemporaryDirectory(prefix="torture-", dir=folder) as name, stage(Path(name)) as found:
        found.up()
        yield _Trial(found)


class _Trial:
    """The network, and one daemon of it on trial after the other."""

    def __init__(self, found: Stage) -> None:
        self._stage = found
        self._ledger = Ledger()
        self._gate = found.lab.folder / "gate"
        os.mkfifo(self._gate)

    def count(self, role: str, phase: str) -> set[Point]:
        """The points of one journey."""
        office, file = ROLES[role], self._stage.lab.folder / "calls"
        self._renew(office)
        journey = Journey(self._stage, self._ledger, f"counting {role} {phase}")
        if phase == "journey":
            tracer = counter(self._stage.running(office).pid, file)
            journey.accept()
        else:
            self._leave_waiting(journey, office)
            tracer = self._start_traced(office, lambda pid: counter(pid, file))
            self._stage.wait_ready(office)
        pid = self._stage.running(office).pid
        journey.travel()
        tracer.detach()
        most = count(file, pid)
        if phase == "start":
            # Threads of a daemon that starts are not there yet when strace is attached: any of them may be the one.
            calls = {call for _, call in most}
            most = Counter({("any", call): max(most["main", call], most["other", call]) for call in calls})
        return {
            Point(role, phase, thread, call, number)
            for (thread, call), times in most.items()
            if phase == "journey" or call in AT_START
            for number in range(1, times + 1)
        }

    def kill_at(self, point: Point) -> bool:
        """One journey with a kill; whether the point was reached."""
        office = ROLES[point.role]
        self._stage.wait_connected(office)
        time.sleep(PRESENCE_S)
        journey = Journey(self._stage, self._ledger, str(point))
        if point.phase == "journey":
            main, others = threads_of(self._stage.running(office).pid)
            tracer = killer(main if point.thread == "main" else others, point.call, point.number, follow=False)
        else:
            self._leave_waiting(journey, office)
            tracer = self._start_traced(office, lambda pid: killer([pid], point.call, point.number, follow=True))
        with self._revived(office) as died:
            journey.accept()
            journey.travel()
        tracer.detach()
        hit = died.is_set() or self._stage.running(office).has_ended()
        if not died.is_set():
            # It died at the very end, or it lives and has lived under strace: the next point begins with a fresh one.
            self._renew(office)
        self._stage.wait_ready(office)
        self._judge(journey)
        return hit

    def close(self) -> list[str]:
        """The end of all journeys together."""
        self._ledger.settle(self._stage)
        return self._ledger.judge(self._stage, self._stage.lab.folder)

    def _judge(self, journey: Journey) -> None:
        sending = journey.sending
        self._ledger.judge_message(sending, self._stage.lab.track(COUNTY, sending.id))
        self._ledger.judge_evidence(self._stage, self._stage.lab.folder, sending)

    def _leave_waiting(self, journey: Journey, office: str) -> None:
        """A message is accepted, and the daemon on trial is down before it has done anything more about it."""
        if office != COUNTY:
            self._stage.kill(office)
        journey.accept()
        if office == COUNTY:
            self._stage.kill(office)

    def _start_traced(self, office: str, trace: Callable[[int], Tracer]) -> Tracer:
        """Start a daemon that takes its first step when strace is there."""
        running = self._stage.start(office, gate=self._gate)
        tracer = trace(running.pid)
        os.close(os.open(self._gate, os.O_WRONLY))
        return tracer

    def _renew(self, office: str) -> None:
        self._stage.kill(office)
        self._stage.up()
        time.sleep(PRESENCE_S)

    @contextmanager
    def _revived(self, office: str) -> Iterator[threading.Event]:
        """While the block runs, a daemon that dies is started again, without strace; the event says that it died."""
        died, over = threading.Event(), threading.Event()
        running = self._stage.running(office)

        def watch() -> None:
            while not over.is_set():
                if running.has_ended(0.1):
                    died.set()
                    self._stage.kill(office)
                    self._stage.start(office)
                    return

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield died
        finally:
            over.set()
            watcher.join(20)
