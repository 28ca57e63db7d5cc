"""`relay send` and `forward`: what reaches the daemon, and every input that must not."""

import base64
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.relay.console.fake import ID, FakeDaemon, Ran, Seen, accepted, make_home, problem, serve

Relay = Callable[..., Ran]
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
SEND = ("send", "--to", "320000-GO", "--title", "汛情报告")


def test_a_message_goes_out_with_every_option(relay: Relay, daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon.answer = accepted
    (tmp_path / "body.txt").write_bytes("今日水位\r\n上涨\t".encode())
    (tmp_path / "附表.bin").write_bytes(bytes(range(256)))
    ran = relay(
        *SEND, "--json", "--to", "320900-GO", "--cc", "@counties", "--urgency", "flash", "--kind", "incident_first",
        "--body", str(tmp_path / "body.txt"), "--attach", str(tmp_path / "附表.bin"), "--id", ID, "--expires-in", "72h",
        "--deliver-within", "6h", "--occurred-at", "2026-07-01T08:30:00+08:00", "--event-level", "II", "--thread", ID,
        "--reply-to", ID, "--classification", "work_secret", "--drill",
    )  # fmt: skip
    assert ran.exit == 0, ran.err
    found = ran.object()
    assert list(found)[:2] == ["v", "id"]
    assert (found["id"], found["state"], found["lane"]) == (ID, "accepted", "flash")
    sent = daemon.seen[0]
    assert (sent.method, sent.path, sent.headers["Idempotency-Key"]) == ("POST", "/v1/messages", ID)
    draft = sent.json()
    assert draft["body"] == "今日水位\r\n上涨\t"
    assert base64.b64decode(draft["attachments"][0]["data"]) == bytes(range(256))
    assert draft["attachments"][0]["name"] == "附表.bin"
    assert (draft["to"], draft["cc"], draft["drill"]) == (["320000-GO", "320900-GO"], ["@counties"], True)
    assert {"bulk", "attach", "json", "home"}.isdisjoint(draft)


def test_the_id_is_made_before_the_connection_and_named_in_every_error(relay: Relay) -> None:
    ran = relay(*SEND, "--json")
    assert ran.exit == 69
    assert ran.error()["code"] == "DAEMON_DOWN"
    assert UUID7.fullmatch(ran.error()["id"])
    assert ran.out == ""
    human = relay(*SEND, "--id", ID)
    assert ID in human.err
    assert len(human.err.splitlines()) == 3


BAD = [
    (("--to", "320924"), 65, "BAD_FIELD", "to"),
    (("--to", "320924-go"), 65, "BAD_FIELD", "to"),
    (("--to", "320000-GO"), 65, "BAD_FIELD", "to"),
    (("--cc", "320000-GO"), 65, "BAD_FIELD", "cc"),
    (("--title", "长" * 101), 65, "BAD_FIELD", "title"),
    (("--title", ""), 65, "BAD_FIELD", "title"),
    (("--title", "两\n行"), 65, "BAD_FIELD", "title"),
    (("--title", "bell\x07"), 65, "BAD_FIELD", "title"),
    (("--id", "not-a-uuid"), 65, "BAD_FIELD", "id"),
    (("--id", ID.upper().replace("0", "A")), 65, "BAD_FIELD", "id"),
    (("--thread", "1"), 65, "BAD_FIELD", "thread"),
    (("--reply-to", "1"), 65, "BAD_FIELD", "reply_to"),
    (("--occurred-at", "yesterday"), 65, "BAD_FIELD", "occurred_at"),
    (("--occurred-at", "2026-02-30T00:00:00Z"), 65, "BAD_FIELD", "occurred_at"),
    (("--occurred-at", "2026-02-20T00:00:00"), 65, "BAD_FIELD", "occurred_at"),
    (("--expires-in", "soon"), 65, "BAD_FIELD", "expires_in"),
    (("--deliver-within", "0h"), 65, "BAD_FIELD", "deliver_within"),
    (("--urgency", "asap"), 65, "BAD_FIELD", "urgency"),
    (("--kind", "poem"), 65, "BAD_FIELD", "kind"),
    (("--event-level", "V"), 65, "BAD_FIELD", "event_level"),
    (("--classification", "secret"), 65, "BAD_FIELD", "classification"),
    (("--classification", "jimi"), 65, "CLASSIFIED", "classification"),
    (("--classification", "绝密★10年"), 65, "CLASSIFIED", "classification"),
    (("--wait", "delivered", "--wait-timeout", "long"), 65, "BAD_FIELD", "wait_timeout"),
    (("--body", "/nowhere/at/all"), 66, "FILE_MISSING", "body"),
    (("--attach", "/nowhere/at/all"), 66, "FILE_MISSING", "attach"),
    (("--body", "/"), 66, "FILE_UNREADABLE", "body"),
    (("--attach", "/"), 66, "FILE_UNREADABLE", "attach"),
]


@pytest.mark.parametrize(("more", "status", "code", "field"), BAD)
def test_bad_input_never_reaches_the_daemon(
    relay: Relay, daemon: FakeDaemon, more: tuple[str, ...], status: int, code: str, field: str
) -> None:
    ran = relay(*SEND, *more, "--json")
    error = ran.error()
    assert (ran.exit, error["exit"], error["code"], error["field"]) == (status, status, code, field)
    assert {"v", "type", "message", "hint", "id"} <= error.keys()
    assert daemon.seen == []


@pytest.mark.parametrize("data", [b"\xff\xfe", b"ok\x00", b"\x1b[31m", b"\x89PNG\r\n\x1a\n", "\u0085".encode()])
def test_bodies_that_are_not_plain_text(relay: Relay, daemon: FakeDaemon, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "body").write_bytes(data)
    ran = relay(*SEND, "--body", str(tmp_path / "body"), "--json")
    assert (ran.exit, ran.error()["code"], ran.error()["field"]) == (65, "BAD_FIELD", "body")
    assert daemon.seen == []


def test_a_huge_file_is_refused_without_reading_it_all(relay: Relay, daemon: FakeDaemon, tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(1 << 40)
    began_s = time.monotonic()
    ran = relay(*SEND, "--attach", str(tmp_path / "huge"), "--json")
    assert (ran.exit, ran.error()["code"]) == (65, "TOO_LARGE")
    assert time.monotonic() - began_s < 5
    assert daemon.seen == []


def test_an_unreadable_file(relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", _forbidden)
    ran = relay(*SEND, "--body", str(tmp_path / "body"), "--json")
    assert (ran.exit, ran.error()["code"]) == (77, "NOT_PERMITTED")


def _forbidden(path: str, *_: object, **__: object) -> int:
    """What root would never see."""
    raise PermissionError(13, "Permission denied", path)


def test_classified_is_refused_before_any_file_is_opened(relay: Relay) -> None:
    ran = relay(*SEND, "--classification", "mimi", "--body", "/nowhere", "--json")
    assert ran.error()["code"] == "CLASSIFIED"


@pytest.mark.parametrize("arguments", [("send", "--title", "x"), ("send", "--to", "320000-GO"), (*SEND, "--bogus")])
def test_usage_errors_print_the_error_object_too(relay: Relay, arguments: tuple[str, ...]) -> None:
    ran = relay(*arguments, "--json")
    assert (ran.exit, ran.error()["code"], ran.error()["exit"]) == (2, "USAGE", 2)


def test_a_broken_connection_leaves_the_outcome_unknown(relay: Relay, daemon: FakeDaemon) -> None:
    daemon.answer = lambda seen: None
    ran = relay(*SEND, "--json", "--id", ID)
    assert (ran.exit, ran.error()["code"], ran.error()["id"]) == (74, "OUTCOME_UNKNOWN", ID)


def test_refusals_of_the_daemon_are_said_in_our_language(relay: Relay, daemon: FakeDaemon) -> None:
    daemon.answer = lambda seen: problem("UNKNOWN_RECIPIENT", detail="320999-GO", field="to", id=ID)
    ran = relay(*SEND, "--json", "--id", ID, "--lang", "zh_CN")
    error = ran.error()
    assert (ran.exit, error["code"], error["detail"], error["field"]) == (65, "UNKNOWN_RECIPIENT", "320999-GO", "to")
    assert re.search("[\u4e00-\u9fff]", error["message"])
    assert daemon.seen[0].headers["Accept-Language"] == "zh-CN"
    assert error["type"] == "error"


def test_a_code_of_a_newer_daemon_keeps_its_own_words(relay: Relay, daemon: FakeDaemon) -> None:
    daemon.answer = lambda seen: problem("MOON_PHASE", exit=65, message="The moon is wrong.", hint="Wait.")
    ran = relay(*SEND, "--json")
    assert (ran.exit, ran.error()["code"], ran.error()["message"]) == (65, "MOON_PHASE", "The moon is wrong.")


def _track(state: str, **more: object) -> bytes:
    return json.dumps({"v": 1, "id": ID, "recipients": [{"to": "320000-GO", "state": state, **more}]}).encode()


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ("delivered", 0, None),
        ("signed_for", 0, None),
        ("refused", 65, "NOT_LIAISON"),
        ("expired", 65, "EXPIRED"),
        ("unconfirmed", 75, "WAIT_TIMEOUT"),
    ],
)
def test_waiting_ends_with_the_state(relay: Relay, daemon: FakeDaemon, state: str, status: int, code: str) -> None:
    daemon.answer = lambda seen: accepted(seen) if seen.method == "POST" else (200, _track(state, code="NOT_LIAISON"))
    ran = relay(*SEND, "--wait", "delivered", "--json", "--id", ID)
    assert (ran.exit, ran.object()["state"], ran.object()["id"]) == (status, state, ID)
    if code:
        assert (ran.error()["code"], ran.error()["state"], ran.error()["id"]) == (code, state, ID)


def test_a_wait_that_runs_out_says_what_was_reached(relay: Relay, daemon: FakeDaemon) -> None:
    def answer(seen: Seen) -> tuple[int, bytes]:
        return accepted(seen) if seen.method == "POST" else problem("WAIT_TIMEOUT", 504, state="custody")

    daemon.answer = answer
    ran = relay(*SEND, "--wait", "delivered", "--wait-timeout", "50ms", "--json", "--id", ID)
    assert (ran.exit, ran.error()["code"], ran.error()["state"]) == (75, "WAIT_TIMEOUT", "custody")
    assert "wait=delivered&timeout=0.0" in daemon.seen[1].path


def test_a_refusal_that_ends_the_wait_early_is_told_as_such(relay: Relay, daemon: FakeDaemon) -> None:
    def answer(seen: Seen) -> tuple[int, bytes]:
        if seen.method == "POST":
            return accepted(seen)
        if "wait=" in seen.path:
            return problem("WAIT_TIMEOUT", 504, state="refused")
        return 200, _track("refused", code="NOT_LIAISON")

    daemon.answer = answer
    ran = relay(*SEND, "--wait", "delivered", "--wait-timeout", "10s", "--json", "--id", ID)
    assert (ran.exit, ran.error()["code"], ran.error()["state"]) == (65, "NOT_LIAISON", "refused")


def test_a_forward_is_a_new_message(relay: Relay, daemon: FakeDaemon) -> None:
    daemon.answer = accepted
    ran = relay("forward", ID, "--to", "100000-GO", "--json")
    assert ran.exit == 0, ran.err
    assert daemon.seen[0].path == f"/v1/messages/{ID}/forward"
    assert daemon.seen[0].json().keys() == {"id", "to"}
    assert UUID7.fullmatch(ran.object()["id"])
    assert relay("forward", "nonsense!", "--to", "100000-GO").exit == 65


def test_the_answer_in_words(relay: Relay, daemon: FakeDaemon) -> None:
    daemon.answer = accepted
    assert "已受理" in relay(*SEND, "--lang", "zh_CN", "--id", ID).out
    assert f"Accepted {ID}" in relay(*SEND, "--id", ID).out


def test_members_of_a_group_that_were_left_out_are_named(relay: Relay, daemon: FakeDaemon) -> None:
    def answer(seen: Seen) -> tuple[int, bytes]:
        status, body = accepted(seen)
        return status, json.dumps({**json.loads(body), "skipped": [{"to": "320999-GO", "code": "REVOKED"}]}).encode()

    daemon.answer = answer
    assert "320999-GO (REVOKED)" in relay(*SEND).out
    assert relay(*SEND, "--json").object()["skipped"][0]["code"] == "REVOKED"


def test_a_full_width_space_is_part_of_a_title(relay: Relay, daemon: FakeDaemon) -> None:
    daemon.answer = accepted
    assert relay("send", "--to", "320000-GO", "--title", "汛情\u3000续报").exit == 0


def test_a_home_of_two_hundred_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from relay.console.main import main

    home = make_home(tmp_path / ("深" * 60) / ("x" * 120))
    running = serve(home)
    daemon = next(running)
    daemon.answer = accepted
    try:
        assert main([*SEND, "--home", str(home), "--json"]) == 0
    finally:
        next(running, None)
    assert json.loads(capsys.readouterr().out)["state"] == "accepted"
