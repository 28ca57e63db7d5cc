"""kill -9 by the hundred; ten thousand by `make torture` (tests/torture/kills.py)."""

from collections import Counter

import pytest

from tests.torture.hands import at_once
from tests.torture.kills import Result, torture

RUNS, KILLS = 2, 105


@pytest.mark.timeout(300)
def test_g01_g02_g03_g07_g08_g16_two_hundred_kills_at_work_and_at_start_lose_and_repeat_nothing() -> None:
    results: list[Result] = at_once([(torture, (seed, KILLS)) for seed in range(RUNS)])
    kills = sum((result.kills for result in results), Counter[str]())
    print(kills, sum(result.messages for result in results), [result.outcomes for result in results])
    assert [fault for result in results for fault in result.faults] == []
    assert kills["at work"] + kills["at start"] >= 200
    assert min(kills["at work"], kills["at start"]) >= 40
    assert all(result.messages > 200 for result in results)
