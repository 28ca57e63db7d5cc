"""MQTT topic names (D9): built and parsed in one place, no wildcards from peers.

    relay/1/<to>/<lane>/<from>            frames, never retained
    relay/1/presence/<office>/<group>     retained, signed
    relay/1/prekey/<publisher>/<office>   retained, signed by the office
    relay/1/trust/<publisher>/<file>      retained TUF files; "." of the file name is "_" in the topic

The name in the place of %u is the certificate's name, so that a broker can hold every office to its own topics.
"""

from dataclasses import dataclass
from typing import Final

from protocol.errors import RemoteError
from protocol.ids import Address, is_address
from protocol.lanes import GROUPS, Lane, lane_by_label

PREFIX: Final = "relay/1"
FILE_CHARS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class FrameTopic:
    """`relay/1/<receiver>/<lane>/<sender>`."""

    receiver: Address
    lane: Lane
    sender: Address


@dataclass(frozen=True, slots=True)
class PresenceTopic:
    """`relay/1/presence/<office>/<group>`."""

    office: Address
    group: str


@dataclass(frozen=True, slots=True)
class PrekeyTopic:
    """`relay/1/prekey/<publisher>/<office>`."""

    publisher: Address
    office: Address


@dataclass(frozen=True, slots=True)
class TrustTopic:
    """`relay/1/trust/<publisher>/<file>`; `file` is the TUF file name with its dots."""

    publisher: Address
    file: str


Topic = FrameTopic | PresenceTopic | PrekeyTopic | TrustTopic


def frame_topic(receiver: Address, lane: Lane, sender: Address) -> str:
    """Where `sender` publishes a frame for `receiver`."""
    return f"{PREFIX}/{receiver}/{lane.label}/{sender}"


def presence_topic(office: Address, group: str) -> str:
    """Where an office publishes its presence on one connection."""
    return f"{PREFIX}/presence/{office}/{group}"


def prekey_topic(publisher: Address, office: Address) -> str:
    """Where `publisher` republishes the prekey record of `office`."""
    return f"{PREFIX}/prekey/{publisher}/{office}"


def trust_topic(publisher: Address, file: str) -> str:
    """Where `publisher` republishes a TUF file."""
    return f"{PREFIX}/trust/{publisher}/{file.replace('.', '_')}"


TIMESTAMPS: Final = f"{PREFIX}/trust/+/timestamp_json"
"""The timestamps of all publishers: what announces a newer directory. Other trust files are asked for one by one."""


def subscriptions(office: Address, group: str) -> tuple[str, ...]:
    """What an office subscribes to on the connection of one group for as long as it is there."""
    frames = tuple(f"{PREFIX}/{office}/{lane.label}/+" for lane in Lane if lane.group == group)
    shared = (*(f"{PREFIX}/{kind}/+/+" for kind in ("presence", "prekey")), TIMESTAMPS)
    return frames if group == "fast" else frames + shared


def own_records(office: Address) -> tuple[str, ...]:
    """Where an office retains what it says of itself, and announces the newest directory that it has."""
    presence = tuple(presence_topic(office, group) for group in GROUPS)
    return (*presence, prekey_topic(office, office), trust_topic(office, "timestamp.json"))


def parse_topic(topic: str) -> Topic:
    """The parts of a topic; raises `RemoteError` WRONG_TOPIC for any other form."""
    parts = topic.split("/")
    if len(parts) != 5 or parts[:2] != ["relay", "1"]:
        raise RemoteError("WRONG_TOPIC", "not of the form relay/1/a/b/c")
    first, second, third = parts[2:]
    if first == "presence" and is_address(second) and third in GROUPS:
        return PresenceTopic(Address(second), third)
    if first == "prekey" and is_address(second) and is_address(third):
        return PrekeyTopic(Address(second), Address(third))
    if first == "trust" and is_address(second) and _is_file(third):
        return TrustTopic(Address(second), third.replace("_", "."))
    lane = lane_by_label(second)
    if lane is not None and is_address(first) and is_address(third):
        return FrameTopic(Address(first), lane, Address(third))
    raise RemoteError("WRONG_TOPIC", "unknown form")


def _is_file(name: str) -> bool:
    return 0 < len(name) <= FILE_CHARS_MAX and all(c.isascii() and (c.isalnum() or c in "_-") for c in name)
