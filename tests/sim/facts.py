"""Facts that a simulation produces, as values."""

from dataclasses import dataclass

CANARY = "鸩止渴 canary"
"""In every title and body; nobody but sender and recipient may ever see it."""
CLERK = "王芳"
"""Who signs for messages; receipts carry the name sealed."""


@dataclass(slots=True)
class Sent:
    """One accepted message to one office."""

    sender: str
    to: str
    title: str
    body: str
    lives_s: float
    at_us: int


@dataclass(slots=True)
class CopyFact:
    """The clear header of a copy that was published."""

    sender: bytes
    recipient: bytes
    message_id: bytes
    expires_us: int
    is_receipt: bool
    prekey_id: bytes
    lane: int
    number: int
    epoch: bytes
    created_us: int
