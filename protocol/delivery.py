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
    {
        "accepted", "awaiting_prekey", "resealed", "rerouted", "custody_lost", "cancelled", "prekey_gone",
        "tombstone", "correction",
    }
)  # fmt: skip
"""Events that are recorded and move no state: a `tombstone` is noted where it proves what is known already."""

SAID_BY: Final = {"tombstone": State.EXPIRED}
"""Receipts that say a state by another word."""

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


class Due(Enum):
    """What an origin does about a message that has no verdict yet."""

    WAIT = "wait"
    EXPIRED = "expired"
    ASK = "ask"
    UNCONFIRMED = "unconfirmed"


def due(*, begun: bool, expires_us: int, asked_us: int | None, now_us: int, grace_us: int) -> Due:
    """What time asks for (G8, G9).

    What was never sent cannot have arrived: it is expired. What was, may have: the recipient is asked by a tombstone,
    sent at `asked_us`, and has the grace to answer with its own; without an answer nobody can know.
    """
    if now_us < expires_us:
        return Due.WAIT
    if not begun:
        return Due.EXPIRED
    if asked_us is None:
        return Due.ASK
    return Due.WAIT if now_us < max(asked_us, expires_us) + grace_us else Due.UNCONFIRMED


def ask_again_us(*, asked_us: int, now_us: int, grace_us: int) -> int:
    """When a tombstone without an answer is sent again: after the grace, and then each time twice as late."""
    return now_us + max(grace_us, now_us - asked_us)
