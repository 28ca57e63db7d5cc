"""Who is let in when room runs short: whatever one office sends, room is left for the others (SPEC M95, D4, G13)."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import assume, given
from hypothesis import strategies as st

from protocol.lanes import Lane
from relay.admission import NOTHING, Share, admits

MIB = 1 << 20
QUOTAS = st.integers(4 * MIB, 1 << 40)
BALLASTS = st.sampled_from([0, MIB, 16 * MIB])
SHARES = st.lists(st.integers(0, 1 << 40), min_size=len(Lane), max_size=len(Lane)).map(tuple).map(Share)


@dataclass
class Room:
    """A store, its disk, and what the offices have there; `others` have so much altogether."""

    quota: int
    disk: int
    ballast: int
    others: int

    def admits(self, lane: Lane, share: Share = NOTHING, mine: int = 0) -> bool:
        used = self.others + mine
        return admits(lane, used, self.quota, self.disk - used, self.ballast, share)

    def fill(self, lanes: Sequence[Lane], share: Share = NOTHING) -> Share:
        """One office sends byte by byte on each of these lanes until it is refused; `share` is among the others'."""
        held, sent = list(share.by_lane), 0
        for lane in lanes:
            low, high = 0, self.quota
            while low < high:
                more = (low + high) // 2
                grown = (*held[:lane], held[lane] + more, *held[lane + 1 :])
                low, high = (more + 1, high) if self.admits(lane, Share(grown), sent + more) else (low, more)
            held[lane] += low
            sent += low
        return Share(tuple(held))


@st.composite
def rooms(draw: st.DrawFn, empty: bool = False) -> Room:
    quota, ballast = draw(QUOTAS), draw(BALLASTS)
    disk = quota * draw(st.integers(10, 300)) // 100 + 8 * ballast
    return Room(quota, disk, ballast, 0 if empty else min(quota, disk) * draw(st.integers(0, 96)) // 100)


@given(room=rooms(), share=SHARES, more=SHARES)
def test_g13_who_has_more_here_is_never_let_in_before_who_has_less(room: Room, share: Share, more: Share) -> None:
    greater = Share(tuple(map(sum, zip(share.by_lane, more.by_lane, strict=True))))
    for lane in Lane:
        answers = [room.admits(lane, one) for one in (NOTHING, share, greater)]
        assert answers == sorted(answers, reverse=True)


@given(room=rooms(), lane=st.sampled_from(Lane))
def test_g13_no_office_closes_a_lane_by_what_it_sends_there(room: Room, lane: Lane) -> None:
    # Where a few bytes are left, one message more is no matter of shares.
    assume(room.admits(lane, mine=100) or not room.admits(lane))
    filled = room.fill([lane])
    assert room.admits(lane) == room.admits(lane, NOTHING, filled.whole)


@given(room=rooms(empty=True), lanes=st.permutations(list(Lane)))
def test_g13_no_office_closes_any_lane_of_an_empty_store(room: Room, lanes: list[Lane]) -> None:
    filled = room.fill(lanes)
    for lane in Lane:
        assert room.admits(lane) == room.admits(lane, NOTHING, filled.whole)


@given(room=rooms(empty=True), offices=st.integers(2, 5), lane=st.sampled_from(Lane))
def test_g13_many_greedy_offices_leave_room_for_who_has_nothing(room: Room, offices: int, lane: Lane) -> None:
    for _ in range(offices):
        room.others += room.fill([lane]).whole
        assert room.admits(lane)


@given(room=rooms(empty=True), lane=st.sampled_from(Lane))
def test_g13_whose_messages_leave_is_let_in_again(room: Room, lane: Lane) -> None:
    filled = room.fill([lane])
    half = Share(tuple(size // 2 for size in filled.by_lane))
    assert room.admits(lane, half, half.whole) == room.admits(lane)


@given(quota=QUOTAS, lane=st.sampled_from([Lane.FLASH, Lane.URGENT, Lane.PRIORITY]))
def test_g13_of_a_reserve_an_office_gets_a_fifth_and_loses_none_for_what_it_has_on_lower_lanes(
    quota: int, lane: Lane
) -> None:
    room = Room(quota, 1 << 60, 0, (quota * 80 + 99) // 100)
    reserve = quota * {Lane.FLASH: 17}.get(lane, 10) // 100
    for share in (NOTHING, Share((0, 0, 0, 0, quota // 2))):
        assert abs(room.fill([lane], share).by_lane[lane] - reserve // 5) <= 2


def test_g13_nobody_is_limited_while_there_is_room() -> None:
    for percent, answers in ((70, True), (72, False)):
        room, share = Room(100 * MIB, 1 << 50, 16 * MIB, 0), Share((0, 0, 0, percent * MIB, 0))
        assert room.admits(Lane.ROUTINE, share, share.whole) is answers
        assert room.admits(Lane.ROUTINE, NOTHING, share.whole)
        assert room.admits(Lane.FLASH, share, share.whole)
