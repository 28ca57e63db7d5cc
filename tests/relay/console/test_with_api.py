"""The command line and the real HTTP API understand each other; the office behind is in memory."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.console.main import main
from tests.relay.api.office import Running, settings
from tests.relay.console.fake import ID, Ran, make_home


@pytest.fixture(scope="module")
def office_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = make_home(tmp_path_factory.mktemp("office") / "home")
    running = Running(home / "run", settings())
    yield home
    running.stop()


def test_a_day_at_the_office(office_home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def relay(*arguments: str) -> Ran:
        capsys.readouterr()
        status = main(["--home", str(office_home), "--json", *arguments])
        caught = capsys.readouterr()
        return Ran(status, caught.out, caught.err)

    send = ("send", "--to", "320000-GO", "--title", "汛情", "--id", ID)
    assert relay(*send).object()["state"] == "accepted"
    assert relay(*send).object()["repeated"] is True
    reused = relay(*send, "--drill")
    assert (reused.exit, reused.error()["code"], reused.error()["id"]) == (65, "ID_REUSED", ID)
    lines = tmp_path / "lines"
    lines.write_text("".join(json.dumps({"to": "320000-GO", "title": f"{n}"}) + "\n" for n in range(450)), "utf-8")
    stream = relay("send", "--jsonl", str(lines))
    assert (stream.exit, len(stream.lines())) == (0, 450), stream.err
    for looking in (
        ("status",),
        ("queue", "list"),
        ("quarantine", "list"),
        ("overdue",),
        ("statistics",),
        ("sent", "list"),
        ("fsck",),
    ):
        ran = relay(*looking)
        assert ran.exit in (0, 1), (looking, ran.err)
    assert relay("inbox", "list", "--limit", "5").exit == 0
    unknown = relay("track", "ffffffff")
    assert (unknown.exit, unknown.error()["code"]) == (66, "NOT_FOUND")
