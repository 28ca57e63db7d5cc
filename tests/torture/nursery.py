"""A nursery of daemons: one process imports the relay once and forks a daemon whenever it is asked.

Importing takes most of a start's time and writes nothing, so a kill there tells nothing. What is forked runs
`relay --home HOME run` in the very same code; one start in some is made by a new interpreter all the same
(`Stage.start`). Asked by a line of JSON on standard input, answers with the process id.

`control` names a deliberate fault of the store for the positive control of the power cuts: a harness that does not
notice a disk without fsync is blind.
"""

import ctypes
import json
import os
import random
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import relay.daemon
from relay.console.main import main as run_command
from relay.store import database

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Fork until standard input ends; the daemons end with this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    assert callable(relay.daemon.run)
    for line in sys.stdin:
        wanted: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(live(wanted["home"], Path(wanted["log"]), wanted["control"], wanted["gate"]))
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


def live(home: str, log: Path, control: str, gate: str) -> int:
    """The life of one daemon. With a `gate`, a FIFO, it begins when somebody opens the other end."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    random.seed()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, standard in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(ours, standard)
    if gate:
        os.close(os.open(gate, os.O_RDONLY))
    if control == "no_fsync":
        leave_out_fsync()
    return run_command(["--home", home, "run"])


def leave_out_fsync() -> None:
    """The positive control: a store that commits without waiting for the disk, as if `synchronous` were OFF."""
    configure = database._configure

    def forgetful(connection: sqlite3.Connection, quota_bytes: int) -> None:
        configure(connection, quota_bytes)
        connection.execute("PRAGMA synchronous = OFF").fetchall()

    database._configure = forgetful


if __name__ == "__main__":
    main()
