"""What an operator must look at: alarms, shown by `status` and `doctor` until their cause is gone.

Nothing here is durable. Whoever raises an alarm that must outlive a restart keeps its cause in the store and raises
it again at the start.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import structlog

AlarmCode = Literal[
    "AUDIT_DAMAGED",
    "CLOCK_JUMP",
    "CLOCK_SKEW",
    "CLONED",
    "DAMAGED_ROWS",
    "KEY_SUITE",
    "OFFICE_REVOKED",
    "OFFICE_SUSPENDED",
    "RESTORED",
    "SUITE_MISSING",
    "TRUST_BEHIND",
    "TRUST_FORK",
    "TRUST_NOT_KEPT",
    "TRUST_OLD",
]
"""Stable names; what each means and what to do about it is in `relay/console/advice.py`."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Alarm:
    """One cause. `since_us` is the wall time at which it was first noticed; `detail` is English, without secrets."""

    code: AlarmCode
    since_us: int
    detail: str


class Alarms:
    """The alarms of one relay, each code at most once."""

    def __init__(self) -> None:
        self._raised: dict[AlarmCode, Alarm] = {}
        self.note: Callable[[str, AlarmCode], None] | None = None
        """Is told `alarm` or `alarm_over`, and which, when one begins or ends."""

    def sound(self, code: AlarmCode, now_us: int, detail: str) -> None:
        """Raise an alarm; one that sounds already keeps its first time, and its detail is the newest."""
        known = self._raised.get(code)
        if known is None:
            _log.error("alarm", alarm=True, code=code, detail=detail)
            self._tell("alarm", code)
        self._raised[code] = Alarm(code, now_us if known is None else known.since_us, detail)

    def clear(self, code: AlarmCode) -> None:
        """The cause is gone."""
        if self._raised.pop(code, None) is not None:
            _log.info("alarm_over", code=code)
            self._tell("alarm_over", code)

    def _tell(self, what: str, code: AlarmCode) -> None:
        if self.note is not None:
            self.note(what, code)

    def __contains__(self, code: object) -> bool:
        return code in self._raised

    def __iter__(self) -> Iterator[Alarm]:
        return iter(sorted(self._raised.values(), key=lambda alarm: alarm.since_us))
