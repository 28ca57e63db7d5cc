"""G11: neither brokers nor disks see what is confidential."""

from pathlib import Path

from tests.sim.broken import Broken
from tests.sim.facts import CANARY, CLERK

SECRETS = (CANARY.encode(), CLERK.encode())


def check_bytes(data: bytes, where: str) -> None:
    """No title, no text and no person of any message is in these bytes."""
    for secret in SECRETS:
        if secret in data:
            raise Broken("G11", f"plaintext in {where}")


def check_disks(place: Path) -> None:
    """Every file of every office, as it lies on its disk."""
    for path in sorted(place.rglob("*")):
        if path.is_file():
            check_bytes(path.read_bytes(), path.name)
