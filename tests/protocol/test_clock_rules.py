"""The rules of believed time by hand, to the microsecond; any history of them: test_clock_guard.py (G9, D12)."""

import pytest

from protocol.clock_guard import Anchor, ClockGuard, Reading, Witnesses, agrees, anchor_after_restart, differing
from protocol.clock_guard import Testimony as Word
from protocol.ids import Digest, OfficeId
from protocol.limits import SECOND_US

JUMP_US = 300 * SECOND_US
BOUND_US = 60 * SECOND_US
FRESH_US, KEEP_US = 30 * SECOND_US, 3_600 * SECOND_US
WALL_US, ELAPSED_US = 10**15, 7 * SECOND_US
OFFSET_US = WALL_US - ELAPSED_US
BEGIN = Reading(WALL_US, ELAPSED_US)
A, B, C = (OfficeId(name * 16) for name in (b"A", b"B", b"C"))
SEALED = Digest(bytes(32))


def test_time_begins_with_nothing() -> None:
    assert ClockGuard(JUMP_US, Reading(0, 0)).believe(Reading(0, 0)) == 0


@pytest.mark.parametrize(
    ("floor_us", "reference_us"),
    [
        (WALL_US - SECOND_US, OFFSET_US),
        (WALL_US + JUMP_US, OFFSET_US),
        (WALL_US + JUMP_US + 1, OFFSET_US + JUMP_US + 1),
    ],
)
def test_g09_a_signed_time_moves_the_reference_only_when_it_proves_it_wrong(floor_us: int, reference_us: int) -> None:
    guard = ClockGuard(JUMP_US, BEGIN)
    guard.raise_floor(floor_us)
    assert guard.anchor == Anchor(reference_us, max(OFFSET_US, floor_us - ELAPSED_US))


@pytest.mark.parametrize(
    ("passed_us", "stepped_us", "followed_us"),
    [
        (999_999, SECOND_US, 0),
        (1_000_000, SECOND_US, 1_000),
        (2_500_999, SECOND_US, 2_500),
        (2_500_999, -SECOND_US, -2_500),
        (1_000_000_000, SECOND_US, 1_000_000),
        (1_000_000, 7, 7),
        (1_000_000, -7, -7),
    ],
)
def test_g09_the_reference_follows_by_a_thousandth(passed_us: int, stepped_us: int, followed_us: int) -> None:
    guard = ClockGuard(JUMP_US, BEGIN)
    guard.believe(Reading(WALL_US + passed_us + stepped_us, ELAPSED_US + passed_us))
    assert guard.anchor == Anchor(OFFSET_US + followed_us, OFFSET_US + stepped_us)
    assert type(guard.anchor.reference_us) is int


@pytest.mark.parametrize(
    ("wall_us", "offset_us"),
    [
        (WALL_US + JUMP_US, WALL_US + JUMP_US - ELAPSED_US),
        (WALL_US, OFFSET_US),
        (WALL_US - JUMP_US, WALL_US - JUMP_US - ELAPSED_US),
        (WALL_US - JUMP_US - 1, OFFSET_US),
    ],
)
def test_g09_what_is_believed_after_a_start_of_the_machine(wall_us: int, offset_us: int) -> None:
    anchor = anchor_after_restart(Reading(wall_us, ELAPSED_US), WALL_US, JUMP_US)
    assert anchor == Anchor(offset_us, offset_us)


def heard(made_us: int | None, now_us: int, *digests: Digest, signed_us: int = WALL_US) -> Word:
    """What one frame testifies, with an empty memory before it."""
    witnesses = Witnesses(FRESH_US, KEEP_US)
    if made_us is not None:
        witnesses.made([SEALED], made_us)
    witnesses.hear(A, signed_us, digests, now_us)
    (said,) = witnesses.testimonies(now_us)
    return said


