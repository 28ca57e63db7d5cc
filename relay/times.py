"""Times as people and programs write them: RFC 3339 in UTC with microseconds, and durations such as 72h."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from protocol.errors import Refused
from protocol.limits import SECOND_US, TIME_MAX_US

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d|w)")
_UNIT_US: Final = {
    "ms": 1_000,
    "s": SECOND_US,
    "m": 60 * SECOND_US,
    "h": 3_600 * SECOND_US,
    "d": 86_400 * SECOND_US,
    "w": 7 * 86_400 * SECOND_US,
}
_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def time_text(at_us: int) -> str:
    """`2026-11-23T05:32:32.000001Z`."""
    return (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def day_text(day: int) -> str:
    """`2026-11-23`, by days since 1970-01-01."""
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def parse_time_us(text: str, *, field: str) -> int:
    """Microseconds since 1970 of an RFC 3339 time; raises `Refused` BAD_FIELD."""
    if not _RFC3339.fullmatch(text):
        raise Refused("BAD_FIELD", f"{text[:40]!r} is not an RFC 3339 time such as 2026-11-23T08:00:00Z", field=field)
    normal = re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text.upper().replace(" ", "T").replace("Z", "+00:00"))
    try:
        moment = datetime.fromisoformat(normal)
    except ValueError as error:
        raise Refused("BAD_FIELD", f"{text[:40]!r} is no time: {error}", field=field) from None
    at_us = (moment - _EPOCH) // timedelta(microseconds=1)
    if at_us < 0:
        raise Refused("BAD_FIELD", "a time before 1970", field=field)
    if at_us > TIME_MAX_US:
        raise Refused("BAD_FIELD", "a time after 2255", field=field)
    return at_us


def parse_duration_us(text: str, *, field: str) -> int:
    """Microseconds of a duration such as `90s`, `30m`, `72h`, `45d`; raises `Refused` BAD_FIELD."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise Refused("BAD_FIELD", f"{text[:40]!r} is not a duration such as 72h or 30m", field=field)
    duration_us = round(float(found[1]) * _UNIT_US[found[2]])
    if duration_us <= 0:
        raise Refused("BAD_FIELD", "a duration must be longer than nothing", field=field)
    return duration_us


def span_text(span_us: int) -> str:
    """How long a time is, in its two largest units, without its sign: `3d 2h`, `6m 10s`, `0s`."""
    left = (abs(span_us) + SECOND_US // 2) // SECOND_US * SECOND_US
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _UNIT_US[unit])
        if count or parts or unit == "s":
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])
