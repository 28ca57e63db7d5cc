"""Flash first, whatever waits (G5, in its simple form)."""

import json
from datetime import datetime
from pathlib import Path

import pytest

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

BACKLOG = 500
FLASH = {"kind": "incident_first", "event_level": "I", "urgency": "flash"}


def queue_routine(lab: Network, count: int, to: str) -> list[str]:
    lines = [json.dumps({"id": new_id(), "to": to, "title": f"日常{n}", "body": "字" * 700}) for n in range(count)]
    answers = lab.relay(COUNTY, "send", "--jsonl", "-", stdin="\n".join(lines).encode()).many()
    return [answer["id"] for answer in answers]


def delivered_after_s(lab: Network, message: str) -> float:
    """Seconds from accepted to the recipient's signed delivered."""
    (recipient,) = lab.track(COUNTY, message)["recipients"]
    at = {event["type"]: datetime.fromisoformat(event["at"]) for event in recipient["events"]}
    return (at["delivered"] - at["accepted"]).total_seconds()


def test_g05_flash_arrives_first_after_an_outage(tmp_path: Path) -> None:
    brokers, offices = province_city_counties()
    with network(tmp_path, plan_text(brokers, offices)) as lab:
        lab.up(but=[OTHER, CITY])
        lab.kill_broker("yancheng")
        routine = queue_routine(lab, BACKLOG, PROVINCE)
        flash = lab.send(COUNTY, PROVINCE, "特提", "溃坝", **FLASH)
        lab.start_broker("yancheng")
        lab.wait_connected(COUNTY)
        lab.start(CITY)
        until(lambda: len(lab.inbox(PROVINCE)) == BACKLOG + 1, 40)
        order = [each["id"] for each in lab.inbox(PROVINCE)]
        assert set(order) == {flash, *routine}
        # Two connections come up in any order, so a frame or two of routine may have left before flash could.
        assert order.index(flash) < BACKLOG // 4
        lab.wait_delivered(COUNTY, flash)
        print("place of flash:", order.index(flash))


def test_g05_flash_overtakes_routine_under_way(tmp_path: Path) -> None:
    brokers, offices = province_city_counties()
    with network(tmp_path, plan_text(brokers, offices)) as lab:
        lab.up(but=[OTHER])
        routine = queue_routine(lab, 3 * BACKLOG, PROVINCE)
        flash = [lab.send(COUNTY, PROVINCE, f"特提{n}", "溃坝", **FLASH) for n in range(5)]
        for message in flash:
            lab.wait_delivered(COUNTY, message)
        waits = [delivered_after_s(lab, message) for message in flash]
        print("flash after", waits, "behind", 3 * BACKLOG - lab.counters(PROVINCE)["received"])
        assert max(waits) < 3
        until(lambda: lab.counters(COUNTY)["delivered"] == len(routine) + len(flash), 40)
        assert lab.take(PROVINCE, 5)[0]["lane"] == "flash"
