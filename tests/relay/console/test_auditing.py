"""`relay audit` and `relay doctor` in front of a fake daemon: what is asked, what is printed, which exit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.relay.console.fake import FakeDaemon, Ran, Seen

Relay = Callable[..., Ran]
LINE = {
    "v": 1,
    "n": 7,
    "did": "send",
    "at": "2026-07-01T00:00:00.000000Z",
    "by": "uid:7/gid:8",
    "id": "x",
    "code": "OK",
}


def says(daemon: FakeDaemon, *found: Any) -> None:
    body = b"".join(json.dumps(each).encode() + b"\n" for each in found)
    daemon.answer = lambda seen: (200, body)


def test_the_last_lines_are_shown_to_people_and_programs(relay: Relay, daemon: FakeDaemon) -> None:
    says(daemon, LINE, {**LINE, "n": 8, "did": "take"})
    assert [line["n"] for line in relay("audit", "tail", "--json").lines()] == [7, 8]
    assert daemon.seen[-1].path == "/v1/audit?limit=20"
    shown = relay("audit", "tail", "-n", "2", "--lang", "zh_CN").out
    assert "操作者" in shown
    assert "uid:7/gid:8" in shown
    says(daemon)
    assert relay("audit", "tail", "--lang", "en").out == "Nothing.\n"


@pytest.mark.parametrize("form", [("--json",), ()])
def test_whoever_follows_gets_only_what_is_new(
    relay: Relay, daemon: FakeDaemon, form: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def answer(seen: Seen) -> tuple[int, bytes]:
        looks.append(seen.path)
        line = {**LINE, "n": 7 if len(looks) == 1 else 8}
        return 200, b"" if len(looks) > 2 else json.dumps(line).encode() + b"\n"

    def sleep(_seconds: float) -> None:
        if len(looks) == 4:
            raise KeyboardInterrupt

    daemon.answer = answer
    monkeypatch.setattr("relay.console.auditing.time.sleep", sleep)
    ran = relay("audit", "tail", "-f", *form)
    assert ran.exit == 130
    assert looks == ["/v1/audit?limit=20", *(f"/v1/audit?limit=100000&after={n}" for n in (7, 8, 8))]
    assert len([line for line in ran.out.splitlines() if "uid:7/gid:8" in line]) == 2


def test_a_check_says_what_is_wrong_and_takes_heads_from_outside(
    relay: Relay, daemon: FakeDaemon, tmp_path: Path
) -> None:
    says(daemon, {"v": 1, "ok": True, "count": 9, "head": "sha256:" + "ab" * 32, "problems": []})
    kept = tmp_path / "kept.json"
    kept.write_text(relay("audit", "verify", "--json").out)
    (tmp_path / "plain.txt").write_text("AB" * 32 + "\n")
    heads = ("--head", str(kept), "--head", str(tmp_path / "plain.txt"), "--head", "sha256:" + "cd" * 32)
    assert relay("audit", "verify", *heads).exit == 0
    assert daemon.seen[-1].json() == {
        "heads": [
            {"head": "ab" * 32, "count": 9},
            {"head": "ab" * 32, "count": 0},
            {"head": "cd" * 32, "count": 0},
        ]
    }
    says(daemon, {"v": 1, "ok": False, "problems": ["CUT: the log ends at line 3"]})
    ran = relay("audit", "verify", "--json")
    assert (ran.exit, ran.error()["code"]) == (1, "CHECK_FAILED")
    assert "✗ CUT: the log ends at line 3" in relay("audit", "verify").out
    for wrong in ("abc", "0" * 63 + "g", str(tmp_path)):
        assert relay("audit", "verify", "--head", wrong, "--json").error()["field"] == "head"
    assert relay("audit", "verify", "--root", "ab", "--json").exit == 2
    assert relay("audit", "verify", str(tmp_path / "nothing.tar"), "--json").exit == 66
    kept.write_text("no archive")
    said = relay("audit", "verify", str(kept), "--json")
    assert said.exit == 1
    assert said.object()["problems"][0].startswith("MALFORMED")


def test_an_export_is_written_whole_or_not_at_all(relay: Relay, daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon.answer = lambda seen: (200, b"x" * 200_000)
    file = tmp_path / "log.tar"
    assert relay("audit", "export", str(file), "--json").object() == {"v": 1, "file": str(file), "bytes": 200_000}
    assert file.stat().st_mode & 0o777 == 0o600
    assert relay("audit", "export", str(file), "--json").exit == 73
    assert relay("audit", "export", str(tmp_path / "no" / "log.tar"), "--json").exit == 66
    assert file.read_bytes() == b"x" * 200_000
    daemon.answer = lambda seen: None
    # Nobody answers: the home itself is looked at, and this one is none.
    assert relay("audit", "export", str(tmp_path / "other.tar"), "--json").exit == 78
    assert list(tmp_path.glob("other*")) == []


def test_heads_of_neighbours_are_listed(relay: Relay, daemon: FakeDaemon) -> None:
    says(daemon, {"v": 1, "office": "320900-GO", "count": 4, "head": "sha256:aa", "signed_at": LINE["at"]})
    assert "320900-GO" in relay("audit", "heads").out
    assert relay("audit", "heads", "--json").lines()[0]["count"] == 4


def test_the_doctor_speaks_both_languages_and_fails_when_something_is_wrong(relay: Relay, daemon: FakeDaemon) -> None:
    right = {"v": 1, "check": "store", "result": "PASS", "code": "STORE_OK", "detail": "3 % of the quota used"}
    soon = {"v": 1, "check": "keys", "result": "WARN", "code": "KEY_ENDS_SOON", "detail": "ends in 9 days"}
    wrong = {"v": 1, "check": "links", "result": "FAIL", "code": "LINKS_DOWN", "detail": "a: refused"}
    says(daemon, right, soon)
    ran = relay("doctor", "--lang", "en")
    assert ran.exit == 0
    assert "PASS  store: the store is sound (3 % of the quota used)" in ran.out
    assert "WARN  keys: the signing key ends soon" in ran.out
    assert ran.out.count("Do:") == 1
    says(daemon, right, wrong)
    ran = relay("doctor", "--lang", "zh_CN")
    assert ran.exit == 1
    assert "FAIL  links: 没有连上任何消息代理" in ran.out
    assert "办法：检查网络" in ran.out
    ran = relay("doctor", "--json", "--lang", "en")
    assert [line["result"] for line in ran.lines()] == ["PASS", "FAIL"]
    assert ran.lines()[1]["next"]
    assert (ran.exit, ran.error()["code"], ran.error()["detail"]) == (1, "CHECK_FAILED", "LINKS_DOWN")
