"""Times as calendars have them; everywhere else they are integers of microseconds since 1970."""

from datetime import UTC, datetime, timedelta
from typing import Final

from protocol.limits import SECOND_US

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def utc_time(time_us: int) -> datetime:
    """A time in whole seconds, rounded down, as TUF writes it."""
    return _EPOCH + timedelta(seconds=time_us // SECOND_US)


def utc_text(time_us: int) -> str:
    """A time for people, in RFC 3339."""
    return f"{utc_time(time_us):%Y-%m-%dT%H:%M:%SZ}"


def time_us(time: datetime) -> int:
    """Microseconds since 1970 of such a time."""
    return (time - _EPOCH) // timedelta(microseconds=1)
