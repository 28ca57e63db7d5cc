"""Lanes take turns: flash first, and nobody starves (G5, G6)."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.lanes import Lane
from protocol.scheduler import SHARE_TURNS, LaneScheduler

waits = st.sets(st.sampled_from(Lane), min_size=1)


@given(st.lists(waits, min_size=1, max_size=300))
def test_g05_at_most_one_lower_turn_before_flash(history: list[set[Lane]]) -> None:
    scheduler = LaneScheduler()
    since_flash_waits = 0
    for waiting in history:
        chosen = scheduler.pick(waiting)
        assert chosen in waiting
        if Lane.FLASH not in waiting or chosen is Lane.FLASH:
            since_flash_waits = 0
        else:
            since_flash_waits += 1
        assert since_flash_waits <= 1


@given(st.lists(waits, min_size=1, max_size=300))
def test_g06_never_two_lower_turns_in_a_row_while_a_higher_lane_waits(history: list[set[Lane]]) -> None:
    scheduler = LaneScheduler()
    passed_over_before = False
    for waiting in history:
        chosen = scheduler.pick(waiting)
        passed_over = chosen is not min(waiting)
        assert not (passed_over and passed_over_before)
        passed_over_before = passed_over


@pytest.mark.parametrize("lanes", [tuple(Lane), (Lane.FLASH, Lane.URGENT), (Lane.PRIORITY, Lane.ROUTINE, Lane.BULK)])
def test_g06_every_waiting_lane_gets_five_percent(lanes: tuple[Lane, ...]) -> None:
    scheduler = LaneScheduler()
    turns = [scheduler.pick(lanes) for _ in range(20_000)]
    for start in range(0, len(turns), 1_000):
        share = Counter(turns[start : start + 1_000])
        assert min(share[lane] for lane in lanes) >= 50
    assert Counter(turns)[min(lanes)] >= 0.7 * len(turns)


@given(st.lists(st.sets(st.sampled_from(list(Lane)[:4])), min_size=100, max_size=300))
def test_g06_a_lane_that_waits_is_served_within_its_share(history: list[set[Lane]]) -> None:
    scheduler = LaneScheduler()
    passed = 0
    for others in history:
        chosen = scheduler.pick(others | {Lane.BULK})
        passed = 0 if chosen is Lane.BULK else passed + 1
        # Owed after 15; at worst three other lanes are owed longer, each with a turn of the highest between.
        assert passed <= SHARE_TURNS + 2 * 3 + 1


def test_g06_owed_turns_come_in_order_and_one_turn_apart() -> None:
    scheduler = LaneScheduler()
    flash, urgent, priority, routine, bulk = Lane
    turns = [scheduler.pick(tuple(Lane)) for _ in range(SHARE_TURNS + 8 + 8)]
    assert turns[:SHARE_TURNS] == [flash] * SHARE_TURNS
    # Four lanes are owed at once: the one that waits longest first, of equal ones the higher, flash between.
    assert turns[SHARE_TURNS : SHARE_TURNS + 8] == [urgent, flash, priority, flash, routine, flash, bulk, flash]
    # Urgent was served 16 turns ago when its next turn comes.
    assert turns[SHARE_TURNS + 8 :] == [flash] * 8
    assert scheduler.pick(tuple(Lane)) is urgent


def test_g06_two_lanes_alternate_fifteen_to_one() -> None:
    scheduler = LaneScheduler()
    turns = [scheduler.pick((Lane.FLASH, Lane.URGENT)) for _ in range(3 * (SHARE_TURNS + 1))]
    assert turns == 3 * [*[Lane.FLASH] * SHARE_TURNS, Lane.URGENT]


def test_g06_a_lane_that_did_not_wait_is_owed_nothing() -> None:
    scheduler = LaneScheduler()
    for _ in range(SHARE_TURNS):
        scheduler.pick((Lane.FLASH, Lane.BULK))
    scheduler.pick((Lane.FLASH,))
    assert [scheduler.pick((Lane.FLASH, Lane.BULK)) for _ in range(SHARE_TURNS)] == [Lane.FLASH] * SHARE_TURNS
    assert scheduler.pick((Lane.FLASH, Lane.BULK)) is Lane.BULK
