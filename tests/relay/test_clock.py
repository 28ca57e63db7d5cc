"""The guarded clock of a process: what it goes on with, and what it asks of the machine (G9)."""

import asyncio

import pytest

from protocol.clock_guard import Anchor, Reading
from protocol.limits import SECOND_US
from relay.clock import GuardedClock, machine_boot, read_clocks
from relay.opening import remembered_clock
from relay.store import kept_clock
from relay.store.kept_clock import KeptClock
from tests.relay.office_store import office_store

JUMP_US = 300 * SECOND_US
DAY_US = 86_400 * SECOND_US
WALL_US = 1_767_225_600 * SECOND_US


class Machine:
    """Two clocks that a test sets."""

    def __init__(self, wall_us: int = WALL_US, elapsed_us: int = 1_000) -> None:
        self.reading = Reading(wall_us, elapsed_us)

    def __call__(self) -> Reading:
        return self.reading


def test_the_clocks_of_this_machine_are_read() -> None:
    first, second = read_clocks(), read_clocks()
    assert first.elapsed_us <= second.elapsed_us
    # Nobody sets the clock between two readings.
    assert abs(first.offset_us - second.offset_us) < SECOND_US
    assert machine_boot() == machine_boot() != ""


@pytest.mark.parametrize("jump_us", [3 * DAY_US, -2 * 3_600 * SECOND_US])
def test_g09_a_jump_between_two_processes_is_noticed_on_the_same_start_of_the_machine(jump_us: int) -> None:
    kept = GuardedClock(Machine(), "boot", JUMP_US).keep()
    later = GuardedClock(Machine(WALL_US + jump_us + SECOND_US, 1_000 + SECOND_US), "boot", JUMP_US)
    later.resume(kept)
    assert later.now_us() == WALL_US + SECOND_US
    assert later.guard.jump_us == jump_us


@pytest.mark.parametrize(("off_us", "believed_us"), [(3 * DAY_US, 3 * DAY_US), (-DAY_US, 0)])
def test_g09_after_a_start_of_the_machine_time_may_have_gone_on_and_not_back(off_us: int, believed_us: int) -> None:
    kept = GuardedClock(Machine(elapsed_us=9 * DAY_US), "boot", JUMP_US).keep()
    later = GuardedClock(Machine(WALL_US + off_us, 5), "another boot", JUMP_US)
    later.resume(kept)
    assert later.now_us() == WALL_US + believed_us


def test_without_a_memory_the_wall_clock_is_believed_anew() -> None:
    clock = GuardedClock(machine := Machine(), "boot", JUMP_US)
    machine.reading = Reading(WALL_US + DAY_US, 2_000)
    assert clock.now_us() == WALL_US + 1_000
    clock.resume(None)
    assert clock.now_us() == WALL_US + DAY_US
    assert clock.monotonic_us() == 2_000


def test_what_is_kept_comes_back_and_a_damaged_memory_stops_nobody() -> None:
    kept = KeptClock("boot", Anchor(WALL_US, WALL_US + 5), WALL_US + 7)
    with office_store() as store:
        assert asyncio.run(remembered_clock(store)) is None
        store.run(lambda txn: kept_clock.keep(txn, kept))
        assert asyncio.run(remembered_clock(store)) == kept
        store.run(lambda txn: txn.connection.execute("UPDATE meta SET sealed = x'00' WHERE name = 'clock'"))
        assert asyncio.run(remembered_clock(store)) is None
