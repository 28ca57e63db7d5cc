"""`keys revoke`: an administrator says from when on an office, or one key of it, is not to be believed (D8, G14)."""

from pathlib import Path

import click

from keys.roster.directory import Directory
from keys.roster.office_record import is_name
from protocol.errors import Refused
from protocol.ids import parse_address
from protocol.limits import KEY_ID_BYTES
from relay.console.choices import Choices
from relay.console.commands import argument, command, option
from relay.console.keys.acting import change_directory, signing_options, tell_acted
from relay.console.keys.homes import root_home
from relay.console.phrases import say
from relay.times import parse_time_us, time_text


@command("keys revoke")
@argument("address", "ADDRESS")
@option("--since", metavar="RFC3339", required=True)
@option("--reason", metavar="TEXT", required=True)
@option("--key", metavar="KEYID")
@option("--yes", is_flag=True)
@signing_options
def revoke(
    choices: Choices, address: str, since: str, reason: str, key: str | None, yes: bool, passphrase_file: str | None
) -> None:
    """Revoke an office, or one of its keys."""
    from keys.roster.revocation import revoke_key, revoke_office

    office = parse_address(address, field="address")
    since_us = parse_time_us(since, field="since")
    key_id = None if key is None else key_id_of(key)
    if not is_name(reason):
        raise Refused("BAD_FIELD", "a reason is printable text of up to 200 characters on one line", field="reason")
    if key_id is None and not yes and office == _network_office(root_home(choices)):
        detail = f"{office} publishes the network directory, and nobody would any more; --yes revokes it all the same"
        raise Refused("BAD_FIELD", detail, field="address")

    def change(directory: Directory, now_us: int) -> Directory:
        if key_id is None:
            return revoke_office(directory, office, since_us, now_us)
        return revoke_key(directory, office, key_id, since_us, now_us)

    whom = office if key_id is None else f"key {key_id.hex()} of {office}"
    act = f"revoke {whom} since {time_text(since_us)}: {reason}"
    acted = change_directory(choices, passphrase_file, change, act=act)
    found = {"address": office, "key": None if key_id is None else key_id.hex(), "since": time_text(since_us)}
    tell_acted(choices, acted, found)
    if not choices.json:
        click.echo(say("revoke_next", choices.lang, home=choices.home))


def key_id_of(text: str) -> bytes:
    """A key id as `keys show` prints it; raises `Refused` BAD_FIELD."""
    try:
        key_id = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        key_id = b""
    if len(key_id) != KEY_ID_BYTES:
        raise Refused("BAD_FIELD", f"a key id has {2 * KEY_ID_BYTES} hexadecimal digits", field="key")
    return key_id


def _network_office(home: Path) -> str:
    """The office whose daemon publishes the directory."""
    from config.load import load

    return load(home).settings.office.address
