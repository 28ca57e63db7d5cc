"""What the home remembers of its own life (G12). Synchronous changes and queries."""

from typing import Final

from protocol.ids import Epoch
from protocol.life import Life, life_fields, read_life
from relay.store import counters
from relay.store.database import Txn

_LIFE: Final = "life"


def remember(txn: Txn, life: Life) -> None:
    """Keep the life; recorded before anything is said in its name."""
    counters.remember(txn, _LIFE, life_fields(life))


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
