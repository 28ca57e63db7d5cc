"""Which time is believed: any history of readings, and whom to ask about a jump (G9, D12)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.clock_guard import (
    DRIFT_PER_MILLION,
    MADE_MAX,
    Anchor,
    ClockGuard,
    Reading,
    Witnesses,
    agrees,
    anchor_after_restart,
    differing,
)
from protocol.ids import Digest, OfficeId
from protocol.limits import SECOND_US

JUMP_US = 300 * SECOND_US
BOUND_US = 60 * SECOND_US
DAY_US = 86_400 * SECOND_US
WALL_US = 1_767_225_600 * SECOND_US
BEGIN = Reading(WALL_US, 50 * SECOND_US)
A, B, C = (OfficeId(name * 16) for name in (b"A", b"B", b"C"))

passes = st.integers(0, 10 * DAY_US)
steps = st.one_of(st.just(0), st.integers(-400 * SECOND_US, 400 * SECOND_US), st.integers(-400 * DAY_US, 400 * DAY_US))
histories = st.lists(st.tuples(passes, steps), max_size=60)


def later(reading: Reading, passed_us: int, stepped_us: int = 0) -> Reading:
    return Reading(reading.wall_us + passed_us + stepped_us, reading.elapsed_us + passed_us)


@given(histories)
def test_g09_believed_time_never_leaves_elapsed_time_by_more_than_the_bound(history: list[tuple[int, int]]) -> None:
    guard, reading = ClockGuard(JUMP_US, BEGIN), BEGIN
    believed = [(BEGIN.elapsed_us, guard.believe(BEGIN))]
    for passed_us, stepped_us in history:
        reading = later(reading, passed_us, stepped_us)
        before_us = believed[-1][1]
        now_us = guard.believe(reading)
        believed.append((reading.elapsed_us, now_us))
        # It falls only as a clock does that is corrected, and never by a jump.
        assert now_us - before_us >= passed_us - 2 * JUMP_US
        if guard.held:
            assert now_us == before_us + passed_us
            assert guard.jump_us == reading.wall_us - now_us
        else:
            assert now_us == reading.wall_us
            assert guard.jump_us == 0
    for elapsed_us, at_us in believed:
        passed_us = reading.elapsed_us - elapsed_us
        drift_us = passed_us * DRIFT_PER_MILLION // 1_000_000
        assert abs(believed[-1][1] - at_us - passed_us) <= 2 * JUMP_US + drift_us


@given(histories, passes)
def test_g09_a_wall_clock_that_comes_back_is_followed_again(history: list[tuple[int, int]], passed_us: int) -> None:
    guard, reading = ClockGuard(JUMP_US, BEGIN), BEGIN
    for passed, stepped_us in history:
        reading = later(reading, passed, stepped_us)
        guard.believe(reading)
    right = Reading(reading.elapsed_us + passed_us + guard.offset_us, reading.elapsed_us + passed_us)
    assert guard.believe(right) == right.wall_us
    assert not guard.held


@given(histories)
def test_g09_another_process_goes_on_where_the_first_stopped(history: list[tuple[int, int]]) -> None:
    first, reading = ClockGuard(JUMP_US, BEGIN), BEGIN
    for passed_us, stepped_us in history:
        reading = later(reading, passed_us, stepped_us)
        anchor, second_us = first.anchor, first.believe(reading)
        assert ClockGuard(JUMP_US, reading, anchor).believe(reading) == second_us


@given(histories)
def test_g09_what_was_accepted_is_followed(history: list[tuple[int, int]]) -> None:
    guard, reading = ClockGuard(JUMP_US, BEGIN), BEGIN
    for passed_us, stepped_us in history:
        reading = later(reading, passed_us, stepped_us)
        guard.believe(reading)
        assert guard.accept()
        assert not guard.held
        assert guard.believe(reading) == reading.wall_us


@given(histories, st.integers(0, WALL_US + 500 * DAY_US))
def test_g09_never_below_a_signed_time_which_goes_on(history: list[tuple[int, int]], floor_us: int) -> None:
    guard, reading = ClockGuard(JUMP_US, BEGIN), BEGIN
    guard.raise_floor(floor_us)
    for passed_us, stepped_us in history:
        reading = later(reading, passed_us, stepped_us)
        assert guard.believe(reading) >= floor_us
    if guard.held:
        first_us = guard.believe(reading)
        assert guard.believe(later(reading, DAY_US)) == first_us + DAY_US


def test_g09_a_signed_time_explains_a_jump_ahead() -> None:
    guard = ClockGuard(JUMP_US, BEGIN)
    jumped = later(BEGIN, SECOND_US, 3 * DAY_US)
    guard.believe(jumped)
    assert guard.held
    guard.raise_floor(jumped.wall_us - 60 * SECOND_US)
    assert not guard.held
    assert guard.believe(jumped) == jumped.wall_us


def test_g09_nobody_may_accept_a_clock_that_a_signed_time_disproves() -> None:
    guard = ClockGuard(JUMP_US, BEGIN)
    guard.raise_floor(WALL_US)
    for early_us, accepted in ((JUMP_US, True), (JUMP_US + 1, False)):
        before_us = guard.believe(later(BEGIN, 0, -early_us))
        assert guard.accept() is accepted
        assert guard.believe(later(BEGIN, 0, -early_us)) == max(before_us, WALL_US)


def test_the_bound_itself_is_no_jump() -> None:
    guard = ClockGuard(JUMP_US, BEGIN)
    for stepped_us, held in ((JUMP_US, False), (JUMP_US + 1, True), (-JUMP_US, False), (-JUMP_US - 1, True)):
        guard.believe(later(BEGIN, 0, stepped_us))
        assert guard.held is held


@pytest.mark.parametrize("off_us", [0, JUMP_US, DAY_US, -JUMP_US])
def test_after_a_start_of_the_machine_a_later_clock_is_trusted(off_us: int) -> None:
    reading = Reading(WALL_US + off_us, 3)
    guard = ClockGuard(JUMP_US, reading, anchor_after_restart(reading, WALL_US, JUMP_US))
    assert guard.believe(reading) == reading.wall_us


@pytest.mark.parametrize("off_us", [-JUMP_US - 1, -DAY_US, -WALL_US])
def test_g09_after_a_start_of_the_machine_time_has_not_gone_back(off_us: int) -> None:
    reading = Reading(WALL_US + off_us, 3)
    guard = ClockGuard(JUMP_US, reading, anchor_after_restart(reading, WALL_US, JUMP_US))
    assert guard.held
    assert guard.believe(reading) == WALL_US


# Neighbours.


class Scene:
    """A guard whose wall clock jumped, and what neighbours say; their clocks by the true offset."""

    def __init__(self, jump_us: int) -> None:
        self.guard = ClockGuard(JUMP_US, BEGIN)
        self.now = later(BEGIN, 100 * SECOND_US, jump_us)
        self.guard.believe(self.now)
        self.witnesses = Witnesses(30 * SECOND_US, 3600 * SECOND_US)

    def says(self, office: OfficeId, signed_us: int, *, trip_us: int | None = None) -> None:
        """A frame arrives now; with a trip it acknowledges what was made so long ago."""
        acknowledged = ()
        if trip_us is not None:
            acknowledged = (Digest(office + office),)
            self.witnesses.made(acknowledged, self.now.elapsed_us - trip_us)
        self.witnesses.hear(office, signed_us, acknowledged, self.now.elapsed_us)

    def word(self, *neighbours: OfficeId) -> str:
        said = self.witnesses.testimonies(self.now.elapsed_us)
        return agrees(said, neighbours, self.guard, BOUND_US)

    @property
    def believed_us(self) -> int:
        return self.now.elapsed_us + self.guard.offset_us


@pytest.mark.parametrize("jump_us", [3 * DAY_US, -2 * 3600 * SECOND_US])
def test_g09_two_neighbours_with_fresh_words_confirm_a_jump(jump_us: int) -> None:
    scene = Scene(jump_us)
    scene.says(A, scene.now.wall_us, trip_us=SECOND_US)
    assert scene.word(A, B, C) == "unknown"
    scene.says(B, scene.now.wall_us - SECOND_US, trip_us=2 * SECOND_US)
    assert scene.word(A, B, C) == "wall"
    scene.says(C, scene.believed_us, trip_us=SECOND_US)
    assert scene.word(A, B, C) == "believed"


def test_g09_the_only_neighbour_is_enough_and_strangers_are_not() -> None:
    scene = Scene(DAY_US)
    scene.says(A, scene.now.wall_us)
    assert scene.word(A) == "wall"
    assert scene.word(B) == "unknown"
    assert scene.word() == "unknown"


def test_g09_a_frame_kept_back_by_a_broker_confirms_no_jump_back() -> None:
    scene = Scene(-7200 * SECOND_US)
    for office in (A, B):
        scene.says(office, scene.now.wall_us)
    assert scene.word(A, B) == "unknown"
    for office in (A, B):
        scene.says(office, scene.now.wall_us, trip_us=31 * SECOND_US)
    assert scene.word(A, B) == "unknown"


def test_an_acknowledgement_proves_freshness_once() -> None:
    scene = Scene(-7200 * SECOND_US)
    acknowledged = (Digest(bytes(32)),)
    scene.witnesses.made(acknowledged, scene.now.elapsed_us)
    for office in (A, B):
        scene.witnesses.hear(office, scene.now.wall_us, acknowledged, scene.now.elapsed_us)
    assert scene.word(A, B) == "unknown"
    fresh = [said.most_us is not None for said in scene.witnesses.testimonies(scene.now.elapsed_us)]
    assert fresh == [True, False]


def test_a_later_signed_time_outdoes_a_fresh_word_and_an_earlier_one_does_not() -> None:
    scene = Scene(DAY_US)
    scene.says(A, scene.believed_us, trip_us=0)
    scene.says(A, scene.believed_us - 5)
    assert scene.word(A) == "believed"
    scene.says(A, scene.now.wall_us)
    assert scene.word(A) == "wall"
    scene.says(A, scene.believed_us)
    assert scene.word(A) == "wall"
    scene.says(A, scene.believed_us, trip_us=0)
    assert scene.word(A) == "believed"


def test_old_words_are_forgotten_and_memory_is_bounded() -> None:
    scene = Scene(DAY_US)
    scene.says(A, scene.now.wall_us)
    assert len(scene.witnesses.testimonies(scene.now.elapsed_us + 3600 * SECOND_US)) == 1
    assert scene.witnesses.testimonies(scene.now.elapsed_us + 3600 * SECOND_US + 1) == ()
    digests = [Digest(number.to_bytes(32)) for number in range(MADE_MAX + 1)]
    scene.witnesses.made(digests, scene.now.elapsed_us)
    scene.witnesses.hear(A, scene.now.wall_us, digests[:1], scene.now.elapsed_us)
    scene.witnesses.hear(B, scene.now.wall_us, digests[1:2], scene.now.elapsed_us)
    said = {one.office: one.most_us for one in scene.witnesses.testimonies(scene.now.elapsed_us)}
    assert said[A] is None
    assert said[B] is not None


@given(st.integers(-DAY_US, DAY_US), st.integers(0, 30 * SECOND_US), st.booleans())
def test_skew_is_said_only_when_it_is_certain(off_us: int, trip_us: int, fresh: bool) -> None:
    scene = Scene(0)
    # The neighbour signed at some moment of the way there and back, by a clock that is off.
    signed_us = scene.now.wall_us - trip_us // 2 + off_us
    scene.says(A, signed_us, trip_us=trip_us if fresh else None)
    found = differing(scene.witnesses.testimonies(scene.now.elapsed_us), scene.guard.offset_us, BOUND_US)
    if abs(off_us) <= BOUND_US:
        assert found == {}
    elif off_us > BOUND_US + trip_us or (fresh and off_us < -BOUND_US - trip_us):
        assert 0 < abs(found[A]) <= abs(off_us)
    elif not fresh and off_us < 0:
        assert found == {}


def test_an_anchor_is_what_it_says() -> None:
    guard = ClockGuard(JUMP_US, BEGIN)
    guard.believe(later(BEGIN, 1, JUMP_US))
    assert guard.anchor == Anchor(BEGIN.offset_us, BEGIN.offset_us + JUMP_US)
