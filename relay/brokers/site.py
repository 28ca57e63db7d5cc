"""The folder of one broker: certificates, configuration, and `argv.json`, the exact command that starts it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from keys.files.private_files import make_private_directory, write_new
from keys.tls import Credential
from protocol.errors import Refused
from protocol.ids import Address
from protocol.limits import DIRECTORY_BYTES, FRAME_BYTES

PAYLOAD_BYTES_MAX: Final = DIRECTORY_BYTES + FRAME_BYTES
"""Largest publish a broker lets through: a directory file is the largest thing on any topic."""

PACKET_EXTRA_BYTES: Final = 1024
"""Room for topic and header of a packet."""

QUEUED_MAX: Final = 1_000_000
"""Messages a broker keeps for an absent office; mosquitto's 0 ("no limit") throws clients out on a denied publish."""

PID_FILE: Final = "broker.pid"
"""Where a running broker writes its process id, for whoever sends it signals."""

SESSION_DAYS: Final = 45
"""How long a broker remembers an absent office: as long as a message can live."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a broker lives and whom it serves. `directory` is absolute; `listen` is an IP address of this machine.

    `revocations` says that there is a list of revoked certificates, `crl.pem`. `user` is whom a broker that root starts
    becomes; "" leaves it to the broker. Raises `Refused` BAD_FIELD for a directory that no configuration can name.
    """

    id: str
    directory: Path
    listen: str
    port: int
    tls: bool
    offices: tuple[Address, ...]
    revocations: bool = False
    user: str = ""

    def __post_init__(self) -> None:
        if not str(self.directory).isprintable():
            # A line break in it would begin another line of the configuration.
            raise Refused("BAD_FIELD", f"a broker cannot live in {str(self.directory)!a}", field="folder")

    def file(self, name: str) -> str:
        """The absolute path of a file of this broker."""
        return str(self.directory / name)


def write_tls(folder: Path, ca: bytes, server: Credential, spare: Credential | None) -> None:
    """`ca.pem`, `broker.pem`, `broker.key`, and for a lab `spare.pem`, `spare.key`. Raises `Refused` FILE_EXISTS."""
    make_private_directory(folder)
    write_new(folder / "ca.pem", ca)
    write_new(folder / "broker.pem", server.certificate)
    write_new(folder / "broker.key", server.key)
    if spare is not None:
        write_new(folder / "spare.pem", spare.certificate)
        write_new(folder / "spare.key", spare.key)


def write_argv(directory: Path, argv: Sequence[str]) -> None:
    """`argv.json`: a JSON list of strings. Raises `Refused` FILE_EXISTS."""
    write_new(directory / "argv.json", msgspec.json.format(msgspec.json.encode(list(argv))) + b"\n")
