"""A plugin of pytest: the tests of each mutant, in a fork of the one process that has imported and collected them all.

    TRIAL=tasks.json python -m pytest -p tests.mutants.trial TESTS

`tasks.json` names for each mutant its tests, the fastest first, and how long each takes; the verdicts go to
`verdicts` beside it, a line each. The test that noticed the last mutant of a function is tried first on its next one.
"""

import gc
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypedDict

import pytest
from _pytest.runner import runtestprotocol

SURVIVED: Final = "survived"
HUNG: Final = "hung"
"""A test took the time of the processor so many times over, and some seconds: that it does is noticed."""
HANGS_TIMES, HANGS_S, WAITS_TIMES = 8, 8, 8


class Tasks(TypedDict):
    """Seconds by test, and the tests of each mutant."""

    jobs: int
    durations: dict[str, float]
    mutants: dict[str, list[str]]


@dataclass
class Trial:
    """What runs, by process, and the test that noticed last, by function.

    A verdict is `survived`, `hung`, or the test that noticed.
    """

    tasks: Tasks
    items: dict[str, pytest.Item]
    book: Path
    _running: dict[int, tuple[str, int]] = field(default_factory=dict)
    _noticed: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Try every mutant."""
        # Pages of what is imported stay shared with the forks. Hypothesis would import a parser of Python for each
        # failure, to suggest a patch.
        gc.freeze()
        sys.modules["hypothesis.extra._patching"] = None  # type: ignore[assignment]
        for mutant, tests in self.tasks["mutants"].items():
            while len(self._running) >= self.tasks["jobs"]:
                self._wait()
            reader, writer = os.pipe()
            if (child := os.fork()) == 0:
                verdict = self._try(mutant, list(self._in_order(mutant, tests)))
                os.write(writer, verdict.encode())
                os._exit(0)
            os.close(writer)
            self._running[child] = (mutant, reader)
        while self._running:
            self._wait()

    def _in_order(self, mutant: str, tests: list[str]) -> Iterator[str]:
        first = self._noticed.get(_function_of(mutant))
        if first in tests:
            yield first
        yield from (test for test in tests if test != first)

    def _try(self, mutant: str, tests: list[str]) -> str:
        os.environ["MUTANT_UNDER_TEST"] = mutant
        for at, test in enumerate(tests):
            # Nobody handles these signals: they end this process. The clock only ends what waits for ever.
            limit_s = HANGS_S + HANGS_TIMES * self.tasks["durations"].get(test, 0)
            signal.setitimer(signal.ITIMER_PROF, limit_s)
            signal.alarm(int(WAITS_TIMES * limit_s))
            following = self.items[tests[at + 1]] if at + 1 < len(tests) else None
            if any(report.failed for report in runtestprotocol(self.items[test], nextitem=following, log=False)):
                return test
        return SURVIVED

    def _wait(self) -> None:
        child, _ = os.wait()
        mutant, reader = self._running.pop(child)
        verdict = os.read(reader, 1 << 16).decode() or HUNG
        os.close(reader)
        with self.book.open("a", encoding="utf-8") as book:
            book.write(f"{mutant} {verdict}\n")
        if verdict not in (SURVIVED, HUNG):
            self._noticed[_function_of(mutant)] = verdict


def _function_of(mutant: str) -> str:
    return mutant.rpartition("__mutmut_")[0]


def pytest_runtestloop(session: pytest.Session) -> bool:
    """In the place of one run of the tests."""
    place = Path(os.environ["TRIAL"])
    tasks: Tasks = json.loads(place.read_text(encoding="utf-8"))
    Trial(tasks, {item.nodeid: item for item in session.items}, place.with_name("verdicts")).run()
    return True
