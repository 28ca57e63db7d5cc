"""Ways through the network: two hops, waypoints for the absent, and round a custodian that swallowed (D1, D2)."""

import signal
import time
from pathlib import Path

import pytest

from tests.live.network import (
    CITY,
    COUNTY,
    OTHER,
    PROVINCE,
    QUICK,
    BrokerPlan,
    OfficePlan,
    find_canaries,
    network,
    plan_text,
    province_city_counties,
    until,
)

pytestmark = pytest.mark.live

SECOND_CITY = "320800-GO"
PATIENT = QUICK + "[settings.links.patience_s]\nflash = 2\nurgent = 2\npriority = 2\nroutine = 2\nbulk = 2\n"
CANARIES = ("金丝雀标题甲", "金丝雀正文乙", "canary-file-name", "CANARY-attachment", "金丝雀签收人", "金丝雀退回理由")


def test_g11_a_transit_city_and_its_brokers_hold_no_plaintext(tmp_path: Path) -> None:
    brokers, offices = province_city_counties()
    with network(tmp_path, plan_text(brokers, offices)) as lab:
        lab.up()
        attachment = tmp_path / "canary-file-name.txt"
        attachment.write_text("CANARY-attachment\n" * 300)
        for source, target in ((COUNTY, PROVINCE), (PROVINCE, COUNTY)):
            arguments = ("--title", "金丝雀标题甲", "--body", "-", "--attach", str(attachment), "--wait", "delivered")
            sent = [
                lab.relay(source, "send", "--to", target, *arguments, *more, stdin="金丝雀正文乙".encode()).one()["id"]
                for more in ((), ("--kind", "incident_first", "--event-level", "I", "--urgency", "flash"))
            ]
            lab.relay(target, "sign-for", sent[0], "--by", "金丝雀签收人").one()
            lab.relay(target, "return", sent[1], "--reason", "金丝雀退回理由").one()
            lab.wait_state(source, sent[0], "signed_for")
            lab.wait_state(source, sent[1], "returned")
            for message in sent:
                assert ("custody", CITY) in lab.events(source, message)
        assert lab.counters(CITY)["forwarded"] >= 4
        assert lab.counters(CITY)["received"] == 0
        for broker in lab.brokers.values():
            broker.end(signal.SIGTERM)  # mosquitto writes all that it knows before it ends
        lab.stop(CITY)
        assert find_canaries([attachment], CANARIES) == [str(attachment)]
        places = [lab.home(CITY), lab.lab / "brokers", *sorted(lab.folder.glob("*.log"))]
        assert find_canaries(places, CANARIES) == []
        # At rest the ends hold no plaintext either: rows are encrypted under the storage key.
        for office in (COUNTY, PROVINCE):
            lab.stop(office)
            assert find_canaries([lab.home(office)], CANARIES) == []


def test_a_message_for_the_absent_waits_at_a_waypoint_and_arrives_without_its_sender(tmp_path: Path) -> None:
    brokers, offices = province_city_counties()
    with network(tmp_path, plan_text(brokers, offices)) as lab:
        lab.up()
        assert lab.stop(COUNTY) == 0
        message = lab.send(OTHER, COUNTY, "给不在的人", "请回电")
        until(lambda: ("custody", CITY) in lab.events(OTHER, message))
        assert lab.stop(OTHER) == 0
        lab.kill_broker("yancheng")
        lab.wipe_broker("yancheng")
        lab.start_broker("yancheng")
        lab.start(COUNTY)
        until(lambda: [each["id"] for each in lab.inbox(COUNTY)] == [message])
        lab.start(OTHER)
        lab.wait_delivered(OTHER, message)
        assert [each["id"] for each in lab.inbox(COUNTY)] == [message]


def test_a_message_for_an_absent_office_behind_a_transit_waits_there(tmp_path: Path) -> None:
    brokers, offices = province_city_counties()
    with network(tmp_path, plan_text(brokers, offices)) as lab:
        lab.up(but=[PROVINCE])
        message = lab.send(COUNTY, PROVINCE, "夜间报告", "值班")
        until(lambda: ("custody", CITY) in lab.events(COUNTY, message))
        lab.kill(COUNTY)
        lab.kill(CITY)
        lab.start(CITY)
        lab.start(PROVINCE)
        until(lambda: [each["id"] for each in lab.inbox(PROVINCE)] == [message])
        lab.start(COUNTY)
        lab.wait_delivered(COUNTY, message)


def two_ways() -> str:
    """A county and a province with two cities between them, each on both brokers."""
    both = ("province", "yancheng")
    return plan_text(
        (BrokerPlan("province"), BrokerPlan("yancheng")),
        (
            OfficePlan(PROVINCE, "province", ("province",)),
            OfficePlan(CITY, "city", both, PROVINCE),
            OfficePlan(SECOND_CITY, "city", both, PROVINCE),
            OfficePlan(COUNTY, "county", ("yancheng",), CITY, "liaison"),
        ),
        PATIENT,
    )


def test_g16_the_origin_sends_round_a_custodian_that_swallowed(tmp_path: Path) -> None:
    with network(tmp_path, two_ways()) as lab:
        lab.up(but=[PROVINCE])
        messages = [lab.send(COUNTY, PROVINCE, f"报告{n}", "x" * 500) for n in range(20)]
        until(lambda: all(("custody", CITY) in lab.events(COUNTY, m) for m in messages))
        lab.kill(CITY)
        lab.start(PROVINCE)
        for message in messages:
            lab.wait_delivered(COUNTY, message, 30)
        story = lab.events(COUNTY, messages[0])
        assert ("rerouted", CITY) in story
        assert ("custody", SECOND_CITY) in story
        assert sorted(each["id"] for each in lab.inbox(PROVINCE)) == sorted(messages)
        # The custodian wakes up with what it swallowed: that is a duplicate, and nothing more.
        lab.start(CITY)
        until(lambda: lab.counters(PROVINCE)["duplicates"] >= len(messages))
        until(lambda: lab.relay(CITY, "queue", "list").many() == [])
        assert len(lab.inbox(PROVINCE)) == len(messages)


def test_g16_the_origin_sends_again_to_a_custodian_whose_store_was_lost(tmp_path: Path) -> None:
    brokers, offices = province_city_counties()
    with network(tmp_path, plan_text(brokers, offices, PATIENT)) as lab:
        lab.up(but=[PROVINCE])
        messages = [lab.send(COUNTY, PROVINCE, f"报告{n}") for n in range(5)]
        until(lambda: all(("custody", CITY) in lab.events(COUNTY, m) for m in messages))
        lab.kill(CITY)
        for file in (lab.home(CITY) / "store").iterdir():
            if file.is_file():
                file.unlink()
        lab.start(CITY)
        lab.start(PROVINCE)
        for message in messages:
            lab.wait_delivered(COUNTY, message, 30)
        assert sorted(each["id"] for each in lab.inbox(PROVINCE)) == sorted(messages)


def test_a_silent_next_hop_gives_way_to_the_next(tmp_path: Path) -> None:
    with network(tmp_path, two_ways()) as lab:
        lab.up()
        lab.offices[CITY].pause()
        started = time.monotonic()
        message = lab.send(COUNTY, PROVINCE, "绕行")
        lab.wait_delivered(COUNTY, message, 20)
        assert time.monotonic() - started < 15
        assert ("custody", SECOND_CITY) in lab.events(COUNTY, message)
        lab.offices[CITY].resume()
