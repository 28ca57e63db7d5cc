"""CONTRACT sections 6 to 8, 10 and 11 as an outsider tries them: receiving, following, operating; one lab for all."""

import json
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from relay.evidence import verify_file
from tests.live.network import (
    CITY,
    COUNTY,
    OTHER,
    PROVINCE,
    Network,
    Said,
    network,
    new_id,
    plan_text,
    province_city_counties,
    until,
)

pytestmark = pytest.mark.live

SETTINGS = """
[settings.links]
retry_min_s = 0.1
retry_max_s = 0.5
keepalive_s = 5
[settings.inbox]
redeliver_s = 1.5
"""
PERSONS = """
[[persons]]
name = "zhang"
office = "320900-GO"
roles = ["clerk"]
"""
LINE = {
    "id", "from", "to", "cc", "kind", "urgency", "lane", "title", "digest", "bytes", "attachments", "received_at",
    "state", "flags",
}  # fmt: skip
COUNTERS = {"accepted", "delivered", "received", "forwarded", "duplicates", "quarantined", "refused", "expired"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    brokers, offices = province_city_counties()
    with network(tmp_path_factory.mktemp("receiving"), plan_text(brokers, offices, SETTINGS, PERSONS)) as found:
        found.up()
        yield found


def arrived(lab: Network, office: str, message: str) -> dict[str, Any]:
    until(lambda: any(one["id"] == message for one in lab.inbox(office)))
    return next(one for one in lab.inbox(office) if one["id"] == message)


def check_error(said: Said, exit_: int, code: str) -> None:
    assert (said.exit, said.error()["code"]) == (exit_, code)


def types(lab: Network, message: str, office: str = COUNTY) -> list[str]:
    return [type_ for type_, _ in lab.events(office, message)]


def is_gone(lab: Network, office: str) -> bool:
    return not any(office in link["peers"] for link in lab.status(CITY)["links"])


def test_a_look_opens_and_is_told_once_also_after_a_program_took_it(lab: Network) -> None:
    message = lab.send(COUNTY, CITY, "看", "正文")
    line = arrived(lab, CITY, message)
    assert set(line) - {"v"} == LINE
    assert (line["state"], line["flags"], line["bytes"]) == ("new", [], 6)
    assert message in {one["id"] for one in lab.take(CITY)}
    shown = lab.relay(CITY, "inbox", "show", message[:13]).one()
    assert (shown["state"], shown["body"], shown["thread"], shown["occurred_at"]) == ("taken", "正文", None, None)
    lab.relay(CITY, "inbox", "show", message).one()
    until(lambda: "opened" in types(lab, message))
    assert types(lab, message).count("opened") == 1
    lab.relay(CITY, "inbox", "ack", message).one()


def test_ack_answers_every_id_for_itself(lab: Network) -> None:
    message = lab.send(COUNTY, CITY, "确认")
    arrived(lab, CITY, message)
    lab.relay(CITY, "inbox", "show", message).one()
    check_error(lab.relay(CITY, "inbox", "ack", message), 65, "WRONG_STATE")
    assert [one["state"] for one in lab.take(CITY) if one["id"] == message] == ["taken"]
    said = lab.relay(CITY, "inbox", "ack", new_id(), message)
    check_error(said, 66, "NOT_FOUND")
    lost, done = (json.loads(line) for line in said.out.splitlines())
    assert (lost["exit"], done["exit"], done["id"]) == (66, 0, message)
    assert lab.relay(CITY, "inbox", "ack", message).one()["repeated"] is True


def test_taken_comes_again_as_redelivered_never_as_new(lab: Network) -> None:
    ids = [lab.send(COUNTY, OTHER, lane, urgency=lane) for lane in ("routine", "priority", "urgent")]
    for message in ids:
        arrived(lab, OTHER, message)
    first = lab.take(OTHER)
    assert [one["lane"] for one in first] == ["urgent", "priority", "routine"]
    assert all("redelivered" not in one["flags"] for one in first)
    assert lab.take(OTHER) == []
    lab.relay(OTHER, "inbox", "ack", ids[0]).one()
    lab.kill(OTHER)
    lab.start(OTHER)
    again = lab.take(OTHER)
    assert {one["id"] for one in again} == set(ids[1:])
    assert all("redelivered" in one["flags"] for one in again)
    lab.relay(OTHER, "inbox", "ack", ids[1]).one()
    later: list[dict[str, Any]] = []

    def take_more() -> bool:
        later.extend(lab.take(OTHER))
        return bool(later)

    until(take_more)
    assert [(one["id"], "redelivered" in one["flags"]) for one in later] == [(ids[2], True)]
    lab.relay(OTHER, "inbox", "ack", ids[2]).one()


def test_signing_for_names_a_person_of_the_directory(lab: Network) -> None:
    message = lab.send(COUNTY, CITY, "签收")
    arrived(lab, CITY, message)
    check_error(lab.relay(CITY, "sign-for", message, "--by", "李四"), 65, "UNKNOWN_PERSON")
    signed = lab.relay(CITY, "sign-for", message, "--by", "zhang").one()
    assert (signed["state"], signed["by"]) == ("signed_for", "zhang")
    again = lab.relay(CITY, "sign-for", message, "--by", "zhang").one()
    assert again == signed | {"repeated": True}
    check_error(lab.relay(CITY, "return", message, "--reason", "错"), 65, "WRONG_STATE")
    lab.wait_state(COUNTY, message, "signed_for")


def test_two_senders_may_choose_the_same_id(lab: Network) -> None:
    message = new_id()
    for office in (COUNTY, OTHER):
        lab.send(office, CITY, office, id=message)
    until(lambda: sum(one["id"] == message for one in lab.inbox(CITY)) == 2)
    check_error(lab.relay(CITY, "inbox", "show", message), 66, "AMBIGUOUS")
    assert lab.relay(CITY, "inbox", "show", f"{message}@{OTHER}").one()["title"] == OTHER
    assert lab.relay(CITY, "sign-for", f"{message}@{COUNTY}", "--by", "zhang").one()["from"] == COUNTY


def test_evidence_of_a_forwarded_message_holds_its_original(lab: Network, tmp_path: Path) -> None:
    first = lab.send(COUNTY, CITY, "原件", "原文")
    arrived(lab, CITY, first)
    second = lab.relay(CITY, "forward", first, "--to", PROVINCE, "--title", "转报").one()["id"]
    arrived(lab, PROVINCE, second)
    original = lab.relay(PROVINCE, "inbox", "show", second).one()["original"]
    assert set(original) == {"id", "from", "digest", "title", "body", "verified"}
    assert (original["id"], original["body"], original["verified"]) == (first, "原文", True)
    for office in (CITY, PROVINCE):
        file = tmp_path / f"{office}.evidence"
        lab.relay(office, "evidence", second, "-o", str(file)).one()
        found = lab.relay(office, "verify", str(file)).one()
        assert (found["ok"], found["anchored"], found["root_fingerprint"]) == (True, True, lab.root_fingerprint)
        assert [one["id"] for one in found["originals"]] == [first]
        assert "delivered" in {one["type"] for one in found["receipts"]}
        check_error(lab.relay(office, "evidence", second, "-o", str(file)), 73, "FILE_EXISTS")
    whole = file.read_bytes()
    for place in range(0, len(whole), 101):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert not verify_file(file, None, lab.home(PROVINCE))["ok"], f"byte {place}"
    assert lab.relay(PROVINCE, "verify", str(file)).exit == 1


def test_saving_overwrites_nothing(lab: Network, tmp_path: Path) -> None:
    message = lab.send(COUNTY, CITY, "附件", "一\r\n二", attachments=[{"name": "../a.txt", "data": "AAE="}] * 2)
    arrived(lab, CITY, message)
    folder = tmp_path / "saved"
    lab.relay(CITY, "inbox", "save", message, str(folder)).one()
    assert {file.name for file in folder.iterdir()} == {"body.txt", "a.txt", "a (2).txt", "meta.json"}
    assert (folder / "body.txt").read_bytes() == "一\r\n二".encode()
    meta = json.loads((folder / "meta.json").read_text())
    assert [one["name"] for one in meta["attachments"]] == ["../a.txt"] * 2
    check_error(lab.relay(CITY, "inbox", "save", message, str(folder)), 73, "FILE_EXISTS")
    shutil.rmtree(folder)


def test_g08_what_was_never_sent_expires_or_is_cancelled(lab: Network) -> None:
    lab.brokers["yancheng"].end(signal.SIGTERM)
    until(lambda: lab.status(COUNTY)["links"][0]["state"] != "connected")
    short, long = (lab.send(COUNTY, CITY, "断网", expires_in=life) for life in ("1s", "1h"))
    for _ in range(2):
        assert lab.relay(COUNTY, "cancel", long).one()["cancelled"] == [CITY]
    lab.wait_state(COUNTY, short, "expired")
    assert types(lab, long) == ["accepted", "cancelled", "expired"]
    for state, ids in (("cancelled", [long]), ("expired", [long, short]), ("refused", [])):
        assert [one["id"] for one in lab.relay(COUNTY, "sent", "list", "--state", state).many()] == ids
    assert len(lab.relay(COUNTY, "sent", "list", "--state", "expired", "--limit", "1").many()) == 1
    waiting = lab.send(COUNTY, CITY, "等待")
    lab.kill(COUNTY)
    lab.start(COUNTY)
    lab.start_broker("yancheng")
    lab.wait_delivered(COUNTY, waiting)
    assert not {short, long} & {one["id"] for one in lab.inbox(CITY)}


def test_a_quiet_network_has_no_suspects_and_counts_copies(lab: Network) -> None:
    before = lab.counters(CITY)
    message = lab.send(COUNTY, PROVINCE, "经市")
    arrived(lab, PROVINCE, message)
    lab.relay(PROVINCE, "sign-for", message, "--by", "值班员").one()
    lab.wait_state(COUNTY, message, "signed_for")
    until(lambda: lab.counters(CITY)["forwarded"] == before["forwarded"] + 1)
    for office in (COUNTY, PROVINCE):
        # A crash is told by the broker, with a will that was signed before its session began.
        lab.kill(office)
        until(partial(is_gone, lab, office))
        lab.start(office)
        lab.wait_connected(office)
    for office in (PROVINCE, CITY, COUNTY, OTHER):
        counters = lab.counters(office)
        assert set(counters) == COUNTERS
        assert counters["quarantined"] == 0
    assert lab.counters(CITY)["forwarded"] == before["forwarded"] + 1
