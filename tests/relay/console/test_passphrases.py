"""Passphrases: where they come from, and what is said when they come from nowhere."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from keys.files.tries import count_wrong
from protocol.errors import Refused
from relay.console.choices import Choices
from relay.console.keys.passphrases import ask_passphrase, new_passphrase, read_passphrase, unlock_of

EN = Choices("en")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is typed on a terminal, answer by answer."""
    answers: list[str] = []
    given: Iterator[str] = iter(answers)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "prompt", lambda *_, **__: next(given))
    return answers


@pytest.fixture
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)


@pytest.mark.parametrize("content", [b"words of a lab", b"words of a lab\n", b"words of a lab\r\nmore\n"])
def test_the_first_line_of_a_file_opens_every_key(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    unlock = unlock_of(EN, tmp_path, file)
    assert (unlock("root-1"), unlock("targets-9")) == (b"words of a lab", b"words of a lab")
    assert new_passphrase(EN, "root-1", str(file)) == ask_passphrase(EN, "root-1", file) == b"words of a lab"


def test_a_laboratory_opens_its_keys_itself_unless_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("of the lab")
    (tmp_path / "other").write_text("of the file")
    assert unlock_of(EN, tmp_path, None)("root-1") == b"of the lab"
    assert unlock_of(EN, tmp_path, tmp_path / "other")("root-1") == b"of the file"


@pytest.mark.parametrize(("make", "code"), [("none", "FILE_MISSING"), ("folder", "FILE_UNREADABLE"), ("", "BAD_FIELD")])
def test_files_that_give_none(make: str, code: str, tmp_path: Path) -> None:
    place = tmp_path / "file"
    if make == "folder":
        place.mkdir()
    elif not make:
        place.write_text("\nsecond line")
    for read in (read_passphrase, lambda file: unlock_of(EN, tmp_path, file)):
        with pytest.raises(Refused, match=code):
            read(place)


@pytest.mark.usefixtures("no_terminal")
def test_with_nobody_to_ask_it_is_said_what_to_do(tmp_path: Path) -> None:
    unlock = unlock_of(EN, tmp_path, None)
    with pytest.raises(Refused, match=r"NOT_ENOUGH_KEYS.*root-1.*--passphrase-file"):
        unlock("root-1")
    for ask in (new_passphrase, ask_passphrase):
        with pytest.raises(Refused, match=r"NO_PASSPHRASE.*root-1.*--passphrase-file"):
            ask(EN, "root-1", None)


def test_an_empty_answer_means_that_the_holder_is_not_here(typed: list[str], tmp_path: Path) -> None:
    typed += ["", "mine", ""]
    unlock = unlock_of(EN, tmp_path, None)
    assert (unlock("root-1"), unlock("root-2")) == (None, b"mine")
    with pytest.raises(Refused, match="NO_PASSPHRASE"):
        ask_passphrase(EN, "a person", None)


def test_a_new_one_is_asked_twice_and_is_long(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    typed += ["short", "long enough for me", "long enough for mee", "long enough for me", "long enough for me"]
    assert new_passphrase(EN, "root-1", None) == b"long enough for me"
    told = capsys.readouterr().err
    assert "at least 12" in told
    assert "differ" in told
    assert "long enough" not in told


def test_one_passphrase_has_one_form_on_every_keyboard(typed: list[str], tmp_path: Path) -> None:
    typed += ["e\u0301tang", "\u00e9tang"]
    unlock = unlock_of(EN, tmp_path, None)
    assert unlock("root-1") == unlock("root-1") == "étang".encode()


def test_wrong_tries_are_told_once_and_not_of_this_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("words")
    (tmp_path / "keys").mkdir()
    unlock = unlock_of(EN, tmp_path, tmp_path / "file")
    unlock("root-1")
    count_wrong(tmp_path / "keys" / "root-1.key")
    unlock("root-1")
    assert capsys.readouterr().err == ""
    again = unlock_of(EN, tmp_path, tmp_path / "file")
    again("root-1")
    again("root-1")
    assert capsys.readouterr().err.count("wrong passphrases tried on root-1.key") == 1
