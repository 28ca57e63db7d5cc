"""The folder of a broker that stays: made once, and brought up to date whenever the directory changed.

Only what differs is written, so that whoever runs the broker sees what a new directory means for it, and how the
running broker takes it without dropping anybody. `offices.txt` remembers for whom the folder was made.
"""

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keys.files.private_files import make_private_directory, replace
from protocol.errors import Refused
from relay.brokers import mosquitto, nats, rabbitmq
from relay.brokers.site import PID_FILE, Site

OFFICES_FILE: Final = "offices.txt"
TLS_FILES: Final = ("ca.pem", "broker.pem", "broker.key")

FILES: Final[Mapping[str, Callable[[Site], dict[str, str]]]] = {
    "mosquitto": mosquitto.files,
    "nats": nats.files,
    "rabbitmq": rabbitmq.files,
}
"""The files of each engine, by name."""

RESTART: Final = frozenset({"ca.pem", "mosquitto.conf", "rabbitmq.conf", "rabbitmq-env.conf", "enabled_plugins"})
"""What a running broker does not read again. NATS reads its one file again, but for ports and authorities."""


@dataclass(frozen=True, slots=True)
class Update:
    """What bringing a folder up to date changed.

    `changed` are file names, `joined` and `left` addresses, `missing` TLS files that somebody must still put there.
    `commands` make a running broker take it; `restart` says that they start it anew.
    """

    made: bool
    changed: tuple[str, ...]
    joined: tuple[str, ...]
    left: tuple[str, ...]
    missing: tuple[str, ...]
    restart: bool
    commands: tuple[str, ...]


def update(folder: Path, site: Site, engine: str, tls: Mapping[str, bytes]) -> Update:
    """Bring the folder to what the site says; `tls` are files to put beside the configuration, by name.

    A new file belongs to whoever owns the folder, since the broker runs as that user. Raises `OSError`; `Refused`
    BAD_FIELD for a folder of another engine.
    """
    texts = FILES[engine](site)
    made = not (folder / OFFICES_FILE).exists()
    if any((folder / name).exists() for other in FILES if other != engine for name in _own_files(other)):
        raise Refused("BAD_FIELD", f"{folder} holds the configuration of another engine", field="engine")
    before = set(_read(folder / OFFICES_FILE).decode().split())
    wanted = {name: text.encode() for name, text in texts.items()} | dict(tls)
    wanted[OFFICES_FILE] = "".join(f"{office}\n" for office in site.offices).encode()
    make_private_directory(folder)
    if engine != "rabbitmq":
        make_private_directory(folder / "store")
        _give_to_owner(folder / "store")
    changed = tuple(name for name, data in wanted.items() if _read(folder / name) != data)
    # The list of offices comes last: after an interruption the next run tells the same changes again.
    for name in changed:
        put(folder / name, wanted[name])
    left = tuple(sorted(before - set(site.offices)))
    restart = not made and not RESTART.isdisjoint(changed)
    return Update(
        made=made,
        changed=tuple(sorted(set(changed) - {OFFICES_FILE})),
        joined=tuple(office for office in site.offices if office not in before),
        left=left,
        missing=tuple(name for name in TLS_FILES if site.tls and not (folder / name).exists()),
        restart=restart,
        commands=_commands(site, engine, made=made, changed=bool(changed), restart=restart, left=left),
    )


def _commands(
    site: Site, engine: str, *, made: bool, changed: bool, restart: bool, left: tuple[str, ...]
) -> tuple[str, ...]:
    """What to run where the broker is; nothing when nothing changed."""
    if not changed:
        return ()
    stop, start, again = _RUN[engine]
    if made:
        acts = [start]
    else:
        acts = [stop, start] if restart else [again]
        # RabbitMQ forgets nobody by itself: an import adds and changes only.
        acts += [act.format(office=office) for office in left for act in _DEPARTURE.get(engine, ())]
    return tuple(act.replace("DIR", shlex.quote(str(site.directory))) for act in acts)


_RUN: Final[Mapping[str, tuple[str, str, str]]] = {
    "mosquitto": (f"kill $(cat DIR/{PID_FILE})", "mosquitto -c DIR/mosquitto.conf", f"kill -HUP $(cat DIR/{PID_FILE})"),
    "nats": (f"kill $(cat DIR/{PID_FILE})", "nats-server -c DIR/nats.conf", f"kill -HUP $(cat DIR/{PID_FILE})"),
    "rabbitmq": (
        "rabbitmqctl stop",
        (
            "RABBITMQ_CONFIG_FILE=DIR/rabbitmq.conf RABBITMQ_CONF_ENV_FILE=DIR/rabbitmq-env.conf "
            "RABBITMQ_ENABLED_PLUGINS_FILE=DIR/enabled_plugins rabbitmq-server"
        ),
        "rabbitmqctl import_definitions DIR/definitions.json",
    ),
}
"""How an engine is stopped and started, and how it reads its files again while it runs."""

_DEPARTURE: Final[Mapping[str, tuple[str, ...]]] = {
    "rabbitmq": ("rabbitmqctl delete_user {office}", "rabbitmqctl close_all_user_connections {office} left"),
}


def _own_files(engine: str) -> tuple[str, ...]:
    return {"mosquitto": ("mosquitto.conf",), "nats": ("nats.conf",), "rabbitmq": ("rabbitmq.conf",)}[engine]


def _read(path: Path) -> bytes:
    """The bytes of a file, none when there is no file."""
    return path.read_bytes() if path.exists() else b""


def put(path: Path, data: bytes) -> None:
    """Write a file of a broker's folder in one step; it belongs to the folder's owner, as whom the broker runs."""
    replace(path, data)
    _give_to_owner(path)


def _give_to_owner(path: Path) -> None:
    """Give something to the owner of its folder, which only root can and needs to."""
    owner = path.parent.stat()
    if os.geteuid() == 0 and (owner.st_uid, owner.st_gid) != (0, 0):
        os.chown(path, owner.st_uid, owner.st_gid)
