"""Commands that need no daemon: `lab`, `config`, `broker`, `verify`, `fsck`, `run`; each only a door to what works."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.relay.console.fake import ID, Ran

Relay = Callable[..., Ran]

PLAN = """
network = "lab"
[[brokers]]
id = "province"
engine = "nats"
port = 18831
tls = true
[[offices]]
address = "320000-GO"
name = "省政府办公厅"
class = "province"
brokers = ["province"]
"""


def test_a_lab_and_its_settings(relay: Relay, tmp_path: Path) -> None:
    plan, target = tmp_path / "plan.toml", tmp_path / "net"
    plan.write_text(PLAN, "utf-8")
    made = relay("lab", "create", str(plan), str(target), "--json").object()
    assert made["v"] == 1
    assert made["directory"] == str(target)
    again = relay("lab", "create", str(plan), str(target), "--json")
    assert (again.exit, again.error()["code"]) == (73, "FILE_EXISTS")
    office = str(target / "offices" / "320000-GO")
    assert relay("config", "check", "--json", "--home", office).object()["ok"] is True
    assert relay("config", "show", "--json", "--home", office).object()["settings"]["home_version"] == 1
    assert "[links] retry_min_s = 0.5" in relay("config", "show", "--home", office).out
    printed = relay("broker", "config", "province", "--engine", "mosquitto", "--home", office, "--json").object()
    assert "user 320000-GO" in printed["files"]["acl.conf"]
    unknown = relay("broker", "config", "nowhere", "--engine", "nats", "--home", office, "--json")
    assert (unknown.exit, unknown.error()["code"]) == (66, "NOT_FOUND")


def test_bad_plans(relay: Relay, tmp_path: Path) -> None:
    assert relay("lab", "create", str(tmp_path / "none"), str(tmp_path / "net")).exit == 66
    (tmp_path / "plan.toml").write_text("network = 5\n[[bokers]]\n", "utf-8")
    ran = relay("lab", "create", str(tmp_path / "plan.toml"), str(tmp_path / "net"), "--json")
    assert (ran.exit, ran.error()["code"]) == (78, "BAD_PLAN")
    assert not (tmp_path / "net").exists()


def test_a_broker_without_a_folder(relay: Relay, home: Path) -> None:
    assert relay("broker", "run").exit == 66
    (home / "broker").mkdir()
    (home / "broker" / "argv.json").write_text("{}")
    assert relay("broker", "run").exit == 66
    (home / "broker" / "argv.json").write_text('["/nowhere/broker"]')
    assert relay("broker", "run").exit == 69


def _verdict(**more: Any) -> dict[str, Any]:
    message = {"id": ID, "from": "320924-GO", "to": ["320000-GO"], "digest": "sha256:00", "created": ""}
    receipts = [{"type": "delivered", "by": "320000-GO", "at": "2026-07-01T00:00:00.000000Z", "ok": True}]
    return {
        "v": 1,
        "ok": True,
        "anchored": True,
        "root_fingerprint": "92df",
        "message": message,
        "receipts": receipts,
        "originals": [],
        "problems": [],
        **more,
    }


@pytest.mark.parametrize(
    ("verdict", "status", "code"),
    [
        (_verdict(), 0, None),
        (_verdict(anchored=False), 1, "UNANCHORED"),
        (_verdict(ok=False, problems=["receipt 1: signature"]), 1, "VERIFY_FAILED"),
    ],
)
def test_evidence_is_verified_without_a_daemon(
    relay: Relay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verdict: dict[str, Any],
    status: int,
    code: str | None,
) -> None:
    asked: list[tuple[Any, ...]] = []

    def verify_file(*arguments: Any) -> dict[str, Any]:
        asked.append(arguments)
        return verdict

    monkeypatch.setitem(sys.modules, "relay.evidence", SimpleNamespace(verify_file=verify_file))
    file = tmp_path / "evidence"
    file.touch()
    ran = relay("verify", str(file), "--root", "92df", "--json", "--home", str(tmp_path / "none"))
    assert (ran.exit, ran.object()) == (status, verdict)
    assert asked == [(file, "92df", None)]
    assert code is None or ran.error()["code"] == code
    assert "92df" in relay("verify", str(file), "--lang", "zh_CN").out


def test_fsck_without_a_daemon(relay: Relay, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = SimpleNamespace(check_home=lambda checked, _unlock: {"v": 1, "ok": checked == home, "problems": []})
    monkeypatch.setitem(sys.modules, "relay.fsck", check)
    assert relay("fsck", "--json").exit == 0


def test_the_daemon_is_run_in_this_process(relay: Relay, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Path] = []

    def run(where: Path, _unlock: object) -> int:
        started.append(where)
        return 73

    monkeypatch.setitem(sys.modules, "relay.daemon", SimpleNamespace(run=run))
    assert relay("run").exit == 73
    assert started == [home]
    assert relay("run", "--home", str(home / "none")).exit == 78
