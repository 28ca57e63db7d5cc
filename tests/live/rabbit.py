"""RabbitMQ of Debian (3.10, or 4.0) in a temporary folder, where it is installed; the configuration is for RabbitMQ 4.

It takes ten seconds to start and Erlang to install, so continuous integration does without; `apt-get install
rabbitmq-server` brings it, and the tests that can use it find it.
"""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from relay.brokers import rabbitmq
from relay.brokers.site import Site, write_argv

SCRIPTS = next(iter(sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"))), None)
NEWER = ("mqtt.max_session_expiry_interval_seconds", "mqtt.max_packet_size_authenticated")
"""Settings that Debian's RabbitMQ 3.10 does not know; 4 does."""
IS_OLD = SCRIPTS is not None and "-3." in SCRIPTS.parent.name

needs_rabbitmq = pytest.mark.skipif(
    SCRIPTS is None and not (os.environ.get("CI") and os.geteuid() == 0), reason="RabbitMQ is not installed"
)


def write(site: Site, folder: Path, mapper_port: int, node_port: int) -> None:
    """The files of the folder, and the command that starts this very broker beside any other."""
    assert SCRIPTS is not None, "RabbitMQ is missing: run the tests by scripts/test"
    for name, text in rabbitmq.files(site).items():
        lines = [line for line in text.splitlines(keepends=True) if not (IS_OLD and line.startswith(NEWER))]
        (folder / name).write_text("".join(lines))
    environment = {
        "HOME": folder,
        "RABBITMQ_NODENAME": f"yizhan-{site.port}@localhost",
        "ERL_EPMD_PORT": mapper_port,
        # The port mapper outlives the node, and may then be ended although it has not noticed that the node is gone.
        "ERL_EPMD_RELAXED_COMMAND_CHECK": "true",
        "RABBITMQ_DIST_PORT": node_port,
        "RABBITMQ_CONFIG_FILE": folder / "rabbitmq.conf",
        "RABBITMQ_CONF_ENV_FILE": folder / "rabbitmq-env.conf",
        "RABBITMQ_ENABLED_PLUGINS_FILE": folder / "enabled_plugins",
        "RABBITMQ_MNESIA_BASE": folder / "mnesia",
        "RABBITMQ_LOG_BASE": folder / "logs",
        "RABBITMQ_GENERATED_CONFIG_DIR": folder / "generated",
        "RABBITMQ_LOGS": "-",
    }
    words = [f"{name}={value}" for name, value in environment.items()]
    write_argv(folder, ["/usr/bin/env", *words, str(SCRIPTS / "rabbitmq-server")])
    (folder / "epmd").write_text(str(mapper_port))


def start(folder: Path) -> "subprocess.Popen[bytes]":
    """Start the broker of a folder; its clients wait for it by themselves."""
    argv = json.loads((folder / "argv.json").read_text())
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(argv, cwd="/", stdout=log, stderr=log, start_new_session=True)


def end(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """End the node with all that it started: its own process group, and the port mapper that it left behind."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    said = subprocess.run(
        ["epmd", "-port", (folder / "epmd").read_text(), "-kill"], capture_output=True, text=True, check=False
    )
    assert said.stdout == "Killed\n" or "Cannot connect to local epmd" in said.stdout, said
