"""Reorganisation: who was told of a change goes by it from its date on. Judged after healing, when all were told."""

from typing import TYPE_CHECKING

from tests.sim.broken import Broken

if TYPE_CHECKING:
    from tests.sim.history import History


def check_places(history: "History") -> None:
    """Every office but a revoked one has the address, the class and the superior that the newest directory gives it."""
    then = history.directory.at(history.now_us).offices
    for address, office in history.offices.items():
        if office.running and not history.exempt(address):
            wanted, found = (
                (record.address, record.office_class, record.parent)
                for record in (then[office.seat.office], office.ground.me)
            )
            if found != wanted:
                raise Broken("G16", f"{address} takes itself for {found}, it is {wanted}")
