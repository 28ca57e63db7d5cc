"""A whole network for one test: a lab with real brokers and real daemons, each a child process ended by its own id."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relay.console.client import Daemon
from tests.live.running import free_port

ROOT = Path(__file__).resolve().parents[2]
PROVINCE, CITY, COUNTY, OTHER = "320000-GO", "320900-GO", "320924-GO", "320923-GO"

QUICK = """
[settings.links]
retry_min_s = 0.1
retry_max_s = 0.5
keepalive_s = 5
[settings.inbox]
redeliver_s = 300
"""
"""Settings that make tests short; `patience_s` stays as it is."""


@dataclass(frozen=True, slots=True)
class BrokerPlan:
    """A broker of the lab; its port is chosen when the plan is written."""

    id: str
    engine: str = "mosquitto"
    tls: bool = True


@dataclass(frozen=True, slots=True)
class OfficePlan:
    """An office of the lab."""

    address: str
    class_: str
    brokers: tuple[str, ...]
    parent: str | None = None
    standing: str | None = None


def province_city_counties(engine: str = "mosquitto") -> tuple[tuple[BrokerPlan, ...], tuple[OfficePlan, ...]]:
    """The usual network: province - city - two counties, the city on both brokers."""
    return (
        (BrokerPlan("province", engine), BrokerPlan("yancheng", engine)),
        (
            OfficePlan(PROVINCE, "province", ("province",)),
            OfficePlan(CITY, "city", ("province", "yancheng"), PROVINCE),
            OfficePlan(COUNTY, "county", ("yancheng",), CITY, "liaison"),
            OfficePlan(OTHER, "county", ("yancheng",), CITY, "screened"),
        ),
    )


def plan_text(
    brokers: Iterable[BrokerPlan], offices: Iterable[OfficePlan], settings: str = QUICK, extra: str = ""
) -> str:
    """The plan file. `extra` may hold persons, groups and rules."""
    lines = ['network = "lab"']
    for broker in brokers:
        lines += ["[[brokers]]", f'id = "{broker.id}"', f'engine = "{broker.engine}"', f"port = {free_port()}"]
        lines.append(f"tls = {str(broker.tls).lower()}")
    for office in offices:
        lines += ["[[offices]]", f'address = "{office.address}"', f'class = "{office.class_}"']
        lines.append(f"brokers = {json.dumps(list(office.brokers))}")
        if office.parent:
            lines.append(f'parent = "{office.parent}"')
        if office.standing:
            lines.append(f'standing = "{office.standing}"')
    return "\n".join(lines) + "\n" + extra + "\n" + settings


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    exit: int
    out: str
    err: str

    def one(self) -> dict[str, Any]:
        """The one JSON object that it printed."""
        assert self.exit == 0, self
        found: dict[str, Any] = json.loads(self.out)
        assert found["v"] == 1
        return found

    def many(self) -> list[dict[str, Any]]:
        """The JSON objects, one a line."""
        assert self.exit == 0, self
        return [json.loads(line) for line in self.out.splitlines()]

    def error(self) -> dict[str, Any]:
        """The error object on the last line of standard error."""
        found: dict[str, Any] = json.loads(self.err.splitlines()[-1])
        assert found["type"] == "error"
        assert found["exit"] == self.exit
        return found


@dataclass(slots=True)
class Process:
    """A child process with its output in a file."""

    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    child: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        assert self.child is None
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(self.argv, cwd="/", env=dict(self.environment), stdout=log, stderr=log)

    def end(self, number: int, within_s: float = 10) -> int:
        """Send a signal and wait for the end; the exit status."""
        assert self.child is not None
        self.child.send_signal(number)
        try:
            return self.child.wait(within_s)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(10)
            raise
        finally:
            self.child = None

    def pause(self) -> None:
        assert self.child is not None
        self.child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.child is not None
        self.child.send_signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.poll() is None


@dataclass(slots=True)
class Network:
    """A lab and what runs of it. Commands go to `python -m relay`; quick looks go straight to the API."""

    folder: Path
    brokers: dict[str, Process] = field(default_factory=dict)
    offices: dict[str, Process] = field(default_factory=dict)
    root_fingerprint: str = ""
    _environment: dict[str, str] = field(default_factory=dict)
    _ready_lines: dict[str, int] = field(default_factory=dict)

    def create(self, plan: str) -> None:
        """`relay lab create`, as a user would."""
        given = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
        self._environment = given | {"PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
        (self.folder / "plan.toml").write_text(plan)
        made = self.command("lab", "create", str(self.folder / "plan.toml"), str(self.lab), "--json").one()
        self.root_fingerprint = made["root_fingerprint"]
        for folder in sorted((self.lab / "brokers").iterdir()):
            argv = json.loads((folder / "argv.json").read_text())
            self.brokers[folder.name] = Process(argv, self.folder / f"{folder.name}.log", self._environment)
        for home in sorted((self.lab / "offices").iterdir()):
            self.adopt(home.name)

    def adopt(self, office: str) -> None:
        """One of our daemons from now on; its home is among those of the lab."""
        argv = [sys.executable, "-m", "relay", "--home", str(self.home(office)), "run"]
        self.offices[office] = Process(argv, self.folder / f"{office}.log", self._environment)

    @property
    def lab(self) -> Path:
        return self.folder / "lab"

    def home(self, office: str) -> Path:
        return self.lab / "offices" / office

    # Starting and ending.

    def up(self, *, but: Iterable[str] = ()) -> None:
        """Start every broker, then every daemon except some; wait for READY and for the connections."""
        for name in self.brokers:
            self.start_broker(name)
        wanted = [office for office in self.offices if office not in but]
        for office in wanted:
            self.start(office, wait=False)
        for office in wanted:
            self.wait_ready(office)
        for office in wanted:
            self.wait_connected(office)

    def start_broker(self, name: str) -> None:
        self.brokers[name].start()

    def kill_broker(self, name: str) -> None:
        """kill -9."""
        self.brokers[name].end(signal.SIGKILL)

    def wipe_broker(self, name: str) -> None:
        """Lose all that a stopped broker remembered."""
        wipe(self.lab / "brokers" / name / "store")

    def start(self, office: str, *, wait: bool = True) -> None:
        process = self.offices[office]
        self._ready_lines[office] = self.log(office).count("READY\n")
        process.start()
        if wait:
            self.wait_ready(office)

    def wait_ready(self, office: str, within_s: float = 20) -> None:
        process, before = self.offices[office], self._ready_lines[office]
        try:
            until(lambda: self.log(office).count("READY\n") > before or not process.running, within_s)
        finally:
            if not process.running or self.log(office).count("READY\n") == before:
                print(self.log(office)[-4000:])
        assert process.running, self.log(office)[-4000:]

    def wait_connected(self, office: str, within_s: float = 20) -> None:
        until(lambda: all(link["state"] == "connected" for link in self.status(office)["links"]), within_s)

    def stop(self, office: str, within_s: float = 5) -> int:
        """SIGTERM; the exit status, within the 5 s of CONTRACT section 1."""
        return self.offices[office].end(signal.SIGTERM, within_s)

    def kill(self, office: str) -> None:
        """kill -9."""
        self.offices[office].end(signal.SIGKILL)

    def log(self, name: str) -> str:
        file = self.folder / f"{name}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def down(self) -> None:
        """End whatever still runs, by the ids of our own children."""
        for process in (*self.offices.values(), *self.brokers.values()):
            if process.child is not None:
                process.child.kill()
                process.child.wait(10)
                process.child = None

    # Talking to daemons.

    def command(self, *arguments: str, home: str | None = None, stdin: bytes = b"", within_s: float = 60) -> Said:
        """Run the command line."""
        where = () if home is None else ("--home", str(self.home(home)))
        argv = [sys.executable, "-m", "relay", *where, *arguments]
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            cwd=self.folder,
            env=self._environment,
            timeout=within_s,
            check=False,
        )
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    def relay(self, office: str, *arguments: str, stdin: bytes = b"", within_s: float = 60) -> Said:
        """Run the command line for one office, with JSON output."""
        return self.command(*arguments, "--json", home=office, stdin=stdin, within_s=within_s)

    def send(self, office: str, to: str, title: str, body: str = "", **more: Any) -> str:
        """Send one message over the API; its id."""
        draft = {"id": more.pop("id", None) or new_id(), "to": to, "title": title, "body": body, **more}
        with self.daemon(office) as daemon:
            answer = daemon.change("/v1/messages", draft, key=draft["id"]).one()
        assert answer["state"] == "accepted"
        return str(answer["id"])

    def track(self, office: str, message: str) -> dict[str, Any]:
        with self.daemon(office) as daemon:
            return daemon.read(f"/v1/messages/{message}/timeline").one()

    def state(self, office: str, message: str) -> str:
        """The state of a message with one recipient."""
        (recipient,) = self.track(office, message)["recipients"]
        return str(recipient["state"])

    def wait_state(self, office: str, message: str, state: str, within_s: float = 20) -> None:
        try:
            until(lambda: self.state(office, message) == state, within_s)
        except AssertionError:
            raise AssertionError(f"{message} is not {state}: {self.track(office, message)}") from None

    def wait_delivered(self, office: str, message: str, within_s: float = 20) -> None:
        self.wait_state(office, message, "delivered", within_s)

    def events(self, office: str, message: str) -> list[tuple[str, str]]:
        """(type, by) of a message with one recipient, in order."""
        (recipient,) = self.track(office, message)["recipients"]
        return [(event["type"], event["by"]) for event in recipient["events"]]

    def status(self, office: str) -> dict[str, Any]:
        with self.daemon(office) as daemon:
            return daemon.read("/v1/status").one()

    def counters(self, office: str) -> dict[str, int]:
        found: dict[str, int] = self.status(office)["counters"]
        return found

    def inbox(self, office: str, limit: int = 100_000) -> list[dict[str, Any]]:
        with self.daemon(office) as daemon:
            return list(daemon.read("/v1/messages", box="inbox", limit=limit).many())

    def take(self, office: str, most: int = 1_000) -> list[dict[str, Any]]:
        with self.daemon(office) as daemon:
            return list(daemon.change("/v1/inbox/take", {"max": most}).many())

    @contextmanager
    def daemon(self, office: str) -> Iterator[Daemon]:
        """A connection to an office's API."""
        client = Daemon(self.home(office), "en")
        try:
            yield client
        finally:
            client.close()


