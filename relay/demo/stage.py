"""The network of the demo in one directory: made, started, stopped, and taken away whatever happens."""

import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from keys.files.private_files import make_private_directory
from protocol.errors import Refused
from relay.console.choices import Choices
from relay.console.client import Daemon
from relay.console.failure import Failure
from relay.console.keys.passphrases import LAB_PASSPHRASE
from relay.console.signing import Signing
from relay.demo.cast import CITY_BROKER, OFFICES, PROVINCE_BROKER, Ports, plan_text
from relay.demo.processes import TERM_S, Child, own_environment, postponed, relay_command
from relay.lab.create import LabReport, create_lab

T = TypeVar("T")

PATIENCE_S: Final = 20.0
"""How long any single thing may take; the whole story takes less on any machine that a relay runs on."""
POLL_S: Final = 0.01
COMMAND_S: Final = 30.0
HOST: Final = "127.0.0.1"
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What may end the story early."""


class Stage:
    """Brokers and daemons of the demo. Everything is under `directory`: lab, logs, and what the story saves."""

    def __init__(self, directory: Path, lang: str, suite: int | None) -> None:
        self.directory = directory
        self._lang = lang
        self._children: dict[str, Child] = {}
        self._clients: dict[str, Daemon] = {}
        self.logs = directory / "logs"
        make_private_directory(self.logs)
        plan = directory / "plan.toml"
        ports = _free_ports()
        self.ports = {PROVINCE_BROKER: ports.province, CITY_BROKER: ports.city}
        plan.write_text(plan_text(ports, suite), encoding="utf-8")
        self.lab: LabReport = create_lab(plan, directory / "lab")

    def home(self, office: str) -> Path:
        """The home of an office."""
        return Path(self.lab.homes[office])

    def signing(self, office: str) -> Signing:
        """What persons of an office sign with on its machine; their keys are sealed under the lab's passphrase."""
        choices = Choices(lang=self._lang, home_given=str(self.home(office)))
        return Signing(choices, self.office(office), str(Path(self.lab.root_home) / LAB_PASSPHRASE))

    def key_file(self, office: str, person: str) -> str:
        """The sealed key of a person."""
        return str(Path(self.lab.directory) / "persons" / f"{office}-{person}.key")

    def broker_directory(self, broker: str) -> Path:
        """The folder of a broker."""
        return Path(self.lab.directory) / "brokers" / broker

    def start_broker(self, broker: str) -> Child:
        """Start a broker, by the command that the lab wrote down, and wait until it listens."""
        argv = json.loads((self.broker_directory(broker) / "argv.json").read_text("utf-8"))
        child = self._start(broker, argv)
        port = self.ports[broker]
        self.until(lambda: _listens(port), f"the broker {broker} listens")
        return child

    def start(self) -> None:
        """Both brokers, four daemons, READY from each, and every connection up."""
        for broker in (PROVINCE_BROKER, CITY_BROKER):
            self.start_broker(broker)
        for office in OFFICES:
            self._start(office, relay_command("--home", str(self.home(office)), "run"))
        for office in OFFICES:
            self.until(partial(self._children[office].said, "READY"), f"{office} is READY")
            self._clients[office] = Daemon(self.home(office), self._lang)
        for office in OFFICES:
            self.until(partial(self.connected, office), f"{office} is connected")

    def _start(self, name: str, argv: Sequence[str]) -> Child:
        """A child that `close` knows of: no interruption comes between its birth and its name on the list."""
        with postponed(SIGNALS):
            child = self._children[name] = Child(name, argv, self.logs)
        return child

    def office(self, address: str) -> Daemon:
        """The API of an office's daemon."""
        return self._clients[address]

    def status(self, office: str) -> dict[str, Any]:
        """What `relay status` shows."""
        return self.office(office).read("/v1/status").one()

    def connected(self, office: str) -> bool:
        """Whether all connections of an office to its brokers are up."""
        return all(link["state"] == "connected" for link in self.status(office)["links"])

    def kill_broker(self, broker: str) -> int:
        """End a broker with SIGKILL; the process id that is gone."""
        child = self._children.pop(broker)
        child.kill()
        return child.pid

    def until(self, question: Callable[[], T], what: str, patience_s: float = PATIENCE_S) -> T:
        """The first true answer. Raises `Failure` CHECK_FAILED when time runs out or a child has ended."""
        until_s = time.monotonic() + patience_s
        while not (found := question()):
            for child in self._children.values():
                if not child.running():
                    raise Failure("CHECK_FAILED", f"{child.name} has ended: {child.last_words()}")
            if time.monotonic() > until_s:
                raise Failure("CHECK_FAILED", f"not within {patience_s:g} s: {what}")
            time.sleep(POLL_S)
        return found

    def stop_offices(self) -> dict[str, int | None]:
        """SIGTERM to every daemon; the exit status of each, None where it had to be killed."""
        for office in OFFICES:
            self._children[office].ask_to_end()
        until_s = time.monotonic() + TERM_S
        return {office: self._children.pop(office).ended(until_s) for office in OFFICES}

    def stop_brokers(self) -> None:
        """End both brokers."""
        self._end_children()

    def command(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Run a `relay` command with --json in a process of its own; its exit status and its object."""
        done = subprocess.run(
            [*relay_command(*words), "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=own_environment(),
            timeout=COMMAND_S,
            check=False,
        )
        lines = done.stdout.splitlines()
        return done.returncode, json.loads(lines[-1]) if lines else {}

    def close(self) -> None:
        """End whatever still runs."""
        for client in self._clients.values():
            client.close()
        self._end_children()

    def _end_children(self) -> None:
        """Daemons first: they say goodbye to their brokers."""
        for group in ([*OFFICES], [PROVINCE_BROKER, CITY_BROKER]):
            children = [child for name in group if (child := self._children.get(name)) is not None]
            for child in children:
                child.ask_to_end()
            until_s = time.monotonic() + TERM_S
            for child in children:
                child.ended(until_s)
                del self._children[child.name]


@contextmanager
def open_stage(keep: Path | None, lang: str, suite: int | None) -> Iterator[Stage]:
    """A stage in a temporary directory, or in `keep`, which stays.

    Whatever ends the story, also Ctrl-C, SIGTERM and SIGHUP, nothing of it runs on afterwards, and the temporary
    directory is gone. Raises `Refused` FILE_EXISTS for a `keep` that holds something, BROKER_MISSING.
    """
    # What is ignored already, as SIGHUP under nohup, stays ignored.
    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _leave) for number in heard}
    directory = stage = None
    try:
        directory = Path(tempfile.mkdtemp(prefix="relay-demo-")) if keep is None else _empty_directory(keep)
        stage = Stage(directory, lang, suite)
        yield stage
    finally:
        # A second Ctrl-C must not interrupt the clean-up.
        for number in heard:
            signal.signal(number, signal.SIG_IGN)
        try:
            if stage is not None:
                stage.close()
            if keep is None and directory is not None:
                shutil.rmtree(directory, ignore_errors=True)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _leave(number: int, _frame: object) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _empty_directory(path: Path) -> Path:
    """The directory, made where it is missing."""
    target = path.absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Refused("FILE_EXISTS", f"{target} exists and is not empty", field="keep")
    try:
        make_private_directory(target)
    except OSError as error:
        raise Refused("CANNOT_WRITE", f"{target}: {error.strerror}", field="keep") from None
    return target


def _free_ports() -> Ports:
    """Two ports of 127.0.0.1 that nobody uses now."""
    with socket.create_server((HOST, 0)) as one, socket.create_server((HOST, 0)) as two:
        return Ports(one.getsockname()[1], two.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError:
        return False
    return True
