"""`keys change`: what an office becomes from a date on; nobody has to be there when it comes."""

import time
from datetime import UTC, datetime
from typing import Any

import click

from keys.roster.directory import Directory
from keys.roster.office_record import OFFICE_CLASSES, STANDINGS, is_name
from keys.roster.reorganisation import Reform, cancel, reorganise, settle
from protocol.errors import Refused
from protocol.ids import Address, OfficeId, parse_address
from relay.console.choices import Choices
from relay.console.commands import argument, command, option
from relay.console.keys.acting import change_directory, signing_options, tell_acted
from relay.console.output import local_time
from relay.console.phrases import say
from relay.times import time_text


@command("keys change")
@argument("office", "ADDRESS")
@option("--address", metavar="NEW")
@option("--name", metavar="TEXT")
@option("--class", "office_class", metavar="CLASS", type=click.Choice(OFFICE_CLASSES))
@option("--parent", metavar="ADDRESS|none")
@option("--standing", metavar="STANDING", type=click.Choice(STANDINGS))
@option("--successor", metavar="ADDRESS")
@option("--from", "start", metavar="TIME")
@option("--cancel", "cancelling", is_flag=True)
@signing_options
def change(
    choices: Choices,
    office: str,
    address: str | None,
    name: str | None,
    office_class: str | None,
    parent: str | None,
    standing: str | None,
    successor: str | None,
    start: str | None,
    cancelling: bool,
    passphrase_file: str | None,
) -> None:
    """Change an office from a date on."""
    who = parse_address(office, field="office")
    if name is not None and not is_name(name):
        raise Refused("BAD_FIELD", "a name is printable text on one line", field="name")
    reform = Reform(
        _address(address, "address"),
        name,
        office_class,
        "" if parent == "none" else _address(parent, "parent"),
        standing,
        _address(successor, "successor"),
    )
    if (reform == Reform()) != cancelling or (cancelling and start is not None):
        raise Refused("BAD_FIELD", "say what changes, or --cancel alone", field="office")
    from_us = None if start is None else _time(start)

    def act(directory: Directory, now_us: int) -> Directory:
        settled = settle(directory, now_us)
        if cancelling:
            return cancel(settled, who, now_us)
        return reorganise(settled, who, reform, now_us, from_us=from_us)

    acted = change_directory(
        choices, passphrase_file, act, act=f"{'cancel changes of' if cancelling else 'change'} {who}"
    )
    changed = acted.directory.by_address(who)
    planned = [] if changed is None else listed_changes(acted.directory, changed.id)
    tell_acted(choices, acted, {"changes": planned})
    if not choices.json:
        for one in planned:
            begins = local_time(one["from"])
            click.echo(say("change_planned", choices.lang, office=office, address=one["address"], start=begins))


def _address(text: str | None, field: str) -> Address | None:
    return None if text is None else parse_address(text, field=field)


def _time(text: str) -> int:
    """Microseconds of a day (its beginning, local time) or an RFC 3339 time; raises `Refused` BAD_FIELD."""
    try:
        found = datetime.fromisoformat(text)
        return int(found.astimezone(UTC).timestamp()) * 1_000_000
    except (ValueError, OverflowError):
        raise Refused("BAD_FIELD", f"{text[:40]!r} is no date and no RFC 3339 time", field="from") from None


def listed_changes(directory: Directory, office_id: OfficeId) -> list[dict[str, Any]]:
    """The changes of an office that are listed, those to come and those of the last weeks."""
    found = []
    for one in directory.at(0).changes:
        if one.office_id == office_id:
            then = directory.at(one.from_us)
            parent, heir = (None if id_ is None else then.by_id(id_) for id_ in (one.parent, one.successor))
            found.append(
                {
                    "from": time_text(one.from_us),
                    "in_force": one.from_us <= time.time_ns() // 1_000,
                    "address": one.address,
                    "name": one.name,
                    "class": one.office_class,
                    "parent": None if parent is None else parent.address,
                    "standing": one.standing,
                    "successor": None if heir is None else heir.address,
                }
            )
    return found
