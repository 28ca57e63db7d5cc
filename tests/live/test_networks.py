"""Links that lose, let one way through only, or are slow, between namespaces of the network (G1, G2, G5, G16).

    county (a namespace of its own) ──veth── the broker, the city (here)

The county's daemon runs in the namespace; its API is a socket in the file system, so it is asked as always.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.live.faulty import tool
from tests.live.network import CITY, COUNTY, ROOT, BrokerPlan, Network, OfficePlan, network, new_id, plan_text, until
from tests.root import needs_root

pytestmark = [pytest.mark.live, needs_root]

SETTINGS = """
[settings.links]
retry_min_s = 0.1
retry_max_s = 1
keepalive_s = 4
publish_timeout_s = 30
[settings.inbox]
redeliver_s = 300
"""
FLASH = {"kind": "incident_first", "event_level": "I", "urgency": "flash"}
SLOW_BITS = 256_000


def run(*argv: str) -> None:
    subprocess.run([tool(argv[0]), *argv[1:]], check=True, capture_output=True)


@dataclass(frozen=True, slots=True)
class Wire:
    """A namespace and the two ends of the wire to it; the names are ours alone."""

    space: str
    here: str
    there: str
    address: str

    def within(self, *argv: str) -> None:
        run("ip", "netns", "exec", self.space, *argv)

    def lose(self, percent: int, hooks: tuple[str, ...]) -> None:
        """Drop so many of a hundred packets, in the given directions as the county sees them."""
        self.heal()
        rules = ["table inet faults {"]
        for hook in hooks:
            rules.append(f"chain {hook} {{ type filter hook {hook} priority 0; policy accept;")
            rules.append("drop\n}" if percent == 100 else f"numgen random mod 100 < {percent} drop\n}}")
        rules.append("}\n")
        argv = [tool("ip"), "netns", "exec", self.space, tool("nft"), "-f", "-"]
        subprocess.run(argv, input="\n".join(rules), text=True, check=True)

    def heal(self) -> None:
        subprocess.run(
            [tool("ip"), "netns", "exec", self.space, tool("nft"), "delete", "table", "inet", "faults"],
            check=False, capture_output=True,
        )  # fmt: skip

    def slow_down(self, bits: int) -> None:
        """Both directions carry so many bits a second, with a queue of 5 s, as modems have."""
        shape = ("root", "tbf", "rate", str(bits), "burst", "4kb", "latency", "5000ms")
        run("tc", "qdisc", "add", "dev", self.here, *shape)
        self.within(tool("tc"), "qdisc", "add", "dev", self.there, *shape)


@contextmanager
def wire() -> Iterator[Wire]:
    """A namespace with a wire to it; both are removed."""
    number = os.getpid() % 10_000
    found = Wire(f"yz-{number}", f"yza{number}", f"yzb{number}", f"10.{200 + number % 50}.{number // 50 % 250}.")
    run("ip", "netns", "add", found.space)
    try:
        run("ip", "link", "add", found.here, "type", "veth", "peer", "name", found.there, "netns", found.space)
        run("ip", "address", "add", f"{found.address}1/30", "dev", found.here)
        run("ip", "link", "set", found.here, "up")
        found.within(tool("ip"), "address", "add", f"{found.address}2/30", "dev", found.there)
        found.within(tool("ip"), "link", "set", found.there, "up")
        found.within(tool("ip"), "link", "set", "lo", "up")
        yield found
    finally:
        run("ip", "netns", "delete", found.space)
        subprocess.run([tool("ip"), "link", "delete", found.here], check=False, capture_output=True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Network, Wire]]:
    """City and county on one broker; the county's packets go over the wire."""
    offices = (OfficePlan(CITY, "city", ("open",)), OfficePlan(COUNTY, "county", ("open",), CITY, "liaison"))
    plan = plan_text((BrokerPlan("open"),), offices, SETTINGS)
    port = next(line for line in plan.splitlines() if line.startswith("port")).split()[-1]
    with wire() as found, network(tmp_path, plan) as lab:
        # The broker listens on loopback; in the namespace its address is carried to it over the wire.
        inside = [tool("ip"), "netns", "exec", found.space]
        lab.offices[COUNTY].argv = [*inside, *lab.offices[COUNTY].argv]
        forward, across = [sys.executable, "-m", "tests.live.forward"], f"{found.address}1"
        with (
            subprocess.Popen([*inside, *forward, "127.0.0.1", port, across, port], cwd=ROOT) as one,
            subprocess.Popen([*forward, across, port, "127.0.0.1", port], cwd=ROOT) as other,
        ):
            try:
                lab.up()
                yield lab, found
            finally:
                lab.down()
                one.terminate()
                other.terminate()


def delivered_after_s(lab: Network, message: str) -> float:
    (recipient,) = lab.track(COUNTY, message)["recipients"]
    at = {event["type"]: datetime.fromisoformat(event["at"]) for event in recipient["events"]}
    return (at["delivered"] - at["accepted"]).total_seconds()


def wait_all(lab: Network, count: int, within_s: float = 60) -> None:
    until(lambda: lab.counters(COUNTY)["delivered"] == count, within_s, 0.2)


def send_many(lab: Network, count: int, characters: int) -> list[str]:
    """Reports whose text no compression makes small."""
    random_ = random.Random(1)
    lines = []
    for number in range(count):
        body = "".join(map(chr, random_.choices(range(0x4E00, 0x9FA0), k=characters)))
        lines.append(json.dumps({"id": new_id(), "to": CITY, "title": f"日常{number}", "body": body}))
    answers = lab.relay(COUNTY, "send", "--jsonl", "-", stdin="\n".join(lines).encode()).many()
    return [answer["id"] for answer in answers]


@pytest.mark.timeout(200)
def test_g01_g02_g16_loss_and_a_one_way_link_lose_and_repeat_nothing(place: tuple[Network, Wire]) -> None:
    lab, link = place
    ids = send_many(lab, 20, 100)
    link.lose(30, ("input", "output"))
    ids += send_many(lab, 40, 100)
    wait_all(lab, len(ids), 90)
    for hooks in (("input",), ("output",)):
        link.lose(100, hooks)
        ids += send_many(lab, 10, 100)
        time.sleep(7)
        assert lab.counters(COUNTY)["delivered"] < len(ids)
        link.heal()
        wait_all(lab, len(ids))
    assert sorted(each["id"] for each in lab.take(CITY)) == sorted(ids)
    assert "Traceback" not in lab.log(COUNTY) + lab.log(CITY)


@pytest.mark.timeout(200)
def test_g05_flash_overtakes_a_routine_backlog_on_a_slow_link(place: tuple[Network, Wire]) -> None:
    lab, link = place
    link.slow_down(SLOW_BITS)
    routine = send_many(lab, 100, 1_500)
    waits = []
    for number in range(5):
        flash = lab.send(COUNTY, CITY, f"特提{number}", "溃坝", **FLASH)
        lab.wait_delivered(COUNTY, flash, 30)
        waits.append(delivered_after_s(lab, flash))
        assert lab.counters(COUNTY)["delivered"] < len(routine)
    print("flash after", waits, "routine delivered meanwhile", lab.counters(COUNTY)["delivered"] - len(waits))
    # 0.2 - 0.7 s here; without the pace of frames up to 6.4 s, for the modem's queue is full of them.
    assert max(waits) <= 3
    wait_all(lab, len(routine) + len(waits), 90)
