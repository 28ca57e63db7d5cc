"""Single rules of the hop machine, each in a few lines; the whole is in test_hop_machine.py."""

from collections import deque

import pytest

from protocol.copy import COPY_BYTES
from protocol.frame import (
    NACK_CODES,
    RECEIPT_ITEM,
    Frame,
    Nack,
    encode_frame,
    encode_frame_payload,
    encode_items,
    make_item,
)
from protocol.ids import Digest, Epoch, NetworkId, OfficeId, StartId
from protocol.lanes import GROUPS, Lane
from protocol.limits import FRAME_BYTES, FRAME_ITEMS, RECORD_BYTES, TRAIL_OFFICES, UINT_MAX
from protocol.moment import NO_EPOCH, Moment
from protocol.outbox import Outbox
from protocol.pace import WINDOW_MAX
from protocol.parcel import Parcel, Timing
from tests.protocol.toy_relay import MEMBERS, SECOND, TIMING, A, B, C, D, graph_of, shared_with

NOW = 1_000 * SECOND


def outbox_of(me: OfficeId, *, absent: tuple[OfficeId, ...] = (), timing: Timing = TIMING) -> Outbox:
    outbox = Outbox(me, timing)
    shared = shared_with(me, MEMBERS)
    outbox.set_graph(graph_of(MEMBERS), shared, NOW)
    for other, brokers in shared.items():
        outbox.set_present(other, other not in absent, NOW)
        for broker in brokers:
            for group in GROUPS:
                outbox.set_link(broker, group, up=True, now_us=NOW)
    return outbox


def parcel(
    number: int,
    *,
    lane: Lane = Lane.ROUTINE,
    origin: OfficeId = A,
    recipient: OfficeId = D,
    size: int = 500,
    trail: tuple[OfficeId, ...] = (),
    kind: int = 0,
) -> Parcel:
    return Parcel(Digest(number.to_bytes(32, "big")), kind, lane, origin, recipient, size, trail, is_origin=not trail)


def test_a_custodian_that_swallows_gives_way_and_every_way_is_tried_in_turn() -> None:
    outbox = outbox_of(A)
    outbox.hold(parcel(1), NOW)
    now, tried = NOW, []
    for attempt in range(6):
        shipment = outbox.plan("slow", now)
        assert shipment is not None
        tried.append(shipment.receiver)
        outbox.custody(parcel(1).digest, shipment.receiver, now)
        # Each way is given twice the time of the one before: the recipient may simply be away for weeks.
        now += (TIMING.patience_us[Lane.ROUTINE] << attempt) - 1
        assert outbox.expire_timers(now) == []
        now += 1
        (rerouted,) = outbox.expire_timers(now)
        assert rerouted.avoided == shipment.receiver
    assert tried == [B, C] * 3


def test_with_one_way_only_nothing_is_called_rerouted() -> None:
    outbox = outbox_of(OfficeId(b"E" * 16))
    outbox.hold(parcel(1, origin=OfficeId(b"E" * 16), recipient=A), NOW)
    now, sends = NOW, 0
    for _ in range(600):
        sends += outbox.plan("slow", now) is not None
        assert outbox.expire_timers(now) == []
        now += SECOND
    # The back-off goes on from attempt to attempt: no neighbour is asked every second for ever.
    assert sends <= 600 // 8 + 8


def test_a_custodian_that_says_lost_again_and_again_changes_nothing() -> None:
    outbox = outbox_of(A)
    outbox.hold(parcel(1), NOW)
    for _ in range(50):
        outbox.lost(parcel(1).digest, B, NOW)
    assert outbox.trail_of(parcel(1).digest) == ((A,), 2)
    shipment = outbox.plan("slow", NOW)
    assert shipment is not None
    assert (shipment.receiver, shipment.digests) == (C, (parcel(1).digest,))
    assert outbox.plan("slow", NOW) is None


def test_g16_a_recipient_that_had_custody_is_asked_again_itself() -> None:
    """Going round it would hand the copy to others, who may swallow it: as C once asked B, not D."""
    outbox = outbox_of(C)
    outbox.hold(parcel(1, trail=(A,)), NOW)
    outbox.lost(parcel(1).digest, D, NOW)
    shipment = outbox.plan("slow", NOW)
    assert shipment is not None
    assert (shipment.receiver, shipment.digests) == (D, (parcel(1).digest,))
    outbox.lost(parcel(1).digest, D, NOW + 1)
    assert outbox.plan("slow", NOW + 1) is None
    assert outbox.expire_timers(NOW + 1 + SECOND) == []
    again = outbox.plan("slow", NOW + 1 + SECOND)
    assert again is not None
    assert again.receiver == D
    assert outbox._in_flight[Lane.ROUTINE, D] == 1


