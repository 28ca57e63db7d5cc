"""What the commands of enrolment share: files that were carried here, and their faults as stable codes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from keys.trust.metadata import TrustError
from protocol.errors import Refused, RemoteError
from relay.console.commands import option

_OWN_CODES: Final = {
    "EXPIRED": "REQUEST_EXPIRED",
    "NOT_YET": "CLOCK_BEHIND",
    "WEAK_KEY": "WEAK_KEY",
    "WRONG_NETWORK": "WRONG_NETWORK",
}
"""Faults of a carried file that have a code of their own; any other means that it is not whole or was altered."""


validity: Final = option("--valid-days", metavar="DAYS", type=click.IntRange(1, 90), default=30)
"""How long a request may be answered: time to carry it to the administrators, and for two of them to meet."""


@contextmanager
def carried(name: str, code: str) -> Iterator[None]:
    """Say what is wrong with a carried file by a code of the console: `code` for one that is not whole or was altered.

    Trust files that do not verify are BAD_TRUST, those of another network WRONG_NETWORK.
    """
    try:
        yield
    except RemoteError as error:
        raise Refused(_OWN_CODES.get(error.code, code), f"{name}: {error.code} {error.detail}".strip()) from error
    except TrustError as error:
        known = "WRONG_NETWORK" if error.code == "TRUST_FOREIGN" else "BAD_TRUST"
        raise Refused(known, f"{name}: {error.code}: {error.detail}") from error


def require_absent(path: Path, field: str) -> None:
    """Raise `Refused` FILE_EXISTS when something is there already."""
    if path.exists() or path.is_symlink():
        raise Refused("FILE_EXISTS", str(path), field=field)
