"""How many rows were found damaged, and where: for `status` and for the alarm."""

from dataclasses import dataclass
from typing import Final

from relay.store.database import Txn

_OF_SENT: Final = ("sent", "recipients", "held")


@dataclass(frozen=True, slots=True)
class Damage:
    """Rows that were moved aside: all, those found lately and how many of these were mended, those of the inbox, and
    those of messages that this office sent, that were not, and the tables of the recent ones.
    """

    total: int
    recent: int
    mended: int
    of_inbox: int
    of_sent: int
    tables: tuple[str, ...]


def count_damaged(txn: Txn) -> int:
    """How many rows were moved aside since the store began, mended ones included."""
    return int(txn.connection.execute("SELECT count(*) FROM damaged").fetchone()[0])


def read_damage(txn: Txn, since_us: int) -> Damage:
    """What was moved aside, and how much of it since a time."""
    query = "SELECT table_name, mended, found_at_us >= ?, count(*) FROM damaged GROUP BY 1, 2, 3"
    rows = txn.connection.execute(query, (since_us,)).fetchall()
    return Damage(
        total=sum(count for *_, count in rows),
        recent=sum(count for _, _, recent, count in rows if recent),
        mended=sum(count for _, mended, recent, count in rows if recent and mended),
        of_inbox=sum(count for table, mended, _, count in rows if table == "inbox" and not mended),
        of_sent=sum(count for table, mended, _, count in rows if table in _OF_SENT and not mended),
        tables=tuple(sorted({table for table, _, recent, _ in rows if recent})),
    )
