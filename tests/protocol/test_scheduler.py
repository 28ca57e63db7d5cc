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