def test_g09_only_an_answer_to_what_was_just_made_is_fresh() -> None:
    assert heard(5, 9, SEALED) == Word(A, 9, WALL_US - 9, WALL_US - 5)
    assert heard(0, 9, SEALED) == Word(A, 9, WALL_US - 9, WALL_US)
    assert heard(5, 5 + FRESH_US, SEALED).most_us == WALL_US - 5
    assert heard(5, 6 + FRESH_US, SEALED).most_us is None
    # Early after the start of a machine an unknown digest, or none, proves no more than later.
    assert heard(None, 9, SEALED).most_us is None
    assert heard(5, 9).most_us is None
    assert heard(5, 9, Digest(b"?" * 32), SEALED).most_us == WALL_US - 5


def test_g09_a_word_stands_until_a_later_time_or_for_an_hour() -> None:
    witnesses = Witnesses(FRESH_US, KEEP_US)
    witnesses.made([SEALED], 80)
    witnesses.hear(A, 1_100, [SEALED], 100)
    fresh = Word(A, 100, 1_000, 1_020)
    # At least 1,019 is no more than the fresh word allows; at least 1,020 is news.
    witnesses.hear(A, 1_019 + 200, (), 200)
    assert witnesses.testimonies(200) == (fresh,)
    witnesses.hear(A, 1_020 + 200, (), 200)
    assert witnesses.testimonies(200) == (Word(A, 200, 1_020, None),)
    witnesses.hear(A, 1_019 + 300, (), 300)
    assert witnesses.testimonies(300) == (Word(A, 200, 1_020, None),)
    witnesses.hear(A, 5, (), 200 + KEEP_US)
    assert witnesses.testimonies(200 + KEEP_US) == (Word(A, 200, 1_020, None),)
    witnesses.hear(A, 5, (), 201 + KEEP_US)
    assert witnesses.testimonies(201 + KEEP_US) == (Word(A, 201 + KEEP_US, 5 - 201 - KEEP_US, None),)


@pytest.mark.parametrize(
    ("least_us", "most_us", "found"),
    [
        (BOUND_US, None, {}),
        (BOUND_US + 1, None, {A: BOUND_US + 1}),
        (-(10**9), -BOUND_US, {}),
        (-(10**9), -BOUND_US - 1, {A: -BOUND_US - 1}),
        (-(10**9), None, {}),
    ],
)
def test_skew_begins_above_the_bound(least_us: int, most_us: int | None, found: dict[OfficeId, int]) -> None:
    said = Word(A, 0, OFFSET_US + least_us, None if most_us is None else OFFSET_US + most_us)
    assert differing([said], OFFSET_US, BOUND_US) == found


def test_g09_who_agrees_to_the_microsecond() -> None:
    jump_us = 3 * JUMP_US
    guard = ClockGuard(JUMP_US, BEGIN)
    guard.believe(Reading(WALL_US + jump_us, ELAPSED_US))

    def word(*said: Word) -> str:
        return agrees(said, (A, B), guard, BOUND_US)

    def at(office: OfficeId, off_us: int, width_us: int | None = None) -> Word:
        return Word(office, 0, OFFSET_US + off_us, None if width_us is None else OFFSET_US + off_us + width_us)

    assert word(at(A, BOUND_US)) == word(at(A, -BOUND_US)) == "believed"
    assert word(at(A, BOUND_US + 1)) == word(at(A, -BOUND_US - 1)) == "unknown"
    assert word(at(A, BOUND_US, 5)) == word(at(A, -BOUND_US - 5, 5)) == "believed"
    assert word(at(A, BOUND_US + 1, 5)) == word(at(A, -BOUND_US - 6, 5)) == "unknown"
    assert word(at(A, jump_us), at(B, jump_us + BOUND_US)) == "wall"
    assert word(at(A, jump_us), at(B, jump_us + BOUND_US + 1)) == "unknown"
    # A stranger's word counts for nothing, and hides nobody's.
    assert word(at(C, jump_us), at(A, jump_us)) == "unknown"
    assert word(at(C, 0), at(A, jump_us), at(B, jump_us)) == "wall"
    assert word(at(A, jump_us), at(B, jump_us), at(B, 0)) == "believed"
