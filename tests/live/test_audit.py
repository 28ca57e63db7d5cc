"""The audit log of a real daemon: kill -9 in traffic, then tampering, with the daemon up and down (G15, G11)."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.network import (
    CITY,
    COUNTY,
    PROVINCE,
    BrokerPlan,
    Network,
    OfficePlan,
    Said,
    find_canaries,
    network,
    plan_text,
    until,
)

pytestmark = pytest.mark.live

SETTINGS = """
[settings.links]
retry_min_s = 0.1
retry_max_s = 0.5
[settings.audit]
head_s = 0.5
tell_s = 0.5
file_bytes = 8192
"""
TITLE, BODY, REASON, PERSON = "汛情一三七", "水位四点二米不得外传", "内容不实请重报", "赵六"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    brokers = (BrokerPlan("yancheng", tls=False),)
    offices = (
        OfficePlan(PROVINCE, "province", ("yancheng",)),
        OfficePlan(CITY, "city", ("yancheng",), PROVINCE),
        OfficePlan(COUNTY, "county", ("yancheng",), CITY, "direct"),
    )
    with network(tmp_path_factory.mktemp("audit"), plan_text(brokers, offices, SETTINGS)) as found:
        found.up(but=[CITY])
        yield found


def verified(lab: Network, office: str, *arguments: str) -> Said:
    return lab.relay(office, "audit", "verify", *arguments)


def files(lab: Network, office: str) -> list[Path]:
    return sorted((lab.home(office) / "audit").glob("*.jsonl"))


def neighbours_head(lab: Network) -> dict[str, Any]:
    """What the province knows of the county's log."""
    known = {head["office"]: head for head in lab.relay(PROVINCE, "audit", "heads").many()}
    return known.get(COUNTY, {})


def words(lab: Network, office: str) -> list[str]:
    return [line["did"] for line in lab.relay(office, "audit", "tail", "-n", "100000").many()]


