"""Configuration of Eclipse mosquitto 2.0 (mosquitto.conf(5)), for one broker of the network."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

from keys.files.private_files import make_private_directory, write_new
from protocol.errors import Refused
from relay.brokers.grants import grants_of
from relay.brokers.site import (
    PACKET_EXTRA_BYTES,
    PAYLOAD_BYTES_MAX,
    PID_FILE,
    QUEUED_MAX,
    SESSION_DAYS,
    Site,
    write_argv,
)

_SYSTEM_FOLDERS: Final = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where distributions put the broker; a plain user's PATH does not have them."""

INFLIGHT_MAX: Final = 20
AUTOSAVE_S: Final = 30


def program() -> str:
    """The absolute path of mosquitto. Raises `Refused` BROKER_MISSING."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path=_SYSTEM_FOLDERS)
    if found is None:
        raise Refused("BROKER_MISSING", "mosquitto is not installed", field="engine")
    return str(Path(found).absolute())


def configuration(site: Site) -> str:
    """The text of `mosquitto.conf`, which never counts on the broker's memory (D1): snapshots merely spare resends."""
    lines = [
        f"# Broker {site.id}: made by relay; offices and their grants are in acl.conf.",
        *((f"user {site.user}",) if site.user else ()),
        "per_listener_settings false",
        f"listener {site.port} {site.listen}",
        "protocol mqtt",
        "set_tcp_nodelay true",
        f"max_inflight_messages {INFLIGHT_MAX}",
        f"max_queued_messages {QUEUED_MAX}",
        f"max_packet_size {PAYLOAD_BYTES_MAX + PACKET_EXTRA_BYTES}",
        f"persistent_client_expiration {SESSION_DAYS}d",
        "persistence true",
        f"persistence_location {site.file('store')}/",
        f"autosave_interval {AUTOSAVE_S}",
        f"pid_file {site.file(PID_FILE)}",
        "sys_interval 0",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "connection_messages false",
    ]
    if site.tls:
        lines += [
            f"cafile {site.file('ca.pem')}",
            f"certfile {site.file('broker.pem')}",
            f"keyfile {site.file('broker.key')}",
            *((f"crlfile {site.file('crl.pem')}",) if site.revocations else ()),
            "tls_version tlsv1.2",
            "require_certificate true",
            "use_identity_as_username true",
            "allow_anonymous false",
            f"acl_file {site.file('acl.conf')}",
        ]
    else:
        lines.append("allow_anonymous true")
    return "\n".join(lines) + "\n"


def access_list(site: Site) -> str:
    """The text of `acl.conf`: offices by common name. What is not granted is denied, also to unknown names."""
    lines: list[str] = []
    for office in site.offices:
        grants = grants_of(office)
        lines.append(f"user {office}")
        lines += [f"topic write {text}" for text in grants.publish]
        lines += [f"topic read {text}" for text in grants.read]
        lines.append("")
    return "\n".join(lines) or "# No office is attached.\n"


def files(site: Site) -> dict[str, str]:
    """Every file of the configuration, by name."""
    return {"mosquitto.conf": configuration(site), **({"acl.conf": access_list(site)} if site.tls else {})}


def write(site: Site, folder: Path) -> list[str]:
    """Write configuration and `argv.json` into `folder`, which will be `site.directory`; the command.

    Raises `Refused` BROKER_MISSING, FILE_EXISTS.
    """
    command = [program(), "-c", site.file("mosquitto.conf")]
    make_private_directory(folder / "store")
    # When root starts the broker of a lab, it would else change to a user who cannot read these files.
    for name, text in files(replace(site, user="root")).items():
        write_new(folder / name, text.encode())
    write_argv(folder, command)
    return command
