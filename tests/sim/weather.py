"""Which faults a seed has: each kind in some of the seeds and not in others, so that they do not hide each other."""

import random
from collections.abc import Collection
from dataclasses import dataclass

from tests.sim.broker import Malice

KINDS = {
    "drop": 0.5,
    "double": 0.5,
    "replay": 0.5,
    "damage": 0.5,
    "late": 0.5,
    "swallow": 0.5,
    "deaf": 0.5,
    "crash": 0.5,
    "power": 0.4,
    "pause": 0.4,
    "flap": 0.5,
    "partition": 0.4,
    "sever": 0.3,
    "wipe": 0.3,
    "liar": 0.3,
    "forge": 0.4,
    "absent": 0.4,
    "newcomer": 0.3,
    "forgetful": 0.3,
    "prekeys": 0.25,
    "quota": 0.25,
    "full_disk": 0.3,
    "clock": 0.3,
    "rot": 0.3,
    "callers": 0.3,
    "short_lives": 0.4,
    "slow_store": 0.6,
    "revoke": 0.25,
    "reform": 0.25,
    "restore": 0.3,
    "edit": 0.15,
}
"""Every kind of fault, and in which share of the seeds it is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of one simulation. With `only` it has exactly these kinds of faults, not those its seed draws;
    those in `without` it has in no case.
    """

    seed: int
    messages: int = 40
    hours: float = 0.0
    """Virtual hours of storm; 0 for one storm of 20 to 90 s."""
    mode: str = "liveness"
    """`liveness`: the storm ends and everything must be delivered. `safety`: it never ends."""
    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()
    real_cryptography: bool = False

    def options(self) -> str:
        """The command line that repeats it."""
        parts = [f"--first {self.seed} --seeds 1 --messages {self.messages} --mode {self.mode}"]
        if self.hours:
            parts.append(f"--hours {self.hours:g}")
        if self.only is not None:
            parts.append(f"--only {','.join(sorted(self.only)) or 'nothing'}")
        if self.without:
            parts.append(f"--without {','.join(sorted(self.without))}")
        if self.real_cryptography:
            parts.append("--real-cryptography")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Weather:
    """The faults of one seed, and when it storms: bursts (from, to) in virtual seconds with quiet between them."""

    kinds: frozenset[str]
    bursts: tuple[tuple[float, float], ...]
    malice: Malice
    slow_s: float
    quota_bytes: int

    @property
    def end_s(self) -> float:
        """When the storm is over."""
        return self.bursts[-1][1]


def dice_of(seed: int, noun: str) -> random.Random:
    """Randomness of its own for each kind of fault: dropping one does not change the others."""
    return random.Random(f"{seed} {noun}")


def weather_of(plan: Plan) -> Weather:
    """Draw the faults of a seed."""
    dice = dice_of(plan.seed, "weather")
    drawn = frozenset(kind for kind, share in KINDS.items() if dice.random() < share)
    kinds = (drawn if plan.only is None else plan.only) - plan.without
    return Weather(
        kinds=kinds,
        bursts=_bursts(dice_of(plan.seed, "bursts"), plan.hours),
        malice=_malice(dice_of(plan.seed, "malice"), kinds),
        slow_s=dice_of(plan.seed, "slow").choice((0.005, 0.05, 0.5)) if "slow_store" in kinds else 0.0,
        quota_bytes=dice_of(plan.seed, "quota").randint(600, 2_000) << 10 if "quota" in kinds else 1 << 30,
    )


def _bursts(dice: random.Random, hours: float) -> tuple[tuple[float, float], ...]:
    if not hours:
        return ((0.0, dice.uniform(20, 90)),)
    end_s = hours * 3600
    starts = sorted(dice.uniform(0, end_s - 100) for _ in range(dice.randint(3, 8)))
    bursts = [(start, start + dice.uniform(20, 90)) for start in starts]
    return (*bursts, (end_s - 1, end_s))


def _malice(dice: random.Random, kinds: Collection[str]) -> Malice:
    """What brokers do all the time."""

    def share(kind: str, most: float) -> float:
        drawn = dice.uniform(0, most)
        return drawn if kind in kinds else 0.0

    return Malice(
        drop=share("drop", 0.3),
        double=share("double", 0.4),
        replay=share("replay", 0.2),
        damage=share("damage", 0.1),
        late=share("late", 0.5),
        late_s=dice.uniform(0.1, 8),
        swallow_publish=share("swallow", 0.2),
        deaf=share("deaf", 0.03),
    )