@contextmanager
def network(folder: Path, plan: str) -> Iterator[Network]:
    """A lab that is created, not yet started, and ended whatever happens."""
    found = Network(folder)
    try:
        found.create(plan)
        yield found
    finally:
        found.down()


def new_id() -> str:
    """A fresh UUIDv4 text."""
    return str(uuid.uuid4())


def until(condition: Callable[[], bool], within_s: float = 20, every_s: float = 0.05) -> None:
    """Wait until something holds; the assertion names the place that waits."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {within_s:g} s"
        time.sleep(every_s)


def wipe(folder: Path) -> None:
    """Remove what is in a folder, at any depth, but not the folder."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def find_canaries(folders: Iterable[Path], canaries: Iterable[str]) -> list[str]:
    """Where any of these texts stands in any file, as UTF-8 or UTF-16, plain or in hexadecimal."""
    patterns = [text.encode(code) for text in canaries for code in ("utf-8", "utf-16-le", "utf-16-be")]
    patterns += [pattern.hex().encode() for pattern in patterns]
    wanted = re.compile(b"|".join(map(re.escape, patterns)))
    return [
        str(path)
        for folder in folders
        for path in ([folder] if folder.is_file() else sorted(folder.rglob("*")))
        if path.is_file() and wanted.search(path.read_bytes())
    ]
