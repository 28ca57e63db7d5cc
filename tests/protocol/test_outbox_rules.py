"""The hop machine's small rules to the microsecond: windows, back-off, what a lost frame gives back, what it tells."""

from dataclasses import replace
from itertools import pairwise

from protocol.debts import Debts
from protocol.frame import Nack, decode_items, encode_items, make_item
from protocol.ids import Digest, OfficeId
from protocol.lanes import GROUPS, Lane
from protocol.limits import FRAME_BYTES, FRAME_ITEMS, UINT_MAX
from protocol.outbox import ABSENT_BACK_OFF, BUSY_SHARE, PATIENCE_DOUBLINGS, Outbox
from protocol.pace import FIRST_WINDOW
from protocol.parcel import Rerouted, Shipment, Timing
from protocol.queues import Queues
from tests.protocol.test_outbox import NOW, outbox_of, parcel
from tests.protocol.toy_relay import MEMBERS, SECOND, TIMING, A, B, C, D, E, graph_of, shared_with


def sent(outbox: Outbox, now_us: int = NOW, group: str = "slow") -> Shipment:
    shipment = outbox.plan(group, now_us)
    assert shipment is not None
    return shipment


def test_what_a_broker_did_not_take_waits_again_and_its_debts_are_owed_again() -> None:
    outbox = outbox_of(B)
    outbox.hold(parcel(1, trail=(A,)), NOW)
    owed, nack = Digest(bytes((7,)) * 32), Nack(Digest(bytes((8,)) * 32), "FULL")
    outbox.debts.owe_custody(D, Lane.PRIORITY, owed)
    outbox.debts.owe_nack(D, Lane.BULK, nack)
    shipment = sent(outbox)
    assert (shipment.digests, shipment.custody, shipment.nacks) == ((), (owed,), (nack,))
    outbox.unsent(shipment, NOW)
    again = sent(outbox)
    assert (again.receiver, again.lane, again.custody) == (D, Lane.PRIORITY, (owed,))
    frame = sent(outbox)
    assert frame.digests == (parcel(1).digest,)
    # What was taken over, acknowledged or sent elsewhere since is not put back.
    outbox.unsent(Shipment(C, Lane.ROUTINE, "cross", frame.digests, (), (), None), NOW)
    assert outbox.plan("slow", NOW) is None
    assert outbox._in_flight[Lane.ROUTINE, D] == 1
    outbox.unsent(Shipment(D, Lane.ROUTINE, "east", (Digest(bytes(32)), *frame.digests), (), (), None), NOW)
    assert outbox._in_flight[Lane.ROUTINE, D] == 0
    outbox.unsent(frame, NOW)
    assert outbox._in_flight[Lane.ROUTINE, D] == 0
    assert outbox.plan("slow", NOW + SECOND - 1) is None
    outbox.expire_timers(NOW + SECOND - 1)
    assert outbox.plan("slow", NOW + SECOND - 1) is None
    outbox.expire_timers(NOW + SECOND)
    assert sent(outbox, NOW + SECOND).digests == frame.digests


def late_at(outbox: Outbox) -> int:
    """When what was sent last is called late, with nobody answering."""
    while not any(stage == "waiting" for _, stage, _, _ in outbox.describe()):
        due_us = outbox.next_due_us()
        assert due_us is not None
        outbox.expire_timers(due_us)
    return due_us


