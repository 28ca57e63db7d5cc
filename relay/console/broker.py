"""`relay broker …`: configurations for brokers, and the one that comes along; certificates are in their own module."""

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from protocol.errors import Refused
from relay.console.choices import Choices
from relay.console.commands import LazyGroup, argument, command, option
from relay.console.output import emit
from relay.console.phrases import say

if TYPE_CHECKING:
    from keys.roster.directory import Directory
    from protocol.ids import Address
    from relay.brokers.folder import Update
    from relay.brokers.site import Site

ENGINES: Final = ("mosquitto", "nats", "rabbitmq")
ARGV_FILE: Final = "argv.json"
TLS_PORT: Final = 8883

group: Final = LazyGroup(
    "broker",
    {
        "config": "relay.console.broker:broker_config",
        "certificate": "relay.console.certificates:broker_certificate",
        "authority": "relay.console.certificates:broker_authority",
        "revocations": "relay.console.certificates:broker_revocations",
        "run": "relay.console.broker:broker_run",
    },
)


@command("broker config")
@argument("broker", "ID")
@option("--engine", metavar="ENGINE", type=click.Choice(ENGINES), required=True)
@option("--listen", metavar="IP", default="127.0.0.1")
@option("--port", metavar="PORT", type=click.IntRange(1, 65_535))
@option("--directory", metavar="DIR")
@option("--user", metavar="USER", default="")
@option("--out", metavar="DIR")
def broker_config(
    choices: Choices,
    broker: str,
    *,
    engine: str,
    listen: str,
    port: int | None,
    directory: str | None,
    user: str,
    out: str | None,
) -> None:
    """Print a broker's configuration, with a grant for every office that is attached, or bring a folder up to date."""
    from relay.brokers.folder import FILES, update
    from relay.brokers.site import Site

    home = choices.existing_home()
    tls = _tls_files(home)
    where = directory or out or f"/etc/relay/brokers/{broker}"
    offices, own_port, encrypted = _attached(home, broker)
    site = Site(
        id=broker,
        directory=Path(where).absolute(),
        listen=listen,
        port=port or own_port,
        tls=encrypted,
        offices=offices,
        revocations="crl.pem" in tls,
        user=user,
    )
    if engine == "rabbitmq" and not encrypted:
        raise Refused("BAD_FIELD", "RabbitMQ is configured for TLS only", field="engine")
    if out is not None:
        _tell_update(choices, site, engine, Path(out), update(Path(out), site, engine, tls if encrypted else {}))
        return
    files = FILES[engine](site)
    if choices.json:
        emit({"id": broker, "engine": engine, "directory": str(site.directory), "files": files})
        return
    for name, text in files.items():
        click.echo(f"# ---- {site.directory / name}")
        click.echo(text)


def _tell_update(choices: Choices, site: "Site", engine: str, out: Path, found: "Update") -> None:
    """What changed, what is missing, and what to run where the broker is."""
    if choices.json:
        emit(
            {
                "id": site.id,
                "engine": engine,
                "directory": str(site.directory),
                "out": str(out),
                "made": found.made,
                "changed": list(found.changed),
                "joined": list(found.joined),
                "left": list(found.left),
                "missing": list(found.missing),
                "restart": found.restart,
                "commands": list(found.commands),
            }
        )
        return
    lang = choices.lang
    if not (found.changed or found.joined or found.left):
        click.echo(say("broker_same", lang, dir=out))
    for name in found.changed:
        click.echo(say("broker_changed", lang, file=out / name))
    for office in found.joined:
        click.echo(say("broker_joined", lang, office=office))
    for office in found.left:
        click.echo(say("broker_left", lang, office=office))
    for name in found.missing:
        click.echo(say("broker_missing", lang, file=site.directory / name, id=site.id))
    if found.commands:
        click.echo(say("broker_start" if found.made else "broker_restart" if found.restart else "broker_reload", lang))
    for line in found.commands:
        click.echo(f"  {line}")


def _attached(home: Path, broker: str) -> "tuple[tuple[Address, ...], int, bool]":
    """(offices that take part, port, TLS) of a broker, by the directory and the home's settings.

    A revoked office has no grant. Raises `Refused` NOT_FOUND for a broker that nobody knows, BAD_TRUST, `ConfigError`.
    """
    from config.load import load

    own = next((each for each in load(home).settings.brokers if each.id == broker), None)
    network = _directory(home)
    attached = [each for each in network.offices.values() if broker in each.brokers]
    if own is None and not attached:
        raise Refused("NOT_FOUND", f"no office is attached to a broker {broker!r}", field="broker")
    offices = tuple(sorted(each.call_sign for each in attached if each.state != "revoked"))
    return offices, own.port if own is not None else TLS_PORT, own.tls if own is not None else True


def _directory(home: Path) -> "Directory":
    """The newest verified directory of an office's home or of the administrator's. Raises `Failure` BAD_TRUST."""
    from keys.ceremony.network import read_network
    from keys.trust.store import TrustStore
    from relay.console.keys.acting import ceremony

    with ceremony():
        if (home / "network").is_dir():
            return read_network(home).directory
        return TrustStore(home).load(time.time_ns() // 1000).directory


def _tls_files(home: Path) -> dict[str, bytes]:
    """The authorities' certificates, and the list of revoked ones where there is one."""
    from keys.ceremony.authorities import authority_files, trusted_authorities
    from keys.ceremony.certificates import LIST_FILE

    own, revoked = home / "keys" / "ca.pem", home / LIST_FILE
    found: dict[str, bytes] = {}
    if authority_files(home)[0].exists():
        found["ca.pem"] = trusted_authorities(home)
    elif own.exists():
        found["ca.pem"] = own.read_bytes()
    if revoked.exists():
        found["crl.pem"] = revoked.read_bytes()
    return found


@command("broker run")
@argument("directory", "[DIR]", required=False)
def broker_run(choices: Choices, directory: str | None) -> None:
    """Become the broker whose folder was made by `lab create`, by default the home's own in `broker`."""
    file = (Path(directory) if directory is not None else choices.home / "broker") / ARGV_FILE
    try:
        argv = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise Refused("FILE_MISSING", str(file), field="directory") from None
    except (OSError, ValueError) as error:
        raise Refused("FILE_UNREADABLE", f"{file}: {error}", field="directory") from None
    if not (isinstance(argv, list) and argv and all(isinstance(each, str) for each in argv)):
        raise Refused("FILE_UNREADABLE", f"{file} is not a list of words", field="directory")
    try:
        os.execv(argv[0], argv)  # noqa: S606 - the broker takes our place, so that signals reach it
    except OSError as error:
        raise Refused("BROKER_MISSING", f"{argv[0]}: {error.strerror}") from None