@pytest.mark.parametrize("code", NACK_CODES)
def test_g01_no_nack_is_final(code: str) -> None:
    outbox = outbox_of(A)
    outbox.hold(parcel(1), NOW)
    first = outbox.plan("slow", NOW)
    assert first is not None
    outbox.nack(parcel(1).digest, code, C if first.receiver == B else B, NOW)
    assert outbox._in_flight[Lane.ROUTINE, first.receiver] == 1, "only whoever was asked may answer"
    outbox.nack(parcel(1).digest, code, first.receiver, NOW)
    assert outbox.holds(parcel(1).digest)
    assert outbox.plan("slow", NOW) is None
    assert outbox.expire_timers(NOW + SECOND) == []
    again = outbox.plan("slow", NOW + SECOND)
    assert again is not None
    assert again.digests == (parcel(1).digest,)
    # Back off for what may be otherwise soon, another way round a loop or a dead end.
    assert (again.receiver == first.receiver) is (code in ("FULL", "UNVERIFIED"))


def test_g13_timers_do_not_pile_up() -> None:
    outbox = outbox_of(A)
    for number in range(20_000):
        outbox.hold(parcel(number, kind=RECEIPT_ITEM), NOW)
        shipment = outbox.plan("slow", NOW)
        assert shipment is not None
        assert outbox.custody(parcel(number).digest, B, NOW)
    assert len(outbox._timers._heap) < 2_000
    assert outbox.next_due_us() is None


