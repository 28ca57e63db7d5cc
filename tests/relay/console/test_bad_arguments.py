"""Every command with every argument that somebody might give by mistake or on purpose: a clear refusal, or it works.

The commands are found by walking the command line's tree, so that a new one is tried the day it is born. One argument
at a time is bad, the others are right; a value is tried where its kind can stand.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from relay.codes import CODES
from relay.console.commands import NAMES_FILE, LazyGroup
from relay.console.failure import DETAIL_CHARS
from relay.console.main import main
from tests.relay.console.test_key_faults import CITY, cheap_passphrases, made, no_waiting_for_the_disk
from tests.relay.console.test_looking import ALL

__all__ = ["cheap_passphrases", "made", "no_waiting_for_the_disk"]

STAYING: Final = {"run", "broker run", "demo"}
"""They stay in the foreground when nothing is wrong."""
SHARED: Final = {"key_places", "passphrase_file"}
"""Options that are the same code wherever they stand: tried once."""
TEXTS: Final = {
    "empty": "",
    "two lines": "a\nb",
    "escapes": "\x1b]0;owned\x07\x1b[2J",
    "not UTF-8": os.fsdecode(b"\xc4\xea\xb1\xa8"),
    "long": "x" * 100_000,
    "huge": "9" * 30,
    "end of time": "9999-12-31T23:59:59.999999Z",
}
FILES: Final = ("nothing", "empty", "binary", "sparse", "folder", "pipe", "loop", "x" * 300)
RIGHT: Final = {
    "message_id": "0198f0c0-0000-7000-8000-000000000000",
    "message_ids": "0198f0c0-0000-7000-8000-000000000000",
    "to": CITY,
    "address": CITY,
    "office": CITY,
    "since": "2026-01-01T00:00:00Z",
    "names": "localhost",
    "number": "1",
}
"""Values that a command takes, by the name of the parameter."""
LEAVES: Final = [(path, command) for path, command in ALL if not isinstance(command, LazyGroup)]
FIRST: Final = {
    name: next(path for path, command in LEAVES if name in {each.name for each in command.params} and path[0] == "keys")
    for name in SHARED
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whatever can stand under the name of a file."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "empty").touch()
    (folder / "binary").write_bytes(bytes(range(256)) * 20)
    (folder / "sparse").touch()
    os.truncate(folder / "sparse", 1 << 40)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network that may be changed, in the current folder."""
    shutil.copytree(made / "lab", tmp_path / "lab")
    shutil.copy(made / "passphrase", tmp_path / "passphrase")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _parameters(command: click.Command) -> list[click.Parameter]:
    common = {"--home", "--json", "--lang"}
    return [each for each in command.params if each.opts[0] not in common and not getattr(each, "is_flag", False)]


def _right(parameter: click.Parameter) -> str:
    if isinstance(parameter.type, click.Choice):
        return str(next(iter(parameter.type.choices)))
    return RIGHT.get(parameter.name or "", "fresh")


def _words(command: click.Command, bad: click.Parameter, value: str) -> list[str]:
    """The words of a command line in which `bad` has this value."""
    options: list[str] = []
    arguments: list[str] = []
    for each in _parameters(command):
        if each is bad or each.required:
            given = value if each is bad else _right(each)
        elif each.name == "passphrase_file":
            given = "passphrase"
        else:
            continue
        if isinstance(each, click.Option):
            options += [each.opts[0], given]
        else:
            arguments.append(given)
    return [*options, "--", *arguments]


def _tried(parameter: click.Parameter, files: Path) -> Iterator[str]:
    if isinstance(parameter.type, click.Choice | click.IntRange):
        # click's own refusals: one stands for all.
        yield "x"
        return
    if NAMES_FILE.search(parameter.metavar or ""):
        yield from ("", os.fsdecode(b"\xc4\xea\xb1\xa8"))
        # Lines are a stream: a named pipe waits for its writer, and what is endless is read without end.
        streams = {"pipe", "sparse"} if parameter.name == "jsonl" else set()
        yield from (str(files / name) for name in FILES if name not in streams)
    else:
        yield from TEXTS.values()


@pytest.mark.parametrize("home", ["lab/root", f"lab/offices/{CITY}"])
@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[" ".join(path) for path, _ in LEAVES])
def test_no_argument_of_any_command_brings_anything_but_an_answer_or_a_clear_refusal(
    path: tuple[str, ...],
    command: click.Command,
    home: str,
    files: Path,
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if " ".join(path) in STAYING:
        return
    for parameter in _parameters(command):
        if parameter.name in SHARED and path != FIRST[parameter.name]:
            continue
        for value in _tried(parameter, files):
            status = main(["--home", home, "--json", *path, *_words(command, parameter, value)])
            out, err = capsys.readouterr()
            case = (parameter.opts[0], value[:60], status, err[-500:])
            if status:
                found = json.loads(err.splitlines()[-1])
                assert (found["v"], found["type"], found["exit"]) == (1, "error", status), case
                assert found["code"] in CODES, case
                assert found["code"] != "INTERNAL", case
                assert found["message"], case
                assert found["hint"], case
                assert len(found.get("detail", "")) <= DETAIL_CHARS + 1, case
            else:
                assert all(json.loads(line)["v"] == 1 for line in out.splitlines()), case


@pytest.mark.parametrize("words", [("status",), ("doctor",), ("audit", "verify"), ("fsck",), ("run",)], ids=" ".join)
def test_what_is_for_offices_is_refused_on_an_administrators_home(
    words: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(place.rglob("*"))
    assert main(["--home", "lab/root", "--json", *words]) == 78
    assert json.loads(capsys.readouterr().err)["code"] == "WRONG_HOME"
    assert sorted(place.rglob("*")) == before


def test_a_home_without_a_name_is_not_the_packaged_one(capsys: pytest.CaptureFixture[str]) -> None:
    """`--home "$HOME_OF_OFFICE"` with a variable that is not set must not work on another home."""
    assert main(["--json", "--home", "", "config", "show"]) == 2
    assert "--home" in json.loads(capsys.readouterr().err)["detail"]
