"""What one office may publish and read on any broker (D8, D9); each engine writes it down in its own way.

An office publishes only as itself, and reads frames only when they are for it. Lanes are named one by one: with a
wildcard in their place, `relay/1/prekey/<another>/<this>` would pass for a frame. Offices are named one by one too, so
that a certificate of the same authority that no office owns can do nothing at all.
"""

from dataclasses import dataclass

from protocol.ids import Address
from protocol.lanes import Lane
from protocol.topics import PREFIX


@dataclass(frozen=True, slots=True)
class Grants:
    """MQTT topic filters."""

    publish: tuple[str, ...]
    read: tuple[str, ...]


def grants_of(office: Address) -> Grants:
    """The grants of one office."""
    frames_out = tuple(f"{PREFIX}/+/{lane.label}/{office}" for lane in Lane)
    frames_in = tuple(f"{PREFIX}/{office}/{lane.label}/+" for lane in Lane)
    shared = ("presence", "prekey", "trust")
    return Grants(
        publish=frames_out + tuple(f"{PREFIX}/{kind}/{office}/+" for kind in shared),
        read=frames_in + tuple(f"{PREFIX}/{kind}/+/+" for kind in shared),
    )
