"""`keys approve` and `keys reject`: the network's answers to enrolment requests, on the administrator's machine."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from keys.enrol.enrolment import REQUEST_BYTES, EnrolmentRequest, verify_request
from keys.enrol.response import BrokerPlace
from keys.files.keyfile import Unlock
from keys.files.private_files import KeyFileError
from keys.primitives import sha256
from keys.roster.office_record import OFFICE_CLASSES, STANDINGS, is_name
from protocol.errors import Refused
from protocol.ids import parse_address
from relay.console.certificates import authority_of
from relay.console.choices import Choices
from relay.console.commands import argument, command, option
from relay.console.keys.acting import Acted, ceremony, change_directory, signing_options, tell_acted
from relay.console.keys.homes import root_home
from relay.console.keys.passphrases import unlock_of
from relay.console.keys.requests import carried, require_absent
from relay.console.output import emit
from relay.console.phrases import say
from relay.given import read_given

if TYPE_CHECKING:
    from keys.tls import Authority

SUFFIX: Final = ".response"
"""What a response is called in a directory: `320924-GO.response`."""

BATCH: Final = 5_000
"""Most requests of one run: a whole network at once."""

NAMED_MAX: Final = 20
"""Most offices that the name of an act lists."""


@command("keys approve")
@argument("requests", "REQUEST…", nargs=-1, required=True)
@option("--output", "-o", metavar="RESPONSE|DIR", required=True)
@option("--name", metavar="TEXT")
@option("--class", "office_class", metavar="CLASS", type=click.Choice(OFFICE_CLASSES))
@option("--parent", metavar="ADDRESS")
@option("--standing", metavar="STANDING", type=click.Choice(STANDINGS))
@option("--broker", "brokers", metavar="ID", multiple=True)
@signing_options
def approve(
    choices: Choices,
    requests: tuple[str, ...],
    output: str,
    name: str | None,
    office_class: str | None,
    parent: str | None,
    standing: str | None,
    brokers: tuple[str, ...],
    passphrase_file: str | None,
) -> None:
    """Take offices into the network."""
    from keys.ceremony.network import read_network
    from keys.ceremony.registrar import reserved_keys
    from keys.roster.membership import Decision, admit, admitted

    home = root_home(choices)
    if name is not None and (len(requests) > 1 or not is_name(name)):
        raise Refused("BAD_FIELD", "a name is printable text on one line, for one request at a time", field="name")
    wanted = None if parent is None else parse_address(parent, field="parent")
    decision = Decision(name, office_class, wanted, standing, brokers or None)
    with ceremony():
        network = read_network(home)
    asked = _read_requests(home, requests, time.time_ns() // 1_000)
    targets = _targets(output, asked)
    # Before anything is signed: a wrong passphrase must not leave offices taken in and unanswered.
    authority = _authority(choices, home, passphrase_file)
    places = _broker_places(home)
    act = _act(asked)
    acted = Acted(act, True, network.directory)
    if not all(admitted(network.directory, request) for request in asked):
        reserved = reserved_keys(network)
        acted = change_directory(
            choices,
            passphrase_file,
            lambda directory, at_us: admit(directory, asked, decision, at_us, reserved=reserved),
            act=act,
        )
    answered: list[dict[str, Any]] = []
    if acted.done and authority is not None:
        unlock = unlock_of(choices, home, passphrase_file)
        answered = _answer(home, asked, targets, authority, places, unlock)
    tell_acted(choices, acted, {"offices": answered})
    if not choices.json and answered:
        click.echo(say("responses_written", choices.lang, count=len(answered), place=output))
    elif not choices.json and acted.done:
        click.echo(say("responses_wait", choices.lang, label="tls-ca"))


@command("keys reject")
@argument("request", "REQUEST")
@option("--reason", metavar="TEXT", required=True)
@option("--output", "-o", metavar="RESPONSE")
def reject(choices: Choices, request: str, reason: str, output: str | None) -> None:
    """Refuse a request for good."""
    from keys.ceremony.network import read_network
    from keys.ceremony.registrar import Registrar, note_rejection
    from keys.files.private_files import write_new
    from keys.roster.membership import admitted

    home = root_home(choices)
    if not is_name(reason):
        raise Refused("BAD_FIELD", "a reason is printable text on one line", field="reason")
    now_us = time.time_ns() // 1_000
    asked = _read_request(request, now_us)
    if output is not None:
        require_absent(Path(output), "output")
    with ceremony():
        network = read_network(home)
        if admitted(network.directory, asked):
            raise Refused("ADDRESS_TAKEN", "it was approved; revoke the office instead", field=asked.address)
        response = Registrar.open(home, network, unlock_of(choices, home, None)).reject(asked, reason, now_us)
    with ceremony():
        response = note_rejection(home, asked, response, reason)
    if output is not None:
        write_new(Path(output), response)
    if choices.json:
        emit({"act": f"reject {asked.address}", "address": asked.address, "reason": reason, "file": output})
    else:
        click.echo(say("request_rejected", choices.lang, address=asked.address))


def _read_requests(home: Path, names: Sequence[str], now_us: int) -> list[EnrolmentRequest]:
    """All requests, each verified, of this network and not refused before; raises `Refused` for the first other."""
    from keys.ceremony.network import read_network
    from keys.ceremony.registrar import require_open, require_root

    if len(names) > BATCH:
        raise Refused("TOO_LARGE", f"at most {BATCH} requests at once")
    with ceremony():
        network = read_network(home)
    asked = []
    for name in names:
        request = _read_request(name, now_us)
        require_root(network, request)
        require_open(home, request)
        asked.append(request)
    return asked


def _read_request(name: str, now_us: int) -> EnrolmentRequest:
    data = read_given(Path(name), "request", REQUEST_BYTES)
    with carried(name, "BAD_REQUEST"):
        return verify_request(data, now_us)


def _targets(output: str, asked: Sequence[EnrolmentRequest]) -> list[Path]:
    """Where each response goes: a file for one request, or a directory; nothing may be there yet."""
    place = Path(output)
    if len(asked) == 1 and not place.is_dir():
        targets = [place]
    else:
        if not place.is_dir():
            raise Refused("FILE_MISSING", f"{output} is no directory", field="output")
        targets = [place / f"{request.address}{SUFFIX}" for request in asked]
    for target in targets:
        require_absent(target, "output")
    return targets


def _act(asked: Sequence[EnrolmentRequest]) -> str:
    """What is done, the same words for the same requests in whatever order; a long list is cut short by its digest."""
    names = sorted(request.address for request in asked)
    if len(names) <= NAMED_MAX:
        return "approve " + " ".join(names)
    digest = sha256(b"".join(sorted(request.digest for request in asked))).hex()[:16]
    return f"approve {len(names)} requests from {names[0]} to {names[-1]}, {digest}"


def _authority(choices: Choices, home: Path, passphrase_file: str | None) -> "Authority | None":
    """The authority for certificates, or None when whoever can open it is not here: who signs need not be who issues.

    Raises `KeyFileError` for a wrong passphrase or a damaged file.
    """
    try:
        return authority_of(choices, home, passphrase_file)
    except Refused as refused:
        if refused.code != "NOT_ENOUGH_KEYS":
            raise
    except KeyFileError as error:
        if error.code != "KEY_FILE_MISSING":
            raise
    return None


def _answer(
    home: Path,
    asked: Sequence[EnrolmentRequest],
    targets: Sequence[Path],
    authority: "Authority",
    places: Sequence[BrokerPlace],
    unlock: Unlock,
) -> list[dict[str, Any]]:
    """Write the responses, with certificates that are put on record first."""
    from keys.ceremony.authorities import trusted_authorities
    from keys.ceremony.certificates import keep_certificate
    from keys.ceremony.network import read_network
    from keys.ceremony.registrar import Registrar
    from keys.files.private_files import write_new

    answered, trusted, now_us = [], trusted_authorities(home), time.time_ns() // 1_000
    with ceremony():
        registrar = Registrar.open(home, read_network(home), unlock)
    for request, target in zip(asked, targets, strict=True):
        response, certificate = registrar.approve(request, authority, trusted, places, now_us)
        keep_certificate(home, certificate)
        write_new(target, response)
        answered.append({"address": request.address, "id": request.office_id.hex(), "file": str(target)})
    return answered


def _broker_places(home: Path) -> list[BrokerPlace]:
    """Where the network's brokers are, from the [[brokers]] of the administrator's relay.toml."""
    from config.load import load

    brokers = load(home).settings.brokers
    return [BrokerPlace(one.id, one.engine, one.host, one.port, one.tls, one.server_name) for one in brokers]
