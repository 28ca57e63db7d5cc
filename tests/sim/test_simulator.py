"""G1, G2, G3, G7, G8, G11 and G16 in simulated storms; every seed can be repeated by itself.

Each seed draws its own faults (tests/sim/storm.py) and is checked against what really happened
(tests/sim/history.py). More seeds: `python -m tests.sim --seeds 1000`.
"""

import os

import pytest

from tests.sim.storm import simulate

SEEDS = int(os.environ.get("SIM_SEEDS", "60"))
MESSAGES = 25


@pytest.mark.parametrize("seed", range(SEEDS))
def test_g01_g02_g03_g07_g08_g11_g16_hold_in_a_storm(seed: int) -> None:
    print(f"repeat: python -m tests.sim --first {seed} --seeds 1 --messages {MESSAGES}")
    result = simulate(seed, messages=MESSAGES)
    assert result.accepted > 0


def test_one_seed_replays_everything() -> None:
    assert simulate(5, messages=20).digest == simulate(5, messages=20).digest


def test_the_same_storm_with_real_cryptography() -> None:
    assert simulate(7, messages=20, real_cryptography=True).accepted > 0
