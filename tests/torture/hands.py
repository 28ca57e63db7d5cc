"""Several runs at once, each in a process of its own: torture waits more than it works."""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

HANDS: Final = 2
"""Runs at once: as many as CI has cores."""


class Deadline:
    """Says that it is enough when its time is over; goes from process to process."""

    def __init__(self, within_s: float) -> None:
        self._end_s = time.monotonic() + within_s

    def __call__(self) -> bool:
        return time.monotonic() >= self._end_s


def at_once(jobs: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]], hands: int = HANDS) -> list[Any]:
    """The results of all jobs, in order. What a job raises is raised here."""
    fresh = multiprocessing.get_context("spawn")  # a forked copy of a test runner would inherit its threads
    with ProcessPoolExecutor(hands, mp_context=fresh) as pool:
        return [future.result() for future in [pool.submit(work, *given) for work, given in jobs]]
