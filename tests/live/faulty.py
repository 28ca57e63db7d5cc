"""Faults from outside for running processes: failing system calls, small file systems, limits, a bent clock.

All of it needs root and tools of Debian, which `scripts/test` installs. Without root these tests are skipped, but never
in continuous integration.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.live.network import until


def tool(name: str) -> str:
    """The path of a tool; its absence is a failure, since `scripts/test` installs it."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert found, f"{name} is missing: run the tests by scripts/test"
    return found


@dataclass(slots=True)
class Trace:
    """What strace saw: each system call, and whether a fault was put in."""

    path: Path

    def calls(self) -> list[tuple[str, bool]]:
        lines = self.path.read_text(errors="replace").splitlines()
        found = [(re.match(r"\d+ +(\w+)\(", line), "(INJECTED)" in line) for line in lines]
        return [(match[1], injected) for match, injected in found if match]


@contextmanager
def failing_calls(pid: int, calls: str, inject: str, log: Path, files: Sequence[Path]) -> Iterator[Trace]:
    """Let some system calls of a process on some files fail: `fdatasync:error=EIO:when=3`; the others are seen."""
    what = ["-e", f"trace={calls}", "-e", f"inject={inject}"]
    for file in files:
        what += ["-P", str(file)]
    argv = [tool("strace"), "-f", "-qq", "-p", str(pid), "-o", str(log), *what]
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as tracer:
        try:
            until(lambda: _is_traced(pid) or tracer.poll() is not None, 10, 0.01)
            assert tracer.poll() is None, tracer.stderr.read() if tracer.stderr else ""
            yield Trace(log)
        finally:
            tracer.terminate()
            tracer.wait(10)


def _is_traced(pid: int) -> bool:
    statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return bool(statuses) and all("TracerPid:\t0\n" not in text for text in statuses)


@contextmanager
def small_disk(place: Path, size_bytes: int) -> Iterator[None]:
    """A file system of this size over what is in a folder now, which is copied into it."""
    kept = place.with_name(place.name + "-kept")
    shutil.copytree(place, kept) if place.exists() else kept.mkdir()
    place.mkdir(mode=0o700, exist_ok=True)
    options = f"size={size_bytes},mode=0700"
    subprocess.run([tool("mount"), "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        shutil.copytree(kept, place, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run([tool("umount"), "-l", str(place)], check=True)


def fill(place: Path, leave_bytes: int) -> Path:
    """A file that takes up a disk but for some bytes."""
    file = place / "filler"
    free_bytes = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    with file.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, max(free_bytes - leave_bytes, 4096))
    return file


def open_files(pid: int) -> int:
    """How many descriptors a process has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
