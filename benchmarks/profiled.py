"""`python -m benchmarks.profiled FOLDER --home DIR run`: the relay with every thread under cProfile, for `costs`.

When it ends, FOLDER holds the statistics of each thread, `NAME.pstats`, and `statements.json`: how often the store ran
each kind of statement. SIGUSR1 begins anew. Times are CPU time of the thread; what calls much looks slower than it is.
"""

import cProfile
import json
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from relay.console.main import main as relay

BEGIN: Final = signal.SIGUSR1


class Profiles:
    """A profile for each thread, and what the store was asked."""

    def __init__(self) -> None:
        self._of: dict[str, cProfile.Profile] = {}
        self._statements: Counter[str] = Counter()

    def begin(self) -> None:
        """Count in this thread from now on."""
        self._of[threading.current_thread().name] = profile = cProfile.Profile(time.thread_time)
        profile.enable()

    def begin_anew(self) -> None:
        """Forget what was counted."""
        self._statements.clear()
        for profile in tuple(self._of.values()):
            profile.clear()

    def watch(self, connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
        """`sqlite3.connect` whose connections count their statements by the first word."""

        def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection = connect(*arguments, **options)
            connection.set_trace_callback(lambda text: self._statements.update([text.split(maxsplit=1)[0]]))
            return connection

        return watched

    def write(self, folder: Path) -> None:
        """One file for each thread, and the statements."""
        for name, profile in self._of.items():
            profile.dump_stats(folder / f"{name.replace('/', '_')}.pstats")
        (folder / "statements.json").write_text(json.dumps(self._statements), encoding="utf-8")


def main(folder: str, *arguments: str) -> int:
    """Run the relay to its end; its exit status."""
    profiles = Profiles()
    sqlite3.connect = profiles.watch(sqlite3.connect)  # type: ignore[assignment]
    signal.signal(BEGIN, lambda *_: profiles.begin_anew())
    threading.setprofile(lambda *_: profiles.begin())
    profiles.begin()
    try:
        return relay(arguments)
    finally:
        profiles.write(Path(folder))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
