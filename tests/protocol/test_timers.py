"""Timers against a plain dictionary, and the bound of their heap."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import Digest
from protocol.timers import SPARE, Timers

digests = st.integers(0, 7).map(lambda number: Digest(bytes([number]) * 32))
acts = st.lists(st.tuples(st.sampled_from(["arm", "disarm", "due"]), digests, st.integers(0, 50)), max_size=60)


@given(acts)
def test_g16_every_armed_parcel_is_due_at_its_newest_time(history: list[tuple[str, Digest, int]]) -> None:
    timers, model = Timers(), dict[Digest, int]()
    for act, digest, at_us in history:
        if act == "arm":
            timers.arm(digest, at_us)
            model[digest] = at_us
        elif act == "disarm":
            timers.disarm(digest)
            model.pop(digest, None)
        else:
            taken = list(timers.due(at_us))
            due = {one: due_us for one, due_us in model.items() if due_us <= at_us}
            assert sorted(taken) == sorted(due)
            assert [due[one] for one in taken] == sorted(due.values())
            model = {one: due_us for one, due_us in model.items() if due_us > at_us}
        assert timers.armed(digest) == (digest in model)
        assert timers.next_us() == min(model.values(), default=None)


def test_g13_the_heap_keeps_its_bound_and_is_built_anew_only_beyond_it() -> None:
    timers = Timers()
    live = [Digest(number.to_bytes(32)) for number in range(500)]
    for turn in range(8):
        for digest in live:
            before, room = timers._heap, SPARE + 4 * len(timers._due_us)
            fits = len(before) < room
            timers.arm(digest, turn)
            assert len(timers._heap) <= SPARE + 4 * len(timers._due_us)
            assert not fits or timers._heap is before
    assert sorted(timers.due(8)) == live
