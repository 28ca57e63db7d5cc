"""Where torture happens: a lean network of three offices in a chain, its daemons forked by a nursery.

    320924-GO ── yancheng ── 320900-GO ── province ── 320000-GO

Brokers without TLS and short retries, since only the relays are on trial. Everything is asked and judged from outside,
over the API; nothing here looks into a store.
"""

import json
import os
import select
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from relay.console.client import Daemon
from relay.console.failure import Failure
from tests.live.network import CITY, COUNTY, PROVINCE, ROOT, BrokerPlan, Network, OfficePlan, plan_text, until

OFFICES = (COUNTY, CITY, PROVINCE)
BROKERS = (BrokerPlan("province", tls=False), BrokerPlan("yancheng", tls=False))
SETTINGS = """
[settings.links]
retry_min_s = 0.05
retry_max_s = 0.2
keepalive_s = 5
[settings.inbox]
redeliver_s = 300
[settings.receipts]
grace_s = 20
settle_s = 2
[settings.store]
ballast_bytes = 1_048_576
"""
READY_S = 30
"""How long a start may take on a machine that does much else."""


def chain(connect: str = "") -> str:
    """The plan: province - city - county. `connect` adds lines to the province, whose links may lead over a proxy."""
    offices = (
        OfficePlan(COUNTY, "county", ("yancheng",), CITY, "liaison"),
        OfficePlan(CITY, "city", ("province", "yancheng"), PROVINCE),
        OfficePlan(PROVINCE, "province", ("province",)),
    )
    return plan_text(BROKERS, offices, SETTINGS, extra=connect)


class Nursery:
    """The process that forks daemons; they end with it, and it with us."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.nursery"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def fork(self, home: Path, log: Path, control: str, gate: str) -> int:
        """The process id of a new daemon."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        wanted = {"home": str(home), "log": str(log), "control": control, "gate": gate}
        self._process.stdin.write(json.dumps(wanted).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


class Running:
    """A daemon that is no child of ours, held by a descriptor of its process: its id cannot be taken by another."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def has_ended(self, within_s: float = 0) -> bool:
        """Whether it ended, or does so within a time."""
        readable, _, _ = select.select([self._descriptor], [], [], within_s)
        return bool(readable)

    def freeze(self) -> None:
        """Stop every thread of it, as when a processor loses its power: from now on it says nothing more.

        A thread within a system call may finish the call, and then stops, too.
        """
        with suppress(ProcessLookupError, FileNotFoundError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGSTOP)
            while any(state not in "TtDZX" for state in self._thread_states()):
                pass

    def _thread_states(self) -> list[str]:
        """The letters of proc(5), one for each thread."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        return [(thread / "stat").read_text().rpartition(")")[2].split()[0] for thread in threads]

    def kill(self) -> None:
        """kill -9, and wait for the end. What has ended already is left as it is."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
        assert self.has_ended(10), f"process {self.pid} survived kill -9"
        os.close(self._descriptor)


class Stage:
    """The network on trial."""

    def __init__(self, lab: Network, nursery: Nursery) -> None:
        self.lab = lab
        self._nursery = nursery
        self._running: dict[str, Running] = {}
        self.control = ""
        self.starts = 0

    # Lives.

    def start(self, office: str, *, fresh: bool = False, gate: Path | None = None) -> Running:
        """Start a daemon without waiting for READY; `fresh` starts a new interpreter, as systemd would.

        With a `gate`, a FIFO, the daemon waits before its first step until somebody opens the other end.
        """
        assert office not in self._running
        self.starts += 1
        if fresh:
            process = self.lab.offices[office]
            process.start()
            assert process.child is not None
            found = Running(process.child.pid)
            process.child = None
        else:
            found = Running(self._nursery.fork(self.lab.home(office), self.log(office), self.control, str(gate or "")))
        self._running[office] = found
        return found

    def wait_ready(self, office: str) -> None:
        """Wait until the API answers; a daemon that ended instead shows its log."""
        running = self._running[office]
        until(lambda: self.answers(office) or running.has_ended(), READY_S, 0.01)
        assert not running.has_ended(), f"{office} ended by itself:\n{self.lab.log(office)[-3000:]}"

    def answers(self, office: str) -> bool:
        """Whether the API answers."""
        try:
            with self.api(office) as api:
                api.read("/livez")
        except Failure:
            return False
        return True

    def wait_connected(self, office: str) -> None:
        until(lambda: all(link["state"] == "connected" for link in self.lab.status(office)["links"]), READY_S, 0.02)

    def kill(self, office: str) -> None:
        """kill -9."""
        self._running.pop(office).kill()

    def running(self, office: str) -> Running:
        return self._running[office]

    def up(self) -> None:
        """Everything runs and is connected."""
        for office in OFFICES:
            if office not in self._running:
                self.start(office)
        for office in OFFICES:
            self.wait_ready(office)
        for office in OFFICES:
            self.wait_connected(office)

    def close(self) -> None:
        """End every daemon."""
        for office in list(self._running):
            self.kill(office)

    # Asking.

    def log(self, office: str) -> Path:
        return self.lab.folder / f"{office}.log"

    def broker_port(self, name: str) -> int:
        """Where a broker of the plan listens."""
        plan = tomllib.loads((self.lab.folder / "plan.toml").read_text())
        return next(int(broker["port"]) for broker in plan["brokers"] if broker["id"] == name)

    @contextmanager
    def api(self, office: str) -> Iterator[Daemon]:
        """A connection of its own to an office's API."""
        with self.lab.daemon(office) as daemon:
            yield daemon

    def sent(self, office: str, limit: int = 100_000) -> dict[str, dict[str, Any]]:
        """What an office sent, by id."""
        with self.api(office) as api:
            return {each["id"]: each for each in api.read("/v1/messages", box="sent", limit=limit).many()}

    def queue(self, office: str) -> list[dict[str, Any]]:
        with self.api(office) as api:
            return list(api.read("/v1/queue").many())


@contextmanager
def stage(folder: Path, plan: str | None = None) -> Iterator[Stage]:
    """A lab with running brokers and a nursery; no daemon runs yet. All of it ends with the block."""
    lab = Network(folder)
    nursery: Nursery | None = None
    try:
        lab.create(chain() if plan is None else plan)
        for name in lab.brokers:
            lab.start_broker(name)
        nursery = Nursery(dict(os.environ) | {"PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"})
        found = Stage(lab, nursery)
        try:
            yield found
        finally:
            found.close()
    finally:
        lab.down()
        if nursery is not None:
            nursery.close()
