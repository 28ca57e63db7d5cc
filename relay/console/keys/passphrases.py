"""Passphrases: from a file, from a laboratory's own file, or asked on the terminal; never an argument (CONTRACT 2).

A passphrase is the UTF-8 of what was typed, in Unicode's composed form (NFC), so that it is the same bytes on every
keyboard; from a file it is the first line, as it stands.
"""

import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from keys.files.keyfile import Unlock
from keys.files.storage_key import LABEL, SEALED
from keys.files.tries import wrong_tries
from protocol.errors import Refused
from relay.console.choices import Choices
from relay.console.output import local_time
from relay.console.phrases import say
from relay.given import read_passphrase
from relay.times import time_text

LAB_PASSPHRASE: Final = "passphrase"  # noqa: S105 - the name of a file
"""In a laboratory's root home: opens every key, unattended."""

NEW_CHARACTERS: Final = 12
"""Fewest characters of a passphrase that is chosen on a terminal: four short words. A file is its owner's business."""


def tell_tries(choices: Choices, key_file: Path) -> None:
    """Say on standard error how often somebody tried wrong passphrases on this file since the last right one."""
    tries = wrong_tries(key_file)
    if tries is not None:
        since = local_time(time_text(tries.first_us))
        click.echo(say("wrong_tries", choices.lang, what=key_file.name, count=tries.count, since=since), err=True)


def unlock_of(choices: Choices, home: Path, passphrase_file: str | Path | None, places: Sequence[Path] = ()) -> Unlock:
    """From a key's label to its passphrase, or None when its holder is not here.

    From `passphrase_file` (for every key), else from the file of a laboratory, else asked on the terminal, where an
    empty answer means that the holder is not here. Wrong tries are told of files in HOME/keys and in `places`, once,
    so that nobody is alarmed by their own slip of a moment ago. Raises
    `Refused` FILE_MISSING, FILE_UNREADABLE, BAD_FIELD for an empty file; the result raises NOT_ENOUGH_KEYS when there
    is nobody to ask.
    """
    told: set[str] = set()

    def tell(label: str) -> None:
        if label in told:
            return
        told.add(label)
        name = SEALED if label == LABEL else f"{label}.key"
        for place in (home / "keys", *places):
            tell_tries(choices, place / name)

    lab = home / LAB_PASSPHRASE
    file = Path(passphrase_file) if passphrase_file is not None else lab if lab.is_file() else None
    if file is not None:
        given = read_passphrase(file)

        def give(label: str) -> bytes:
            tell(label)
            return given

        return give

    def ask(label: str) -> bytes | None:
        tell(label)
        if not sys.stdin.isatty():
            raise Refused("NOT_ENOUGH_KEYS", f"nobody can be asked for the passphrase of {label}: {_NO_TERMINAL}")
        return _typed(say("passphrase_of", choices.lang, what=label)) or None

    return ask


def ask_passphrase(choices: Choices, what: str, file: str | Path | None) -> bytes:
    """The passphrase of one key file that must be opened. Raises like `new_passphrase`, and NO_PASSPHRASE for none."""
    if file is not None:
        return read_passphrase(Path(file))
    _require_terminal(what)
    typed = _typed(say("passphrase_for", choices.lang, what=what))
    if not typed:
        raise Refused("NO_PASSPHRASE", f"none was given for {what}")
    return typed


def new_passphrase(choices: Choices, what: str, file: str | Path | None) -> bytes:
    """A passphrase for a new key: from the file, else asked twice on the terminal until both agree and it is long.

    Raises `Refused` NO_PASSPHRASE when there is neither, FILE_MISSING, FILE_UNREADABLE, BAD_FIELD for an empty file.
    """
    if file is not None:
        return read_passphrase(Path(file))
    _require_terminal(what)
    while True:
        typed = _typed(say("new_passphrase", choices.lang, what=what, count=NEW_CHARACTERS))
        if len(typed.decode()) < NEW_CHARACTERS:
            click.echo(say("passphrase_short", choices.lang, count=NEW_CHARACTERS), err=True)
        elif _typed(say("passphrase_again", choices.lang, what=what)) != typed:
            click.echo(say("passphrase_differs", choices.lang), err=True)
        else:
            return typed


_NO_TERMINAL: Final = "input is no terminal and there is no --passphrase-file"


def _require_terminal(what: str) -> None:
    if not sys.stdin.isatty():
        raise Refused("NO_PASSPHRASE", f"{what}: {_NO_TERMINAL}", field="passphrase_file")


def _typed(question: str) -> bytes:
    """What was typed, unseen."""
    typed = click.prompt(question, default="", hide_input=True, show_default=False, prompt_suffix="", err=True)
    return unicodedata.normalize("NFC", str(typed)).encode()
