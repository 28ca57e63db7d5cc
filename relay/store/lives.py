"""What the home remembers of its life, and why it sounds alarms about it (G12). Synchronous changes and queries."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Final, cast

from protocol.fields import elements
from protocol.ids import Epoch, StartId
from protocol.life import Life, Start, life_fields, read_life
from relay.alarms import AlarmCode
from relay.store import counters, events
from relay.store.database import Txn

_LIFE: Final = "life"
_CAUSES: Final = "life_causes"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an alarm about this home sounds until an operator accepts it; see `relay.alarms.Alarm`."""

    code: AlarmCode
    since_us: int
    detail: str


def recall(txn: Txn) -> Life | None:
    """The life of this home; None before its first start."""
    found = counters.recall(txn, _LIFE)
    return None if found is None else read_life(found)


def epoch(txn: Txn) -> Epoch:
    """The epoch in which numbers are given; raises `LookupError` for a home that never started."""
    life = recall(txn)
    if life is None:
        raise LookupError("this home never started")
    return life.epoch


def doubt_us(txn: Txn) -> int:
    """What arrived up to this time may have been handed out in another life."""
    life = recall(txn)
    return 0 if life is None else life.doubt_us


def begin(txn: Txn, life: Life, start: StartId, above: int) -> Life:
    """Record one more start of a life, which begins above a count of commits that was seen elsewhere.

    Recorded before anything is said in it; see `Database.commit` for how the count rises with this very commit.
    """
    txn.connection.execute("UPDATE life SET commits = max(commits, ?)", (above,))
    started = life.started(Start(start, max(txn.commits, above + 1), txn.now_us))
    counters.remember(txn, _LIFE, life_fields(started))
    return started


def part(txn: Txn, life: Life, start: StartId, above: int, causes: Sequence[Cause]) -> Life:
    """Record a new epoch: numbers begin anew in it, but for those of events, which go on far above."""
    txn.connection.execute("DELETE FROM numbers")
    events.leave_room(txn)
    keep_causes(txn, causes)
    return begin(txn, life, start, above)


def doubt(txn: Txn, life: Life, causes: Sequence[Cause]) -> None:
    """Record that another life was seen again."""
    counters.remember(txn, _LIFE, life_fields(life))
    keep_causes(txn, causes)


def keep_causes(txn: Txn, causes: Sequence[Cause]) -> None:
    """Remember why alarms sound, none once an operator has accepted them."""
    counters.remember(txn, _CAUSES, [list(astuple(cause)) for cause in causes])


def causes(txn: Txn) -> list[Cause]:
    """Why alarms sound."""
    found = [elements(one, 3, "cause") for one in counters.recall(txn, _CAUSES) or []]
    return [Cause(cast("AlarmCode", code), since_us, detail) for code, since_us, detail in found]
