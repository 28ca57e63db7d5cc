"""`keys list` and `keys show`: what keys there are, whose, until when, and what the directory says."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from keys.files.keyfile import read_header
from keys.files.private_files import KeyFileError
from keys.roster.directory import Directory
from keys.roster.office_record import OfficeRecord
from protocol.errors import Refused
from relay.console.choices import Choices
from relay.console.commands import argument, command, remembered
from relay.console.keys.acting import ceremony, key_places
from relay.console.keys.journal import JOURNAL, read_journal
from relay.console.keys.reorganising import listed_changes
from relay.console.output import emit, listing, tell_object
from relay.times import time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keys.ceremony.network import Network

LIST_COLUMNS: Final = {
    "type": "type", "name": "called", "of": "of", "state": "state", "expires_at": "expires_at", "file": "file",
}  # fmt: skip


@command("keys list")
@remembered("--keys", "key_places", metavar="DIR")
def list_keys(choices: Choices) -> None:
    """List roles, keys, offices and persons."""
    home = choices.existing_home()
    places = (home / "keys", *key_places(choices))
    if (home / "network").is_dir():
        network = _network(home)
        lines = [*_roles(network), *_key_files(places), *_members(_now(network.directory))]
    else:
        directory = _now(_office_trust(home).directory)
        lines = [*_key_files(places), *_members(directory)]
    listing(choices, lines, LIST_COLUMNS)


@command("keys show")
@argument("what", "[ADDRESS|ROLE|journal]", required=False)
def show(choices: Choices, what: str | None) -> None:
    """Show the network, or one office, role or the journal of an administrator's directory."""
    home = choices.existing_home()
    is_root = (home / "network").is_dir()
    if what == JOURNAL and is_root:
        _show_journal(choices, home)
        return
    network = _network(home) if is_root else None
    directory = _now(network.directory if network is not None else _office_trust(home).directory)
    if what is None:
        found = _summary(home, network) if network is not None else _office_summary(home)
    elif (office := directory.by_address(what)) is not None:
        found = _office_object(directory, office)
    elif network is not None and (role := next((one for one in _roles(network) if one["name"] == what), None)):
        found = role
    else:
        raise Refused("NOT_FOUND", f"neither an office nor a role: {what[:64]}", field="what")
    if choices.json:
        emit(found)
    else:
        tell_object(found, choices.lang)


def _now(directory: Directory) -> Directory:
    """With the changes whose date has come."""
    return directory.at(time.time_ns() // 1_000)


def _show_journal(choices: Choices, home: Path) -> None:
    lines, broken = read_journal(home)
    columns = {"at": "at", "by": "by", "act": "act", "state": "state", "holders": "holders", "version": "version"}
    listing(choices, [{name: one.get(name) for name in columns} for one in lines], columns)
    if broken is not None:
        raise Refused("CHECK_FAILED", f"line {broken} of the journal does not fit the one before it")


def _network(home: Path) -> "Network":
    from keys.ceremony.network import read_network

    with ceremony():
        return read_network(home)


def _office_trust(home: Path) -> Any:
    from keys.trust import TrustStore

    with ceremony():
        return TrustStore(home).load(time.time_ns() // 1_000)


def _summary(home: Path, network: "Network") -> dict[str, Any]:
    """A network administrator's directory at a glance."""
    from keys.ceremony.pending import waiting_acts

    directory, now_us = network.directory, time.time_ns() // 1_000
    with ceremony():
        waiting = waiting_acts(home, network.files)
    return {
        **_directory_object(directory, network.root_fingerprint),
        "root_version": network.generation.root_version,
        "fresh_until": time_text(network.generation.fresh_until_us),
        "roles": _roles(network),
        "suspended": [
            {"address": _address(directory, one.office_id), "until": time_text(one.until_us), "reason": one.reason}
            for one in network.suspensions
            if one.covers(now_us)
        ],
        "pending": [one.act.name for one in waiting],
    }


def _office_summary(home: Path) -> dict[str, Any]:
    """An office's view of the network."""
    trust = _office_trust(home)
    return {
        **_directory_object(trust.directory, trust.root_fingerprint),
        "root_version": trust.root_version,
        "fresh_until": time_text(trust.fresh_until_us),
        "state": trust.state(time.time_ns() // 1_000),
    }


def _directory_object(directory: Directory, fingerprint: str) -> dict[str, Any]:
    return {
        "network": directory.network,
        "network_id": directory.network_id.hex(),
        "root_fingerprint": fingerprint,
        "version": directory.version,
        "issued_at": time_text(directory.issued_us),
        "suites": list(directory.rules.suites),
        "offices": len(directory.offices),
        "persons": sum(len(office.persons) for office in directory.offices.values()),
    }


def _roles(network: "Network") -> list[dict[str, Any]]:
    """Each role with its keys, its threshold and the expiry of what it signed."""
    from keys.ceremony.roles import roles_of

    return [
        {
            "type": "role",
            "name": role.name,
            "of": f"{role.threshold}/{len(role.holders)}",
            "threshold": role.threshold,
            "holders": list(role.holders),
            "version": role.version,
            "expires_at": time_text(role.expires_us),
        }
        for role in roles_of(network.files)
    ]


def _key_files(places: "Sequence[Path]") -> Iterator[dict[str, Any]]:
    """The key files in these folders, unopened; one that cannot be read says why."""
    for path in sorted(path for place in places for path in place.glob("*.key")):
        if path.name in ("storage.key", "tls.key"):
            continue
        try:
            header = read_header(path)
        except KeyFileError as error:
            yield {"type": "key", "name": path.stem, "of": "", "state": error.code, "file": str(path)}
        else:
            yield {"type": "key", "name": path.stem, "of": header.kind, "state": header.sealed_by, "file": str(path)}


def _members(directory: Directory) -> Iterator[dict[str, Any]]:
    """Offices and their persons, by address."""
    for office in sorted(directory.offices.values(), key=lambda one: one.address):
        ends = max((key.not_after_us for key in office.keys), default=None)
        yield {
            "type": "office",
            "name": office.address,
            "of": office.name,
            "state": office.state,
            "expires_at": None if ends is None else time_text(ends),
        }
        for person in office.persons:
            yield {
                "type": "person",
                "name": person.name,
                "of": office.address,
                "roles": list(person.roles),
                "state": "active" if person.revoked_since_us is None else "revoked",
                "expires_at": time_text(person.not_after_us),
            }


def _office_object(directory: Directory, office: OfficeRecord) -> dict[str, Any]:
    """One office as the directory has it."""
    return {
        "address": office.address,
        "former": list(office.former),
        "id": office.id.hex(),
        "name": office.name,
        "class": office.office_class,
        "parent": None if office.parent is None else _address(directory, office.parent),
        "standing": office.standing,
        "brokers": list(office.brokers),
        "state": office.state,
        "revoked_since": None if office.revoked_since_us is None else time_text(office.revoked_since_us),
        "successor": None if office.successor is None else _address(directory, office.successor),
        "keys": [
            {
                "id": key.key_id.hex(),
                "suite": key.suite,
                "from": time_text(key.not_before_us),
                "until": time_text(key.not_after_us),
                "revoked_since": None if key.revoked_since_us is None else time_text(key.revoked_since_us),
            }
            for key in office.keys
        ],
        "persons": [
            {"name": person.name, "roles": list(person.roles), "until": time_text(person.not_after_us)}
            for person in office.persons
        ],
        "changes": listed_changes(directory, office.id),
    }


def _address(directory: Directory, office_id: bytes) -> str:
    office = directory.by_id(office_id)
    return office_id.hex() if office is None else office.address
