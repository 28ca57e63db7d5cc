"""The delivery table: every state with every event (G8)."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.delivery import NOTES, Effect, State, apply, verdict_at_expiry

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


def test_g08_expired_only_if_nothing_was_ever_sent() -> None:
    assert verdict_at_expiry(sending_begun=False) is State.EXPIRED
    assert verdict_at_expiry(sending_begun=True) is State.UNCONFIRMED


def test_notes_are_no_states() -> None:
    assert {state.value for state in State if state is not State.ACCEPTED} & NOTES == set()
