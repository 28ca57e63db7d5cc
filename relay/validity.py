"""What of a home or of a network ends when, gathered for `keys needs-renewal`, `status` and `doctor`."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from keys.ceremony.certificates import issued_certificates
from keys.enrol.expiry import (
    Expiry,
    certificate_expiry,
    network_expiries,
    office_expiries,
    prekey_expiry,
    trust_expiries,
)
from keys.files.keyfile import read_header
from keys.files.private_files import KeyFileError
from keys.prekeys import PrekeyRecord
from keys.roster.directory import Directory
from protocol.errors import Refused
from protocol.ids import OfficeId, is_address
from protocol.limits import SECOND_US
from relay.times import parse_time_us, time_text

WITHIN_US: Final = 30 * 86_400 * SECOND_US
"""How early something counts as in need of renewal unless it is said otherwise: a month to get two people together."""

NEXT_OF_OFFICE: Final[Mapping[str, str]] = {
    "identity": "relay keys rotate identity",
    "second": "relay keys rotate identity",
    "tls": "relay keys rotate tls",
    "prekey": "relay keys rotate prekey",
}
"""The command that renews it; for the rest an office speaks to the network's administrator."""
NEXT_OF_ROOT: Final[Mapping[str, str]] = {
    "root": "relay keys rotate root",
    "targets": "relay keys publish",
    "snapshot": "relay keys publish",
    "timestamp": "relay keys publish",
    "broker": "relay broker certificate",
}
"""The same for the administrator, who waits for the offices' own requests."""


def of_office(
    home: Path, directory: Directory, office: OfficeId, files: Mapping[str, bytes], prekey: PrekeyRecord | None,
    now_us: int,
) -> Iterator[Expiry]:  # fmt: skip
    """Everything that an office depends on. Raises `TrustError` for trust files that are none."""
    record = directory.by_id(office)
    if record is not None:
        yield from office_expiries(record, now_us)
    for what, name in (("tls", "tls.pem"), ("tls_ca", "ca.pem")):
        yield from _certificate(what, home / "keys" / name)
    if prekey is not None:
        yield prekey_expiry(prekey)
    yield from trust_expiries(files)


def of_root(home: Path, directory: Directory, files: Mapping[str, bytes], now_us: int) -> Iterator[Expiry]:
    """Everything that a network's administrator answers for. Raises `TrustError`, `KeyFileError`, `Refused`."""
    yield from trust_expiries(files)
    path = home / "keys" / "tls-ca.key"
    if path.exists():
        yield certificate_expiry("tls_ca", read_header(path).public)
    yield from _brokers(home)
    yield from network_expiries(directory, now_us)


def _brokers(home: Path) -> Iterator[Expiry]:
    """The newest certificate of each broker on record; offices see to theirs themselves."""
    newest: dict[str, Expiry] = {}
    for one in issued_certificates(home):
        name = one.subject.name
        if not is_address(name):
            found = certificate_expiry("broker", one.path.read_bytes(), name)
            newest[name] = max(found, newest.get(name, found), key=lambda each: each.until_us)
    yield from newest.values()


def objects(
    found: Iterable[Expiry], within_us: int, now_us: int, next_of: Mapping[str, str] = NEXT_OF_OFFICE
) -> list[dict[str, Any]]:
    """As JSON types, what ends first coming first. `due`: it is to be renewed; `past`: it has ended."""
    return [
        {
            **one.as_object(within_us, now_us), "until": time_text(one.until_us),
            "since": None if one.since_us is None else time_text(one.since_us), "next": next_of.get(one.what, ""),
        }
        for one in sorted(found, key=lambda one: (one.until_us, one.what, one.name))
    ]  # fmt: skip


def from_object(told: Mapping[str, Any]) -> Expiry:
    """What a running relay told. Raises `Refused` BAD_FIELD for what is none."""
    since = told["since"]
    return Expiry(
        parse_time_us(told["until"], field="until"), told["what"], told["name"],
        None if since is None else parse_time_us(since, field="since"),
    )  # fmt: skip


def _certificate(what: str, path: Path) -> Iterator[Expiry]:
    """A PEM file of a home, if it has one: brokers without TLS need none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise KeyFileError("KEY_FILE_UNREADABLE", path, str(error.strerror)) from error
    try:
        yield certificate_expiry(what, data)
    except ValueError as error:
        raise Refused("BAD_KEYS", f"{path} holds no certificate") from error
