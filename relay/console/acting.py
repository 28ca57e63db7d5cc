"""An administrator's act on the directory: a pure change, signed by the keys that open, kept as a new generation."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from keys.directory import Directory
from protocol.errors import RemoteError
from relay.console.choices import Choices
from relay.console.commands import F, option
from relay.console.failure import Failure
from relay.console.homes import root_home
from relay.console.output import emit
from relay.console.passphrases import unlock_of
from relay.console.phrases import say

Change = Callable[[Directory, int], Directory]
"""A pure change of the directory, at a time in microseconds. Run again on the same directory it gives the same."""


@dataclass(frozen=True, slots=True)
class Acted:
    """What became of an act.

    `done`: enough holders have signed and `directory` is in the newest generation; else it waits for more of them.
    """

    act: str
    done: bool
    directory: Directory

    def as_object(self) -> dict[str, Any]:
        """The members that every act prints."""
        return {"act": self.act, "state": "done" if self.done else "pending", "version": self.directory.version}


def signing_options(function: F) -> F:
    """The option of every command whose act is signed: `--passphrase-file`."""
    return option("--passphrase-file", metavar="FILE")(function)


def change_directory(choices: Choices, passphrase_file: str | Path | None, change: Change, *, act: str) -> Acted:
    """Apply `change` to the newest directory of the root home, sign the result and keep it as a new generation.

    `act` says in English what is done (`revoke 320924-GO`); the journal keeps it. Nothing is published by this.
    Raises `Refused` of `change`, WRONG_HOME or NOT_ENOUGH_KEYS; `Failure` as in `ceremony`; `KeyFileError`, `OSError`.
    """
    from keys.ceremony import publish_directory, read_network

    home = root_home(choices)
    now_us = time.time_ns() // 1_000
    with ceremony():
        changed = change(read_network(home).directory, now_us)
        network = publish_directory(home, changed, now_us, unlock=unlock_of(choices, home, passphrase_file))
    return Acted(act, done=True, directory=network.directory)


@contextmanager
def ceremony() -> Iterator[None]:
    """What keys/ finds wrong inside, said as a failure of the command: BAD_TRUST for signed files that do not verify,
    BAD_FIELD for a directory that would contradict itself.
    """
    from keys.trust import TrustError

    try:
        yield
    except TrustError as error:
        raise Failure("BAD_TRUST", f"{error.code}: {error.detail}") from error
    except RemoteError as error:
        raise Failure("BAD_FIELD", error.detail) from error


def tell_acted(choices: Choices, acted: Acted, found: Mapping[str, Any] | None = None) -> None:
    """Print what became of an act: one object with the members of `found`, or a line and what to do next."""
    if choices.json:
        emit({**acted.as_object(), **(found or {})})
        return
    click.echo(say("act_done", choices.lang, act=acted.act, version=acted.directory.version))
    click.echo(say("act_publish", choices.lang, command=f"relay --home {choices.home} keys publish"))
