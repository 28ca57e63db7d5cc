"""What was counted on each day (UTC), for as long as the retention asks (CONTRACT section 8).

These are figures of years for those who plan and inspect, beside the totals of `relay.store.counters`, which are kept
for good.
"""

from typing import Final

from protocol.cbor import dumps, loads
from protocol.fields import elements
from protocol.limits import RECORD_BYTES, SECOND_US
from relay.store import counters
from relay.store.counters import NAMES, number
from relay.store.database import Txn
from relay.store.sealed_table import Row
from relay.store.tables import STATISTICS

DAY_US: Final = 86_400 * SECOND_US
_NOTHING: Final = [0] * len(NAMES)


def note(txn: Txn) -> None:
    """Bring today's figures up to date: a row holds the totals at the end of the day before it, and at its own."""
    day = txn.now_us // DAY_US
    totals = [counters.counters(txn)[name] for name in NAMES]
    row = STATISTICS.get(txn, day)
    if row is None:
        before = STATISTICS.select(txn, "day < ?", (day,), order="day DESC", limit=1)
        begun = _totals(before[0])[1] if before else _NOTHING
    else:
        begun, ended = _totals(row)
        if ended == totals:
            return
    STATISTICS.put(txn, {"day": day}, dumps([begun, totals]))


def forget(txn: Txn, days: int, limit: int) -> None:
    """Drop the figures of days that are longer ago than so many, some at a time."""
    for row in STATISTICS.unverified_clear(txn, "day < ?", (txn.now_us // DAY_US - days,), limit=limit):
        STATISTICS.delete(txn, row["day"])


def latest(txn: Txn, limit: int) -> list[tuple[int, dict[str, int]]]:
    """(day since 1970-01-01, what was counted) of the latest days of which there are figures, the newest first."""
    return [(number(row["day"]), _counted(row)) for row in STATISTICS.select(txn, order="day DESC", limit=limit)]


def _counted(row: Row) -> dict[str, int]:
    # A counter whose row was damaged has begun again.
    figures = zip(NAMES, *_totals(row), strict=True)
    return {name: after - before if after >= before else after for name, before, after in figures}


def _totals(row: Row) -> tuple[list[int], list[int]]:
    begun, ended = elements(loads(row.body, max_bytes=RECORD_BYTES), 2, "figures of a day")
    return begun, ended
