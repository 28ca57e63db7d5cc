"""`relay keys person`: reviewers, issuers and clerks in the network directory, and the keys that they sign with."""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from keys.enrol.person_request import make_request, read_request
from keys.files.keyfile import read_header, write_secret
from keys.files.private_files import make_private_directory, write_new
from keys.primitives import algorithm_of, signing_key_id
from keys.roster.directory import Directory
from keys.roster.office_record import ROLES, OfficeRecord, Person, is_name
from keys.roster.persons import add_person, revoke_person
from keys.signing_key import PrivateKey, make_private_key
from protocol.errors import Refused, RemoteError
from protocol.ids import Address, parse_address
from protocol.limits import RECORD_BYTES, SECOND_US
from relay.console.choices import SUITES, Choices
from relay.console.commands import LazyGroup, argument, command, option
from relay.console.keys.acting import change_directory, signing_options, tell_acted
from relay.console.keys.homes import root_home
from relay.console.keys.passphrases import LAB_PASSPHRASE, new_passphrase
from relay.console.keys.revoking import key_id_of
from relay.console.output import emit, listing
from relay.console.phrases import say
from relay.console.signing import PERSON_KEY
from relay.given import read_given
from relay.times import parse_time_us, time_text

VALID_DAYS: Final = 730
"""How long a person's key is valid unless said otherwise: two years, as the office's own."""
VALID_DAYS_MAX: Final = 3_650

group: Final = LazyGroup(
    "keys person", {name: f"relay.console.keys.persons:person_{name}" for name in ("init", "add", "list", "revoke")}
)

_COLUMNS: Final = {
    "office": "office",
    "name": "name",
    "roles": "roles",
    "state": "state",
    "not_after": "not_after",
    "key_id": "key_id",
}


@command("keys person init")
@option("--name", metavar="NAME", required=True)
@option("--office", metavar="ADDRESS", required=True)
@option("-o", "--output", metavar="KEYFILE", required=True)
@option("--passphrase-file", metavar="FILE")
@option("--suite", metavar="1|2|gm", type=click.Choice(list(SUITES)), default="1")
def person_init(choices: Choices, name: str, office: str, output: str, passphrase_file: str | None, suite: str) -> None:
    """Make a person's key on that person's machine, and the request for the administrator beside it."""
    address = parse_address(office, field="office")
    _check_name(name)
    path = Path(output)
    request_path = Path(f"{path}.request")
    for each in (path, request_path):
        if each.exists():
            raise Refused("FILE_EXISTS", f"{each} exists and is never overwritten", field="output")
    key = _make_key(choices, path, address, name, passphrase_file, algorithm_of(SUITES[suite]))
    write_new(request_path, make_request(key, name, address, _now_us()))
    found = {
        "name": name,
        "office": address,
        "key_file": str(path),
        "request": str(request_path),
        "key_id": key.key_id().hex(),
    }
    if choices.json:
        emit(found)
        return
    click.echo(say("person_made", choices.lang, name=name, file=path, key_id=_grouped(key.key_id())))
    click.echo(say("person_next", choices.lang, file=request_path))


@command("keys person add")
@argument("name", "NAME")
@option("--office", metavar="ADDRESS", required=True)
@option("--role", "roles", metavar="ROLE", multiple=True, required=True, type=click.Choice(ROLES), help="role")
@option("--days", metavar="N", type=click.IntRange(1, VALID_DAYS_MAX), default=VALID_DAYS)
@option("--public", metavar="REQUEST")
@option("--key-out", metavar="KEYFILE")
@option("--key-passphrase-file", metavar="FILE")
@signing_options
def person_add(
    choices: Choices,
    name: str,
    *,
    office: str,
    roles: tuple[str, ...],
    days: int,
    public: str | None,
    key_out: str | None,
    key_passphrase_file: str | None,
    passphrase_file: str | None,
) -> None:
    """Take a person into the directory."""
    if public is not None and (key_out is not None or key_passphrase_file is not None):
        raise click.UsageError(say("public_or_key", choices.lang), click.get_current_context())
    home = root_home(choices)
    address = parse_address(office, field="office")
    _check_name(name)
    made: Path | None = None
    if public is not None:
        shown = _requested(Path(public), name, address)
    else:
        made = Path(key_out) if key_out is not None else home / "persons" / f"{address}-{name.replace('/', '_')}.key"
        # The directory first: a key must not be made for an office that is not there.
        directory = _directory(choices)
        _find_office(directory, address)
        algorithm = algorithm_of(directory.rules.suites[0])
        lab = home / LAB_PASSPHRASE
        file = key_passphrase_file or (lab if lab.is_file() else None)
        shown = _public_of(choices, made, address, name, file, algorithm)

    def change(directory: Directory, now_us: int) -> Directory:
        return add_person(directory, address, name, tuple(dict.fromkeys(roles)), shown, now_us, days * _DAY_US)

    acted = change_directory(choices, passphrase_file, change, act=f"person add {name} {address} {' '.join(roles)}")
    found = {"name": name, "office": address, "roles": list(roles), "key_id": signing_key_id(shown).hex()}
    tell_acted(choices, acted, found | ({} if made is None else {"key_file": str(made)}))
    if made is not None and not choices.json:
        click.echo(say("person_made", choices.lang, name=name, file=made, key_id=_grouped(signing_key_id(shown))))


