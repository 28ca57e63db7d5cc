"""CONTRACT sections 1 to 5 and 11 as an outsider tries them: commands, exit codes, objects; one lab for all."""

import json
import re
import shutil
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.network import (
    CITY,
    COUNTY,
    OTHER,
    PROVINCE,
    QUICK,
    Network,
    Process,
    Said,
    network,
    plan_text,
    province_city_counties,
    until,
)

pytestmark = pytest.mark.live

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
EXTRA = """
[offices.settings.store]
quota_bytes = 2097152
ballast_bytes = 1048576
[groups]
"@coast" = ["320923-GO", "320924-GO"]
[rules]
require_reviewer = ["special"]
emergency_bypass = "copy_city"
"""
"""Begins with settings of the last office of the plan, `OTHER`, whose store is small."""

UNCHECKED = """
import sys, relay.composing
relay.composing.must_go_through_city = lambda *_: False
from relay.console.main import main
sys.exit(main(sys.argv[1:]))
"""
"""An office that does not apply the rule of the city to itself."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    brokers, offices = province_city_counties()
    with network(tmp_path_factory.mktemp("sending"), plan_text(brokers, offices, QUICK, EXTRA)) as found:
        found.up()
        yield found


def send(lab: Network, *arguments: str, office: str = COUNTY, to: str = PROVINCE, stdin: bytes = b"") -> Said:
    return lab.relay(office, "send", "--to", to, "--title", "关于汛情的报告", *arguments, stdin=stdin)


def check_error(said: Said, exit_: int, code: str) -> dict[str, Any]:
    error = said.error()
    assert (said.exit, error["code"]) == (exit_, code)
    assert {"v": 1, "type": "error", "exit": exit_}.items() <= error.items()
    assert error["message"]
    assert error["hint"]
    return error


def test_the_answer_has_the_fields_of_the_contract(lab: Network) -> None:
    given = str(uuid.uuid4())
    answer = send(lab, "--id", given, "--body", "-", stdin="正文\r\n\t一".encode()).one()
    assert answer == {
        "v": 1, "id": given, "state": "accepted", "lane": "routine", "digest": answer["digest"], "to": [PROVINCE],
        "accepted_at": answer["accepted_at"],
    }  # fmt: skip
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", answer["digest"])
    assert TIME.fullmatch(answer["accepted_at"])
    until(lambda: any(each["id"] == given for each in lab.inbox(PROVINCE)))
    (received,) = [each for each in lab.inbox(PROVINCE) if each["id"] == given]
    assert received["digest"] == answer["digest"]
    assert lab.relay(PROVINCE, "inbox", "show", given).one()["body"] == "正文\r\n\t一"


def test_the_same_id_is_the_same_message_or_refused(lab: Network) -> None:
    given = str(uuid.uuid4())
    first = send(lab, "--id", given, "--urgency", "urgent", "--expires-in", "72h").one()
    again = send(lab, "--expires-in", "72h", "--urgency", "urgent", "--id", given).one()
    assert again == {**first, "repeated": True}
    check_error(send(lab, "--id", given, "--urgency", "urgent", "--expires-in", "3d"), 65, "ID_REUSED")
    assert lab.relay(COUNTY, "sent", "list").many()[0]["id"] == given


def test_refusals_name_the_message_and_store_nothing(lab: Network, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "control").write_bytes(b"a\x07")
    (tmp_path / "large").write_bytes(uuid.uuid4().bytes + b"".join(uuid.uuid4().bytes for _ in range(5_000)))
    before = lab.counters(COUNTY)["accepted"]
    for exit_, code, more in (
        (65, "LANE_NOT_ALLOWED", ["--urgency", "flash"]),
        (65, "CLASSIFIED", ["--classification", "秘密", "--body", str(tmp_path / "none")]),
        (65, "BAD_FIELD", ["--classification", "internal"]),
        (65, "BAD_FIELD", ["--to", PROVINCE]),
        (65, "BAD_FIELD", ["--to", "320000-go"]),
        (65, "BAD_FIELD", ["--expires-in", "46d"]),
        (65, "BAD_FIELD", ["--kind", "gossip"]),
        (65, "BAD_FIELD", ["--body", str(tmp_path / "binary")]),
        (65, "BAD_FIELD", ["--body", str(tmp_path / "control")]),
        (65, "UNKNOWN_RECIPIENT", ["--cc", "320999-GO"]),
        (65, "UNKNOWN_RECIPIENT", ["--cc", "@nobody"]),
        (65, "NO_REVIEWER", ["--kind", "special"]),
        (65, "TOO_LARGE", ["--attach", str(tmp_path / "large")]),
        (66, "FILE_MISSING", ["--body", str(tmp_path / "none")]),
        (66, "FILE_UNREADABLE", ["--attach", str(tmp_path)]),
    ):
        given = str(uuid.uuid4())
        assert check_error(send(lab, *more, "--id", given), exit_, code)["id"] == given, more
    check_error(send(lab, "--id", str(uuid.uuid4()).upper()), 65, "BAD_FIELD")
    check_error(send(lab, "--nonsense"), 2, "USAGE")
    assert lab.counters(COUNTY)["accepted"] == before


def test_people_get_three_lines_in_their_language(lab: Network) -> None:
    for lang, starts in (("zh_CN", ("错误：", "原因：", "办法：")), ("en", ("Error:", "Why:", "Do:"))):
        said = lab.command("send", "--to", "320999-GO", "--title", "t", "--lang", lang, home=COUNTY)
        lines = said.err.splitlines()
        assert said.exit == 65
        assert len(lines) == 3
        assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))


def test_a_group_is_expanded_and_recorded_by_name(lab: Network) -> None:
    answer = send(lab, office=CITY, to="@coast").one()
    assert (answer["to"], answer["groups"]) == ([OTHER, COUNTY], ["@coast"])
    answer = send(lab, office=OTHER, to="@all").one()
    assert answer["to"] == [CITY, COUNTY]
    assert answer["skipped"] == [{"to": PROVINCE, "code": "NOT_LIAISON"}]


def test_lines_are_answered_in_order_with_their_own_exits(lab: Network, tmp_path: Path) -> None:
    (tmp_path / "附件.txt").write_text("附件")
    given = str(uuid.uuid4())
    lines = [
        {"id": given, "to": PROVINCE, "title": "一"},
        {"to": [PROVINCE, CITY], "title": "二", "attach": ["附件.txt"]},
        {"to": "320999-GO", "title": "三"},
        {"id": given, "to": PROVINCE, "title": "一"},
        {"to": PROVINCE, "title": "五", "attach": "none"},
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\nnot json\n")
    said = lab.relay(COUNTY, "send", "--jsonl", str(tmp_path / "in.jsonl"))
    found = [json.loads(line) for line in said.out.splitlines()]
    assert [each["line"] for each in found] == [1, 2, 3, 4, 5, 6]
    assert [each["exit"] for each in found] == [0, 0, 65, 0, 66, 65]
    assert [each.get("code") for each in found] == [None, None, "UNKNOWN_RECIPIENT", None, "FILE_MISSING", "BAD_FIELD"]
    assert found[3] == {**found[0], "repeated": True, "line": 4}
    assert check_error(said, 65, "UNKNOWN_RECIPIENT")["line"] == 3


def test_waiting_says_what_was_reached(lab: Network) -> None:
    assert send(lab, "--wait", "delivered", "--wait-timeout", "20s").one()["state"] == "delivered"
    said = send(lab, "--wait", "signed_for", "--wait-timeout", "300ms")
    assert check_error(said, 75, "WAIT_TIMEOUT")["state"] in ("accepted", "custody", "delivered")
    assert json.loads(said.out)["state"] == said.error()["state"]


def test_the_rule_of_the_city_holds_at_the_source_and_at_the_destination(lab: Network) -> None:
    check_error(send(lab, office=OTHER), 65, "NOT_LIAISON")
    answer = send(lab, "--kind", "incident_first", "--urgency", "flash", office=OTHER).one()
    assert (answer["to"], answer["cc"]) == ([PROVINCE], [CITY])
    lab.stop(OTHER)
    honest, argv = lab.offices[OTHER], [sys.executable, "-c", UNCHECKED, "--home", str(lab.home(OTHER)), "run"]
    lab.offices[OTHER] = Process(argv, honest.log, honest.environment)
    try:
        lab.start(OTHER)
        refused = send(lab, "--wait", "delivered", "--wait-timeout", "20s", office=OTHER)
        error = check_error(refused, 65, "NOT_LIAISON")
        assert error["state"] == "refused"
        (recipient,) = lab.relay(OTHER, "track", error["id"]).one()["recipients"]
        assert recipient["events"][-1].items() >= {"type": "refused", "by": PROVINCE, "verified": True}.items()
        assert error["id"] not in {each["id"] for each in lab.inbox(PROVINCE)}
    finally:
        lab.stop(OTHER)
        lab.offices[OTHER] = honest
        lab.start(OTHER)


def test_a_full_store_refuses_and_accepts_again(lab: Network) -> None:
    lab.stop(CITY)
    text = "".join(uuid.uuid4().hex for _ in range(600))
    lines = "\n".join(json.dumps({"to": CITY, "title": f"{n}", "body": f"{n}{text}"}) for n in range(120))
    said = lab.relay(OTHER, "send", "--jsonl", "-", stdin=lines.encode())
    assert {json.loads(line).get("code") for line in said.out.splitlines()} == {None, "STORE_FULL"}
    check_error(said, 75, "STORE_FULL")
    first = json.loads(said.out.splitlines()[0])
    body = json.loads(lines.splitlines()[0])
    again = lab.relay(OTHER, "send", "--jsonl", "-", stdin=json.dumps({"id": first["id"], **body}).encode())
    assert json.loads(again.out)["repeated"] is True
    lab.start(CITY)
    until(lambda: send(lab, office=OTHER, to=CITY).exit == 0, 30)


def test_one_home_has_one_daemon(lab: Network) -> None:
    said = lab.relay(COUNTY, "run")
    assert said.err.count("\n") == 1, said.err
    check_error(said, 73, "HOME_IN_USE")
    assert lab.status(COUNTY)["office"] == COUNTY


def test_homes_that_cannot_be_used_say_why(lab: Network, tmp_path: Path) -> None:
    home = tmp_path / "home"
    good = (lab.home(COUNTY) / "relay.toml").read_text()

    def run(command: str = "run") -> Said:
        return lab.command("--home", str(home), command, "--json")

    check_error(run(), 78, "HOME_MISSING")
    for name in ("keys", "trust"):
        shutil.copytree(lab.home(COUNTY) / name, home / name)
    for text, code, word in (
        (good.replace("retry_min_s", "retry_mins_s"), "BAD_CONFIG", "retry_min_s"),
        (good[: len(good) // 2] + "\n[link", "BAD_CONFIG", "half written"),
        (good.replace("home_version = 1", "home_version = 9"), "HOME_VERSION", "9"),
    ):
        (home / "relay.toml").write_text(text)
        assert word in check_error(run(), 78, code)["detail"]
    (home / "relay.toml").write_text(good)
    check_error(run("status"), 69, "DAEMON_DOWN")
    (home / "keys" / "identity.key").write_bytes(b"nonsense")
    check_error(run(), 78, "BAD_KEYS")
    shutil.rmtree(home / "trust")
    shutil.copy(lab.home(COUNTY) / "keys" / "identity.key", home / "keys")
    check_error(run(), 78, "BAD_TRUST")
    (home / "store" / "relay.db").write_bytes(b"nonsense" * 1_000)
    check_error(run(), 78, "BAD_STORE")
    check_error(run("fsck"), 78, "BAD_STORE")


def has_socket(pid: int) -> bool:
    links = [each.readlink() for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()]
    return any(str(link).startswith("socket:") for link in links)


def test_a_relay_that_dies_while_asked_leaves_the_outcome_unknown(lab: Network) -> None:
    given = str(uuid.uuid4())
    process = lab.offices[OTHER]
    process.pause()
    argv = [sys.executable, "-m", "relay", "--home", str(lab.home(OTHER)), "send", "--to", CITY, "--title", "t"]
    asking = Process([*argv, "--json", "--id", given], lab.folder / "asking.log", process.environment)
    asking.start()
    until(lambda: asking.child is not None and has_socket(asking.child.pid), 10)
    lab.kill(OTHER)
    assert asking.child is not None
    assert asking.child.wait(10) == 74
    error = json.loads(asking.log.read_text().splitlines()[-1])
    assert (error["code"], error["id"]) == ("OUTCOME_UNKNOWN", given)
    lab.start(OTHER)
    assert lab.relay(OTHER, "send", "--to", CITY, "--title", "t", "--id", given).one()["id"] == given


def test_sigterm_ends_in_time_though_a_client_waits(lab: Network) -> None:
    process = lab.offices[CITY]
    argv = [sys.executable, "-m", "relay", "--home", str(lab.home(CITY)), "send", "--to", COUNTY, "--title", "t"]
    asking = Process([*argv, "--wait", "signed_for", "--json"], lab.folder / "waiting.log", process.environment)
    before = lab.counters(CITY)["accepted"]
    asking.start()
    until(lambda: lab.counters(CITY)["accepted"] > before, 10)
    assert process.end(signal.SIGTERM, 5) == 0
    assert asking.child is not None
    assert asking.child.wait(10) == 75
    assert json.loads(asking.log.read_text().splitlines()[-1])["code"] == "WAIT_TIMEOUT"
    lab.start(CITY)
