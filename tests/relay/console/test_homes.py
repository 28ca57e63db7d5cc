"""Homes that are missing, of another version, half written or without a daemon, and the guard around every command."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from config import schema
from relay.console import operating
from relay.console.choices import HOME_VERSION
from relay.console.main import main
from tests.relay.console.fake import FakeDaemon, Ran, make_home

Relay = Callable[..., Ran]


def test_no_home(relay: Relay, tmp_path: Path) -> None:
    ran = relay("status", "--json", "--home", str(tmp_path / "none"))
    assert (ran.exit, ran.error()["code"]) == (78, "HOME_MISSING")


def test_the_home_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELAY_HOME", str(tmp_path / "elsewhere"))
    assert main(["status"]) == 78
    assert "elsewhere" in capsys.readouterr().err


@pytest.mark.parametrize("version", ["2", "0", "true", '"1"'])
def test_a_home_of_another_version(relay: Relay, tmp_path: Path, version: str) -> None:
    other = make_home(tmp_path / "other", f"home_version = {version}\n")
    ran = relay("status", "--json", "--home", str(other))
    assert (ran.exit, ran.error()["code"]) == (78, "HOME_VERSION")


def test_client_and_daemon_know_the_same_version() -> None:
    assert HOME_VERSION == schema.HOME_VERSION


@pytest.mark.parametrize("text", ["home_version = 1\n[links", "home_version = 1\n\x00"])
def test_half_written_settings(relay: Relay, tmp_path: Path, text: str) -> None:
    other = make_home(tmp_path / "other", text)
    for command in (("status",), ("config", "check")):
        ran = relay(*command, "--json", "--home", str(other))
        assert (ran.exit, ran.error()["code"]) == (78, "BAD_CONFIG")


def test_an_unknown_setting_is_named_with_the_nearest_known_one(relay: Relay, tmp_path: Path) -> None:
    other = make_home(tmp_path / "other", "home_version = 1\n[links]\nretry_mni_s = 2\n")
    ran = relay("config", "check", "--json", "--home", str(other))
    assert (ran.exit, ran.error()["code"]) == (78, "BAD_CONFIG")
    assert "retry_mni_s" in ran.error()["detail"]
    assert "[links] retry_min_s" in ran.error()["detail"]
    assert "retry_min_s" in relay("config", "check", "--lang", "zh_CN", "--home", str(other)).err


def test_a_socket_that_nobody_listens_on(relay: Relay, home: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(home / "run" / "api.sock"))
    stale.close()
    ran = relay("status", "--json")
    assert (ran.exit, ran.error()["code"]) == (69, "DAEMON_DOWN")


def test_a_home_without_a_run_directory(relay: Relay, home: Path) -> None:
    (home / "run").rmdir()
    assert relay("status").exit == 69


def test_a_read_whose_connection_breaks_is_no_unknown_outcome(relay: Relay, daemon: FakeDaemon) -> None:
    daemon.answer = lambda seen: None
    assert relay("status").exit == 69
    assert relay("inbox", "take").exit == 74


def test_answers_that_are_not_json(relay: Relay, daemon: FakeDaemon) -> None:
    daemon.answer = lambda seen: (200, b"<html>")
    assert relay("status", "--json").error()["code"] == "INTERNAL"
    daemon.answer = lambda seen: (502, b"<html>")
    assert relay("status", "--json").exit == 70


def test_no_traceback_reaches_people(relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise RuntimeError("a secret body")

    monkeypatch.setattr(operating, "program_version", fail)
    ran = relay("version", "--json")
    assert (ran.exit, ran.error()["code"]) == (70, "INTERNAL")
    assert "secret body" not in ran.err
    assert "Traceback" not in ran.err
    monkeypatch.setenv("RELAY_DEBUG", str(tmp_path / "debug.log"))
    assert relay("version").exit == 70
    assert "a secret body" in (tmp_path / "debug.log").read_text()
    assert (tmp_path / "debug.log").stat().st_mode & 0o077 == 0


def test_an_interrupt(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(operating, "program_version", interrupt)
    ran = relay("version", "--json")
    assert (ran.exit, ran.error()["code"]) == (130, "INTERRUPTED")


def test_a_socket_that_we_may_not_use(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: str, *_: object) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", forbidden)
    assert relay("status").exit == 77
