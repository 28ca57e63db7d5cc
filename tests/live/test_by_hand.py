"""The story that an administrator tells by hand (CONTRACT sections 4-8): every command, on both kinds of broker."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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

BODY = "射阳县连日暴雨,合德镇两处圩堤出现管涌,已转移群众三百一十二人。\n请省政府办公厅阅示。\n"


@pytest.fixture(scope="module", params=["mosquitto", "nats"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    brokers, offices = province_city_counties(request.param)
    with network(tmp_path_factory.mktemp("hand"), plan_text(brokers, offices)) as found:
        found.up()
        yield found


@pytest.fixture
def body(tmp_path: Path) -> Path:
    file = tmp_path / "报告.txt"
    file.write_text(BODY)
    return file


def arrive(lab: Network, office: str, message: str) -> None:
    """Wait until a message is in an inbox."""
    until(lambda: any(each["id"] == message for each in lab.inbox(office)))


def test_a_report_goes_up_and_its_receipts_come_back(lab: Network, tmp_path: Path, body: Path) -> None:
    plan = tmp_path / "平面图.bin"
    plan.write_bytes(bytes(range(256)) * 117)
    sent = lab.relay(
        COUNTY, "send", "--to", PROVINCE, "--title", "关于射阳县汛情的报告", "--kind", "report", "--body", str(body),
        "--attach", str(plan), "--attach", str(body), "--wait", "delivered", "--wait-timeout", "20s",
    ).one()  # fmt: skip
    message = sent["id"]
    (recipient,) = lab.relay(COUNTY, "track", message[:13]).one()["recipients"]
    assert recipient["state"] == "delivered"
    assert recipient["final"] is True
    assert [(event["type"], event["by"]) for event in recipient["events"]] == [
        ("accepted", COUNTY), ("custody", CITY), ("delivered", PROVINCE)
    ]  # fmt: skip
    assert all(event["verified"] for event in recipient["events"][1:])

    (line,) = [each for each in lab.relay(PROVINCE, "inbox", "list", "--state", "new").many() if each["id"] == message]
    assert (line["from"], line["state"], line["lane"], line["flags"]) == (COUNTY, "new", "routine", [])
    assert line["digest"] == sent["digest"]
    assert [each["name"] for each in line["attachments"]] == ["平面图.bin", "报告.txt"]

    shown = lab.relay(PROVINCE, "inbox", "show", message).one()
    assert shown["body"] == BODY
    lab.wait_state(COUNTY, message, "opened")
    folder = tmp_path / "saved"
    lab.relay(PROVINCE, "inbox", "save", message, str(folder)).one()
    assert (folder / "body.txt").read_text() == BODY
    assert (folder / "平面图.bin").read_bytes() == plan.read_bytes()
    assert json.loads((folder / "meta.json").read_text())["id"] == message
    assert lab.relay(PROVINCE, "inbox", "save", message, str(folder)).exit == 73

    lab.relay(PROVINCE, "sign-for", message, "--by", "李处长").one()
    lab.wait_state(COUNTY, message, "signed_for")
    (recipient,) = lab.relay(COUNTY, "track", message).one()["recipients"]
    signed = recipient["events"][-1]
    assert (signed["type"], signed["person"], signed["mode"]) == ("signed_for", "李处长", "office_attested")
    assert lab.relay(PROVINCE, "sign-for", message, "--by", "李处长").one()["repeated"] is True


def test_lines_are_taken_each_once_and_acknowledged(lab: Network) -> None:
    drafts: list[dict[str, Any]] = [
        {"id": new_id(), "to": COUNTY, "title": f"通知{n}", "body": f"第{n}号"} for n in range(40)
    ]
    drafts[7]["to"] = [COUNTY, CITY]
    lines = "\n".join(json.dumps(draft, ensure_ascii=False) for draft in drafts).encode()
    answers = lab.relay(PROVINCE, "send", "--jsonl", "-", stdin=lines).many()
    assert [answer["id"] for answer in answers] == [draft["id"] for draft in drafts]
    assert lab.relay(PROVINCE, "send", "--jsonl", "-", stdin=lines).many() == [a | {"repeated": True} for a in answers]
    wanted = {str(draft["id"]) for draft in drafts}
    until(lambda: wanted <= {each["id"] for each in lab.inbox(COUNTY)})
    taken = [each for _ in range(6) for each in lab.relay(COUNTY, "inbox", "take", "--max", "10").many()]
    new = [each["id"] for each in taken if each["id"] in wanted and "redelivered" not in each["flags"]]
    assert sorted(new) == sorted(wanted)
    assert {each["body"] for each in taken if each["id"] in wanted} == {draft["body"] for draft in drafts}
    acked = lab.relay(COUNTY, "inbox", "ack", *sorted(wanted)).many()
    assert all(each["acked"] for each in acked)
    assert lab.relay(COUNTY, "inbox", "take").many() == []
    for message in wanted - {str(drafts[7]["id"])}:
        lab.wait_delivered(PROVINCE, message)
    until(lambda: {r["state"] for r in lab.track(PROVINCE, str(drafts[7]["id"]))["recipients"]} == {"delivered"})


def test_a_bad_line_is_refused_for_itself(lab: Network) -> None:
    lines = [
        json.dumps({"to": CITY, "title": "好"}),
        json.dumps({"to": "999999-GO", "title": "坏"}),
        "{",
        json.dumps({"to": CITY, "title": "密", "classification": "秘密"}),
        json.dumps({"to": CITY, "title": "也好"}),
    ]
    said = lab.relay(COUNTY, "send", "--jsonl", "-", stdin="\n".join(lines).encode())
    answers = [json.loads(line) for line in said.out.splitlines()]
    assert [each.get("code", each.get("state")) for each in answers] == [
        "accepted", "UNKNOWN_RECIPIENT", "BAD_FIELD", "CLASSIFIED", "accepted"
    ]  # fmt: skip
    assert said.exit == 65
    assert [each["line"] for each in answers if "code" in each] == [2, 3, 4]


def test_what_is_returned_comes_back_with_its_reason(lab: Network) -> None:
    message = lab.send(COUNTY, PROVINCE, "请示", "内容不全")
    arrive(lab, PROVINCE, message)
    lab.relay(PROVINCE, "return", message, "--reason", "请补充人数").one()
    lab.wait_state(COUNTY, message, "returned")
    (recipient,) = lab.relay(COUNTY, "track", message).one()["recipients"]
    assert recipient["events"][-1]["reason"] == "请补充人数"
    refused = lab.relay(PROVINCE, "sign-for", message, "--by", "李处长")
    assert refused.error()["code"] == "WRONG_STATE"


def test_a_report_passed_on_twice_carries_both_signatures(lab: Network, tmp_path: Path) -> None:
    first = lab.send(OTHER, COUNTY, "阜宁县情况", BODY)
    arrive(lab, COUNTY, first)
    second = lab.relay(COUNTY, "forward", first, "--to", CITY, "--title", "转报", "--body", "-", stdin=b"A").one()["id"]
    arrive(lab, CITY, second)
    third = lab.relay(CITY, "forward", second, "--to", PROVINCE, "--title", "再转", "--urgency", "priority").one()["id"]
    arrive(lab, PROVINCE, third)
    shown = lab.relay(PROVINCE, "inbox", "show", third).one()
    middle, inner = shown["original"], shown["original"]["original"]
    assert (middle["id"], middle["from"], middle["verified"], middle["body"]) == (second, COUNTY, True, "A")
    assert (inner["id"], inner["from"], inner["verified"], inner["body"]) == (first, OTHER, True, BODY)
    lab.wait_delivered(CITY, third) if lab.state(CITY, third) != "opened" else None
    file = tmp_path / "evidence"
    lab.relay(CITY, "evidence", third, "-o", str(file)).one()
    verdict = lab.relay(COUNTY, "verify", str(file)).one()
    assert [each["id"] for each in verdict["originals"]] == [second, first]


def test_evidence_holds_offline_and_only_when_it_is_whole(lab: Network, tmp_path: Path) -> None:
    message = lab.send(COUNTY, PROVINCE, "证据", "机井三十七眼")
    lab.wait_delivered(COUNTY, message)
    files = {name: tmp_path / name for name in ("whole", "redacted", "theirs", "bent")}
    lab.relay(COUNTY, "evidence", message, "-o", str(files["whole"])).one()
    lab.relay(COUNTY, "evidence", message, "-o", str(files["redacted"]), "--redact-body").one()
    lab.relay(PROVINCE, "evidence", message, "-o", str(files["theirs"])).one()
    assert lab.relay(COUNTY, "evidence", message, "-o", str(files["whole"])).exit == 73
    for name in ("whole", "redacted", "theirs"):
        verdict = lab.relay(COUNTY, "verify", str(files[name])).one()
        assert (verdict["ok"], verdict["anchored"], verdict["problems"]) == (True, True, [])
        assert verdict["root_fingerprint"] == lab.root_fingerprint
        assert (verdict["message"]["id"], verdict["message"]["from"]) == (message, COUNTY)
        assert ("delivered", PROVINCE, True) in [(r["type"], r["by"], r["ok"]) for r in verdict["receipts"]]
    assert "机井".encode() in files["whole"].read_bytes()
    assert "机井".encode() not in files["redacted"].read_bytes()

    def verify(file: Path, *more: str) -> tuple[int, str]:
        said = lab.command("verify", str(file), "--json", *more)
        return said.exit, said.error()["code"] if said.exit else ""

    assert verify(files["whole"], "--root", lab.root_fingerprint) == (0, "")
    assert verify(files["whole"], "--root", str(lab.home(CITY) / "trust" / "root.json")) == (0, "")
    assert verify(files["whole"])[0] == 1
    wrong = lab.command("verify", str(files["whole"]), "--root", "ab" * 32, "--json")
    assert (wrong.exit, json.loads(wrong.out)["anchored"]) == (1, False)
    data = bytearray(files["whole"].read_bytes())
    for place in range(len(data) // 2, len(data), len(data) // 8):
        bent = data.copy()
        bent[place] ^= 1
        files["bent"].write_bytes(bent)
        assert verify(files["bent"], "--root", lab.root_fingerprint)[0] == 1
    assert lab.command("verify", str(tmp_path / "nothing"), "--json").exit == 66


def test_an_unanchored_verdict_is_called_so(lab: Network, tmp_path: Path) -> None:
    message = lab.send(OTHER, CITY, "证据")
    lab.wait_delivered(OTHER, message)
    file = tmp_path / "evidence"
    lab.relay(OTHER, "evidence", message, "-o", str(file)).one()
    for more in ((), ("--root", "ab" * 32)):
        said = lab.command("verify", str(file), "--json", *more)
        assert said.exit == 1
        assert said.error()["code"] == "UNANCHORED"


def test_the_queue_shows_what_waits_and_the_store_is_right(lab: Network) -> None:
    lab.stop(PROVINCE)
    message = lab.send(CITY, PROVINCE, "等待", "省厅不在线")
    queued = lab.relay(CITY, "queue", "list").many()
    assert message in [each["id"] for each in queued]
    assert lab.relay(CITY, "queue", "show", message[:18]).one()["id"] == message
    up = lab.relay(CITY, "fsck").one()
    assert up["ok"] is True
    down = lab.relay(PROVINCE, "fsck").one()
    assert down["ok"] is True
    lab.start(PROVINCE)
    lab.wait_delivered(CITY, message)
    until(lambda: lab.relay(CITY, "queue", "list").many() == [])
    assert lab.relay(CITY, "queue", "show", message).exit == 66


def test_status_and_settings_are_told(lab: Network) -> None:
    status = lab.relay(CITY, "status").one()
    assert status["office"] == CITY
    assert {link["broker"]: link["state"] for link in status["links"]} == {
        "province": "connected",
        "yancheng": "connected",
    }
    until(lambda: {p for link in lab.status(CITY)["links"] for p in link["peers"]} == {PROVINCE, COUNTY, OTHER})
    assert set(status["lanes"]) == {"flash", "urgent", "priority", "routine", "bulk"}
    assert status["rss_bytes"] < 200 * 2**20
    assert status["trust"]["state"] == "ok"
    assert lab.relay(CITY, "config", "check").one()["ok"] is True
    assert lab.relay(CITY, "config", "show").one()["settings"]["links"]["retry_min_s"] == 0.1
    for lang, word in (("zh_CN", "盐城"), ("en", CITY)):
        said = lab.command("status", "--lang", lang, home=CITY)
        assert said.exit == 0
        assert word in said.out or CITY in said.out


def test_an_operator_s_slips_have_their_codes(lab: Network, body: Path, tmp_path: Path) -> None:
    to = ("--to", PROVINCE, "--title", "x")
    slips: list[tuple[int, str, tuple[str, ...]]] = [
        (65, "BAD_FIELD", ("send", "--to", "nowhere", "--title", "x")),
        (65, "UNKNOWN_RECIPIENT", ("send", "--to", "110000-GO", "--title", "x")),
        (65, "CLASSIFIED", ("send", *to, "--classification", "jimi", "--body", str(body))),
        (65, "NOT_LIAISON", ()),
        (65, "LANE_NOT_ALLOWED", ("send", *to, "--urgency", "flash")),
        (65, "BAD_FIELD", ("send", *to, "--id", "not-a-uuid")),
        (65, "BAD_FIELD", ("send", "--to", PROVINCE, "--to", PROVINCE, "--title", "字" * 101)),
        (66, "FILE_MISSING", ("send", *to, "--body", str(tmp_path / "none"))),
        (66, "FILE_UNREADABLE", ("send", *to, "--body", str(tmp_path))),
        (66, "NOT_FOUND", ("track", new_id())),
        (66, "NOT_FOUND", ("inbox", "show", new_id())),
    ]
    for exit_, code, arguments in slips:
        office = OTHER if code == "NOT_LIAISON" else COUNTY
        said = lab.relay(office, *(arguments or ("send", *to)))
        assert (said.exit, said.error()["code"]) == (exit_, code), arguments
    started = time.monotonic()
    late = lab.relay(COUNTY, "send", *to, "--wait", "signed_for", "--wait-timeout", "1s")
    assert (late.exit, late.error()["code"], time.monotonic() - started < 10) == (75, "WAIT_TIMEOUT", True)
    assert late.error()["state"] in ("accepted", "custody", "delivered")
