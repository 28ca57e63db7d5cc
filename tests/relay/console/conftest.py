"""A home, a daemon that is not one, and a way to run the command in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.console.main import main
from tests.relay.console.fake import FakeDaemon, Ran, make_home, serve


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
