"""What a slow neighbour was sent is not sent again while it goes on answering; what is lost is, and soon (D2, G16)."""

from collections import deque
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import Digest
from protocol.lanes import Lane
from protocol.parcel import Timing
from protocol.progress import Progress
from tests.protocol.test_outbox import NOW, outbox_of, parcel
from tests.protocol.toy_relay import SECOND, A, D, E

TICK = SECOND // 10
PATIENCE = 60 * SECOND
FRAME = 27
"""Parcels in a frame: what fits at the pace of a connection that nobody has measured."""
BURST = Timing(SECOND, 8 * SECOND, dict.fromkeys(Lane, PATIENCE), window_items=200)


def carry(count: int, each_us: int, lost: Collection[int] = (), silent_us: int = 0) -> tuple[list[int], int]:
    """A burst to a neighbour that takes so long for each parcel, begins after a silence, and never gets the frames that
    are `lost`, by their places. How often each parcel was sent, and how long it took until all had been answered.
    """
    outbox, now_us = outbox_of(E, timing=BURST), NOW
    times = dict.fromkeys((parcel(number).digest for number in range(count)), 0)
    way: deque[Digest] = deque()
    free_us, frames = NOW + silent_us, 0
    for number in range(count):
        outbox.hold(parcel(number, trail=(A,)), NOW)
    while len(outbox):
        outbox.expire_timers(now_us)
        while (shipment := outbox.plan("slow", now_us + frames)) is not None:
            way.extend(() if frames in lost else shipment.digests)
            frames += 1
            for digest in shipment.digests:
                times[digest] += 1
        while way and free_us + each_us <= now_us:
            free_us += each_us
            outbox.custody(way.popleft(), D, free_us)
        if not way:
            free_us = max(free_us, now_us)
        now_us += TICK
        assert now_us < NOW + 600 * SECOND
    return list(times.values()), now_us - NOW


@pytest.mark.parametrize("each_ms", [1, 20, 100, 250])
def test_a_burst_to_a_slow_neighbour_is_sent_once(each_ms: int) -> None:
    """Also where it takes a quarter of the patience and more until the last parcel of a window is answered."""
    sends, _ = carry(230, each_ms * 1_000)
    assert sends == [1] * 230


def test_a_neighbour_that_is_silent_for_long_is_sent_one_parcel_again_and_not_the_window() -> None:
    sends, _ = carry(100, 20_000, silent_us=12 * SECOND)
    assert sum(sends) <= 100 + 6
    assert sum(count > 1 for count in sends) <= 6


@given(lost=st.sets(st.integers(0, 12), max_size=3), each_us=st.sampled_from((1_000, 20_000, 100_000)))
def test_g16_what_was_lost_is_sent_again_and_hardly_anything_else(lost: set[int], each_us: int) -> None:
    sends, took_us = carry(100, each_us, lost)
    assert sum(sends) <= 100 + len(lost) * FRAME + 4
    # Time-outs and probes cost less than the patience beyond the work itself.
    assert took_us <= 100 * each_us + PATIENCE


def test_g16_a_whole_window_that_was_lost_is_sent_again_within_a_few_time_outs() -> None:
    sends, took_us = carry(100, 1_000, range(100 // FRAME + 1))
    assert max(sends) <= 3
    assert took_us <= PATIENCE // 4


def test_what_was_refused_was_answered() -> None:
    outbox = outbox_of(E, timing=BURST)
    for number in range(2 * FRAME):
        outbox.hold(parcel(number, trail=(A,)), NOW + number // FRAME * TICK)
        if number % FRAME == FRAME - 1:
            assert outbox.plan("slow", NOW + number // FRAME * TICK) is not None
    for number in range(FRAME):
        outbox.nack(parcel(number).digest, "FULL", D, NOW + SECOND - 1)
    outbox.expire_timers(NOW + SECOND + TICK)
    assert outbox.plan("slow", NOW + SECOND + TICK) is None


def test_what_was_overtaken_is_late_after_a_pause_and_what_follows_is_not() -> None:
    progress = Progress()
    progress.answer(50, 100, once=True)
    assert [progress.late_us(49, 10, 40, now) for now in (52, 59, 60)] == [59, 59, 60]
    # Sent in the same frame as what was answered, or later: not while it is heard of, but looked at at every pause.
    assert [progress.late_us(50, 10, 40, now) for now in (129, 139)] == [139, 140]
    assert progress.late_us(80, 10, 40, 139) == 140
    assert progress.late_us(105, 10, 40, 139) == 145
    progress.answer(60, 112, once=True)
    assert progress.late_us(80, 10, 40, 151) == 152


def test_of_what_waits_in_silence_one_is_sent_again_until_that_is_answered() -> None:
    progress = Progress()
    assert [progress.late_us(5, 10, 40, now) for now in (14, 44, 45)] == [24, 45, 45]
    assert [progress.late_us(6, 10, 40, now) for now in (46, 84)] == [56, 85]
    # The probe was sent again at 45 and is answered at 60: by whichever sending, so that the rest has a pause more.
    progress.answer(45, 60, once=False)
    assert progress.once_us == 0
    assert [progress.late_us(sent, 10, 40, 69) for sent in (6, 7)] == [70, 70]
    assert [progress.late_us(sent, 10, 40, 70) for sent in (6, 7, 8)] == [70, 70, 70]
    # What was sent with it or after it, and is not answered, is probed for in its turn.
    assert [progress.late_us(sent, 10, 40, 100) for sent in (45, 46)] == [100, 110]


def test_a_round_trip_is_learnt_of_what_was_sent_once() -> None:
    progress = Progress()
    progress.answer(0, 80, once=False)
    assert progress.trip_us is None
    progress.answer(0, 80, once=True)
    progress.answer(0, 160, once=True)
    assert progress.trip_us == 90
    progress.wait_in_vain(0, 250)
    assert progress.trip_us == 90
    progress.wait_in_vain(0, 251)
    assert progress.trip_us == 91
    # What was overtaken is lost, and says nothing.
    progress.answer(300, 310, once=False)
    progress.wait_in_vain(299, 10_000)
    assert progress.trip_us == 91
