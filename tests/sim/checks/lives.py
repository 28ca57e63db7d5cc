"""G12: no home believes that it was restored or cloned unless it was, whatever a broker replays to it."""

from typing import TYPE_CHECKING

from relay.store import lives
from tests.sim.broken import Broken

if TYPE_CHECKING:
    from tests.sim.history import History


def check_lives(history: "History") -> None:
    """No office has a cause to sound RESTORED or CLONED, and each went on in its first epoch."""
    for office in history.offices.values():
        life, causes = office.look(lives.recall), office.look(lives.causes)
        if not office.restores and (causes or (life is not None and life.apart)):
            raise Broken("G12", f"{office.seat.address} was never restored and says {causes}")
