"""An administrator's act: proposed, signed by the keys that open, carried out or kept until others have signed."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keys.files.private_files import KeyFileError
from keys.roster.directory import Directory
from protocol.errors import RemoteError
from relay.codes import lookup
from relay.console.choices import Choices
from relay.console.commands import F, option, remembered
from relay.console.failure import Failure
from relay.console.keys.homes import held, root_home
from relay.console.keys.journal import note_act
from relay.console.keys.passphrases import unlock_of
from relay.console.output import emit
from relay.console.phrases import say

if TYPE_CHECKING:
    from keys.ceremony.act import Signatures
    from keys.ceremony.pending import Outcome, Signers

Change = Callable[[Directory, int], Directory]
"""A pure change of the directory, at a time in microseconds. Run again on the same directory it gives the same."""


@dataclass(frozen=True, slots=True)
class Acted:
    """What became of an act.

    `done`: enough holders have signed and `directory` is in the newest generation; else it waits, as the file `path`,
    for those whom `signatures` lack. `troubles`: keys that were here and did not open.
    """

    act: str
    done: bool
    directory: Directory
    signatures: tuple["Signatures", ...] = ()
    path: Path | None = None
    troubles: tuple[KeyFileError, ...] = ()

    def as_object(self) -> dict[str, Any]:
        """The members that every act prints."""
        found: dict[str, Any] = {"act": self.act, "state": "done" if self.done else "pending"}
        found["version"] = self.directory.version
        if self.signatures:
            found["signatures"] = [signatures_object(one) for one in self.signatures]
        if self.path is not None:
            found["file"] = str(self.path)
        if self.troubles:
            found["troubles"] = [
                {"code": one.code, "file": str(one.path), "detail": one.detail} for one in self.troubles
            ]
        return found


def signing_options(function: F) -> F:
    """The options of every command whose act is signed: `--passphrase-file`, and `--keys` for what holders brought."""
    return option("--passphrase-file", metavar="FILE")(remembered("--keys", "key_places", metavar="DIR")(function))


def signers_of(choices: Choices, home: Path, passphrase_file: str | Path | None) -> "Signers":
    """Who is here. Raises `Refused` FILE_MISSING for a folder of keys that is not there, and like `unlock_of`."""
    from keys.ceremony.pending import Signers

    places = key_places(choices)
    return Signers(unlock_of(choices, home, passphrase_file, places), places)


def key_places(choices: Choices) -> tuple[Path, ...]:
    """The folders of `--keys`. Raises `Refused` FILE_MISSING."""
    places = tuple(Path(place) for place in choices.key_places)
    for place in places:
        if not place.is_dir():
            raise Failure("FILE_MISSING", f"{place} is no directory", field="keys")
    return places


def change_directory(choices: Choices, passphrase_file: str | Path | None, change: Change, *, act: str) -> Acted:
    """Apply `change` to the newest directory of the root home and let it be signed.

    With the threshold of signatures the result is the new generation; with fewer the act waits in HOME/pending until
    another administrator runs the same command. `act` says in English what is done (`revoke 320924-GO`), the same
    whoever does it; the journal keeps it. Nothing is published by this. Raises `Refused` of `change`, WRONG_HOME,
    NOT_ENOUGH_KEYS, ACT_DIFFERS, ACT_WAITS or HOME_BUSY; `Failure` as in `ceremony`; `KeyFileError`, `OSError`.
    """
    from keys.ceremony.pending import change_jointly

    home = root_home(choices)
    signers = signers_of(choices, home, passphrase_file)
    with held(home), ceremony():
        return acted_on(home, change_jointly(home, change, act, time.time_ns() // 1_000, signers))


def acted_on(home: Path, outcome: "Outcome") -> Acted:
    """What became of an act, noted in the journal."""
    note_act(home, outcome.act.name, outcome.done, outcome.holders, outcome.network.directory.version)
    return Acted(
        outcome.act.name, outcome.done, outcome.network.directory, outcome.signatures, outcome.path, outcome.troubles
    )


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


def signatures_object(one: "Signatures") -> dict[str, Any]:
    """Who has signed a file of an act, as JSON."""
    return {"file": one.file, "role": one.role, "holders": list(one.holders), "threshold": one.threshold}


def tell_acted(choices: Choices, acted: Acted, found: Mapping[str, Any] | None = None) -> None:
    """Print what became of an act: one object with the members of `found`, or a line and what to do next."""
    if choices.json:
        emit({**acted.as_object(), **(found or {})})
        return
    lang = choices.lang
    for trouble in acted.troubles:
        # Others have signed; whose passphrase was wrong must hear of it all the same.
        what, _, _ = lookup(trouble.code).words(lang)
        click.echo(f"{what} [{trouble.code}] {trouble.path}", err=True)
    if acted.done:
        click.echo(say("act_done", lang, act=acted.act, version=acted.directory.version))
        click.echo(say("act_publish", lang, command=f"relay --home {choices.home} keys publish"))
        return
    click.echo(say("act_pending", lang, act=acted.act, file=acted.path))
    for one in acted.signatures:
        if one.missing:
            holders = " ".join(one.holders) or "–"
            click.echo(say("act_missing", lang, role=one.role, holders=holders, missing=one.missing))
    click.echo(say("act_next", lang))
