"""What the user chose for the whole command line: home, language, form of output."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.errors import Refused
from relay.codes import language

DEFAULT_HOME: Final = "/var/lib/relay"
HOME_VERSION: Final = 1
"""The only `home_version` that this program knows; `config/schema.py` checks the same number in the daemon."""

SUITES: Final = {"1": 1, "2": 2, "3": 3, "gm": 3}
"""Cipher suites as they are typed."""


@dataclass(slots=True)
class Choices:
    """The common options. They may stand before or after the command; what comes last wins."""

    lang: str
    json: bool = False
    home_given: str | None = None
    key_places: tuple[str, ...] = ()
    """Folders with key files beside those of the home: `--keys`."""

    @property
    def home(self) -> Path:
        """The home directory: `--home`, else RELAY_HOME, else the packaged default."""
        return Path(self.home_given or os.environ.get("RELAY_HOME") or DEFAULT_HOME)

    def existing_home(self) -> Path:
        """The home, after a look at its settings.

        Raises `Refused` HOME_MISSING or HOME_VERSION, or `ConfigError`. Settings that may not be read are left to
        the daemon: a user of the socket needs no permission for them.
        """
        home = self.home
        try:
            settings = tomllib.loads((home / "relay.toml").read_text("utf-8"))
        except PermissionError:
            return home
        except (FileNotFoundError, NotADirectoryError):
            raise Refused("HOME_MISSING", str(home)) from None
        except (OSError, ValueError):
            # The same words as `config check`, which takes longer to load.
            from config.load import load

            load(home)
            raise
        found = settings.get("home_version")
        if found != HOME_VERSION or isinstance(found, bool):
            raise Refused("HOME_VERSION", f"{home} has home_version {found!r}, this program knows {HOME_VERSION}")
        return home


def read_choices(arguments: Sequence[str], environment: Mapping[str, str]) -> Choices:
    """The choices as far as they can be known before parsing, so that help and usage errors follow them."""
    lang = language(environment.get("RELAY_LANG") or environment.get("LANG"))
    options = list(arguments)
    if "--" in options:
        options = options[: options.index("--")]
    for place, word in enumerate(options):
        name, _, value = word.partition("=")
        if name == "--lang":
            value = value or (options[place + 1] if place + 1 < len(options) else "")
            lang = value if value in ("zh_CN", "en") else lang
    return Choices(lang=lang, json="--json" in options)
