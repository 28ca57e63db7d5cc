"""The delivery table: every state with every event (G8)."""

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.delivery import NOTES, SAID_BY, Due, Effect, State, apply, ask_again_us, due
from protocol.ids import Digest, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.receipt import TYPES, Receipt, is_of_other_content

RANK = {
    State.ACCEPTED: 0,
    State.CUSTODY: 1,
    State.DELIVERED: 2,
    State.OPENED: 3,
    State.SIGNED_FOR: 4,
    State.RETURNED: 4,
    State.REFUSED: 5,
    State.EXPIRED: 5,
    State.UNCONFIRMED: 5,
}
ARRIVED = {State.DELIVERED, State.OPENED, State.SIGNED_FOR, State.RETURNED}
NOT_ARRIVED = {State.REFUSED, State.EXPIRED, State.UNCONFIRMED}


@pytest.mark.parametrize(("state", "event"), list(product(State, State)))
def test_g08_every_state_with_every_event(state: State, event: State) -> None:
    after, effect = apply(state, event)
    assert after in (state, event)
    assert (after is event and after is not state) == (effect is Effect.MOVES)
    if effect is Effect.MOVES:
        assert RANK[after] > RANK[state], "a state never falls"
        assert not (state in ARRIVED and after in NOT_ARRIVED), "what arrived has arrived"
        assert state not in NOT_ARRIVED, "a verdict is given once"
    contrary = (state in ARRIVED and event in NOT_ARRIVED) or (state in NOT_ARRIVED and event in ARRIVED)
    other_end = state in NOT_ARRIVED and event in NOT_ARRIVED and state is not event
    assert (effect is Effect.CORRECTION) == (contrary or other_end)


@given(st.lists(st.sampled_from(State), max_size=12))
def test_g08_one_verdict_whatever_comes(events: list[State]) -> None:
    state = State.ACCEPTED
    verdict = None
    for event in events:
        before = state
        state, _ = apply(state, event)
        assert RANK[state] >= RANK[before]
        if verdict is None and state.final:
            verdict = state in ARRIVED
        if verdict is not None:
            assert (state in ARRIVED) == verdict


def test_final_speaks_of_transport_only() -> None:
    assert {state for state in State if not state.final} == {State.ACCEPTED, State.CUSTODY}
    assert {state for state in State if state.arrived} == ARRIVED


TIMES = (0, 1, 999, 1_000, 1_001, 1_059, 1_060, 1_061, 2_000)


@pytest.mark.parametrize(
    ("begun", "asked_us", "now_us"), list(product((False, True), (None, 500, 1_000, 1_030), TIMES))
)
def test_g08_g09_what_is_due_at_any_time(begun: bool, asked_us: int | None, now_us: int) -> None:
    what = due(begun=begun, expires_us=1_000, asked_us=asked_us, now_us=now_us, grace_us=60)
    if now_us < 1_000:
        assert what is Due.WAIT, "nothing ends before its time"
    elif not begun:
        assert what is Due.EXPIRED, "what was never sent cannot have arrived"
    elif asked_us is None:
        assert what is Due.ASK
    else:
        over = now_us >= max(1_000, asked_us) + 60
        assert what is (Due.UNCONFIRMED if over else Due.WAIT), "silence proves nothing"


@given(st.integers(1, 10**9), st.integers(1, 10**6))
def test_g04_a_tombstone_without_an_answer_is_sent_ever_more_rarely_and_for_ever(asked_us: int, grace_us: int) -> None:
    now_us, pauses = asked_us, []
    for _ in range(20):
        again_us = ask_again_us(asked_us=asked_us, now_us=now_us, grace_us=grace_us)
        pauses.append(again_us - now_us)
        now_us = again_us
    assert pauses[0] == grace_us
    assert all(later >= earlier for earlier, later in pairwise(pauses))
    assert pauses[-1] == 2**18 * grace_us


def test_notes_are_no_states() -> None:
    assert {state.value for state in State if state is not State.ACCEPTED} & NOTES == set()
    assert set(SAID_BY) <= NOTES


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_g03_g07_only_a_recipients_own_word_over_another_digest_tells_of_other_content(type_: str) -> None:
    """Custody and a lost prekey say nothing of what a message says, nor does anybody else (SPEC M26)."""
    me, other, ours, theirs = (bytes((n,)) * 16 for n in range(4))
    of_content = type_ not in ("custody", "custody_lost", "prekey_gone")
    for by, digest in product((me, other), (ours, theirs)):
        receipt = Receipt(
            network=me, type=type_, id=MessageId(me), by=OfficeId(by), recipient=OfficeId(me), to=OfficeId(other),
            digest=Digest(digest), at_us=0, lane=Lane.ROUTINE, expires_us=1,
        )  # fmt: skip
        assert is_of_other_content(receipt, ours) == (of_content and by == me and digest != ours)
