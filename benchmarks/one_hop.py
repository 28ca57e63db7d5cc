"""The real thing: two offices, each with its daemon, over mosquitto with TLS; 2 KiB of Chinese text, suite 1, FULL.

The rate runs from the start of `relay send --jsonl` to the sender's last verified delivered receipt; the CPU time is
that of both daemons, the broker and `relay send`. Latency is seen by a client of the API, from the answer `accepted` to
the event `delivered`, one message at a time, 20 a second.
"""

import contextlib
import http.client
import json
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import (
    Result,
    cpu_seconds,
    free_port,
    listens,
    mosquitto_path,
    read_line,
    running,
    sample_text,
    wait_until,
)

SENDER, RECIPIENT = "320924-GO", "320000-GO"
RELAY = str(Path(sys.executable).parent / "relay")
PLAN = """
network = "bench"
[[brokers]]
id = "province"
engine = "mosquitto"
port = {port}
tls = true
[[offices]]
address = "320000-GO"
name = "江苏省人民政府办公厅"
class = "province"
brokers = ["province"]
[[offices]]
address = "320924-GO"
name = "射阳县人民政府办公室"
class = "county"
parent = "320000-GO"
standing = "direct"
brokers = ["province"]
"""


class LocalConnection(http.client.HTTPConnection):
    """HTTP over HOME/run/api.sock."""

    def __init__(self, home: Path) -> None:
        super().__init__("relay")
        self.path = home / "run" / "api.sock"

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))

    def call(self, method: str, path: str, body: bytes | None = None) -> Any:
        """One request; the JSON of its answer. Raises `RuntimeError` unless it is a success."""
        self.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = self.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:300]!r}")
        return json.loads(data)


@dataclass(frozen=True, slots=True)
class Network:
    """What runs: homes, and the pids of broker and daemons."""

    folder: Path
    broker_pid: int
    pids: dict[str, int]

    def home(self, address: str) -> Path:
        """The home of an office."""
        return self.folder / "offices" / address

    @property
    def all_pids(self) -> list[int]:
        """The broker, the daemons, and the processes the daemons started."""
        return [self.broker_pid, *self.pids.values(), *(child for pid in self.pids.values() for child in children(pid))]


def children(pid: int) -> list[int]:
    """Child processes that run now."""
    names = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for name in names for child in name.read_text(encoding="ascii").split()]