def sends_of(outbox: Outbox, seconds: float, start_us: int = NOW) -> list[int]:
    """The times, in seconds from `start_us`, at which something was sent, with nobody answering."""
    now_us, end_us, times = start_us, start_us + int(seconds * SECOND), []
    while now_us <= end_us:
        outbox.expire_timers(now_us)
        while (outbox.plan("slow", now_us)) is not None:
            times.append((now_us - start_us) // SECOND)
        due_us = outbox.next_due_us()
        assert due_us is not None
        assert due_us > now_us
        now_us = due_us
    return times


def test_a_present_neighbour_is_tried_after_one_two_four_seconds() -> None:
    quick = Timing(SECOND, 8 * SECOND, dict.fromkeys(Lane, 100 * SECOND), window_items=4)
    outbox = outbox_of(E, timing=quick)
    outbox.hold(parcel(1, origin=E, recipient=D), NOW)
    times = sends_of(outbox, 60)
    assert times[:3] == [0, 1, 5]
    # Afterwards what was waited in vain counts as a round trip: four of them, at most a quarter of the patience.
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert max(gaps) == 100 // BUSY_SHARE


def test_an_absent_neighbour_is_left_alone_ten_times_longer() -> None:
    outbox = outbox_of(E, absent=(D,))
    outbox.hold(parcel(1, origin=E, recipient=D), NOW)
    times = sends_of(outbox, 600)
    assert times[:6] == [0, 1, 3, 7, 15, 31]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert max(gaps) == 8 * ABSENT_BACK_OFF


def test_the_window_is_exact_for_present_and_absent_neighbours() -> None:
    for absent, frames in (((), 4), ((D,), 1)):
        outbox = outbox_of(E, absent=absent)
        for number in range(12):
            outbox.hold(parcel(number, origin=E, recipient=D, size=40_000), NOW)
        assert [len(sent(outbox).digests) for _ in range(frames)] == [1] * frames
        assert outbox.plan("slow", NOW) is None
        assert outbox._in_flight[Lane.ROUTINE, D] == frames
        assert outbox.custody(parcel(0).digest, D, NOW)
        assert outbox.plan("slow", NOW) is not None
        assert outbox.plan("slow", NOW) is None


def test_frames_are_filled_to_their_bounds() -> None:
    wide = Timing(SECOND, 8 * SECOND, TIMING.patience_us, window_items=10_000)
    outbox = outbox_of(E, timing=wide)
    for number in range(FRAME_ITEMS + 1):
        outbox.hold(parcel(number, origin=E, recipient=D, size=10), NOW)
    assert [len(sent(outbox).digests) for _ in range(2)] == [FRAME_ITEMS, 1]
    for number in range(1_000, 1_010):
        outbox.hold(parcel(number, origin=E, recipient=D, size=FIRST_WINDOW // 3), NOW)
    assert len(sent(outbox).digests) == 2
    # One that is larger than a frame goes alone rather than never.
    outbox = outbox_of(E, timing=wide)
    outbox.hold(parcel(1, origin=E, recipient=D, size=10 * FRAME_BYTES), NOW)
    assert len(sent(outbox).digests) == 1


def test_patience_doubles_up_to_sixty_four_times() -> None:
    outbox = outbox_of(E)
    outbox.hold(parcel(1, origin=E, recipient=A), NOW)
    now_us = NOW
    for attempt in range(9):
        shipment = sent(outbox, now_us)
        assert outbox.trail_of(parcel(1).digest) == ((E,), attempt + 1)
        assert outbox.custody(shipment.digests[0], D, now_us)
        patience_us = TIMING.patience_us[Lane.ROUTINE] << min(attempt, PATIENCE_DOUBLINGS)
        assert outbox.next_due_us() == now_us + patience_us
        now_us += patience_us
        outbox.expire_timers(now_us)


def test_a_silent_way_is_given_up_at_the_patience_and_not_before() -> None:
    outbox = outbox_of(A)
    outbox.hold(parcel(1), NOW)
    assert sent(outbox).receiver == B
    now_us, rerouted = NOW, []
    while not rerouted:
        due_us = outbox.next_due_us()
        assert due_us is not None
        now_us = due_us
        rerouted = outbox.expire_timers(now_us)
        outbox.plan("slow", now_us)
    assert rerouted == [Rerouted(parcel(1).digest, B)]
    assert now_us - NOW >= TIMING.patience_us[Lane.ROUTINE]
    assert outbox.trail_of(parcel(1).digest) == ((A,), 2)


def test_brokers_that_two_offices_share_are_tried_in_turn() -> None:
    members = {**MEMBERS, "second": (E, D)}
    outbox = Outbox(E, TIMING)
    outbox.set_graph(graph_of(members), shared_with(E, members), NOW)
    outbox.set_present(D, True, NOW)
    for broker in ("far", "second"):
        for group in GROUPS:
            outbox.set_link(broker, group, up=True, now_us=NOW)
    outbox.hold(parcel(1, origin=E, recipient=D), NOW)
    used, now_us = [], NOW
    for _ in range(4):
        used.append(sent(outbox, now_us).broker)
        now_us = late_at(outbox)
    assert used == ["far", "second"] * 2


def test_what_the_outbox_tells() -> None:
    outbox = outbox_of(A)
    one, two = parcel(1), parcel(2, lane=Lane.FLASH, recipient=B)
    outbox.hold(one, NOW)
    outbox.hold(one, NOW)
    outbox.hold(two, NOW)
    assert (len(outbox), outbox.ways) == (2, 2)
    assert (outbox.count(Lane.ROUTINE, D), outbox.count(Lane.FLASH, B), outbox.count(Lane.FLASH, D)) == (1, 1, 0)
    assert outbox.get(one.digest) is one
    assert outbox.get(Digest(bytes(32))) is None
    assert sorted(outbox.describe(), key=lambda line: line[0].digest) == [
        (one, "waiting", B, 0), (two, "waiting", B, 0)
    ]  # fmt: skip
    shipment = sent(outbox)
    assert outbox.holds(one.digest)
    assert (one, "sent", B, 1) in list(outbox.describe())
    assert outbox.custody(shipment.digests[0], B, NOW)
    assert (one, "kept", B, 0) in list(outbox.describe())
    assert not outbox.custody(Digest(bytes(32)), B, NOW)
    assert outbox.release(one.digest)
    assert not outbox.release(one.digest)
    assert (len(outbox), outbox.ways, outbox.count(Lane.ROUTINE, D)) == (1, 1, 0)


def test_creditors_are_named_with_their_most_urgent_lane() -> None:
    debts = Debts()
    for number, lane in enumerate((Lane.BULK, Lane.PRIORITY, Lane.ROUTINE)):
        debts.owe_custody(A, lane, Digest(bytes((number,)) * 32))
        debts.owe_nack(B, lane, Nack(Digest(bytes((number,)) * 32), "FULL"))
    debts.owe_nack(A, Lane.FLASH, Nack(Digest(bytes(32)), "FULL"))
    debts.owe_witness(C, Lane.BULK, b"old")
    debts.owe_witness(C, Lane.ROUTINE, b"new")
    debts.owe_witness(A, Lane.BULK, b"record")
    assert sorted(debts.creditors("slow")) == [(A, Lane.PRIORITY), (B, Lane.PRIORITY), (C, Lane.ROUTINE)]
    assert debts.creditors("fast") == [(A, Lane.FLASH)]
    paid = debts.pay(C, "slow")
    assert (paid.custody, paid.nacks, paid.witness, paid.size) == ((), (), b"new", 3)
    assert len(debts.pay(A, "slow").custody) == 3
    assert debts.pay(A, "slow") == ((), (), None)
    assert [debts.creditors(group) for group in GROUPS] == [[(A, Lane.FLASH)], [(B, Lane.PRIORITY)]]


def test_queues_drop_what_does_not_wait_any_more() -> None:
    queues = Queues()
    for number in range(6):
        queues.put(parcel(number, origin=OfficeId(bytes((number % 2,)) * 16)), D)
    gone = {parcel(number).digest for number in (0, 1, 3)}
    left = list(queues.in_turn(Lane.ROUTINE, D, lambda digest: digest not in gone))
    assert [digest[-1] for digest in left] == [2, 5, 4]
    assert list(queues.in_turn(Lane.ROUTINE, D, lambda _: True)) == []
    assert list(queues.ways("slow")) == []
    queues.put(parcel(9), D)
    assert list(queues.ways("slow")) == [(Lane.ROUTINE, D)]
    assert list(queues.ways("fast")) == []
    queues.clear()
    assert list(queues.ways("slow")) == []


def test_g12_g16_custody_counts_once_and_only_of_whom_was_asked() -> None:
    outbox = outbox_of(A)
    outbox.hold(parcel(1), NOW)
    digest, patience_us = parcel(1).digest, TIMING.patience_us[Lane.ROUTINE]
    assert outbox.awaited(digest, B) is None
    outbox.custody(digest, B, NOW)
    assert sent(outbox).receiver == B
    assert outbox.awaited(digest, C) is None
    outbox.custody(digest, C, NOW)
    assert [(stage, hop) for _, stage, hop, _ in outbox.describe()] == [("sent", B)]
    assert outbox.awaited(digest, B) == parcel(1)
    outbox.custody(digest, B, NOW)
    # Said again until patience is at its end, and while the copy goes round.
    for now in range(NOW, NOW + patience_us, patience_us // 10):
        assert outbox.awaited(digest, B) is None
        outbox.custody(digest, B, now)
        assert outbox.expire_timers(now) == []
    now = NOW + patience_us
    assert outbox.expire_timers(now) == [Rerouted(digest, B)]
    outbox.custody(digest, B, now)
    shipment = outbox.plan("slow", now)
    assert shipment is not None
    assert (shipment.receiver, shipment.digests) == (C, (digest,))
    outbox.custody(digest, B, now)
    assert [(stage, hop) for _, stage, hop, _ in outbox.describe()] == [("sent", C)]


def test_g16_a_loss_that_is_told_again_changes_no_way_again() -> None:
    outbox = outbox_of(A)
    outbox.hold(parcel(1), NOW)
    digest = parcel(1).digest
    outbox.custody(digest, sent(outbox).receiver, NOW)
    outbox.lost(digest, B, NOW)
    assert sent(outbox).receiver == C
    for _ in range(3):
        outbox.lost(digest, B, NOW)
        assert [(stage, hop) for _, stage, hop, _ in outbox.describe()] == [("sent", C)]
    assert outbox.trail_of(digest) == ((A,), 2)


def test_an_attempt_that_cannot_be_higher_goes_on_as_it_is() -> None:
    outbox = outbox_of(B)
    last = replace(parcel(1, trail=(A,)), attempt=UINT_MAX)
    outbox.hold(last, NOW)
    outbox.lost(last.digest, D, NOW)
    outbox.lost(last.digest, C, NOW)
    items = encode_items((make_item(0, b"copy", *outbox.trail_of(last.digest)),))
    assert [one.attempt for one in decode_items(items, max_bytes=FRAME_BYTES)] == [UINT_MAX]
