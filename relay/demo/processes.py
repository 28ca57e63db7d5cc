"""Child processes that end with us: by their own handles, and by the kernel should we be killed ourselves."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG: Final = 1
TERM_S: Final = 5.0
"""What a daemon has to drain (CONTRACT section 1)."""
LOG_TAIL_BYTES: Final = 4_000


def own_environment() -> dict[str, str]:
    """Our environment, with the very import path that we run from, so that a child finds the same program anywhere."""
    found = {name: value for name, value in os.environ.items() if name not in {"RELAY_HOME", "NOTIFY_SOCKET"}}
    found["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return found


def relay_command(*words: str) -> list[str]:
    """The command line of this very program in this very interpreter."""
    return [sys.executable, "-P", "-m", "relay", *words]


class Child:
    """One process in a group of its own, so that Ctrl-C at the terminal reaches us alone and we end it in order."""

    def __init__(self, name: str, argv: Sequence[str], logs: Path) -> None:
        self.name = name
        self._log = logs / f"{name}.log"
        self._output = logs / f"{name}.out"
        with self._log.open("ab") as log, self._output.open("wb") as output:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                env=own_environment(),
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - we have one thread
            )
        self.pid = self._process.pid

    def running(self) -> bool:
        """Whether it still lives."""
        return self._process.poll() is None

    def said(self, word: str) -> bool:
        """Whether it has printed a line with just this word."""
        return word in self._output.read_text("utf-8", "replace").splitlines()

    def last_words(self) -> str:
        """The last line that it logged."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - LOG_TAIL_BYTES))
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def kill(self) -> None:
        """End it with SIGKILL, and wait."""
        self._process.kill()
        self._process.wait()

    def ask_to_end(self) -> None:
        """SIGTERM; see `ended`."""
        if self.running():
            self._process.send_signal(signal.SIGTERM)

    def ended(self, until_s: float) -> int | None:
        """The exit status, or None when it had to be killed at `until_s` (monotonic)."""
        try:
            return self._process.wait(max(0.0, until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            return None


@contextmanager
def postponed(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Signals that come meanwhile are heard at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _die_with_parent() -> None:
    """Between fork and exec: hear all signals again; and the kernel shall kill us when our parent is gone."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