@contextlib.contextmanager
def network(folder: Path, daemon_of: Callable[[str], list[str]] = lambda _: [RELAY]) -> Iterator[Network]:
    """`relay lab create`, the broker, two daemons that see each other; `daemon_of` an address is what it runs."""
    port = free_port()
    plan = folder / "plan.toml"
    plan.write_text(PLAN.format(port=port), encoding="utf-8")
    lab = folder / "lab"
    subprocess.run([RELAY, "lab", "create", str(plan), str(lab)], check=True, stdout=subprocess.DEVNULL)
    mosquitto_path()
    argv = json.loads((lab / "brokers" / "province" / "argv.json").read_text(encoding="utf-8"))
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(running(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_until(lambda: listens(port), "the broker listens")
        pids = {}
        for address in (RECIPIENT, SENDER):
            command = [*daemon_of(address), "--home", str(lab / "offices" / address), "run"]
            log = stack.enter_context((folder / f"{address}.log").open("w", encoding="utf-8"))
            daemon = stack.enter_context(running(command, stdout=subprocess.PIPE, stderr=log))
            while read_line(daemon).strip() != "READY":
                continue
            pids[address] = daemon.pid
        made = Network(lab, broker.pid, pids)
        for address in pids:
            wait_until(partial(linked, made.home(address)), f"{address} is linked")
        yield made


def linked(home: Path) -> bool:
    """Whether every link of the office is up."""
    links = status(home)["links"]
    return bool(links) and all(link["state"] in {"up", "connected"} for link in links)


def status(home: Path) -> dict[str, Any]:
    """The status object of the office."""
    answer: dict[str, Any] = LocalConnection(home).call("GET", "/v1/status")
    return answer


def draft(number: int, title: str) -> dict[str, str]:
    """One report as a line of `send --jsonl`."""
    return {"to": RECIPIENT, "title": f"{title}{number}", "body": sample_text(number)}


def send_lines(running_network: Network, folder: Path, messages: int) -> tuple[float, float]:
    """(seconds, CPU seconds) from the start of `relay send --jsonl` to the last delivered receipt."""
    lines = folder / "messages.jsonl"
    with lines.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(draft(number, "汛情快报"), ensure_ascii=False) + "\n" for number in range(messages))
    home = running_network.home(SENDER)
    wanted = status(home)["counters"]["delivered"] + messages
    pids = running_network.all_pids
    before_s, children_before = cpu_seconds(pids), resource.getrusage(resource.RUSAGE_CHILDREN)
    started_s = time.perf_counter()
    command = [RELAY, "--home", str(home), "send", "--jsonl", str(lines), "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wait_until(lambda: status(home)["counters"]["delivered"] >= wanted, "all is delivered", timeout_s=120, step_s=0.05)
    took_s = time.perf_counter() - started_s
    children_after = resource.getrusage(resource.RUSAGE_CHILDREN)
    sender_s = (children_after.ru_utime + children_after.ru_stime) - (
        children_before.ru_utime + children_before.ru_stime
    )
    return took_s, cpu_seconds(pids) - before_s + sender_s


def delivered_events(connection: LocalConnection, seen: dict[str, float], stop: threading.Event) -> None:
    """Note when the event `delivered` of each message arrives."""
    connection.request("GET", "/v1/events")
    answer = connection.getresponse()
    with contextlib.suppress(OSError, ValueError):
        while not stop.is_set() and (line := answer.readline()):
            if line.startswith(b"data:"):
                event = json.loads(line[5:])
                if event.get("type") == "delivered":
                    seen.setdefault(event["id"], time.perf_counter())


def single_latencies_ms(
    home: Path, singles: int, *, every_s: float = 0.05, fields: Mapping[str, str] | None = None
) -> tuple[float, ...]:
    """From the answer `accepted` to the event `delivered`, for messages with these fields sent one at a time."""
    seen: dict[str, float] = {}
    accepted: dict[str, float] = {}
    stop = threading.Event()
    events = LocalConnection(home)
    listener = threading.Thread(target=delivered_events, args=(events, seen, stop), daemon=True)
    listener.start()
    time.sleep(0.5)
    api = LocalConnection(home)
    due_s = time.perf_counter()
    for number in range(singles):
        time.sleep(max(0.0, due_s - time.perf_counter()))
        body = {**draft(number, "单件"), "id": str(uuid.uuid4()), **(fields or {})}
        name = api.call("POST", "/v1/messages", json.dumps(body).encode())["id"]
        accepted[name] = time.perf_counter()
        due_s += every_s
    wait_until(lambda: accepted.keys() <= seen.keys(), "single messages are delivered")
    stop.set()
    with contextlib.suppress(OSError):
        events.sock.shutdown(socket.SHUT_RDWR)
    listener.join(5)
    return tuple(max(0.0, (seen[name] - at) * 1000) for name, at in accepted.items())


def send_process_ms(home: Path, times: int = 5) -> float:
    """The median time of `relay send` as a process, in milliseconds."""
    command = [RELAY, "--home", str(home), "send", "--to", RECIPIENT, "--title", "计时", "--body", "-", "--json"]
    took = []
    for number in range(times):
        started_s = time.perf_counter()
        subprocess.run(command, input=sample_text(number).encode(), check=True, stdout=subprocess.DEVNULL)
        took.append((time.perf_counter() - started_s) * 1000)
    return statistics.median(took)


def run(messages: int = 2000, singles: int = 200) -> Result:
    """Everything the budget names, in one run."""
    with tempfile.TemporaryDirectory(prefix="yizhan-bench-") as name, network(Path(name)) as made:
        home = made.home(SENDER)
        send_lines(made, Path(name), 50)
        took_s, used_s = send_lines(made, Path(name), messages)
        latencies_ms = single_latencies_ms(home, singles)
        notes = {
            "send_process_ms": round(send_process_ms(home), 1),
            "rss_mib_sender": round(status(home)["rss_bytes"] / 2**20, 1),
            "rss_mib_recipient": round(status(made.home(RECIPIENT))["rss_bytes"] / 2**20, 1),
        }
    return Result("yizhan, one hop", messages, took_s, used_s, latencies_ms, notes)


def main(arguments: Sequence[str] = sys.argv[1:]) -> None:
    """`python -m benchmarks.one_hop [MESSAGES [SINGLES]]`."""
    print(json.dumps(run(*(int(value) for value in arguments)).as_json()))


if __name__ == "__main__":
    main()
