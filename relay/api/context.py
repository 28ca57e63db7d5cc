"""What every operation of the API has at hand."""

import asyncio
from dataclasses import dataclass

from config.schema import Settings
from protocol.errors import Refused
from relay.api.peer import Peer, RoleTable
from relay.api.service import OfficeOperations
from relay.audit.notes import Notes


@dataclass(slots=True)
class BodyRoom:
    """Counts the bytes of all request bodies being worked on, so that clients cannot fill the memory (G13)."""

    limit_bytes: int
    used_bytes: int = 0

    def take(self, count: int) -> None:
        """Reserves `count` bytes. Raises `Refused` BUSY when there is no room."""
        if self.used_bytes + count > self.limit_bytes:
            raise Refused("BUSY", "the bodies of other requests fill the memory set aside for them")
        self.used_bytes += count

    def give_back(self, count: int) -> None:
        """Frees `count` bytes."""
        self.used_bytes -= count


@dataclass(slots=True)
class Context:
    """The office behind the API, its settings, and what requests share."""

    office: OfficeOperations
    settings: Settings
    roles: RoleTable
    room: BodyRoom
    stopping: asyncio.Event
    notes: Notes | None = None
    event_clients: int = 0

    def check_role(self, peer: Peer | None, wanted: frozenset[str]) -> None:
        """Raises `Refused` NOT_PERMITTED unless the peer has one of the wanted roles."""
        if peer is None:
            raise Refused("NOT_PERMITTED", "the kernel gave no credentials of the caller")
        if not wanted & self.roles.roles_of(peer):
            raise Refused("NOT_PERMITTED", f"uid {peer.uid} has none of the roles {', '.join(sorted(wanted))}")
