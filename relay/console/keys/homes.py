"""The two kinds of home that `relay keys` works on: the network administrator's directory, and an office's home."""

from pathlib import Path

from protocol.errors import Refused
from relay.console.choices import Choices


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