def test_a_busy_neighbour_is_not_sent_everything_again_and_again() -> None:
    outbox = outbox_of(B, timing=Timing(SECOND // 10, SECOND // 2, TIMING.patience_us, window_items=1_000))
    now, sends, answers = NOW, 0, deque[tuple[int, Digest]]()
    for number in range(200):
        outbox.hold(parcel(number), now)
        while (shipment := outbox.plan("slow", now)) is not None:
            sends += len(shipment.digests)
            # It answers three times later than the longest back-off.
            answers.extend((now + 3 * SECOND // 2, digest) for digest in shipment.digests)
        now += SECOND // 10
        while answers and answers[0][0] <= now:
            outbox.custody(answers.popleft()[1], D, now)
        outbox.expire_timers(now)
    assert sends < 250


def test_a_full_trail_goes_nowhere() -> None:
    outbox = outbox_of(A)
    others = tuple(OfficeId(bytes((n,)) * 16) for n in range(TRAIL_OFFICES))
    outbox.hold(parcel(1, trail=others), NOW)
    assert outbox.plan("slow", NOW) is None
    assert outbox.holds(parcel(1).digest)


def test_g05_flash_waits_for_one_lower_frame_at_most() -> None:
    outbox = outbox_of(A)
    for number in range(500):
        outbox.hold(parcel(number, lane=Lane.URGENT, size=40_000), NOW)
    for number in range(40):
        outbox.hold(parcel(1_000 + number, lane=Lane.FLASH), NOW)
        receivers = [outbox.plan("fast", NOW) for _ in range(2)]
        assert any(shipment is not None and shipment.lane is Lane.FLASH for shipment in receivers)
        for shipment in receivers:
            for digest in shipment.digests if shipment is not None else ():
                outbox.custody(digest, B, NOW)


def test_origins_take_turns_and_messages_go_before_receipts() -> None:
    outbox = outbox_of(B)
    for number in range(6):
        outbox.hold(parcel(number, origin=A, trail=(A,), size=5_000), NOW)
    outbox.hold(parcel(10, origin=C, trail=(C,), size=5_000), NOW)
    outbox.hold(parcel(11, origin=C, trail=(C,), kind=RECEIPT_ITEM), NOW)
    shipment = outbox.plan("slow", NOW)
    assert shipment is not None
    assert {digest[-1] for digest in shipment.digests} >= {0, 10}
    assert 11 not in {digest[-1] for digest in shipment.digests}


@pytest.mark.parametrize("witnessed", [False, True])
@pytest.mark.parametrize("size", [600, COPY_BYTES])
def test_the_largest_frame_stays_within_its_bound(size: int, witnessed: bool) -> None:
    """Bytes are really made: as much as is owed, the longest trails, the largest copies."""
    outbox = outbox_of(B)
    for broker in {broker for brokers in shared_with(B, MEMBERS).values() for broker in brokers}:
        # A connection that has shown itself to be fast.
        outbox.paces[broker, "slow"]._window = WINDOW_MAX
    trail = tuple(OfficeId(bytes((n,)) * 16) for n in range(TRAIL_OFFICES - 1))
    for number in range(200):
        outbox.hold(parcel(number, trail=trail, size=size), NOW)
        outbox.debts.owe_custody(D, Lane.ROUTINE, Digest(bytes((1, number)) * 16))
        outbox.debts.owe_nack(D, Lane.ROUTINE, Nack(Digest(bytes((2, number)) * 16), "UNVERIFIED"))
    if witnessed:
        outbox.debts.owe_witness(D, Lane.ROUTINE, bytes(RECORD_BYTES))
    shipment = outbox.plan("slow", NOW)
    assert shipment is not None
    assert bool(shipment.digests) is not witnessed
    assert len(shipment.custody) == len(shipment.nacks) == FRAME_ITEMS
    items = encode_items(
        tuple(make_item(0, bytes(size), outbox.trail_of(digest)[0], UINT_MAX) for digest in shipment.digests)
    )
    latest = Moment(Epoch(bytes(8)), NO_EPOCH, StartId(bytes(8)), UINT_MAX, UINT_MAX)
    frame = Frame(
        NetworkId(bytes(16)), B, D, Lane.ROUTINE, latest, UINT_MAX, UINT_MAX, Digest(bytes(32)),
        shipment.custody, shipment.nacks, shipment.witness,
    )  # fmt: skip
    record = encode_frame_payload(frame) + bytes(24 + 64 + 16)
    assert len(encode_frame(record, items)) <= FRAME_BYTES


def test_debts_that_do_not_fit_are_paid_with_the_next_frames() -> None:
    outbox = outbox_of(B)
    owed = {Digest(number.to_bytes(32, "big")) for number in range(FRAME_ITEMS * 2 + 5)}
    for digest in owed:
        outbox.debts.owe_custody(A, Lane.BULK, digest)
    paid: list[Digest] = []
    while (shipment := outbox.plan("slow", NOW)) is not None:
        paid += shipment.custody
    assert len(paid) == len(owed)
    assert set(paid) == owed


def test_an_absent_neighbour_gets_one_frame_as_a_trial() -> None:
    outbox = outbox_of(B, absent=(A,))
    for number in range(3 * FRAME_ITEMS):
        outbox.hold(parcel(number, origin=D, recipient=A, trail=(D,), size=100), NOW)
    shipment = outbox.plan("slow", NOW)
    assert shipment is not None
    assert outbox.plan("slow", NOW) is None
    outbox.set_present(A, True, NOW)
    assert len(outbox) == 3 * FRAME_ITEMS


def test_two_relays_that_offered_each_other_one_copy_can_tell() -> None:
    outbox = outbox_of(B)
    outbox.hold(parcel(1, trail=(A,)), NOW)
    assert not outbox.offered(parcel(1).digest, D)
    assert outbox.plan("slow", NOW) is not None
    assert outbox.offered(parcel(1).digest, D)
    assert not outbox.offered(parcel(1).digest, A)


def test_g05_what_was_sent_to_an_absent_neighbour_goes_again_the_moment_it_is_back() -> None:
    outbox = outbox_of(A, absent=(B, C))
    outbox.hold(parcel(1, lane=Lane.FLASH, recipient=B), NOW)
    trial = outbox.plan("fast", NOW)
    assert trial is not None
    assert trial.digests == (parcel(1).digest,)
    assert outbox.plan("fast", NOW) is None
    outbox.set_present(B, True, NOW + 1)
    again = outbox.plan("fast", NOW + 1)
    assert again is not None
    assert again.digests == (parcel(1).digest,)
    # The window is right again: custody of the second frame leaves nothing in flight.
    assert outbox.custody(parcel(1).digest, B, NOW + 2)
    assert outbox._in_flight[Lane.FLASH, B] == 0


def test_g05_frames_of_lower_lanes_respect_the_pace_of_the_connection_and_flash_does_not_wait_for_it() -> None:
    outbox = outbox_of(A)
    for number in range(300):
        outbox.hold(parcel(number, size=4_000), NOW)
    now = NOW
    for _ in range(12):
        # 16 kB/s: what was sent takes long to be acknowledged.
        shipment = outbox.plan("slow", now)
        assert shipment is not None
        size = 4_000 * len(shipment.digests)
        pace = outbox.paces[shipment.broker, "slow"]
        assert size <= max(pace.frame, 4_000)
        flight = pace.began(size, now)
        if not pace.has_room:
            assert outbox.plan("slow", now) is None
        now += size * SECOND // 16_000
        pace.ended(flight, now, acknowledged=True)
        for digest in shipment.digests:
            outbox.custody(digest, shipment.receiver, now)
    assert pace.frame < 8_000
    for group in GROUPS:
        for broker in {broker for brokers in shared_with(A, MEMBERS).values() for broker in brokers}:
            outbox.paces[broker, group].began(1_000_000, now)
    outbox.hold(parcel(1000, lane=Lane.URGENT), now)
    assert outbox.plan("fast", now) is None
    outbox.hold(parcel(1001, lane=Lane.FLASH), now)
    urgent = outbox.plan("fast", now)
    assert urgent is not None
    assert urgent.lane is Lane.FLASH
