"""A home, a daemon that is not one, and a way to run the command in this process."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.console.main import main
from tests.relay.console.fake import FakeDaemon, Ran, Run, make_home, serve


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RELAY_HOME", "RELAY_LANG", "RELAY_DEBUG", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture
def daemon(home: Path) -> Iterator[FakeDaemon]:
    yield from serve(home)


@pytest.fixture
def relay(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        status = main(["--home", str(home), *arguments])
        caught = capsys.readouterr()
        return Ran(status, caught.out, caught.err)

    return run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command of `keys` with --json; its object, or the error object. The exit status is under `status`."""

    def command(home: Path, *arguments: str | Path) -> dict[str, Any]:
        capsys.readouterr()
        status = main(["--home", str(home), "--json", "keys", *map(str, arguments)])
        caught = capsys.readouterr()
        text = caught.out if status == 0 else caught.err
        found: dict[str, Any] = json.loads(text.splitlines()[-1])
        assert found["v"] == 1
        return {**found, "status": status}

    return command
