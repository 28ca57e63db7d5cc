"""Crash points by the hundred; every one of them by `make torture` (tests/torture/points.py)."""

import os
import shutil

import pytest

from tests.torture.hands import HANDS, Deadline, at_once
from tests.torture.points import Result, enumerate_points, rank, share, torture

SEED = 1
WITHIN_S = 190
"""Time for killing; counting takes another 10 to 20 s."""
LEAST = 150
"""Points that even a machine with other work must manage; one that is free manages all of rank 0 and most of rank 1."""

pytestmark = pytest.mark.skipif(
    not os.environ.get("CI") and (os.geteuid() != 0 or shutil.which("strace") is None), reason="needs root and strace"
)


@pytest.mark.timeout(500)
def test_g01_g02_g03_g07_g08_g16_a_kill_at_any_system_call_of_a_delivery_loses_and_repeats_nothing() -> None:
    points = enumerate_points()
    enough = Deadline(WITHIN_S)
    results: list[Result] = at_once([(torture, (hand, enough)) for hand in share(points, HANDS, SEED)])
    hit = {name for result in results for name in result.hit}
    missed = {name for result in results for name in result.missed}
    first = {str(point) for point in points if rank(point) == 0}
    print(
        f"{len(points)} points, {len(hit)} hit, {len(missed)} missed; of {len(first)} first ones {len(first & hit)} hit"
    )
    assert [fault for result in results for fault in result.faults] == []
    assert len(hit) >= LEAST
    assert len(first) >= 300
    # No two journeys make quite the same calls: a few points lie behind the end this time.
    assert len(missed) <= 0.2 * len(hit)
