"""Frames take a quarter of a second of a link, however slow it is; a fast or a long one is not starved (G5)."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import FRAME_BYTES, FRAME_FLOOR_BYTES, SECOND_US
from protocol.pace import FIRST_WINDOW, HOLD_US, SMALL_BYTES, Flight, Pace

RATES = st.integers(4_000, 20_000_000)
TRIPS_US = st.integers(0, 800_000)


class Link:
    """Carries bytes in order at a rate, after a trip; nothing is lost."""

    def __init__(self, rate: int, trip_us: int) -> None:
        self.rate, self.trip_us, self.free_us = rate, trip_us, 0

    def carry(self, size: int, now_us: int) -> int:
        """When the acknowledgement is back."""
        self.free_us = max(self.free_us, now_us) + size * SECOND_US // self.rate
        return self.free_us + self.trip_us


class Run:
    """Sends as much as the pace allows, now and then something small; what was seen in the later half."""

    def __init__(self, rate: int, trip_us: int, frames: int = 600, smallest: int = 300) -> None:
        link, pace, now_us = Link(rate, trip_us), Pace(), 0
        under_way: deque[tuple[int, Flight]] = deque()
        self.largest = self.carried = self.held_us = began_us = 0
        for number in range(frames):
            alone = number % 7 == 0
            while not pace.has_room or (alone and under_way):
                due_us, flight = under_way.popleft()
                now_us = max(now_us, due_us)
                pace.ended(flight, now_us, acknowledged=True)
            size = smallest if alone else pace.frame
            if number == frames // 2:
                began_us = now_us
            elif number > frames // 2:
                # What a flash message would find before it at this moment.
                self.held_us = max(self.held_us, link.free_us - now_us)
                self.largest = max(self.largest, size)
                self.carried += size
            under_way.append((link.carry(size, now_us), pace.began(size, now_us)))
        self.took_us = link.free_us - began_us


@given(RATES, TRIPS_US)
def test_g05_flash_finds_about_a_quarter_second_of_lower_frames_before_it(rate: int, trip_us: int) -> None:
    run = Run(rate, trip_us)
    floor_us = FRAME_FLOOR_BYTES * SECOND_US // rate
    # On a long way the answer to a frame comes late, and so does what is learnt from it.
    assert run.held_us <= 2 * (HOLD_US + floor_us) + trip_us // 2
    assert run.largest <= max(2 * rate * HOLD_US // SECOND_US, FRAME_FLOOR_BYTES)


@given(RATES, TRIPS_US)
def test_a_link_is_used_as_far_as_its_length_allows(rate: int, trip_us: int) -> None:
    run = Run(rate, trip_us)
    possible = min(rate, FRAME_BYTES * SECOND_US // (HOLD_US + trip_us)) * run.took_us // SECOND_US
    assert run.carried * 12 >= possible


@given(st.lists(st.tuples(st.integers(1, 100_000), st.integers(0, 10**7), st.booleans()), max_size=60))
def test_g05_whatever_is_measured_the_bounds_hold(frames: list[tuple[int, int, bool]]) -> None:
    pace, now_us = Pace(), 0
    for size, took_us, acknowledged in frames:
        assert pace.has_room
        flight = pace.began(size, now_us)
        now_us += took_us
        assert pace.has_room == (size < pace.window)
        pace.ended(flight, now_us, acknowledged=acknowledged)
        assert FRAME_FLOOR_BYTES <= pace.frame <= FRAME_BYTES


def learnt(*frames: tuple[int, int]) -> Pace:
    """A pace after frames of these sizes, one after the other, each acknowledged after so many microseconds."""
    pace, now_us = Pace(), 0
    for size, took_us in frames:
        flight = pace.began(size, now_us)
        now_us += took_us
        pace.ended(flight, now_us, acknowledged=True)
    return pace


def test_room_ends_exactly_with_the_window() -> None:
    pace = Pace()
    pace.began(pace.window - 1, 0)
    assert pace.has_room
    pace.began(1, 0)
    assert not pace.has_room


def test_the_way_is_measured_by_small_frames_and_believed_longer_little_by_little() -> None:
    def trip_us(pace: Pace) -> int:
        """What the share of a frame tells of the way."""
        assert type(pace.frame) is int
        return pace.window * HOLD_US // pace.frame - HOLD_US

    once = learnt((SMALL_BYTES, 100_000))
    assert (once.window, once.frame) == (FIRST_WINDOW, FIRST_WINDOW * 250 // 350)
    # A way of 260 ms now: one sixteenth of the difference is believed.
    twice = learnt((SMALL_BYTES, 100_000), (SMALL_BYTES, 260_007))
    assert (twice.window, twice.frame) == (FIRST_WINDOW, FIRST_WINDOW * 250 // 360)
    assert learnt((SMALL_BYTES, 260_000), (SMALL_BYTES, 100_000)).frame == once.frame
    assert abs(trip_us(twice) - 110_000) < 50
    # What is larger says nothing of the way.
    assert learnt((SMALL_BYTES + 1, 100_000)).frame == FIRST_WINDOW


def test_a_link_that_had_little_to_do_shows_nothing_and_half_a_window_shows_much() -> None:
    assert learnt((FIRST_WINDOW // 2 - 1, 10_000)).window == FIRST_WINDOW
    assert learnt((FIRST_WINDOW // 2, 10_000)).window == FIRST_WINDOW + FIRST_WINDOW // 4
    assert learnt((FIRST_WINDOW, 10_000)).window == FIRST_WINDOW + FIRST_WINDOW // 2
    assert learnt((FIRST_WINDOW, 10_000_000)).window == FIRST_WINDOW - FIRST_WINDOW // 4
    # Without a known way all the time counts, to the microsecond.
    exact = 300_008
    assert learnt((FIRST_WINDOW, exact)).window == FIRST_WINDOW + round(FIRST_WINDOW * (HOLD_US / exact - 1) / 2)


def test_g05_a_small_frame_that_was_held_long_makes_the_window_smaller() -> None:
    slow = learnt((1_000, 100_000), (1_000, 400_000))
    held_us = 400_000 - (100_000 + 300_000 // 16)
    assert slow.window == FIRST_WINDOW + round(1_000 * (HOLD_US / held_us - 1) / 2)
    assert slow.window < FIRST_WINDOW
