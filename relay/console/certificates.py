"""`relay broker certificate`, `revocations` and `authority`: certificates for brokers, and those of thieves.

They run where the authority's key is, in the administrator's directory, and ask for its passphrase.
"""

import secrets
import string
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from protocol.errors import Refused
from protocol.ids import is_address
from relay.console.choices import Choices
from relay.console.commands import argument, command, option
from relay.console.keys.acting import ceremony, signing_options
from relay.console.keys.homes import root_home
from relay.console.keys.passphrases import new_passphrase, unlock_of
from relay.console.output import emit, local_time
from relay.console.phrases import say
from relay.given import read_given

if TYPE_CHECKING:
    from keys.tls import Authority

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
    from keys.ceremony.authorities import trusted_authorities
    from keys.ceremony.certificates import keep_certificate
    from keys.tls import subject_of
    from relay.brokers.folder import put
    from relay.times import time_text

    root, folder = root_home(choices), Path(out)
    for name in names:
        _require_server_name(name)
    asked = None if request is None else read_given(Path(request), "request", REQUEST_BYTES)
    authority = authority_of(choices, root, passphrase_file)
    if asked is None:
        issued = authority.issue_server(names, days=days)
        certificate = issued.certificate
        put(folder / "broker.key", issued.key)
    else:
        try:
            certificate = authority.certify_server(asked, names, days=days)
        except ValueError as error:
            raise Refused("FILE_UNREADABLE", f"{request}: {error}", field="request") from None
    put(folder / "broker.pem", certificate)
    put(folder / "ca.pem", trusted_authorities(root))
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
    from keys.ceremony.certificates import LIST_FILE, withdraw_certificates, write_revocation_list
    from keys.ceremony.network import read_network
    from relay.times import time_text

    root = root_home(choices)
    with ceremony():
        directory = read_network(root).directory
    authorities = _opened(choices, root, passphrase_file, every=True)
    for name in withdraw:
        withdraw_certificates(root, name)
    revoked = {office.call_sign for office in directory.offices.values() if office.state == "revoked"}
    listed = write_revocation_list(root, authorities, revoked, time.time_ns() // 1000)
    rows = [{"name": one.name, "serial": f"{one.serial:x}", "expires_at": time_text(one.expires_us)} for one in listed]
    if choices.json:
        emit({"file": str(root / LIST_FILE), "revoked": rows})
        return
    click.echo(say("revocations_made", choices.lang, file=root / LIST_FILE, count=len(rows)))
    for row in rows:
        click.echo(f"  {row['name']}  {row['serial']}")


@command("broker authority")
@option("--new", "new", is_flag=True)
@option("--drop-older", "drop_older", is_flag=True)
@signing_options
def broker_authority(choices: Choices, *, new: bool, drop_older: bool, passphrase_file: str | None) -> None:
    """Show the authorities for TLS, make a new one, or end the trust in older ones."""
    from keys.ceremony.authorities import authority_files, drop_authorities, replace_authority
    from keys.files.keyfile import read_header
    from keys.tls import subject_of
    from relay.times import time_text

    root = root_home(choices)
    if new and drop_older:
        raise Refused("BAD_FIELD", "first the new one goes everywhere, then the older ones end", field="drop_older")
    if new:
        # Whoever replaces an authority can open it: nobody else would be believed.
        authority_of(choices, root, passphrase_file)
        replace_authority(root, new_passphrase(choices, "tls-ca", passphrase_file), secrets.token_bytes)
    if drop_older:
        drop_authorities(root)
    rows = []
    for path in authority_files(root):
        found = subject_of(read_header(path).public)
        rows.append({"file": str(path), "serial": f"{found.serial:x}", "expires_at": time_text(found.expires_us)})
    if choices.json:
        emit({"authorities": rows})
        return
    for row in rows:
        click.echo(f"{row['file']}  {row['serial']}  {local_time(row['expires_at'])}")
    if new:
        click.echo(say("authority_new", choices.lang))


def _require_server_name(name: str) -> None:
    """A host name or IP address. Raises `Refused` BAD_FIELD.

    Never an address: no certificate of a server may pass for an office, whatever a broker makes of its purpose.
    """
    if not 0 < len(name) <= NAME_CHARS or not set(name) <= _NAME_CHARACTERS or is_address(name):
        raise Refused("BAD_FIELD", f"{name!r} is not the name of a machine", field="names")


def authority_of(choices: Choices, root: Path, passphrase_file: str | None) -> "Authority":
    """The authority that issues, opened. Raises `Refused` NOT_ENOUGH_KEYS without its passphrase, `KeyFileError`."""
    return _opened(choices, root, passphrase_file)[0]


def _opened(choices: Choices, root: Path, passphrase_file: str | None, *, every: bool = False) -> "list[Authority]":
    """The authority that issues, with `every` also those before it. Raises like `authority_of`."""
    from keys.ceremony.authorities import authority_files, open_authority

    unlock = unlock_of(choices, root, passphrase_file)
    found = []
    for path in authority_files(root) if every else authority_files(root)[:1]:
        passphrase = unlock(path.stem)
        if passphrase is None:
            raise Refused("NOT_ENOUGH_KEYS", f"the passphrase of {path.stem} is needed")
        found.append(open_authority(path, passphrase))
    return found
