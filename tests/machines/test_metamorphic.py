"""What must make no difference: repetition, order, the cutting of frames, a restart (G1, G2, G3, G8)."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import debts, outbox
from tests.machines.play import LONG_LIFE_S, Play
from tests.sim.broker import Malice
from tests.sim.network import PLAN

OFFICES = range(len(PLAN))
traffic = st.lists(
    st.tuples(
        st.sampled_from(OFFICES),
        st.sets(st.sampled_from(OFFICES), min_size=1, max_size=3),
        st.sampled_from(("flash", "priority", "routine")),
        st.sampled_from((0.0, 0.0, 0.5, 20.0)),
    ),
    min_size=1,
    max_size=6,
)
PROFILE = settings.get_profile(settings.get_current_profile_name())
pytestmark = pytest.mark.timeout(0)
"""Virtual time ends every wait; how long a run takes is for the profile to say."""
FEW = settings(PROFILE, max_examples=max(PROFILE.max_examples // 12, 1))
Disturb = Callable[[Play, int], None]


def ended(messages: list[tuple[int, set[int], str, float]], disturb: Disturb | None = None) -> Any:
    """How it ends when these messages are sent, with something done after each of them."""
    play = Play("metamorphic")
    try:
        play.wait(1.0)
        for step, (number, to, urgency, pause_s) in enumerate(messages):
            office = play.offices[number]
            addresses = [play.offices[one].seat.address for one in sorted(to - {number})]
            if addresses:
                play.send(office, play.draft(addresses, urgency, 100, LONG_LIFE_S), LONG_LIFE_S)
            if disturb is not None:
                disturb(play, step)
            play.wait(pause_s)
        play.heal()
        play.settle()
        play.judge()
        return play.outcome()
    finally:
        play.close()


@FEW
@given(traffic, st.floats(0.1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 20))
def test_g02_any_schedule_of_repetitions_and_delays_ends_in_the_same_inboxes_and_verdicts(
    messages: list[tuple[int, set[int], str, float]], double: float, replay: float, late: float, late_s: float
) -> None:
    def disturb(play: Play, step: int) -> None:
        for broker in play.network.brokers.values():
            broker.malice = Malice(double=double, replay=replay, late=late, late_s=late_s)

    assert ended(messages, disturb) == ended(messages)


@FEW
@given(traffic)
def test_g01_cutting_frames_into_single_items_changes_nothing(
    messages: list[tuple[int, set[int], str, float]],
) -> None:
    with patch.object(outbox, "FRAME_ITEMS", 1), patch.object(debts, "FRAME_ITEMS", 1):
        cut = ended(messages)
    assert cut == ended(messages)


@FEW
@given(traffic, st.sampled_from(OFFICES), st.integers(0, 5), st.floats(0, 1), st.sampled_from((0.0, 3.0)))
def test_g01_a_restart_anywhere_is_invisible_in_the_end(
    messages: list[tuple[int, set[int], str, float]], number: int, at: int, after_s: float, away_s: float
) -> None:
    def disturb(play: Play, step: int) -> None:
        if step == min(at, len(messages) - 1):
            play.wait(after_s)
            play.do(play.offices[number].crash())
            play.wait(away_s)
            play.do(play.offices[number].start())

    assert ended(messages, disturb) == ended(messages)
