"""Following and operating: `track`, `sent list`, `evidence`, `status`, `queue`, help in both languages."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from relay.console.commands import LazyGroup, SpokenCommand
from relay.console.main import COMMANDS
from relay.console.phrases import PHRASES
from relay.console.terms import TERMS
from relay.console.wording import HELP
from tests.relay.console.fake import ID, FakeDaemon, Ran

Relay = Callable[..., Ran]
TRACK = {
    "v": 1,
    "id": ID,
    "recipients": [
        {
            "to": "320000-GO",
            "state": "delivered",
            "final": True,
            "deadline": "2026-07-01T06:00:00.000000Z",
            "late": False,
            "events": [
                {"type": "accepted", "at": "2026-07-01T00:00:00.000000Z", "by": "320924-GO"},
                {"type": "custody", "at": "2026-07-01T00:00:01.000000Z", "by": "320900-GO", "verified": True},
                {"type": "delivered", "at": "2026-07-01T00:00:02.000000Z", "by": "320000-GO", "verified": True},
            ],
        }
    ],
}
STATUS = {
    "v": 1,
    "office": "320924-GO",
    "version": "0.1.0",
    "pid": 7,
    "uptime_s": 3700,
    "rss_bytes": 80 << 20,
    "links": [{"broker": "yancheng", "state": "up", "since": "2026-07-01T00:00:00Z", "last_error": None, "peers": 3}],
    "lanes": {"flash": {"queued": 1, "inflight": 0, "oldest_s": 0.4}},
    "store": {"bytes": 1 << 20, "quota_bytes": 10 << 30, "state": "ok"},
    "counters": {"accepted": 5},
    "trust": {"version": 3, "age_s": 12, "state": "fresh"},
}


def _says(daemon: FakeDaemon, *found: Any) -> None:
    body = b"".join(json.dumps(each).encode() + b"\n" for each in found)
    daemon.answer = lambda seen: (200, body)


def test_a_message_is_followed_in_words_and_as_an_object(relay: Relay, daemon: FakeDaemon) -> None:
    _says(daemon, TRACK)
    assert relay("track", ID[:10], "--json").object() == TRACK
    words = relay("track", ID, "--lang", "zh_CN").out
    for word in ("已受理", "已接管", "已送达", "320900-GO", "已验证", "终态"):
        assert word in words
    assert "delivered" in relay("track", ID).out


def test_the_list_of_what_was_sent(relay: Relay, daemon: FakeDaemon) -> None:
    _says(daemon, TRACK, TRACK)
    assert relay("sent", "list", "--state", "delivered", "--json").lines() == [TRACK, TRACK]
    assert daemon.seen[0].path == "/v1/messages?box=sent&state=delivered"
    assert "320000-GO" in relay("sent", "list").out


def test_evidence_is_written_once(relay: Relay, daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon.answer = lambda seen: (200, b"\xd9\xd9\xf7")
    target = tmp_path / "证据.cbor"
    assert relay("evidence", ID, "-o", str(target), "--redact-body", "--json").exit == 0
    assert target.read_bytes() == b"\xd9\xd9\xf7"
    assert daemon.seen[0].path.endswith("/evidence?redact_body=1")
    assert relay("evidence", ID, "-o", str(target), "--json").error()["code"] == "FILE_EXISTS"
    assert relay("evidence", ID, "-o", str(tmp_path / "no" / "x")).exit == 66


def test_status_in_words_and_as_an_object(relay: Relay, daemon: FakeDaemon) -> None:
    _says(daemon, STATUS)
    assert relay("status", "--json").object() == STATUS
    words = relay("--lang", "zh_CN", "status").out
    for word in ("320924-GO", "1h 1m", "80.0 MiB", "连通", "特提", "yancheng"):
        assert word in words
    assert "flash" in relay("status").out


def test_queues_quarantine_and_overdue(relay: Relay, daemon: FakeDaemon) -> None:
    row = {
        "v": 1, "id": ID, "what": "copy", "to": "320000-GO", "lane": "bulk", "stage": "sent", "next_hop": "320900-GO",
        "since": "2026-07-01T06:00:00Z", "expires_at": "2026-08-01T06:00:00Z", "tries": 1,
    }  # fmt: skip
    _says(daemon, row)
    for command in (("queue", "list"), ("quarantine", "list"), ("overdue",)):
        assert relay(*command, "--json").lines() == [row]
        assert ID in relay(*command).out
    for word in ("sent", "320900-GO", "2026-08-01"):
        assert word in relay("queue", "list").out
    assert relay("queue", "show", ID, "--json").object() == row
    assert "下一站" in relay("queue", "show", ID, "--lang", "zh_CN").out
    assert relay("quarantine", "show", "a b/c", "--json").object() == row
    assert daemon.seen[-1].path == "/v1/quarantine/a%20b%2Fc"


def test_an_operator_accepts_the_clock(relay: Relay, daemon: FakeDaemon) -> None:
    clock = {"v": 1, "state": "following", "wall": "2026-11-25T09:00:00.000000Z", "offset_s": 0.0}
    _says(daemon, clock)
    assert relay("clock", "accept", "--json").object() == clock
    assert (daemon.seen[-1].method, daemon.seen[-1].path) == ("POST", "/v1/clock/accept")
    assert "2026-11-25T09:00:00" in relay("clock", "accept").out


def test_an_operator_accepts_the_damage_of_the_audit_log(relay: Relay, daemon: FakeDaemon) -> None:
    found = {"v": 1, "problems": ["CUT: the log ends at line 7"], "left": []}
    _says(daemon, found)
    assert relay("audit", "accept", "--json").object() == found
    assert (daemon.seen[-1].method, daemon.seen[-1].path) == ("POST", "/v1/accept/audit")
    assert "CUT: the log ends at line 7" in relay("audit", "accept").out


def test_an_operator_accepts_what_happened_to_the_home(relay: Relay, daemon: FakeDaemon) -> None:
    home = {"v": 1, "epoch": "1e56dcdee27c298a", "boots": 3, "commits": 77, "restored_at": None}
    _says(daemon, home)
    assert relay("home", "accept", "--json").object() == home
    assert (daemon.seen[-1].method, daemon.seen[-1].path) == ("POST", "/v1/accept/home")
    assert "1e56dcdee27c298a" in relay("home", "accept").out


def test_fsck_by_the_daemon(relay: Relay, daemon: FakeDaemon) -> None:
    _says(daemon, {"v": 1, "ok": True, "rows": 5, "problems": []})
    assert relay("fsck", "--json").exit == 0
    _says(daemon, {"v": 1, "ok": False, "rows": 5, "problems": ["copies 7: does not open"]})
    ran = relay("fsck", "--json")
    assert (ran.exit, ran.error()["code"], ran.object()["ok"]) == (1, "CHECK_FAILED", False)


def test_common_options_stand_before_or_after(relay: Relay, daemon: FakeDaemon, home: Path) -> None:
    _says(daemon, STATUS)
    for arguments in (("--json", "status"), ("status", "--json"), ("--lang", "en", "status", "--json")):
        assert relay(*arguments).object() == STATUS
    assert relay("--home", "/nowhere", "status", "--home", str(home), "--json").object() == STATUS


def _all_commands(group: LazyGroup, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in group.homes:
        command = group.get_command(context, name)
        if command is None:
            continue
        found.append(((*path, name), command))
        if isinstance(command, LazyGroup):
            found += _all_commands(command, (*path, name))
    return found


ALL = _all_commands(LazyGroup("", COMMANDS))


@pytest.mark.parametrize(("path", "command"), ALL, ids=lambda each: " ".join(each) if isinstance(each, tuple) else "")
def test_every_command_has_help_in_both_languages(relay: Relay, path: tuple[str, ...], command: click.Command) -> None:
    assert isinstance(command, SpokenCommand | LazyGroup)
    assert command.path == " ".join(path)
    english, chinese = relay(*path, "--help"), relay("--lang", "zh_CN", *path, "--help")
    assert (english.exit, chinese.exit) == (0, 0)
    assert english.out.startswith(f"Usage: relay {' '.join(path)}")
    assert chinese.out.startswith(f"用法：relay {' '.join(path)}")
    assert not re.search(r"\b(Usage|Options|Commands|Show this)\b", chinese.out)
    for name in ("--home", "--json", "--lang"):
        assert name in english.out


def test_the_catalogues_are_whole() -> None:
    for chinese, english in (*HELP.values(), *PHRASES.values(), *TERMS.values()):
        assert chinese
        assert english
        assert sorted(re.findall(r"\{\w+\}", chinese)) == sorted(re.findall(r"\{\w+\}", english))


def test_the_language_follows_the_environment(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "用法：" in relay("--help").out
    assert "没有命令" in relay("nonsense").err
    monkeypatch.setenv("RELAY_LANG", "en")
    assert "Usage:" in relay("--help").out
    assert "Usage:" in relay("--help").out
    assert "用法：" in relay("--lang", "zh_CN", "--help").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sned",), "是否指 send"),
        (("status", "--jsn"), "没有选项 --jsn"),
        (("track",), "缺少 ID"),
        (("track", ID, "more"), "多余的参数"),
        (("inbox", "take", "--max", "x"), "整数"),
        (("inbox", "list", "--state", "x"), "只能是 new"),
        (("track", ID, "--lang", "fr"), "zh_CN"),
        (("send", "--to"), "需要一个值"),
        (("status", "--json=1"), "不带值"),
    ],
)
def test_usage_errors_in_chinese(relay: Relay, arguments: tuple[str, ...], words: str) -> None:
    ran = relay("--lang", "zh_CN", *arguments)
    assert ran.exit == 2
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1 or len(ran.err.splitlines()) == 3


def test_sending_loads_nothing_heavy(home: Path) -> None:
    code = (
        "import sys; from relay.console.main import main; "
        f"main(['--home', {str(home)!r}, 'send', '--to', '320000-GO', '--title', 'x', '--json']); "
        "heavy = {'cryptography', 'starlette', 'structlog', 'rich', 'asyncio', 'tuf', 'cbor2'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout == "[]\n"
    assert json.loads(ran.stderr)["code"] == "DAEMON_DOWN"
