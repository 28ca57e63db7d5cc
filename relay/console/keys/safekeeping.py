"""`relay keys passwd`, `backup` and `recover`: what opens keys, and how they come back on new hardware."""

import secrets
import time
from pathlib import Path
from typing import Final

import click

from keys.files.keyfile import change_passphrase, read_header
from keys.files.private_files import tidy, write_new
from keys.files.storage_key import SEALED, how_kept, keep_bare, seal_under_passphrase, seal_under_token
from protocol.errors import Refused
from relay.console.choices import Choices
from relay.console.commands import argument, command, option
from relay.console.keys.acting import ceremony
from relay.console.keys.passphrases import ask_passphrase, new_passphrase, tell_tries
from relay.console.keys.unlocking import unlock_of_home
from relay.console.output import emit, fields, local_time
from relay.console.phrases import say
from relay.times import time_text

KEEPINGS: Final = ("passphrase", "file", "token")


@command("keys passwd")
@argument("file", "[FILE]", required=False, type=click.Path(path_type=Path))
@option("--keep", metavar="passphrase|file|token", type=click.Choice(KEEPINGS))
@option("--passphrase-file", metavar="FILE")
@option("--new-passphrase-file", metavar="FILE")
def passwd(
    choices: Choices,
    file: Path | None,
    keep: str | None,
    passphrase_file: str | None,
    new_passphrase_file: str | None,
) -> None:
    """Change what opens a key: the passphrase of a key file, or what the home's storage key is kept under."""
    if file is None:
        home = choices.existing_home()
        kept = keep or "passphrase"
        _keep_storage_key(choices, home, kept, passphrase_file, new_passphrase_file)
        _tell(choices, "storage_kept", file=str(home / "keys"), kept=kept)
        return
    if keep is not None:
        raise Refused("BAD_FIELD", "only the storage key of a home is kept elsewhere", field="keep")
    header = read_header(file)
    if header.sealed_by != "passphrase" or file.name == SEALED:
        raise Refused("BAD_FIELD", f"{file} is opened by the storage key, which has a passphrase: leave FILE out")
    tell_tries(choices, file)
    old = ask_passphrase(choices, file.name, passphrase_file)
    change_passphrase(file, old, new_passphrase(choices, file.name, new_passphrase_file), entropy=secrets.token_bytes)
    _tell(choices, "passphrase_changed", file=str(file), kept="passphrase")


def _keep_storage_key(choices: Choices, home: Path, kept: str, old_file: str | None, new_file: str | None) -> None:
    from keys.enrol.candidate import held
    from relay.safe import Safe, nobody_hears
    from relay.safekeeping import try_keys

    before = how_kept(home)
    tell_tries(choices, home / "keys" / SEALED)
    if before == "credential":
        raise Refused("BAD_FIELD", "systemd gives the storage key: change its credential", field="keep")
    asking = unlock_of_home(choices)
    given = None if old_file is None or before != "passphrase" else ask_passphrase(choices, SEALED, old_file)
    safe = Safe(home, asking if given is None else lambda _label: given, nobody_hears)
    # A bare key that lost a bit would be sealed as it is, and its file be gone.
    try_keys(home, safe.storage_key)
    new = new_passphrase(choices, say("storage_key", choices.lang), new_file) if kept == "passphrase" else b""
    with held(home):
        # A run that was killed may have left the key bare, under a name that nobody looks for.
        tidy(home / "keys")
        if kept == "passphrase":
            seal_under_passphrase(home, safe.storage_key, new, entropy=secrets.token_bytes)
        elif kept == "token":
            token = safe.token()
            token.make_storage_secret()
            seal_under_token(home, safe.storage_key, token.derive, entropy=secrets.token_bytes)
        else:
            keep_bare(home, safe.storage_key)


@command("keys backup")
@option("--output", "-o", metavar="FILE", required=True, type=click.Path(path_type=Path))
@option("--passphrase-file", metavar="FILE")
def backup(choices: Choices, output: Path, passphrase_file: str | None) -> None:
    """Write keys and trust of the home into one file under a passphrase of its own."""
    from keys.files.backup import seal_backup
    from relay.safekeeping import back_up, signs_in_token

    home = choices.existing_home()
    if output.exists():
        raise Refused("FILE_EXISTS", f"{output} exists and is never overwritten", field="output")
    with ceremony():
        made = back_up(home, unlock_of_home(choices), time.time_ns() // 1_000)
    passphrase = new_passphrase(choices, output.name, passphrase_file)
    label = f"{made.home_kind} {made.address} {time_text(made.made_us)}"
    write_new(output, seal_backup(made, passphrase, label=label, entropy=secrets.token_bytes))
    token = signs_in_token(home)
    _tell(choices, "backup_made", file=str(output), address=made.address, files=len(made.files), token=token)
    if token and not choices.json:
        click.echo(say("backup_without_token", choices.lang))


@command("keys recover")
@argument("file", "FILE", type=click.Path(path_type=Path))
@option("--passphrase-file", metavar="FILE")
@option("--root", metavar="FINGERPRINT")
def recover(choices: Choices, file: Path, passphrase_file: str | None, root: str | None) -> None:
    """Make a new home of a backup."""
    from relay.safekeeping import recover as make_home

    def asked(what: str) -> bytes:
        return ask_passphrase(choices, what, passphrase_file)

    with ceremony():
        made = make_home(file, choices.home, asked, time.time_ns() // 1_000, root=root)
    found = {"home": str(choices.home), "kind": made.home_kind, "address": made.address}
    found["made_at"] = time_text(made.made_us)
    if choices.json:
        emit(found)
        return
    click.echo(say("recovered", choices.lang, home=choices.home))
    fields([(say("address", choices.lang), made.address), (say("made_at", choices.lang), local_time(found["made_at"]))])
    click.echo(say(f"recovered_{made.home_kind}", choices.lang))


def _tell(choices: Choices, phrase: str, **found: object) -> None:
    if choices.json:
        emit(found)
    else:
        click.echo(say(phrase, choices.lang, **found))
