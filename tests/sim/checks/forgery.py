"""G10: nothing forged is kept anywhere but in quarantine, handed out, or carried on.

Judged at each take, at each publish, and at the end on every store.
"""

from typing import TYPE_CHECKING

from tests.sim.broken import Broken

if TYPE_CHECKING:
    from tests.sim.history import History

PLACES = (
    ("held", "digest"),
    ("held", "message_id"),
    ("passed", "digest"),
    ("inbox", "message_id"),
    ("inbox", "copy_digest"),
    ("recipients", "message_id"),
    ("receipts", "message_id"),
    ("events", "message_id"),
)
"""Tables and columns in which something that was believed would show."""


def check_copy(history: "History", digest: bytes) -> None:
    """A copy that an office publishes is none that only a forger made."""
    if digest in history.forged:
        raise Broken("G10", f"a forged copy {digest.hex()} was carried on")


def check_taken(history: "History", by: str, message_id: str) -> None:
    """A message that a program is handed is none that only a forger made."""
    if bytes.fromhex(message_id.replace("-", "")) in history.forged:
        raise Broken("G10", f"{by} was handed {message_id}, which is forged")


def check_stores(history: "History") -> None:
    """No digest and no id that only a forger used is in any of `PLACES`."""
    if not history.forged:
        return
    for address, office in history.offices.items():
        for table, column in PLACES:
            statement = f"SELECT DISTINCT {column} FROM {table}"  # noqa: S608 - constants
            found = office.look(lambda txn, statement=statement: txn.connection.execute(statement).fetchall())
            if history.forged.intersection(value for (value,) in found):
                raise Broken("G10", f"{address} believed something forged: {table}.{column}")
