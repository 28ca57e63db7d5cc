"""One daemon as a process: start, stop, restart, a second one (CONTRACT section 1)."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.console.failure import Failure
from tests.live.network import (
    CITY,
    COUNTY,
    OTHER,
    PROVINCE,
    Network,
    network,
    new_id,
    plan_text,
    province_city_counties,
    until,
)

pytestmark = pytest.mark.live


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Network]:
    brokers, offices = province_city_counties()
    with network(tmp_path, plan_text(brokers, offices)) as found:
        yield found


def picture(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file below a folder: inode, modification time, content."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_ino,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
        if not path.is_dir()
    }


def test_ready_and_accepting_without_any_broker(lab: Network) -> None:
    started = time.monotonic()
    lab.start(COUNTY)
    assert time.monotonic() - started < 5
    message = lab.send(COUNTY, PROVINCE, "断网中的报告")
    assert lab.state(COUNTY, message) == "accepted"
    status = lab.status(COUNTY)
    assert [link["state"] != "connected" for link in status["links"]] == [True]
    assert status["links"][0]["last_error"]
    assert lab.stop(COUNTY) == 0


def test_a_second_run_exits_73_and_touches_nothing(lab: Network) -> None:
    lab.start(COUNTY)
    lab.send(COUNTY, PROVINCE, "一")
    said = lab.command("run", "--json", home=COUNTY)
    assert (said.exit, said.error()["code"], said.out) == (73, "HOME_IN_USE", "")
    # While the owner stands still, whatever changes was changed by somebody else.
    lab.offices[COUNTY].pause()
    before = picture(lab.home(COUNTY))
    for _ in range(3):
        said = lab.command("run", "--json", home=COUNTY)
        assert (said.exit, said.error()["code"], said.out) == (73, "HOME_IN_USE", "")
    assert picture(lab.home(COUNTY)) == before
    lab.offices[COUNTY].resume()
    lab.send(COUNTY, PROVINCE, "二")
    # A paused daemon answers nobody, and still owns its home.
    lab.offices[COUNTY].pause()
    said = lab.command("run", "--json", home=COUNTY, within_s=30)
    lab.offices[COUNTY].resume()
    assert (said.exit, said.error()["code"]) == (73, "HOME_IN_USE")
    assert len(lab.relay(COUNTY, "sent", "list").many()) == 2


def test_a_stale_socket_says_daemon_down_and_does_not_stop_the_next_start(lab: Network) -> None:
    lab.start(COUNTY)
    first = lab.send(COUNTY, PROVINCE, "一")
    lab.kill(COUNTY)
    assert (lab.home(COUNTY) / "run" / "api.sock").is_socket()
    said = lab.relay(COUNTY, "send", "--to", PROVINCE, "--title", "x", "--id", new_id())
    assert (said.exit, said.error()["code"]) == (69, "DAEMON_DOWN")
    lab.start(COUNTY)
    assert lab.state(COUNTY, first) == "accepted"
    assert lab.stop(COUNTY) == 0
    assert not (lab.home(COUNTY) / "run" / "api.sock").exists()


@contextmanager
def following(lab: Network, office: str) -> Iterator[socket.socket]:
    """A client of the event stream."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.path.relpath(lab.home(office) / "run" / "api.sock"))
        client.sendall(b"GET /v1/events HTTP/1.1\r\nHost: relay\r\nAccept: text/event-stream\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        yield client


def test_sigterm_under_load_drains_and_exits_0_within_5_s(lab: Network) -> None:
    lab.up(but=[OTHER])
    answered: list[str] = []
    lines = [json.dumps({"id": new_id(), "to": PROVINCE, "title": f"报告{n}", "body": "x" * 2000}) for n in range(3000)]

    def load() -> None:
        said = lab.relay(COUNTY, "send", "--jsonl", "-", stdin="\n".join(lines).encode())
        answered.extend(each["id"] for each in map(json.loads, said.out.splitlines()) if each.get("state"))

    with following(lab, COUNTY) as attentive, following(lab, COUNTY):
        reader = threading.Thread(target=lambda: [None for _ in iter(lambda: attentive.recv(65_536), b"")])
        reader.start()
        loader = threading.Thread(target=load)
        loader.start()
        until(lambda: lab.counters(COUNTY)["accepted"] >= 400)
        for office in (CITY, COUNTY, PROVINCE):
            started = time.monotonic()
            assert lab.stop(office, within_s=5) == 0, lab.log(office)[-2000:]
            assert time.monotonic() - started < 5
        loader.join(30)
        reader.join(5)
        assert not reader.is_alive()
    assert "Traceback" not in lab.log(COUNTY) + lab.log(CITY) + lab.log(PROVINCE)
    for office in (CITY, COUNTY, PROVINCE):
        lab.start(office)
    known = {each["id"] for each in lab.relay(COUNTY, "sent", "list", "--limit", "100000").many()}
    assert set(answered) <= known
    until(lambda: lab.counters(COUNTY)["delivered"] == len(known), 40)


def test_g01_what_was_accepted_survives_kill_minus_9_at_once(lab: Network) -> None:
    for number in range(4):
        lab.start(COUNTY)
        accepted: list[str] = []
        killer = threading.Timer(0.15 + 0.1 * number, lambda: lab.offices[COUNTY].child.send_signal(signal.SIGKILL))  # type: ignore[union-attr]
        killer.start()
        try:
            while True:
                accepted.append(lab.send(COUNTY, PROVINCE, f"报告{len(accepted)}"))
        except Failure as failure:
            code = failure.code
        assert code in ("DAEMON_DOWN", "OUTCOME_UNKNOWN")
        lab.kill(COUNTY)
        lab.start(COUNTY)
        known = {each["id"] for each in lab.relay(COUNTY, "sent", "list", "--limit", "100000").many()}
        assert set(accepted) <= known
        assert lab.stop(COUNTY) == 0
    assert lab.relay(COUNTY, "fsck").one()["ok"] is True


def test_a_home_of_another_office_or_version_is_refused(lab: Network) -> None:
    settings = lab.home(COUNTY) / "relay.toml"
    text = settings.read_text()
    cases = [
        (text.replace("home_version = 1", "home_version = 99"), 78, "HOME_VERSION"),
        (text.replace(COUNTY, OTHER), 78, "BAD_KEYS"),
        (text + "\n[link]\n", 78, "BAD_CONFIG"),
        (text[: len(text) // 2] + "\n[", 78, "BAD_CONFIG"),
    ]
    for changed, exit_, code in cases:
        settings.write_text(changed)
        said = lab.command("run", "--json", home=COUNTY)
        assert (said.exit, said.error()["code"]) == (exit_, code), said
    settings.write_text(text + "\n[stores]\nquota = 1\n")
    assert "store" in lab.command("run", home=COUNTY).err
    settings.write_text(text)
    lab.start(COUNTY)
    assert lab.stop(COUNTY) == 0


def test_a_home_with_a_200_character_path_works(tmp_path: Path) -> None:
    folder = tmp_path / ("长" * 30) / ("n" * 60)
    folder.mkdir(parents=True)
    brokers, offices = province_city_counties()
    with network(folder, plan_text(brokers, offices)) as lab:
        assert len(str(lab.home(COUNTY)).encode()) > 200
        lab.up(but=[OTHER])
        message = lab.send(COUNTY, CITY, "长路径")
        lab.wait_delivered(COUNTY, message)
