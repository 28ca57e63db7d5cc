"""Origins take turns, from frame to frame: nobody's backlog holds up anybody else's messages (D4, G13)."""

from collections import Counter
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import Digest, OfficeId
from protocol.lanes import Lane
from protocol.queues import Queues
from tests.protocol.test_outbox import parcel
from tests.protocol.toy_relay import D

ORIGINS = [OfficeId(bytes((number,)) * 16) for number in range(1, 6)]


@given(
    backlogs=st.lists(st.integers(0, 30), min_size=len(ORIGINS), max_size=len(ORIGINS)),
    frames=st.lists(st.integers(1, 4), max_size=60),
    late=st.integers(0, 59),
)
def test_g13_an_origin_with_little_waits_for_one_parcel_of_each_other_whatever_a_frame_takes(
    backlogs: list[int], frames: list[int], late: int
) -> None:
    queues, origin_of, waiting = Queues(), {}, Counter[OfficeId]()

    def put(origin: OfficeId) -> None:
        one = parcel(len(origin_of), origin=origin, trail=(origin,))
        origin_of[one.digest] = origin
        waiting[origin] += 1
        queues.put(one, D)

    for origin, backlog in zip(ORIGINS, backlogs, strict=True):
        for _ in range(backlog):
            put(origin)
    since: dict[OfficeId, Counter[OfficeId]] = {}
    for number, room in enumerate(frames):
        if number == late:
            put(ORIGINS[-1])
        sent: list[Digest] = []
        # Like a frame: the one that has no room any more is looked at, and stays.
        for digest in islice(queues.in_turn(Lane.ROUTINE, D, lambda digest: digest in origin_of), room + 1):
            if len(sent) == room:
                break
            sent.append(digest)
        for digest in sent:
            origin = origin_of.pop(digest)
            waiting[origin] -= 1
            since.pop(origin, None)
            for other in ORIGINS:
                if other != origin and waiting[other]:
                    passed = since.setdefault(other, Counter())
                    passed[origin] += 1
                    assert passed[origin] <= 2 if number == late else passed[origin] == 1