@command("keys person list")
@option("--office", metavar="ADDRESS")
def person_list(choices: Choices, office: str | None) -> None:
    """List the persons of the directory, of one office or of all."""
    directory = _directory(choices)
    if office is None:
        offices = sorted(directory.offices.values(), key=lambda one: one.address)
    else:
        offices = [_find_office(directory, parse_address(office, field="office"))]
    listing(choices, _lines(offices, _now_us()), _COLUMNS)


@command("keys person revoke")
@argument("name", "NAME")
@option("--office", metavar="ADDRESS", required=True)
@option("--since", metavar="TIME", required=True)
@option("--reason", metavar="TEXT", required=True)
@option("--key", metavar="KEYID")
@signing_options
def person_revoke(
    choices: Choices, name: str, *, office: str, since: str, reason: str, key: str | None, passphrase_file: str | None
) -> None:
    """Let no signature of a person count from a time on."""
    address = parse_address(office, field="office")
    since_us = parse_time_us(since, field="since")
    if not reason.strip():
        raise Refused("BAD_FIELD", "the reason is empty", field="reason")

    key_id = None if key is None else key_id_of(key)

    def change(directory: Directory, now_us: int) -> Directory:
        return revoke_person(directory, address, name, since_us, now_us, key_id=key_id)

    whom = name if key_id is None else f"{name} key {key_id.hex()}"
    act = f"person revoke {whom} {address} since {time_text(since_us)}: {reason}"
    acted = change_directory(choices, passphrase_file, change, act=act)
    tell_acted(choices, acted, {"name": name, "office": address, "since": time_text(since_us), "reason": reason})


_DAY_US: Final = 86_400 * SECOND_US


def _now_us() -> int:
    return time.time_ns() // 1000


def _check_name(name: str) -> None:
    if not is_name(name):
        raise Refused("BAD_FIELD", "a name is one printable line of 1 to 200 characters", field="name")


def _make_key(
    choices: Choices, path: Path, address: Address, name: str, passphrase_file: str | Path | None, algorithm: int
) -> PrivateKey:
    """A new key in a new file, sealed under a passphrase that its owner chooses."""
    key = make_private_key(algorithm, secrets.token_bytes(32))
    make_private_directory(path.parent)
    write_secret(
        path,
        PERSON_KEY,
        key.seed(),
        passphrase=new_passphrase(choices, f"{address} {name}", passphrase_file),
        entropy=secrets.token_bytes,
        label=f"{address} {name}",
        public=key.public(),
    )
    return key


def _public_of(
    choices: Choices, path: Path, address: Address, name: str, file: str | Path | None, algorithm: int
) -> bytes:
    """The public key of the key file, which is made when it is not there.

    One that is there is this very person's from an act that other administrators have to sign too, or was broken off;
    it is taken again, else refused.
    """
    if not path.exists():
        return _make_key(choices, path, address, name, file, algorithm).public()
    header = read_header(path)
    if header.kind != PERSON_KEY or header.label != f"{address} {name}":
        raise Refused("FILE_EXISTS", f"{path} exists and is not the key of {name}", field="key_out")
    return header.public


def _requested(path: Path, name: str, address: Address) -> bytes:
    """The public key of a request, which must be of this person at this office."""
    try:
        request = read_request(read_given(path, "public", RECORD_BYTES), _now_us())
    except RemoteError as error:
        raise Refused("BAD_FIELD", f"{path} is no request of a person: {error}", field="public") from None
    if (request.name, request.address) != (name, address):
        raise Refused("BAD_FIELD", f"{path} is the request of {request.name} at {request.address}", field="public")
    return request.public


def _directory(choices: Choices) -> Directory:
    """The newest directory of an administrator's home, or the one in force in an office's."""
    home = choices.existing_home()
    if (home / "network").is_dir():
        from keys.ceremony.network import read_network

        return read_network(home).directory
    from keys.trust.store import TrustStore

    return TrustStore(home).load(_now_us()).directory


def _find_office(directory: Directory, address: str) -> OfficeRecord:
    office = directory.by_address(address)
    if office is None:
        raise Refused("NOT_FOUND", f"{address} is not in the network directory", field="office")
    return office


def _lines(offices: list[OfficeRecord], now_us: int) -> Iterator[dict[str, Any]]:
    for office in offices:
        for person in sorted(office.persons, key=lambda one: (one.name, one.not_before_us)):
            yield {
                "office": office.address,
                "name": person.name,
                "roles": list(person.roles),
                "state": _state(person, now_us),
                "not_before": time_text(person.not_before_us),
                "not_after": time_text(person.not_after_us),
                "revoked_since": None if person.revoked_since_us is None else time_text(person.revoked_since_us),
                "key_id": person.key_id.hex(),
            }


def _state(person: Person, now_us: int) -> str:
    """`valid`, `future`, `expired` or `revoked`."""
    if person.revoked_since_us is not None and person.revoked_since_us <= now_us:
        return "revoked"
    if now_us < person.not_before_us:
        return "future"
    return "valid" if now_us < person.not_after_us else "expired"


def _grouped(key_id: bytes) -> str:
    """A key's id as people read it to each other: eight groups of four digits."""
    text = key_id.hex()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))
