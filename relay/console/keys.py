"""`relay keys`: where the commands of keys and enrolment are mounted. A group without commands is not offered."""

from typing import Final

from relay.console.commands import LazyGroup

group: Final = LazyGroup(
    "keys",
    {name: f"relay.console.safekeeping:{name}" for name in ("passwd", "backup", "recover")},
)
