"""kill -9 of any daemon or broker during traffic loses nothing and makes nothing new twice (G1, G2)."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from relay.console.failure import Failure
from tests.live.network import (
    CITY,
    COUNTY,
    PROVINCE,
    Network,
    network,
    new_id,
    plan_text,
    province_city_counties,
    until,
)

pytestmark = pytest.mark.live

MESSAGES = 2_000
CHUNK = 100
KILLS = 15
BETWEEN_KILLS_S = 0.9
BODY = "水位上涨,已组织巡查。" * 40


class Sender(threading.Thread):
    """Sends the lines chunk by chunk; a chunk whose outcome is unknown is sent again with the same ids."""

    def __init__(self, lab: Network, drafts: list[dict[str, Any]]) -> None:
        super().__init__(daemon=True)
        self._lab = lab
        self._drafts = drafts
        self.accepted: Counter[str] = Counter()
        self.exits: Counter[int] = Counter()

    def run(self) -> None:
        for start in range(0, len(self._drafts), CHUNK):
            lines = "\n".join(json.dumps(draft) for draft in self._drafts[start : start + CHUNK]).encode()
            while True:
                said = self._lab.relay(COUNTY, "send", "--jsonl", "-", stdin=lines)
                self.exits[said.exit] += 1
                answers = [json.loads(line) for line in said.out.splitlines()]
                first = [a["id"] for a in answers if a.get("state") == "accepted" and "repeated" not in a]
                self.accepted.update(first)
                if said.exit == 0:
                    break
                assert said.exit in (69, 74, 75), said
                time.sleep(0.2)
            time.sleep(0.3)


class Reader(threading.Thread):
    """Takes and acknowledges like a program that is called again whenever something broke."""

    def __init__(self, lab: Network) -> None:
        super().__init__(daemon=True)
        self._lab = lab
        self.new: Counter[str] = Counter()
        self.seen: dict[str, str] = {}
        self.failures: Counter[str] = Counter()
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.wait(0.1):
            try:
                with self._lab.daemon(PROVINCE) as daemon:
                    taken = list(daemon.change("/v1/inbox/take", {"max": 200}).many())
                    for message in taken:
                        self.seen[message["id"]] = message["body"]
                        if "redelivered" not in message["flags"]:
                            self.new[message["id"]] += 1
                    if taken:
                        daemon.change("/v1/inbox/ack", {"ids": [each["id"] for each in taken]})
            except Failure as failure:
                self.failures[failure.code] += 1


def storm(lab: Network) -> Iterator[str]:
    """Kill one part after the other and start it again; the brokers also forget everything."""
    victims = cycle(("province", CITY, COUNTY, "yancheng", PROVINCE))
    while True:
        victim = next(victims)
        if victim in lab.brokers:
            lab.kill_broker(victim)
            lab.wipe_broker(victim)
            lab.start_broker(victim)
        else:
            lab.kill(victim)
            lab.start(victim)
        yield victim


@pytest.mark.timeout(150)
def test_g01_g02_killing_any_part_during_traffic_loses_and_repeats_nothing(tmp_path: Path) -> None:
    brokers, offices = province_city_counties()
    drafts = [{"id": new_id(), "to": PROVINCE, "title": f"报告{n}", "body": f"{n}{BODY}"} for n in range(MESSAGES)]
    with network(tmp_path, plan_text(brokers, offices)) as lab:
        lab.up()
        sender, reader = Sender(lab, drafts), Reader(lab)
        sender.start()
        reader.start()
        killed: Counter[str] = Counter()
        for victim in storm(lab):
            killed[victim] += 1
            if killed.total() >= KILLS:
                break
            time.sleep(BETWEEN_KILLS_S)
        sender.join(60)
        assert not sender.is_alive()
        until(lambda: lab.counters(COUNTY)["delivered"] >= MESSAGES, 60, 0.5)
        until(lambda: len(reader.seen) >= MESSAGES, 20)
        time.sleep(1)
        reader.enough.set()
        reader.join(10)
        print(killed, sender.exits, reader.failures)
        assert set(reader.failures) <= {"DAEMON_DOWN", "OUTCOME_UNKNOWN"}

        wanted = {draft["id"]: draft["body"] for draft in drafts}
        assert reader.seen == wanted
        assert max(reader.new.values()) == 1
        assert max(sender.accepted.values()) == 1
        sent = lab.relay(COUNTY, "sent", "list", "--limit", "10000").many()
        assert {each["id"] for each in sent} == set(wanted)
        for message in sent:
            (recipient,) = message["recipients"]
            assert recipient["final"] is True
            assert recipient["state"] in ("delivered", "opened")
            assert [e["type"] for e in recipient["events"]].count("delivered") == 1
        for office in (COUNTY, CITY, PROVINCE):
            until(lambda office=office: lab.relay(office, "queue", "list").many() == [], 20)  # type: ignore[misc]
            assert lab.relay(office, "fsck").one()["ok"] is True
        counters = lab.counters(COUNTY)
        assert (counters["accepted"], counters["delivered"]) == (MESSAGES, MESSAGES)
        assert lab.counters(PROVINCE)["received"] == MESSAGES


def test_g02_every_message_is_handed_out_as_new_exactly_once_to_many_takers(tmp_path: Path) -> None:
    brokers, offices = province_city_counties()
    with network(tmp_path, plan_text(brokers, offices)) as lab:
        lab.up()
        lines = "\n".join(json.dumps({"to": CITY, "title": f"报告{n}"}) for n in range(500)).encode()
        wanted = {answer["id"] for answer in lab.relay(COUNTY, "send", "--jsonl", "-", stdin=lines).many()}
        handed: Counter[str] = Counter()
        lock = threading.Lock()
        done = threading.Event()

        def take() -> None:
            while not done.is_set():
                taken = lab.take(CITY, 7)
                with lock:
                    handed.update(each["id"] for each in taken)

        takers = [threading.Thread(target=take, daemon=True) for _ in range(4)]
        for taker in takers:
            taker.start()
        until(lambda: len(handed) >= 500, 30)
        done.set()
        for taker in takers:
            taker.join(10)
        assert handed == Counter(dict.fromkeys(wanted, 1))
        # A restart forgets who has them: they come again, and never again as new.
        lab.kill(CITY)
        lab.start(CITY)
        again = lab.take(CITY, 1_000)
        assert {each["id"] for each in again} == wanted
        assert all("redelivered" in each["flags"] for each in again)
