"""Which faults a seed has: each kind in some of the seeds and not in others, so that they do not hide each other."""

import random
from dataclasses import dataclass

from tests.sim.broker import Malice


@dataclass(frozen=True, slots=True)
class Weather:
    """Which faults a seed has (swarm testing: each kind in about half of the seeds), and how much traffic."""

    messages: int
    storm_s: float
    malice: Malice
    crash_every_s: float
    flap_every_s: float
    wipe_every_s: float
    missing_prekeys: bool
    away: bool
    forgetful: bool
    short_lives: bool
    slow_s: float
    kills_callers: bool
    loses_prekeys: bool
    quota_bytes: int


def weather_of(dice: random.Random, messages: int) -> Weather:
    """Draw the faults of a seed."""

    def sometimes(most: float) -> float:
        return dice.uniform(0, most) if dice.random() < 0.5 else 0.0

    never = 1e9
    return Weather(
        messages=messages,
        storm_s=dice.uniform(20, 90),
        malice=Malice(
            drop=sometimes(0.3),
            double=sometimes(0.4),
            replay=sometimes(0.2),
            damage=sometimes(0.1),
            late=sometimes(0.5),
            late_s=dice.uniform(0.1, 8),
            swallow_publish=sometimes(0.2),
            deaf=sometimes(0.03),
        ),
        crash_every_s=dice.uniform(2, 20) if dice.random() < 0.6 else never,
        flap_every_s=dice.uniform(1, 10) if dice.random() < 0.5 else never,
        wipe_every_s=dice.uniform(5, 30) if dice.random() < 0.3 else never,
        missing_prekeys=dice.random() < 0.3,
        away=dice.random() < 0.4,
        forgetful=dice.random() < 0.3,
        short_lives=dice.random() < 0.4,
        slow_s=dice.choice((0.0, 0.005, 0.05, 0.5)),
        kills_callers=dice.random() < 0.3,
        loses_prekeys=dice.random() < 0.25,
        quota_bytes=dice.randint(600, 2_000) << 10 if dice.random() < 0.25 else 1 << 30,
    )
