"""How many keys each role has, how many of them must sign, and for how long what they sign is valid (D8)."""

from dataclasses import dataclass
from typing import Final

from keys.trust.metadata import HOLDERS, SUSPENSIONS_ROLE
from protocol.limits import SECOND_US

DAY_US: Final = 86_400 * SECOND_US
PASSPHRASE_ROLES: Final = ("root", "targets", SUSPENSIONS_ROLE)
ONLINE_ROLES: Final = ("snapshot", "timestamp")


@dataclass(frozen=True, slots=True)
class Policy:
    """Numbers of keys, thresholds, and validities. Raises `ValueError` for what could never sign."""

    root_keys: int = 5
    root_threshold: int = 3
    targets_keys: int = 3
    targets_threshold: int = 2
    suspension_keys: int = 2
    root_life_us: int = 730 * DAY_US
    targets_life_us: int = 180 * DAY_US
    snapshot_life_us: int = 180 * DAY_US
    timestamp_life_us: int = 7 * DAY_US

    def __post_init__(self) -> None:
        if not (1 <= self.root_threshold <= self.root_keys and 1 <= self.targets_threshold <= self.targets_keys):
            raise ValueError("a threshold is at least 1 and at most the number of keys")
        if self.suspension_keys < 1:
            raise ValueError("at least one key must be able to suspend")
        if max(self.root_keys, self.targets_keys, self.suspension_keys) > HOLDERS:
            raise ValueError(f"a role has at most {HOLDERS} keys")

    def keys_of(self, role: str) -> int:
        """How many keys the role has."""
        counts = {"root": self.root_keys, "targets": self.targets_keys, SUSPENSIONS_ROLE: self.suspension_keys}
        return counts.get(role, 1)

    def threshold_of(self, role: str) -> int:
        """How many of them must sign."""
        return {"root": self.root_threshold, "targets": self.targets_threshold}.get(role, 1)

    def labels(self, role: str) -> list[str]:
        """The labels of the role's first keys: `root-1`, `root-2` ..."""
        return [f"{role}-{number}" for number in range(1, self.keys_of(role) + 1)]


DEFAULT_POLICY: Final = Policy()
