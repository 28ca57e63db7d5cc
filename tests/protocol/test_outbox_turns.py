"""The hop machine's memory, exactly: how long ways take, whose turn it is, what changes when the world does."""

from dataclasses import replace
from itertools import pairwise

from protocol.frame import FRAME_OVERHEAD_BYTES, Nack, item_size
from protocol.ids import Digest, OfficeId
from protocol.lanes import GROUPS, Lane
from protocol.outbox import ABSENT_BACK_OFF, Outbox
from protocol.parcel import Rerouted, Timing
from tests.protocol.test_outbox import NOW, outbox_of, parcel
from tests.protocol.test_outbox_rules import late_at, sends_of, sent
from tests.protocol.toy_relay import MEMBERS, SECOND, TIMING, A, B, C, D, E, graph_of, shared_with

STRANGER = OfficeId(b"?" * 16)
WIDE = Timing(SECOND, 8 * SECOND, TIMING.patience_us, window_items=10_000)
OWED = Digest(b"o" * 32)


def trip_us(outbox: Outbox, office: OfficeId) -> int | None:
    return outbox._progress[office, "slow"].trip_us


def answered(outbox: Outbox, number: int, after_us: int, by: OfficeId = D) -> None:
    """One more parcel from E, sent now and taken into custody so much later."""
    outbox.hold(parcel(number, origin=E, recipient=D), NOW)
    sent(outbox)
    outbox.custody(parcel(number).digest, by, NOW + after_us)


def test_round_trips_are_learnt_from_what_was_sent_once_by_an_eighth() -> None:
    outbox = outbox_of(E)
    answered(outbox, 1, 80_000)
    assert trip_us(outbox, D) == 80_000
    answered(outbox, 2, 160_007)
    assert trip_us(outbox, D) == 90_000
    assert type(trip_us(outbox, D)) is int
    # Another office's word says nothing of this way, nor of its own.
    answered(outbox, 3, 999_999, by=STRANGER)
    assert (trip_us(outbox, D), trip_us(outbox, STRANGER)) == (90_000, None)
    outbox.release(parcel(3).digest)
    # Nor does what was sent twice (Karn), nor what is kept already.
    outbox.hold(parcel(4, origin=E, recipient=D), NOW)
    outbox.unsent(sent(outbox), NOW)
    outbox.expire_timers(NOW + SECOND)
    sent(outbox, NOW + SECOND)
    outbox.custody(parcel(4).digest, D, NOW + 5 * SECOND)
    outbox.custody(parcel(4).digest, D, NOW + 9 * SECOND)
    assert trip_us(outbox, D) == 90_000


def test_what_was_waited_in_vain_is_the_least_a_round_trip_takes() -> None:
    outbox = outbox_of(E)
    outbox.hold(parcel(1, origin=E, recipient=D), NOW)
    sent(outbox)
    outbox.expire_timers(NOW + SECOND)
    assert trip_us(outbox, D) == SECOND
    outbox._progress[D, "slow"].trip_us = 10**9
    sent(outbox, NOW + SECOND)
    due_us = outbox.next_due_us()
    assert due_us is not None
    outbox.expire_timers(due_us)
    assert trip_us(outbox, D) == 10**9
    # Of an absent neighbour silence is no measure.
    away = outbox_of(E, absent=(D,))
    away.hold(parcel(1, origin=E, recipient=D), NOW)
    sent(away)
    away.expire_timers(NOW + SECOND)
    assert trip_us(away, D) is None


def test_times_stay_times_whatever_changes() -> None:
    outbox = outbox_of(A)
    waiting, kept, lost = parcel(1), parcel(2), parcel(3)
    nowhere = parcel(4, recipient=STRANGER)
    for one in (waiting, kept, lost, nowhere):
        outbox.hold(one, NOW)
    shipment = sent(outbox)
    outbox.custody(kept.digest, shipment.receiver, NOW + 1)
    outbox.lost(lost.digest, shipment.receiver, NOW + 2)
    outbox.set_present(shipment.receiver, False, NOW + 3)
    outbox.set_link("north", "slow", up=False, now_us=NOW + 4)
    outbox.set_link("north", "slow", up=True, now_us=NOW + 5)
    outbox.set_graph(graph_of(MEMBERS), shared_with(A, MEMBERS), NOW + 6)
    now_us = NOW + 6
    for _ in range(40):
        due_us = outbox.next_due_us()
        assert type(due_us) is int
        assert due_us > now_us
        now_us = due_us
        outbox.expire_timers(now_us)
        outbox.plan("slow", now_us)
        assert all(NOW <= entry.since_us <= now_us for entry in outbox._entries.values())


