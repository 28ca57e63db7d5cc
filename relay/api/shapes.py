"""Shapes of the answers, for the OpenAPI document. Answers themselves are made by the office as plain objects."""

from typing import Any, Literal

import msgspec


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer; members may be added in later versions, none changes its meaning."""

    v: Literal[1] = 1


class Accepted(Shape, frozen=True):
    """The relay answers for this message from now on."""

    id: str
    state: str
    lane: str
    digest: str
    to: list[str]
    accepted_at: str
    repeated: bool = False


class Problem(Shape, frozen=True):
    """RFC 9457 problem details with the members of the error object of the command line."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    exit: int
    message: str
    hint: str
    field: str | None = None
    id: str | None = None
    state: str | None = None
    line: int | None = None


class TrackEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to one copy."""

    type: str
    at: str
    by: str
    verified: bool | None = None


class TrackRecipient(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the copy for one recipient."""

    to: str
    state: str
    final: bool
    late: bool
    events: list[TrackEvent]
    deadline: str | None = None
    deadline_uncertain: bool = False


class Track(Shape, frozen=True):
    """What became of a message."""

    id: str
    recipients: list[TrackRecipient]


class InboxLine(Shape, frozen=True):
    """A received message; lists leave `body` out."""

    id: str
    to: list[str]
    cc: list[str]
    kind: str
    urgency: str
    lane: str
    title: str
    digest: str
    bytes: int
    attachments: list[dict[str, Any]]
    received_at: str
    state: str
    flags: list[str]
    sender: str = msgspec.field(name="from")
    body: str | None = None
    occurred_at: str | None = None
    thread: str | None = None
    signatures: list[dict[str, Any]] | None = None
    original: dict[str, Any] | None = None


class Office(Shape, frozen=True):
    """Which office this is; persons' signatures name it by the two ids, in hexadecimal digits."""

    address: str
    name: str
    office_id: str
    network: str
    network_id: str
    directory_version: int


class Event(Shape, frozen=True):
    """One event of the stream; `seq` rises."""

    seq: int
    type: str
    id: str
    to: str
    at: str


class Anything(Shape, frozen=True):
    """An object described in the manual."""
