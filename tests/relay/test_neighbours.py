"""What is remembered of a neighbour proves nothing once its key is not valid any more (SPEC M59)."""

from types import SimpleNamespace
from typing import Any

from protocol.ids import StartId
from protocol.moment import NO_EPOCH, Moment
from protocol.outbox import Outbox
from protocol.witness import Shown
from relay.neighbours import Neighbours
from tests import world


class _Directory:
    """Every key is valid but those that were withdrawn."""

    def __init__(self) -> None:
        self.withdrawn: set[bytes] = set()

    def has_key(self, office: bytes, key_id: bytes, at_us: int) -> bool:
        return key_id not in self.withdrawn


def test_g12_a_home_made_anew_under_a_new_key_is_not_shown_what_the_old_key_signed() -> None:
    directory = _Directory()
    outbox = Outbox(world.CITY, SimpleNamespace())  # type: ignore[arg-type]
    ground: Any = SimpleNamespace(
        directory=directory,
        outbox=outbox,
        clock=SimpleNamespace(now_us=lambda: 0, monotonic_us=lambda: 0),
        kick=lambda: None,
    )
    neighbours = Neighbours(ground)
    old_key, new_key = world.COUNTY_KEY.key_id(), world.PROVINCE_KEY.key_id()
    old = Shown(world.MOMENT, b"old", old_key)
    new = Shown(Moment(world.EPOCH, NO_EPOCH, StartId(b"made new"), 1, 1), b"new", new_key)
    neighbours.hear(world.COUNTY, old)
    neighbours.hear(world.COUNTY, new)
    assert [office for office, _ in outbox.debts.creditors("fast")] == [world.COUNTY]
    assert outbox.debts.pay(world.COUNTY, "fast").witness == b"old"
    directory.withdrawn.add(old_key)
    neighbours.hear(world.COUNTY, new)
    assert outbox.debts.creditors("fast") == []
    assert neighbours._witness.key_of(world.COUNTY) == new_key
