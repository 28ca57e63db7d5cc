"""A daemon that stood still, a wall clock that was set: nothing is new after its expiry, nothing expires early (G9)."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.live.network import (
    CITY,
    COUNTY,
    OTHER,
    PROVINCE,
    QUICK,
    Network,
    network,
    plan_text,
    province_city_counties,
    until,
)

pytestmark = pytest.mark.live

LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
)
SETTINGS = QUICK.replace("keepalive_s = 5", "keepalive_s = 1")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Network]:
    brokers, offices = province_city_counties()
    # Certificates have times of their own, and those of a lab begin now.
    brokers = tuple(replace(broker, tls=False) for broker in brokers)
    with network(tmp_path, plan_text(brokers, offices, SETTINGS)) as found:
        yield found


def send_short(lab: Network, title: str, expires_in: str) -> str:
    answer = lab.relay(COUNTY, "send", "--to", PROVINCE, "--title", title, "--expires-in", expires_in, stdin=b"").one()
    return str(answer["id"])


@pytest.mark.parametrize("paused", [PROVINCE, CITY])
def test_g09_a_pause_longer_than_keepalive_and_expiry_delivers_nothing_as_new_afterwards(
    lab: Network, paused: str
) -> None:
    lab.up(but=[OTHER])
    before = lab.send(COUNTY, PROVINCE, "之前")
    lab.wait_delivered(COUNTY, before)
    lab.offices[paused].pause()
    short = send_short(lab, "过期", "4s")
    lasting = lab.send(COUNTY, PROVINCE, "不过期")
    time.sleep(6)
    lab.offices[paused].resume()
    lab.wait_delivered(COUNTY, lasting, 40)
    assert {each["id"] for each in lab.take(PROVINCE)} == {before, lasting}
    assert lab.state(COUNTY, short) not in ("delivered", "opened")
    for office in (COUNTY, CITY, PROVINCE):
        assert lab.offices[office].running
        assert "Traceback" not in lab.log(office)


def bend_clock(lab: Network, office: str, file: Path) -> None:
    """From its next start on this office's wall clock is what a file says; its monotonic clock stays true."""
    library = next((path for path in LIBRARIES if Path(path).exists()), None)
    if library is None and not os.environ.get("CI"):
        pytest.skip("libfaketime is not installed")
    assert library, "libfaketime is missing: run the tests by scripts/test"
    lab.offices[office].environment = {
        **lab.offices[office].environment,
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@pytest.mark.parametrize("jump", ["+3d", "-2h"])
def test_g09_a_wall_clock_that_jumps_expires_nothing_and_is_shown(lab: Network, tmp_path: Path, jump: str) -> None:
    """The county is alone, so nobody can confirm the new time; an operator sees it and what waits still goes."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    bend_clock(lab, COUNTY, clock)
    lab.start(COUNTY)
    waiting = [lab.send(COUNTY, PROVINCE, f"报告{number}", expires_in="24h") for number in range(3)]
    clock.write_text(jump)
    until(lambda: "CLOCK_JUMP" in {alarm["code"] for alarm in lab.status(COUNTY)["alarms"]}, 15)
    time.sleep(3)
    assert [lab.state(COUNTY, message) for message in waiting] == ["accepted"] * 3
    assert lab.counters(COUNTY)["expired"] == 0
    for broker in lab.brokers:
        lab.start_broker(broker)
    for office in (CITY, PROVINCE):
        lab.start(office)
    for message in waiting:
        lab.wait_delivered(COUNTY, message, 40)
    assert {each["id"] for each in lab.take(PROVINCE)} == set(waiting)
    assert "Traceback" not in lab.log(COUNTY)
    print(json.dumps(lab.status(COUNTY)["alarms"]))