def test_g15_kill_minus_9_in_traffic_leaves_a_log_that_verifies(lab: Network) -> None:
    accepted: list[str] = []
    for round_ in range(3):
        stop = threading.Event()

        def send(round_: int = round_, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                try:
                    accepted.append(lab.send(COUNTY, PROVINCE, TITLE, BODY))
                except Exception:  # noqa: BLE001 - the daemon was killed under the request
                    return

        sender = threading.Thread(target=send)
        before = len(accepted)
        sender.start()
        until(lambda before=before: len(accepted) > before + 40)  # type: ignore[misc]
        lab.kill(COUNTY)
        stop.set()
        sender.join()
        down = verified(lab, COUNTY).one()
        assert (down["ok"], down["problems"]) == (True, [])
        assert "the store" in down["against"]
        lab.start(COUNTY)
        up = verified(lab, COUNTY).one()
        assert up["ok"]
        assert up["count"] > down["count"]
    assert lab.status(COUNTY)["alarms"] == []
    log = lab.relay(COUNTY, "audit", "tail", "-n", "100000").many()
    noted = {line["id"] for line in log if line["did"] == "send"}
    # Only what was accepted within the last hundredths of a second before a kill may be missing.
    assert len(set(accepted) - noted) <= 3 * 10
    assert {line["by"] for line in log if line["did"] == "send"} == {f"uid:{os.getuid()}/gid:{os.getgid()}"}
    assert [line["did"] for line in log].count("start") == 4


def test_g11_the_log_holds_no_words_of_people(lab: Network) -> None:
    message = lab.send(COUNTY, PROVINCE, TITLE, BODY)
    other = lab.send(COUNTY, PROVINCE, TITLE, BODY)
    lab.wait_delivered(COUNTY, message)
    lab.wait_delivered(COUNTY, other)
    assert lab.relay(PROVINCE, "sign-for", message, "--by", PERSON).exit == 0
    assert lab.relay(PROVINCE, "return", other, "--reason", REASON).exit == 0
    lab.relay(PROVINCE, "inbox", "show", TITLE)
    lab.wait_state(COUNTY, other, "returned")
    until(lambda: "returned" in words(lab, COUNTY) and "return" in words(lab, PROVINCE))
    folders = [lab.home(office) / "audit" for office in (COUNTY, PROVINCE)]
    assert find_canaries(folders, (TITLE, BODY, REASON, PERSON)) == []
    assert find_canaries(folders, (message,)) != []


def test_g15_an_exported_log_is_verified_by_whoever_knows_the_root(lab: Network, tmp_path: Path) -> None:
    archive, again = tmp_path / "log.tar", tmp_path / "again.tar"
    assert lab.relay(COUNTY, "audit", "export", str(archive)).one()["bytes"] == archive.stat().st_size
    assert lab.relay(COUNTY, "audit", "export", str(archive)).exit == 73
    found = lab.command("audit", "verify", str(archive), "--root", lab.root_fingerprint, "--json").one()
    assert (found["ok"], found["anchored"], found["office"]) == (True, True, COUNTY)
    assert "the signed head" in found["against"]
    alone = lab.command("audit", "verify", str(archive), "--json")
    assert (alone.exit, alone.error()["code"]) == (1, "UNANCHORED")
    until(lambda: neighbours_head(lab).get("count", 0) >= found["count"])
    neighbours = neighbours_head(lab)
    (tmp_path / "neighbours.json").write_text(json.dumps(neighbours))
    assert verified(lab, COUNTY, "--head", str(tmp_path / "neighbours.json")).exit == 0
    assert verified(lab, PROVINCE, "--head", str(tmp_path / "neighbours.json")).exit == 1
    kept = tmp_path / "head.json"
    kept.write_text(json.dumps(found))
    assert verified(lab, COUNTY, "--head", str(kept)).exit == 0
    assert verified(lab, COUNTY, "--head", found["head"]).exit == 0
    assert verified(lab, COUNTY, "--head", "ab" * 32).exit == 1
    assert verified(lab, COUNTY, "--head", "abc").exit == 65
    data = bytearray(archive.read_bytes())
    data[data.index(b'"did":"send"') + 8] ^= 1
    again.write_bytes(data)
    bent = lab.command("audit", "verify", str(again), "--root", lab.root_fingerprint, "--json")
    assert bent.exit == 1
    lab.stop(COUNTY)
    again.unlink()
    assert lab.relay(COUNTY, "audit", "export", str(again)).exit == 0
    lab.start(COUNTY)
    assert lab.command("audit", "verify", str(again), "--root", lab.root_fingerprint, "--json").exit == 0


def doctored(lab: Network, office: str) -> tuple[int, dict[str, str]]:
    """Exit status and the result of each check; an alarm counts by its code."""
    said = lab.relay(office, "doctor")
    found = [json.loads(line) for line in said.out.splitlines()]
    assert all(one["v"] == 1 and one["message"] and bool(one["next"]) == (one["result"] != "PASS") for one in found)
    return said.exit, {one["code"]: one["result"] for one in found}


def test_the_doctor_finds_nothing_wrong_and_says_what_to_do_when_the_relay_or_its_broker_is_down(lab: Network) -> None:
    exit_, found = doctored(lab, PROVINCE)
    assert (exit_, set(found.values())) == (0, {"PASS"}), found
    assert {"DAEMON_UP", "STORE_OK", "KEY_OK", "LINKS_OK", "AUDIT_OK", "ALARMS_NONE"} <= set(found)
    lab.stop(PROVINCE)
    exit_, found = doctored(lab, PROVINCE)
    assert (exit_, found.pop("DAEMON_DOWN")) == (1, "FAIL")
    assert set(found.values()) == {"PASS"}, found
    assert {"STORE_OK", "KEY_OK", "TRUST_OK", "PREKEY_OK", "AUDIT_OK"} <= set(found)
    human = lab.command("doctor", "--lang", "zh_CN", home=PROVINCE)
    assert human.exit == 1
    assert "FAIL  daemon: 中继没有运行" in human.out
    assert "relay run" in human.out
    exit_, found = doctored(lab, CITY)
    assert (exit_, found["DAEMON_DOWN"], found["NEVER_RAN"]) == (1, "FAIL", "PASS")
    lab.start(PROVINCE)
    lab.wait_connected(PROVINCE)
    lab.kill_broker("yancheng")
    until(lambda: lab.status(PROVINCE)["links"][0]["state"] != "connected")
    exit_, found = doctored(lab, PROVINCE)
    assert (exit_, found["LINKS_DOWN"]) == (1, "FAIL")
    lab.start_broker("yancheng")
    lab.wait_connected(PROVINCE)
    lab.wait_connected(COUNTY)


def test_g15_a_changed_byte_is_found_up_and_down_and_the_daemon_starts_with_an_alarm(lab: Network) -> None:
    for which in (0, -1):
        lab.stop(COUNTY)
        path = files(lab, COUNTY)[which]
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b'"by":"uid', b'"by":"udi', 1).replace(b'"by":"relay', b'"by":"realy', 1))
        assert path.read_bytes() != whole
        said = verified(lab, COUNTY)
        assert (said.exit, said.error()["code"]) == (1, "CHECK_FAILED")
        assert path.name in json.loads(said.out)["problems"][0]
        lab.start(COUNTY)
        until(lambda: [alarm["code"] for alarm in lab.status(COUNTY)["alarms"]] == ["AUDIT_DAMAGED"])
        assert verified(lab, COUNTY).exit == 1
        exit_, found = doctored(lab, COUNTY)
        assert (exit_, found["AUDIT_CHANGED"], found["AUDIT_DAMAGED"]) == (1, "FAIL", "FAIL")
        accepted = lab.relay(COUNTY, "audit", "accept", "--json")
        assert (accepted.exit, json.loads(accepted.out)["left"]) == (0, [])
        assert lab.status(COUNTY)["alarms"] == []
        assert verified(lab, COUNTY).exit == 1
        lab.wait_connected(COUNTY)
        lab.wait_delivered(COUNTY, lab.send(COUNTY, PROVINCE, TITLE, BODY))
        lab.stop(COUNTY)
        assert doctored(lab, COUNTY)[1]["AUDIT_ACCEPTED"] == "WARN"
        path.write_bytes(whole)
        # The last file ended where the store said; what the relay wrote meanwhile went on from there in a new one.
        mended = verified(lab, COUNTY)
        assert mended.exit == 0, mended
        lab.start(COUNTY)
        until(lambda: lab.status(COUNTY)["alarms"] == [])


