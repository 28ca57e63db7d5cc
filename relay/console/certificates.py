"""`relay broker certificate` and `relay broker revocations`: what the network's authority says of brokers and thieves.

Both run where the authority's key is, in the administrator's directory, and ask for its passphrase.
"""

import string
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from protocol.errors import Refused
from protocol.ids import is_address
from relay.console.acting import ceremony, signing_options
from relay.console.choices import Choices
from relay.console.commands import argument, command, option
from relay.console.homes import root_home
from relay.console.output import emit, local_time
from relay.console.passphrases import unlock_of
from relay.console.phrases import say

if TYPE_CHECKING:
    from keys.tls import Authority

AUTHORITY_LABEL: Final = "tls-ca"
DAYS: Final = 730
"""How long a broker's certificate is valid unless it is said otherwise: two years, as an office's."""

REQUEST_BYTES: Final = 16_384
"""Longest certificate request that is read."""

NAME_CHARS: Final = 253
"""Longest host name (RFC 1035 section 2.3.4, as text)."""

_NAME_CHARACTERS: Final = frozenset(string.ascii_letters + string.digits + ".-:")


@command("broker certificate")
@argument("names", "NAME...", nargs=-1, required=True)
@option("--out", metavar="DIR", required=True)
@option("--days", metavar="N", type=click.IntRange(1, 3_650), default=DAYS)
@option("--request", metavar="FILE")
@signing_options
def broker_certificate(
    choices: Choices, names: tuple[str, ...], *, out: str, days: int, request: str | None, passphrase_file: str | None
) -> None:
    """Issue a broker's certificate for the names by which offices reach it; its key too, unless there is a request."""
    from keys.certificates import keep_certificate
    from keys.private_files import replace
    from keys.tls import subject_of
    from relay.times import time_text

    root, folder = root_home(choices), Path(out)
    for name in names:
        _require_server_name(name)
    asked = None if request is None else _read_request(Path(request))
    authority = authority_of(choices, root, passphrase_file)
    if asked is None:
        issued = authority.issue_server(names, days=days)
        certificate = issued.certificate
        replace(folder / "broker.key", issued.key)
    else:
        try:
            certificate = authority.certify_server(asked, names, days=days)
        except ValueError as error:
            raise Refused("FILE_UNREADABLE", f"{request}: {error}", field="request") from None
    replace(folder / "broker.pem", certificate)
    replace(folder / "ca.pem", authority.credential.certificate)
    keep_certificate(root, certificate)
    found = subject_of(certificate)
    expires = time_text(found.expires_us)
    if choices.json:
        emit({"names": list(names), "serial": f"{found.serial:x}", "expires_at": expires, "out": out})
    else:
        click.echo(say("certificate_made", choices.lang, names=" ".join(names), dir=folder, until=local_time(expires)))


@command("broker revocations")
@option("--withdraw", metavar="NAME", multiple=True)
@signing_options
def broker_revocations(choices: Choices, *, withdraw: tuple[str, ...], passphrase_file: str | None) -> None:
    """Make the list of revoked certificates anew: of revoked offices, and what was withdrawn one by one."""
    from keys.ceremony import read_network
    from keys.certificates import LIST_FILE, withdraw_certificates, write_revocation_list
    from relay.times import time_text

    root = root_home(choices)
    with ceremony():
        directory = read_network(root).directory
    authority = authority_of(choices, root, passphrase_file)
    for name in withdraw:
        withdraw_certificates(root, name)
    revoked = {office.call_sign for office in directory.offices.values() if office.state == "revoked"}
    listed = write_revocation_list(root, authority, revoked, time.time_ns() // 1000)
    rows = [{"name": one.name, "serial": f"{one.serial:x}", "expires_at": time_text(one.expires_us)} for one in listed]
    if choices.json:
        emit({"file": str(root / LIST_FILE), "revoked": rows})
        return
    click.echo(say("revocations_made", choices.lang, file=root / LIST_FILE, count=len(rows)))
    for row in rows:
        click.echo(f"  {row['name']}  {row['serial']}")


def _require_server_name(name: str) -> None:
    """A host name or IP address. Raises `Refused` BAD_FIELD.

    Never an address: no certificate of a server may pass for an office, whatever a broker makes of its purpose.
    """
    if not 0 < len(name) <= NAME_CHARS or not set(name) <= _NAME_CHARACTERS or is_address(name):
        raise Refused("BAD_FIELD", f"{name!r} is not the name of a machine", field="names")


def _read_request(path: Path) -> bytes:
    """A certificate request made elsewhere. Raises `Refused` FILE_MISSING, FILE_UNREADABLE."""
    try:
        with path.open("rb") as file:
            return file.read(REQUEST_BYTES)
    except FileNotFoundError:
        raise Refused("FILE_MISSING", str(path), field="request") from None
    except OSError as error:
        raise Refused("FILE_UNREADABLE", f"{path}: {error.strerror}", field="request") from None


def authority_of(choices: Choices, root: Path, passphrase_file: str | None) -> "Authority":
    """The authority, opened. Raises `Refused` NOT_ENOUGH_KEYS without its passphrase, `KeyFileError`."""
    from keys.keyfile import read_header, read_secret
    from keys.tls import Authority, Credential

    path = root / "keys" / "tls-ca.key"
    header = read_header(path)
    passphrase = unlock_of(choices, root, passphrase_file)(AUTHORITY_LABEL)
    if passphrase is None:
        raise Refused("NOT_ENOUGH_KEYS", f"the passphrase of {AUTHORITY_LABEL} is needed")
    return Authority(Credential(header.public, read_secret(path, "tls-ca", passphrase=passphrase)))
