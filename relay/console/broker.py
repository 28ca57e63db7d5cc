"""`relay broker …`: configurations for brokers, and the one that comes along."""

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

if TYPE_CHECKING:
    from relay.brokers.site import Site

ENGINES: Final = ("mosquitto", "nats")
ARGV_FILE: Final = "argv.json"
TLS_PORT: Final = 8883

group: Final = LazyGroup("broker", {name: f"relay.console.broker:broker_{name}" for name in ("config", "run")})


@command("broker config")
@argument("broker", "ID")
@option("--engine", metavar="ENGINE", type=click.Choice(ENGINES), required=True)
@option("--listen", metavar="IP", default="127.0.0.1")
@option("--port", metavar="PORT", type=click.IntRange(1, 65_535))
@option("--directory", metavar="DIR")
def broker_config(
    choices: Choices, broker: str, *, engine: str, listen: str, port: int | None, directory: str | None
) -> None:
    """Print the configuration of a broker, with a grant for every office that the directory attaches to it."""
    site = _site(choices.existing_home(), broker, listen, port, directory or f"/etc/relay/brokers/{broker}")
    files = _files(site, engine)
    if choices.json:
        emit({"id": broker, "engine": engine, "directory": str(site.directory), "files": files})
        return
    for name, text in files.items():
        click.echo(f"# ---- {site.directory / name}")
        click.echo(text)


def _site(home: Path, broker: str, listen: str, port: int | None, directory: str) -> "Site":
    """The broker as the home's settings and its verified directory know it. Raises `Refused` NOT_FOUND, BAD_TRUST."""
    from config.load import load
    from keys.trust.metadata import TrustError
    from keys.trust.store import TrustStore
    from relay.brokers.site import Site

    own = next((each for each in load(home).settings.brokers if each.id == broker), None)
    try:
        network = TrustStore(home).load(time.time_ns() // 1000).directory
    except TrustError as error:
        raise Refused("BAD_TRUST", str(error)) from None
    offices = tuple(sorted(each.address for each in network.offices.values() if broker in each.brokers))
    if own is None and not offices:
        raise Refused("NOT_FOUND", f"no office is attached to a broker {broker!r}", field="broker")
    return Site(
        id=broker,
        directory=Path(directory).absolute(),
        listen=listen,
        port=port or (own.port if own is not None else TLS_PORT),
        tls=own.tls if own is not None else True,
        offices=offices,
    )


def _files(site: "Site", engine: str) -> dict[str, str]:
    if engine == "nats":
        from relay.brokers import nats

        return {"nats.conf": nats.configuration(site)}
    from relay.brokers import mosquitto

    found = {"mosquitto.conf": mosquitto.configuration(site)}
    if site.tls:
        found["acl.conf"] = mosquitto.access_list(site)
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
