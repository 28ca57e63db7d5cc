"""strace on a running daemon: to count its system calls, or to kill it as it enters the Nth call of a kind.

The call at which it is killed is not carried out, so that a kill at each call is a kill between any two calls.
"""

import os
import re
import select
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ATTACH_S = 20
_CALL = re.compile(r"(\d+) +(\w+)\(")
_NEVER = frozenset({"exit", "exit_group", "restart_syscall", "rt_sigreturn"})
"""Calls that are no point between two others, or that strace cannot tamper with."""


class Tracer:
    """One strace, until the daemon dies or `detach`."""

    def __init__(self, *options: str, threads: Sequence[int]) -> None:
        targets = [word for thread in threads for word in ("-p", str(thread))]
        self._process = subprocess.Popen(
            ["strace", *options, *targets], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self._wait_attached(len(threads))

    def _wait_attached(self, wanted: int) -> None:
        """strace says of each target that it is attached to it."""
        assert self._process.stderr is not None
        said = b""
        while said.count(b"attached") < wanted:
            readable, _, _ = select.select([self._process.stderr], [], [], ATTACH_S)
            piece = os.read(self._process.stderr.fileno(), 4096) if readable else b""
            if not piece:
                self.detach()
                raise AssertionError(f"strace did not attach: {said!r}")
            said += piece

    def detach(self) -> None:
        """Let go of the daemon, if it still lives."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        assert self._process.stderr is not None
        self._process.stderr.close()


def threads_of(pid: int) -> tuple[list[int], list[int]]:
    """(the main thread, all the others)."""
    found = sorted(int(path.name) for path in Path(f"/proc/{pid}/task").iterdir())
    return [pid], [thread for thread in found if thread != pid]


def counter(pid: int, file: Path) -> Tracer:
    """Write every call of every thread to a file."""
    return Tracer("-f", "-o", str(file), threads=[pid])


def count(file: Path, pid: int) -> Counter[tuple[str, str]]:
    """How often each (kind of thread, call) was entered; of several other threads the busiest counts."""
    found: Counter[tuple[int, str]] = Counter()
    for line in file.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if match and match[2] not in _NEVER:
            found[int(match[1]), match[2]] += 1
    most: Counter[tuple[str, str]] = Counter()
    for (thread, call), times in found.items():
        key = ("main" if thread == pid else "other", call)
        most[key] = max(most[key], times)
    return most


def killer(threads: Sequence[int], call: str, number: int, *, follow: bool) -> Tracer:
    """kill -9 as one of these threads enters its Nth call of a kind; `follow` takes threads in that start later."""
    inject = f"inject={call}:signal=KILL:when={number}"
    options = ("-f",) if follow else ()
    return Tracer(*options, "-e", f"trace={call}", "-e", inject, "-o", "/dev/null", threads=threads)
