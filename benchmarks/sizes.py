"""How large it may grow (issue "Speed and size"): many messages in one store, a restart, and the drain after healing.

One office accepts everything while no broker is there; it is killed and started again; then broker and recipient come
up. Memory is the largest resident set of each process, the restart runs from exec to READY, the drain from the first
link to the last verified delivered receipt, with a flash message every half second for half a minute; CPU seconds tell
it apart from what else the machine does.
`python -m benchmarks.sizes --messages 1000000 --no-drain` takes half an hour.
"""

import argparse
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import (
    cpu_seconds,
    free_port,
    listens,
    mosquitto_path,
    read_line,
    running,
    sample_text,
    wait_until,
)
from benchmarks.one_hop import PLAN, RECIPIENT, RELAY, SENDER, linked, single_latencies_ms, status

FLASHES = 60
FLASH_EVERY_S = 0.5
FLASH = {"urgency": "flash", "kind": "incident_first", "event_level": "I"}

CHUNK = 5_000
"""Messages of one `relay send --jsonl`."""


@dataclass(slots=True)
class Figures:
    """What is measured; sizes in MiB, times in seconds."""

    messages: int
    accepted_per_s: float = 0
    store_mib: float = 0
    rss_queued_mib: float = 0
    restart_s: list[float] = field(default_factory=list)
    restart_cpu_s: list[float] = field(default_factory=list)
    rss_restarted_mib: float = 0
    drained_per_s: float = 0
    drain_cpu_s_per_1000: float = 0
    rss_drain_mib: dict[str, float] = field(default_factory=dict)
    flash_ms: dict[str, float] = field(default_factory=dict)
    """Flash messages while the backlog drains, from accepted to delivered (G5); `ahead_of` were still waiting."""


@contextlib.contextmanager
def daemon(lab: Path, address: str) -> Iterator["subprocess.Popen[str]"]:
    """A daemon that has said READY."""
    command = [RELAY, "--home", str(lab / "offices" / address), "run"]
    with (
        (lab / f"{address}.log").open("a", encoding="utf-8") as log,
        running(command, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        while read_line(process).strip() != "READY":
            continue
        yield process


def rss_mib(pid: int) -> float:
    """Resident memory of a process, the most it ever had."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def queue(lab: Path, messages: int, characters: int) -> float:
    """Send everything; messages accepted a second."""
    home = lab / "offices" / SENDER
    lines = lab / "messages.jsonl"
    started_s = time.perf_counter()
    for first in range(0, messages, CHUNK):
        with lines.open("w", encoding="utf-8") as file:
            for number in range(first, min(first + CHUNK, messages)):
                draft = {"to": RECIPIENT, "title": f"积压{number}", "body": sample_text(number)[:characters]}
                file.write(json.dumps(draft, ensure_ascii=False) + "\n")
        command = [RELAY, "--home", str(home), "send", "--jsonl", str(lines), "--json"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return messages / (time.perf_counter() - started_s)


def drain(lab: Path, figures: Figures, port: int, sender: "subprocess.Popen[str]") -> None:
    """Broker and recipient come up; until everything is delivered."""
    argv = json.loads((lab / "brokers" / "province" / "argv.json").read_text(encoding="utf-8"))
    mosquitto_path()
    with running(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), daemon(lab, RECIPIENT) as recipient:
        wait_until(lambda: listens(port), "the broker listens")
        home = lab / "offices" / SENDER
        wait_until(lambda: linked(home), "the sender is linked", timeout_s=60)
        pids = [sender.pid, recipient.pid]
        started_s, before_s = time.perf_counter(), cpu_seconds(pids)
        # What is left when the last flash message arrives is what all of them overtook.
        took_ms = sorted(single_latencies_ms(home, FLASHES, every_s=FLASH_EVERY_S, fields=FLASH))
        total = figures.messages + FLASHES
        left = total - status(home)["counters"]["delivered"]
        figures.flash_ms = {"p50": round(took_ms[FLASHES // 2], 1), "max": round(took_ms[-1], 1), "ahead_of": left}
        wait_until(
            lambda: status(home)["counters"]["delivered"] >= total,
            "all is delivered", timeout_s=60 + figures.messages / 50, step_s=0.5,
        )  # fmt: skip
        figures.drained_per_s = round(total / (time.perf_counter() - started_s), 1)
        figures.drain_cpu_s_per_1000 = round((cpu_seconds(pids) - before_s) * 1000 / total, 2)
        figures.rss_drain_mib = {"sender": rss_mib(sender.pid), "recipient": rss_mib(recipient.pid)}


def measure(messages: int, characters: int, *, drained: bool, folder: Path) -> Figures:
    """Everything in one run."""
    figures = Figures(messages)
    port = free_port()
    (folder / "plan.toml").write_text(PLAN.format(port=port), encoding="utf-8")
    lab = folder / "lab"
    subprocess.run([RELAY, "lab", "create", str(folder / "plan.toml"), str(lab)], check=True, stdout=subprocess.DEVNULL)
    home = lab / "offices" / SENDER
    with daemon(lab, SENDER) as process:
        figures.accepted_per_s = round(queue(lab, messages, characters), 1)
        figures.store_mib = round(status(home)["store"]["bytes"] / 2**20, 1)
        figures.rss_queued_mib = round(rss_mib(process.pid), 1)
        process.kill()
    for _ in range(3):
        started_s = time.perf_counter()
        with daemon(lab, SENDER) as process:
            figures.restart_s.append(round(time.perf_counter() - started_s, 2))
            figures.restart_cpu_s.append(round(cpu_seconds([process.pid]), 2))
            time.sleep(2)
            figures.rss_restarted_mib = round(rss_mib(process.pid), 1)
            process.kill()
    if drained:
        with daemon(lab, SENDER) as process:
            drain(lab, figures, port, process)
    return figures


def main() -> None:
    """Run and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--characters", type=int, default=200, help="length of each body, at most 680")
    parser.add_argument("--no-drain", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the homes are made; default: a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="yizhan-sizes-", dir=options.folder) as name:
        figures = measure(options.messages, options.characters, drained=not options.no_drain, folder=Path(name))
    print(json.dumps({name: getattr(figures, name) for name in Figures.__slots__}))


if __name__ == "__main__":
    main()
