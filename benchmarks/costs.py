"""`python -m benchmarks.costs [--messages N] [--functions N] [--folder DIR]`: where the time of one hop goes.

First CPU time and changes of context of every thread, as they are. Then once more under cProfile: which functions, and
how many statements of the store. Profiled times tell functions apart, not how long they take.
"""

import argparse
import json
import os
import pstats
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.measure import cpu_seconds
from benchmarks.one_hop import RECIPIENT, SENDER, Network, network, send_lines
from benchmarks.profiled import BEGIN

WARM_UP: Final = 200
"""Messages that are sent before anything is counted."""
HERE: Final = Path(__file__).parents[1]

Function = tuple[str, int, str]
"""File, line and name, as `pstats` says them."""


@dataclass(frozen=True, slots=True)
class Thread:
    """What a thread has used so far: CPU seconds, and how often it gave the CPU away and lost it."""

    cpu_s: float
    waits: int
    losses: int


def threads_of(pid: int) -> dict[int, Thread]:
    """The threads of a process by their ids; the first one is the event loop (proc(5))."""
    found = {}
    for task in sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda task: int(task.name)):
        status = dict(line.split(":", 1) for line in (task / "status").read_text(encoding="utf-8").splitlines())
        waits, losses = (int(status[f"{word}_ctxt_switches"]) for word in ("voluntary", "nonvoluntary"))
        ran_ns = int((task / "schedstat").read_text(encoding="ascii").split()[0])
        found[int(task.name)] = Thread(ran_ns / 1e9, waits, losses)
    return found


def measure_threads(messages: int) -> Table:
    """Every thread of both daemons while messages go from one to the other."""
    table = Table(title=f"Threads, for 1,000 messages (of {messages})")
    for column in ("office", "thread", "CPU s", "waits", "losses"):
        table.add_column(column, justify="left" if column in ("office", "thread") else "right")
    with tempfile.TemporaryDirectory(prefix="yizhan-costs-") as name, network(Path(name)) as made:
        send_lines(made, Path(name), WARM_UP)
        before = {address: threads_of(pid) for address, pid in made.pids.items()}
        broker_s = cpu_seconds([made.broker_pid])
        _, used_s = send_lines(made, Path(name), messages)
        for address, pid in made.pids.items():
            for at, (number, after) in enumerate(threads_of(pid).items()):
                first = before[address].get(number, Thread(0, 0, 0))
                spent = (after.cpu_s - first.cpu_s, after.waits - first.waits, after.losses - first.losses)
                figures = [f"{value * 1000 / messages:.3g}" for value in spent]
                table.add_row(address, "event loop" if at == 0 else str(at), *figures)
        broker_s = cpu_seconds([made.broker_pid]) - broker_s
    table.add_row("broker", "", f"{broker_s * 1000 / messages:.3g}")
    table.add_row("all", "with `relay send`", f"{used_s * 1000 / messages:.3g}")
    return table


def profile(messages: int, folder: Path) -> None:
    """Leave what both daemons do for these messages in folders named after them."""

    def profiled(address: str) -> list[str]:
        (folder / address).mkdir(parents=True, exist_ok=True)
        return [sys.executable, "-m", "benchmarks.profiled", str(folder / address)]

    with tempfile.TemporaryDirectory(prefix="yizhan-costs-") as name, network(Path(name), profiled) as made:
        send_lines(made, Path(name), WARM_UP)
        _begin_anew(made)
        send_lines(made, Path(name), messages)


def _begin_anew(made: Network) -> None:
    for pid in made.pids.values():
        os.kill(pid, BEGIN)
    time.sleep(0.5)


def statements(folder: Path, messages: int) -> str:
    """How often the store ran what, for each message."""
    counted = json.loads((folder / "statements.json").read_text(encoding="utf-8"))
    most = sorted(counted.items(), key=lambda one: -one[1])
    return "  ".join(f"{word} {count / messages:.2f}" for word, count in most)


def name_of(function: Function) -> str:
    """`relay/pump.py:94 _send_all`; of libraries the last two parts of the path."""
    file, line, name = function
    path = Path(file)
    place = path.relative_to(HERE) if path.is_relative_to(HERE) else Path(*path.parts[-2:])
    return f"{place}:{line} {name}" if line else name


def functions(folder: Path, messages: int, most: int) -> Table:
    """The functions that a daemon spends most in, by kind of thread; 1 µs for each message at least."""
    table = Table(title=f"{folder.name}, profiled, for each message")
    for column in ("thread", "µs with callees", "µs itself", "calls", "function"):
        table.add_column(column, justify="left" if column in ("thread", "function") else "right")
    files = defaultdict(list)
    for file in sorted(folder.glob("*.pstats")):
        files[file.stem.rstrip("0123456789").rstrip("_")].append(str(file))
    for kind, names in files.items():
        found: dict[Function, tuple[int, int, float, float, object]] = pstats.Stats(*names).stats  # type: ignore[attr-defined]
        ranked = sorted(found.items(), key=lambda one: -one[1][3])[:most]
        for function, (calls, _, itself_s, with_callees_s, _) in ranked:
            if with_callees_s * 1e6 >= messages:
                spent = [f"{value * 1e6 / messages:.1f}" for value in (with_callees_s, itself_s)]
                table.add_row(kind, *spent, f"{calls / messages:.2f}", name_of(function))
        table.add_section()
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--functions", type=int, default=30, help="for each kind of thread")
    parser.add_argument("--folder", type=Path, help="where the profiles stay; default: nowhere")
    options = parser.parse_args(arguments)
    console = Console()
    console.print(measure_threads(options.messages))
    with tempfile.TemporaryDirectory(prefix="yizhan-profiles-") as name:
        folder = options.folder or Path(name)
        profile(options.messages, folder)
        for address in (SENDER, RECIPIENT):
            console.print(functions(folder / address, options.messages, options.functions))
            console.print("statements: " + statements(folder / address, options.messages))


if __name__ == "__main__":
    main()
