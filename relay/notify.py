"""Words to systemd: READY, STOPPING, STATUS and WATCHDOG over NOTIFY_SOCKET (sd_notify(3)).

Our own lines instead of a library: the ones on the index are unmaintained or bring a journal reader of 2 MB.
"""

import os
import socket
from collections.abc import Mapping


def notify(*assignments: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send lines such as `READY=1`; whether a service manager was there to take them.

    A daemon must not stop because its service manager does not listen, so a socket error answers False.
    """
    path = environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    # A leading @ stands for the zero byte of Linux's abstract sockets.
    target = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        try:
            sender.sendto("\n".join(assignments).encode(), target)
        except OSError:
            return False
    return True


def ready(status: str) -> bool:
    """Store, keys and API are up; `status` is the line `systemctl status` shows."""
    return notify("READY=1", f"STATUS={status}")


def stopping() -> bool:
    """The daemon drains."""
    return notify("STOPPING=1", "STATUS=draining")


def alive(status: str) -> bool:
    """The daemon still turns; call it every `watchdog_interval_s`."""
    return notify("WATCHDOG=1", f"STATUS={status}")


def watchdog_interval_s(environ: Mapping[str, str] = os.environ, *, pid: int | None = None) -> float | None:
    """Half the time systemd waits for a sign of life, in seconds; None when it does not wait for this process."""
    if environ.get("WATCHDOG_PID", str(pid or os.getpid())) != str(pid or os.getpid()):
        return None
    limit_us = environ.get("WATCHDOG_USEC", "")
    return int(limit_us) / 2_000_000 if limit_us.isdecimal() and int(limit_us) > 0 else None
