"""The two kinds of home that `relay keys` works on: the network administrator's directory, and an office's home."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from keys.files.locks import locked
from protocol.errors import Refused
from relay.console.choices import Choices

HOLD_S: Final = 5.0
"""How long a command waits for another one on the same home: acts take less, and people who type take longer."""


def root_home(choices: Choices) -> Path:
    """The chosen home, which must be a network administrator's directory.

    Raises `Refused` WRONG_HOME for another, and like `Choices.existing_home`.
    """
    home = choices.existing_home()
    if not (home / "network").is_dir():
        raise Refused("WRONG_HOME", f"{home} has no network/: it is not a network administrator's directory")
    return home


def office_home(choices: Choices) -> Path:
    """The chosen home, which must be an office's.

    Raises `Refused` WRONG_HOME for a network administrator's directory, and like `Choices.existing_home`.
    """
    home = choices.existing_home()
    if (home / "network").is_dir():
        raise Refused("WRONG_HOME", f"{home} has a network/: it is a network administrator's directory, no office's")
    return home


def held(home: Path) -> AbstractContextManager[None]:
    """One act at a time on a home: another one would follow a directory that is gone by then.

    Raises `Refused` HOME_BUSY after `HOLD_S`; `OSError`.
    """
    return locked(home, HOLD_S, Refused("HOME_BUSY", str(home)))
