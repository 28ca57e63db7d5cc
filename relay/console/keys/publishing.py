"""`keys publish` and `keys pull`: how the signed directory leaves the administrator, and how it comes to a home."""

import os
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from protocol.errors import Refused
from relay.console.choices import Choices
from relay.console.client import ADMIN_SOCKET, Daemon, path_of
from relay.console.commands import command, option
from relay.console.failure import Failure
from relay.console.keys.acting import ceremony
from relay.console.keys.homes import root_home
from relay.console.keys.journal import note_act
from relay.console.keys.passphrases import unlock_of
from relay.console.keys.requests import carried, require_absent
from relay.console.output import emit
from relay.console.phrases import say
from relay.given import read_given


@command("keys publish")
@option("--timestamp", is_flag=True)
@option("--to-file", metavar="FILE")
@option("--office-home", metavar="DIR")
@option("--passphrase-file", metavar="FILE")
def publish(
    choices: Choices, *, timestamp: bool, to_file: str | None, office_home: str | None, passphrase_file: str | None
) -> None:
    """Give the newest directory to the network office's daemon, which publishes it at once, or write it to FILE."""
    from keys.ceremony.carried import encode_carried
    from keys.ceremony.network import read_network, renew_timestamp
    from keys.files.private_files import write_new

    home = root_home(choices)
    target = None if to_file is None else Path(to_file)
    if target is not None:
        require_absent(target, "to_file")
    daemon = None if target is not None else _network_office(choices, home, office_home)
    with ceremony():
        if timestamp:
            unlock = unlock_of(choices, home, passphrase_file)
            network = renew_timestamp(home, time.time_ns() // 1_000, unlock=unlock)
        else:
            network = read_network(home)
    found: dict[str, Any] = {"version": network.directory.version, "root_version": network.generation.root_version}
    if target is not None:
        write_new(target, encode_carried(network.files))
        found["file"] = str(target)
    elif daemon is not None:
        found |= {name: value for name, value in give(daemon, network.files).items() if name != "v"}
    note_act(home, f"publish {'to a file' if target else 'through the network office'}", True, (), found["version"])
    if choices.json:
        emit(found)
    elif target is not None:
        click.echo(say("directory_written", choices.lang, version=found["version"], file=target))
    else:
        brokers = " ".join(found.get("brokers", [])) or "–"
        click.echo(say("directory_published", choices.lang, version=found["version"], brokers=brokers))


@command("keys pull")
@option("--from-file", metavar="FILE")
@option("--office-home", metavar="DIR")
def pull(choices: Choices, *, from_file: str | None, office_home: str | None) -> None:
    """Take a newer directory into this home: from FILE, or for an administrator from the network office."""
    home = choices.existing_home()
    is_root = (home / "network").is_dir()
    if from_file is None and not is_root:
        raise Refused("USAGE", "an office's daemon takes newer directories by itself; a file is given with --from-file")
    files = _read_file(from_file) if from_file is not None else _ask(_network_office(choices, home, office_home))
    now_us = time.time_ns() // 1_000
    found = _adopt(home, files, now_us) if is_root else _into_office(choices, home, files, now_us)
    if choices.json:
        emit(found)
    else:
        key = "directory_taken" if found["changed"] else "directory_known"
        click.echo(say(key, choices.lang, version=found["version"]))


def give(daemon: Daemon, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Let the daemon take and publish these trust files; raises `Failure` BAD_TRUST, DAEMON_DOWN and others."""
    encoded = {name: b64encode(data).decode() for name, data in files.items()}
    return daemon.change(path_of("trust"), {"files": encoded}).one()


def _network_office(choices: Choices, home: Path, given: str | None) -> Daemon:
    """The daemon of the network office. Raises `Refused` BAD_CONFIG when nobody says where it is."""
    from config.load import load

    place = given or load(home).settings.network.office_home
    if not place:
        detail = "[network] office_home of relay.toml is empty and there is no --office-home; or use --to-file"
        raise Refused("BAD_CONFIG", detail, field="office_home")
    # Relative to the file that names it, so that a laboratory can be moved as a whole.
    office = Path(os.path.realpath(place if given else home / place))
    found = Daemon(Choices(choices.lang, home_given=str(office)).existing_home(), choices.lang, ADMIN_SOCKET)
    click.get_current_context().call_on_close(found.close)
    return found


def _ask(daemon: Daemon) -> dict[str, bytes]:
    """The verified trust files of a daemon; whoever takes them verifies them again."""
    said = daemon.read(path_of("trust")).one().get("files")
    try:
        return {str(name): b64decode(data, validate=True) for name, data in dict(said or {}).items()}
    except (TypeError, ValueError):
        raise Failure("INTERNAL", "the relay's answer holds no trust files") from None


def _read_file(name: str) -> dict[str, bytes]:
    from keys.ceremony.carried import CARRIED_BYTES, decode_carried

    data = read_given(Path(name), "from_file", CARRIED_BYTES)
    with carried(name, "BAD_TRUST"):
        return decode_carried(data)


def _adopt(home: Path, files: Mapping[str, bytes], now_us: int) -> dict[str, Any]:
    from keys.ceremony.network import adopt_network, read_network

    with ceremony():
        before = read_network(home)
        network = adopt_network(home, files, now_us)
    return {"version": network.directory.version, "changed": network.files != before.files}


def _into_office(choices: Choices, home: Path, files: Mapping[str, bytes], now_us: int) -> dict[str, Any]:
    """Through the daemon if it runs, since its trust is its own; else into HOME/trust."""
    from keys.trust import TrustStore

    try:
        said = give(Daemon(home, choices.lang, ADMIN_SOCKET), files)
    except Failure as failure:
        if failure.code != "DAEMON_DOWN":
            raise
    else:
        return {"version": said.get("version"), "changed": bool(said.get("changed"))}
    with ceremony():
        store = TrustStore(home)
        store.load(now_us)
        result = store.update(files, now_us)
    if result.code is not None and result.code != "TRUST_ROLLBACK":
        raise Failure("BAD_TRUST", f"{result.code}: {result.detail}")
    return {"version": result.trust.version, "changed": result.changed}
