"""Who is at the other end of the Unix socket, and which roles that gives (CONTRACT section 10).

uvicorn puts nothing about a Unix peer into the ASGI scope, so the HTTP protocol class is extended: when a
connection is made it asks the kernel (SO_PEERCRED, SO_PEERGROUPS) and adds the answer to the scope's state.
The kernel fixed these values when the peer connected; nothing in a request can change them.
"""

import asyncio
import grp
import os
import pwd
import socket
import struct
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from config.problems import ConfigError, Problem
from config.schema import Members, Roles
from protocol.errors import Refused
from relay.api.problems import problem_response

ROLES: Final = ("read", "send", "receive", "sign", "operate")

_SO_PEERGROUPS: Final = 59
"""Linux 4.13 `asm-generic/socket.h`; Python 3.11 has no name for it."""
_NOBODY: Final = 0xFFFFFFFF
"""What SO_PEERCRED says on sockets that have no peer process, such as TCP ones."""
_GROUPS_BYTES: Final = 1_024
"""The most that Python's getsockopt takes: 256 groups of 4 bytes."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that connected: user, first group, all its groups, and process id."""

    uid: int
    gid: int
    gids: frozenset[int]
    pid: int

    @property
    def actor(self) -> str:
        """How the audit names it."""
        return f"uid:{self.uid}/gid:{self.gid}"


@dataclass(frozen=True, slots=True)
class RoleTable:
    """Users and groups of each role, as numbers. `masters` are users with every role."""

    users: dict[str, frozenset[int]]
    groups: dict[str, frozenset[int]]
    masters: frozenset[int]

    def roles_of(self, peer: Peer) -> frozenset[str]:
        """The roles of a peer."""
        if peer.uid in self.masters:
            return frozenset(ROLES)
        return frozenset(role for role in ROLES if peer.uid in self.users[role] or peer.gids & self.groups[role])


def role_table(roles: Roles, own_uid: int) -> RoleTable:
    """The table for the settings. Raises `ConfigError` for names that the system does not know."""
    problems: list[Problem] = []
    users: dict[str, frozenset[int]] = {}
    groups: dict[str, frozenset[int]] = {}
    for role in ROLES:
        members: Members = getattr(roles, role)
        setting = f"[api.roles.{role}]"
        users[role] = _numbers(members.users, user_number, f"{setting} users", problems)
        groups[role] = _numbers(members.groups, group_number, f"{setting} groups", problems)
    if problems:
        raise ConfigError(problems)
    return RoleTable(users, groups, frozenset({0, own_uid}))


def user_number(name: str) -> int:
    """The uid of a user name. Raises KeyError."""
    return pwd.getpwnam(name).pw_uid


def group_number(name: str) -> int:
    """The gid of a group name. Raises KeyError."""
    return grp.getgrnam(name).gr_gid


def peer_of(connection: socket.socket | TransportSocket) -> Peer:
    """The peer of a connected Unix socket. Raises OSError for any other socket.

    A peer with more than 256 groups, or on a kernel without SO_PEERGROUPS, is known by its first group only.
    """
    pid, uid, gid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid == _NOBODY:
        raise OSError("no credentials on this socket")
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:
        packed = b""
    return Peer(uid, gid, frozenset({gid, *struct.unpack(f"{len(packed) // 4}I", packed)}), pid)


class PeerProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with the peer in `scope["state"]["peer"]`; without credentials there is no peer.

    One user has `most` connections at most, so that nobody who may knock can take all descriptors of the daemon by
    saying nothing (G13). The daemon's own user and root have no such limit.
    """

    def __init__(self, *args: Any, most: int, **named: Any) -> None:
        super().__init__(*args, **named)
        self._most = most
        self.uid = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer: Peer | None = None
        try:
            # Asked of asyncio's stand-in for the socket: a descriptor of our own could be one too many (G13).
            peer = peer_of(transport.get_extra_info("socket"))
        except (OSError, AttributeError):
            # A peer that is gone already, or no Unix socket: it gets no role.
            peer = None
        self.app_state = {**self.app_state, "peer": peer}
        self.uid = _NOBODY if peer is None else peer.uid
        theirs = sum(getattr(one, "uid", None) == self.uid for one in self.connections)
        if theirs > self._most and self.uid not in (0, os.geteuid()):
            transport.write(_busy(self._most))
            transport.close()


def _busy(most: int) -> bytes:
    """The answer to one connection too many, before anything was asked."""
    answer = problem_response(Refused("BUSY", f"this user has {most} connections open"), "en", {"connection": "close"})
    head = b"".join(b"%b: %b\r\n" % pair for pair in answer.raw_headers)
    return b"HTTP/1.1 503 Service Unavailable\r\n" + head + b"\r\n" + bytes(answer.body)


def _numbers(
    members: Iterable[int | str], number: Callable[[str], int], setting: str, problems: list[Problem]
) -> frozenset[int]:
    found: set[int] = set()
    for member in members:
        try:
            found.add(member if isinstance(member, int) else number(member))
        except KeyError:
            problems.append(Problem("wrong", setting, f"the system does not know {member!r}", None, None, "系统中没有"))
    return frozenset(found)
