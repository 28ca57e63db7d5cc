"""The story of one message to one recipient, as its origin knows it: a table (CONTRACT section 7, G8).

Every event is recorded; the table says what it does to the state. A state never falls, and after a final verdict
a contrary event changes nothing but the record: it is a correction.
"""

from enum import Enum
from typing import Final


class State(Enum):
    """Where a message to one recipient stands."""

    ACCEPTED = "accepted"
    CUSTODY = "custody"
    DELIVERED = "delivered"
    OPENED = "opened"
    SIGNED_FOR = "signed_for"
    RETURNED = "returned"
    REFUSED = "refused"
    EXPIRED = "expired"
    UNCONFIRMED = "unconfirmed"

    @property
    def final(self) -> bool:
        """Whether transport has ended; human progress may follow."""
        return self not in (State.ACCEPTED, State.CUSTODY)

    @property
    def arrived(self) -> bool:
        """Whether the recipient office has said that it holds the message."""
        return self in _ARRIVED


_ARRIVED: Final = frozenset({State.DELIVERED, State.OPENED, State.SIGNED_FOR, State.RETURNED})

NOTES: Final = frozenset(
    {"accepted", "awaiting_prekey", "resealed", "rerouted", "custody_lost", "cancelled", "prekey_gone", "correction"}
)
"""Events that are recorded and move no state."""

_RISE: Final[dict[State, tuple[State, ...]]] = {
    State.ACCEPTED: tuple(State)[1:],
    State.CUSTODY: (
        State.DELIVERED, State.OPENED, State.SIGNED_FOR, State.RETURNED,
        State.REFUSED, State.EXPIRED, State.UNCONFIRMED,
    ),
    State.DELIVERED: (State.OPENED, State.SIGNED_FOR, State.RETURNED),
    State.OPENED: (State.SIGNED_FOR, State.RETURNED),
    State.SIGNED_FOR: (),
    State.RETURNED: (),
    State.REFUSED: (),
    State.EXPIRED: (),
    State.UNCONFIRMED: (),
}  # fmt: skip
"""What may follow each state. Absent: the event is late (recorded, no change) or contrary (a correction)."""


class Effect(Enum):
    """What an event does."""

    MOVES = "moves"
    LATE = "late"
    CORRECTION = "correction"


def apply(state: State, event: State) -> tuple[State, Effect]:
    """The state after an event.

    LATE: an earlier step of the same story, heard after a later one (custody after delivered).
    CORRECTION: a fact that contradicts the verdict given (delivered after unconfirmed, refused after delivered).
    """
    if event in _RISE[state]:
        return event, Effect.MOVES
    if event is State.ACCEPTED or event is state or event is State.CUSTODY:
        return state, Effect.LATE
    if state.arrived and event.arrived:
        return state, Effect.LATE
    return state, Effect.CORRECTION


def verdict_at_expiry(sending_begun: bool) -> State:
    """What the origin may say when a message's time has passed without an answer (G8)."""
    return State.UNCONFIRMED if sending_begun else State.EXPIRED
