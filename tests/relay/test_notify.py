"""sd_notify, against sockets of both kinds that systemd uses."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay import notify


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A listening service manager and the name it gives in NOTIFY_SOCKET."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@yizhan-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if name.startswith("@") else name)
        listener.settimeout(5)
        yield name, listener


def test_every_word_reaches_the_manager(manager: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    name, listener = manager
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    assert notify.ready("就绪")
    assert listener.recv(4096).decode() == "READY=1\nSTATUS=就绪"
    assert notify.alive("3 queued")
    assert listener.recv(4096) == b"WATCHDOG=1\nSTATUS=3 queued"
    assert notify.stopping()
    assert listener.recv(4096) == b"STOPPING=1\nSTATUS=draining"


@pytest.mark.parametrize("name", ["", "relative", "/nowhere/notify", "@yizhan-nobody-listens"])
def test_a_missing_manager_is_no_error(name: str) -> None:
    assert notify.notify("READY=1", environ={"NOTIFY_SOCKET": name}) is False


def test_without_a_manager_nothing_is_sent() -> None:
    assert notify.notify("READY=1", environ={}) is False


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "41"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "42"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_interval_is_half_of_what_systemd_waits(environ: dict[str, str], interval_s: float | None) -> None:
    assert notify.watchdog_interval_s(environ, pid=41) == interval_s