def test_where_there_is_no_way_it_is_looked_again_later_and_later() -> None:
    outbox = outbox_of(E)
    outbox.hold(parcel(1, origin=E, recipient=STRANGER), NOW)
    times = [NOW]
    for _ in range(6):
        due_us = outbox.next_due_us()
        assert due_us is not None
        times.append(due_us)
        outbox.expire_timers(due_us)
    assert [(later - sooner) // SECOND for sooner, later in pairwise(times)] == [1, 2, 4, 8, 8, 8]
    assert list(outbox.describe()) == [(parcel(1, origin=E, recipient=STRANGER), "waiting", None, 7)]


def test_a_present_neighbour_is_never_left_alone_longer_than_the_bound() -> None:
    plain = Timing(SECOND, 8 * SECOND, dict.fromkeys(Lane, 10 * SECOND), window_items=4)
    outbox = outbox_of(E, timing=plain)
    outbox.hold(parcel(1, origin=E, recipient=D), NOW)
    gaps = [later - sooner for sooner, later in pairwise(sends_of(outbox, 100))]
    assert max(gaps) == 8
    assert ABSENT_BACK_OFF > 2


def test_patience_begins_when_a_parcel_is_sent_for_the_first_time() -> None:
    aligned = Timing(SECOND, 64 * SECOND, dict.fromkeys(Lane, 7 * SECOND), window_items=4)
    outbox = outbox_of(A, timing=aligned)
    outbox.hold(parcel(1), NOW)
    start_us = NOW + 100 * SECOND
    assert sent(outbox, start_us).receiver == B
    outbox._progress.clear()
    moments, now_us, rerouted = [], start_us, []
    while not rerouted:
        due_us = outbox.next_due_us()
        assert due_us is not None
        now_us = due_us
        rerouted = outbox.expire_timers(now_us)
        outbox._progress.clear()
        moments.append((now_us - start_us) // SECOND)
        if not rerouted:
            sent(outbox, now_us)
    # Sent after 0, 1 and 3 seconds; after 7, the patience to the microsecond, another way is tried.
    assert moments == [1, 3, 7]
    assert rerouted == [Rerouted(parcel(1).digest, B)]


def test_another_neighbours_presence_disturbs_nothing_that_is_sent() -> None:
    outbox = outbox_of(A, absent=(C,))
    outbox.hold(parcel(1), NOW)
    outbox.hold(parcel(2, recipient=STRANGER), NOW)
    assert sent(outbox).receiver == B
    outbox.set_present(C, True, NOW + 1)
    assert outbox.plan("slow", NOW + 1) is None
    assert outbox._in_flight[Lane.ROUTINE, B] == 1


def test_an_office_that_left_gets_one_frame_and_a_link_that_is_down_none() -> None:
    outbox = outbox_of(E)
    for number in range(6):
        outbox.hold(parcel(number, origin=E, recipient=D, size=40_000), NOW)
    outbox.set_present(D, False, NOW)
    assert sent(outbox).receiver == D
    assert outbox.plan("slow", NOW) is None
    outbox.set_present(D, True, NOW)
    outbox.set_link("far", "slow", up=False, now_us=NOW)
    assert outbox.plan("slow", NOW) is None
    outbox.set_link("far", "slow", up=True, now_us=NOW)
    assert sent(outbox).receiver == D


def test_parcels_are_counted_and_keep_the_attempt_that_they_came_with() -> None:
    outbox = outbox_of(B)
    outbox.hold(replace(parcel(1, trail=(A,)), attempt=3), NOW)
    outbox.hold(parcel(2, trail=(A,)), NOW)
    assert outbox.count(Lane.ROUTINE, D) == 2
    assert outbox.trail_of(parcel(1).digest) == ((A, B), 3)


def test_everybody_to_whom_a_parcel_was_offered_is_remembered() -> None:
    outbox = outbox_of(A)
    outbox.hold(parcel(1), NOW)
    assert sent(outbox).receiver == B
    outbox.nack(parcel(1).digest, "LOOP", B, NOW)
    outbox.expire_timers(NOW + SECOND)
    assert sent(outbox, NOW + SECOND).receiver == C
    assert [outbox.offered(parcel(1).digest, office) for office in (B, C, D)] == [True, True, False]


def test_neighbours_take_turns_on_each_lane_by_itself() -> None:
    outbox = outbox_of(D, timing=WIDE)
    for lane in (Lane.PRIORITY, Lane.ROUTINE):
        for number in range(4):
            for to in (B, C):
                outbox.hold(
                    parcel(100 * lane + 10 * number + to[0], lane=lane, origin=D, recipient=to, size=40_000), NOW
                )
    turns: dict[Lane, list[OfficeId]] = {Lane.PRIORITY: [], Lane.ROUTINE: []}
    while (shipment := outbox.plan("slow", NOW)) is not None:
        turns[shipment.lane].append(shipment.receiver)
    assert turns == {Lane.PRIORITY: [B, C] * 4, Lane.ROUTINE: [B, C] * 4}


def test_with_three_brokers_each_try_takes_the_next() -> None:
    members = {**MEMBERS, "second": (E, D), "third": (E, D)}
    outbox = Outbox(E, TIMING)
    outbox.set_graph(graph_of(members), shared_with(E, members), NOW)
    outbox.set_present(D, True, NOW)
    for broker in ("far", "second", "third"):
        for group in GROUPS:
            outbox.set_link(broker, group, up=True, now_us=NOW)
    outbox.debts.owe_custody(D, Lane.ROUTINE, OWED)
    assert sent(outbox).broker == "far"
    outbox.hold(parcel(1, origin=E, recipient=D), NOW)
    used, now_us = [], NOW
    for _ in range(4):
        used.append(sent(outbox, now_us).broker)
        now_us = late_at(outbox)
    assert used == ["far", "second", "third", "far"]


def test_debts_go_by_a_full_connection_too_but_not_where_there_is_none() -> None:
    outbox = outbox_of(E)
    pace = outbox.paces["far", "slow"]
    pace.began(pace.window, NOW)
    outbox.hold(parcel(1, origin=E, recipient=D), NOW)
    assert outbox.plan("slow", NOW) is None
    outbox.debts.owe_custody(D, Lane.ROUTINE, OWED)
    outbox.debts.owe_custody(STRANGER, Lane.PRIORITY, OWED)
    shipment = sent(outbox)
    assert (shipment.receiver, shipment.broker, shipment.digests, shipment.custody) == (D, "far", (), (OWED,))
    assert outbox.plan("slow", NOW) is None


def test_a_debt_gets_its_turn_beside_a_neighbour_that_is_sent_much() -> None:
    outbox = outbox_of(D, timing=WIDE)
    for number in range(40):
        outbox.hold(parcel(number, lane=Lane.PRIORITY, origin=D, recipient=C, size=40_000), NOW)
    outbox.debts.owe_custody(B, Lane.ROUTINE, OWED)
    frames = [sent(outbox) for _ in range(20)]
    assert [frame.custody for frame in frames if frame.receiver == B] == [(OWED,)]
    # What is owed to whoever is sent something anyway rides along.
    outbox.debts.owe_nack(C, Lane.BULK, Nack(OWED, "FULL"))
    shipment = sent(outbox)
    assert (shipment.receiver, shipment.lane, len(shipment.nacks), len(shipment.digests)) == (C, Lane.PRIORITY, 1, 1)


def test_a_witness_that_was_not_sent_is_owed_again() -> None:
    outbox = outbox_of(E)
    outbox.debts.owe_witness(D, Lane.PRIORITY, b"record")
    shipment = sent(outbox)
    assert (shipment.receiver, shipment.lane, shipment.witness) == (D, Lane.PRIORITY, b"record")
    assert outbox.plan("slow", NOW) is None
    outbox.unsent(shipment, NOW)
    assert sent(outbox) == shipment
    outbox.debts.owe_custody(D, Lane.ROUTINE, OWED)
    outbox.unsent(sent(outbox), NOW)
    assert sent(outbox).witness is None


def test_a_frame_is_full_to_the_byte() -> None:
    for spare, taken in ((0, 2), (-1, 1)):
        outbox = outbox_of(B, timing=WIDE)
        room = outbox.paces["east", "slow"].frame - FRAME_OVERHEAD_BYTES
        first = parcel(1, trail=(A,), size=500)
        rest = room - item_size(500, 2) - item_size(0, 2) - spare
        for one in (first, parcel(2, trail=(A,), size=rest)):
            outbox.hold(one, NOW)
        assert len(sent(outbox).digests) == taken


def test_what_is_lost_while_it_is_sent_goes_on_by_the_only_way() -> None:
    outbox = outbox_of(E)
    outbox.hold(parcel(1, origin=E, recipient=A), NOW)
    sent(outbox)
    outbox.lost(parcel(1).digest, D, NOW + 1)
    assert sent(outbox, NOW + 1).receiver == D
    now_us = NOW + 1
    for _ in range(12):
        due_us = outbox.next_due_us()
        assert due_us is not None
        now_us = due_us
        outbox.expire_timers(now_us)
        outbox.plan("slow", now_us)
    assert outbox.holds(parcel(1).digest)


def test_what_was_sent_when_every_way_vanished_is_looked_at_again_later() -> None:
    outbox = outbox_of(E)
    outbox.hold(parcel(1, origin=E, recipient=D), NOW)
    sent(outbox)
    outbox.set_graph(graph_of({}), {}, NOW + 1)
    assert outbox.expire_timers(NOW + SECOND) == []
    assert outbox.plan("slow", NOW + SECOND) is None
    due_us = outbox.next_due_us()
    assert due_us is not None
    assert due_us > NOW + SECOND


def test_a_lane_remembers_its_own_turns_only() -> None:
    outbox = outbox_of(D, timing=WIDE)
    outbox.hold(parcel(1, lane=Lane.PRIORITY, origin=D, recipient=B), NOW)
    for number, to in ((2, B), (3, C)):
        outbox.hold(parcel(number, origin=D, recipient=to), NOW)
    assert [sent(outbox).receiver for _ in range(3)] == [B, B, C]


def test_a_parcel_goes_by_the_broker_that_has_room() -> None:
    members = {**MEMBERS, "second": (E, D)}
    outbox = Outbox(E, WIDE)
    outbox.set_graph(graph_of(members), shared_with(E, members), NOW)
    outbox.set_present(D, True, NOW)
    for broker in ("far", "second"):
        outbox.set_link(broker, "slow", up=True, now_us=NOW)
    pace = outbox.paces["far", "slow"]
    pace.began(pace.window, NOW)
    outbox.hold(parcel(1, origin=E, recipient=D), NOW)
    assert sent(outbox).broker == "second"


def test_presence_is_news_once() -> None:
    outbox = outbox_of(E)
    assert [outbox.set_present(D, there, NOW) for there in (True, False, False, True, True)] == [
        False, True, False, True, False,
    ]  # fmt: skip


def test_custody_of_what_is_kept_already_is_no_surprise() -> None:
    outbox = outbox_of(E)
    outbox.hold(parcel(1, origin=E, recipient=A), NOW)
    sent(outbox)
    assert outbox.custody(parcel(1).digest, D, NOW + 1)
    assert outbox.custody(parcel(1).digest, D, NOW + 2)
    assert not outbox.custody(parcel(2).digest, D, NOW + 2)


def test_a_loss_that_is_told_twice_is_one_and_after_another_sending_another() -> None:
    outbox = outbox_of(E)
    outbox.hold(parcel(1, origin=E, recipient=A), NOW)
    attempts = []
    for told in (True, True, False, True):
        if not told:
            sent(outbox, NOW + 1)
        else:
            outbox.lost(parcel(1).digest, D, NOW + 1)
        attempts.append(outbox.trail_of(parcel(1).digest)[1])
    assert attempts == [2, 2, 2, 3]


def test_a_round_trip_is_learnt_of_what_was_refused_the_first_time() -> None:
    outbox = outbox_of(E)
    outbox.hold(parcel(1, origin=E, recipient=D), NOW)
    sent(outbox)
    outbox.nack(parcel(1).digest, "FULL", D, NOW + 80_000)
    assert trip_us(outbox, D) == 80_000
    due_us = outbox.next_due_us()
    assert due_us is not None
    outbox.expire_timers(due_us)
    sent(outbox, due_us)
    outbox.nack(parcel(1).digest, "FULL", D, due_us + 160_000)
    assert trip_us(outbox, D) == 80_000