def test_g15_a_log_that_was_cut_or_taken_away_is_found(lab: Network) -> None:
    lab.stop(PROVINCE)
    (path,) = files(lab, PROVINCE)[-1:]
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for shorter in (whole[:-1], b"".join(lines[:-1]), b"".join(lines[:-3]), b"", None):
        if shorter is None:
            path.unlink()
        else:
            path.write_bytes(shorter)
        said = verified(lab, PROVINCE)
        assert said.exit == 1, (shorter, said)
        assert any("CUT" in problem for problem in json.loads(said.out)["problems"])
    path.write_bytes(whole)
    lab.start(PROVINCE)
    path.write_bytes(whole[:-200])
    until(lambda: "AUDIT_DAMAGED" in _alarms(lab) or _sent(lab))
    assert _alarms(lab) == ["AUDIT_DAMAGED"]
    assert verified(lab, PROVINCE).exit == 1


def _alarms(lab: Network) -> list[str]:
    return [alarm["code"] for alarm in lab.status(PROVINCE)["alarms"]]


def _sent(lab: Network) -> bool:
    """Something that the log must take note of, so that it meets the file."""
    lab.relay(PROVINCE, "fsck")
    return False


def test_a_reader_follows_the_log_also_with_the_daemon_down(lab: Network) -> None:
    up = lab.relay(COUNTY, "audit", "tail", "-n", "5").many()
    assert len(up) == 5
    lab.stop(COUNTY)
    down = lab.relay(COUNTY, "audit", "tail", "-n", "3").many()
    # A file that is full by then is followed by a new one, which begins with the same head.
    assert [line["did"] for line in down] in (["stop", "head", "head"], [down[0]["did"], "stop", "head"])
    assert "stop" in lab.command("audit", "tail", home=COUNTY).out
