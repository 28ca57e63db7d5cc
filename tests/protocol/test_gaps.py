"""Numbers of a stream: what is missing is exactly what neither came nor died, in whatever order (G4)."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import MessageId
from protocol.limits import UINT_MAX
from protocol.stream import HOLES_MAX, Stream, notice, open_since_us, take

NAME = [MessageId(number.to_bytes(16)) for number in range(400)]
numbers = st.lists(st.integers(1, 40), max_size=60)


def missing(stream: Stream) -> set[int]:
    return {number for hole in stream.holes for number in range(hole.first, hole.last + 1)}


def after(arrivals: list[int]) -> Stream:
    stream = Stream()
    for at, number in enumerate(arrivals):
        stream = take(stream, number, NAME[number], at).stream
    return stream


@given(numbers)
def test_g04_gaps_are_exactly_the_numbers_that_neither_came_nor_died(arrivals: list[int]) -> None:
    stream, seen = Stream(), set[int]()
    for at, number in enumerate(arrivals):
        highest = max(seen, default=0)
        step = take(stream, number, NAME[number], at)
        assert step.skipped == (number > highest + 1)
        assert (step.filled is not None) == (number < highest and number not in seen)
        seen.add(number)
        stream = step.stream
        assert stream.highest == max(seen)
        assert missing(stream) == set(range(1, stream.highest)) - seen
        bounds = [edge for hole in stream.holes for edge in (hole.first, hole.last)]
        assert bounds == sorted(bounds)


@given(numbers, st.randoms(use_true_random=False), st.integers(0, 40))
def test_g04_any_order_and_any_repetition_ends_in_the_same_gaps(arrivals: list[int], dice: object, cut: int) -> None:
    other = [*arrivals, *arrivals[:cut]]
    dice.shuffle(other)  # type: ignore[attr-defined]
    assert missing(after(arrivals)) == missing(after(other))


@given(numbers, st.integers(0, 70))
def test_g04_people_are_told_once_of_every_hole_that_is_old_enough(arrivals: list[int], before: int) -> None:
    stream = after(arrivals)
    oldest = open_since_us(stream, noticed=False)
    told, holes = notice(stream, before)
    assert missing(told) == missing(stream)
    assert {hole.since_us <= before for hole in holes} <= {True}
    assert (oldest is not None and oldest <= before) == bool(holes)
    assert notice(told, before) == (told, ())
    left = open_since_us(told, noticed=False)
    assert left is None or left > before
    assert all(hole.noticed == (hole.since_us <= before) for hole in told.holes)
    known = [hole.since_us for hole in told.holes if hole.noticed]
    assert open_since_us(told, noticed=True) == min(known, default=None)


@given(numbers)
def test_g04_a_part_of_a_gap_remembers_who_skipped_it_and_that_people_know(arrivals: list[int]) -> None:
    stream, _ = notice(take(Stream(), 50, NAME[50], 7).stream, 7)
    for number in arrivals:
        stream = take(stream, number, NAME[number], 9).stream
    assert all((hole.after, hole.since_us, hole.noticed) == (NAME[50], 7, True) for hole in stream.holes)


def test_holes_are_bounded_and_the_oldest_is_dropped() -> None:
    stream = after([2 * number for number in range(1, HOLES_MAX + 3)])
    assert len(stream.holes) == HOLES_MAX
    assert min(missing(stream)) == 5
    stream = take(Stream(), UINT_MAX, NAME[0], 0).stream
    assert len(stream.holes) == 1
    for number in range(2, 2 * HOLES_MAX + 4, 2):
        stream = take(stream, number, NAME[0], 0).stream
    assert len(stream.holes) == HOLES_MAX
