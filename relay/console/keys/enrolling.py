"""`keys init` and `keys install`: the two ends of an enrolment, on the machine of the office."""

import re
import secrets
import time
from pathlib import Path
from typing import Final

import click

from keys.hsm import Place
from keys.roster.office_record import OFFICE_CLASSES, STANDINGS, is_broker, is_name
from protocol.errors import Refused
from protocol.ids import Address, parse_address
from protocol.limits import SECOND_US
from relay.console.choices import HOME_VERSION, SUITES, Choices
from relay.console.commands import argument, command, option
from relay.console.keys.fingerprints import Shown, tell
from relay.console.keys.renewing import install_renewal, rotates
from relay.console.keys.requests import carried, require_absent, validity
from relay.console.keys.unlocking import unlock_of_home
from relay.console.output import emit, local_time
from relay.console.phrases import say
from relay.given import read_given
from relay.times import time_text

DAY_US: Final = 86_400 * SECOND_US
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


@command("keys init")
@option("--address", metavar="ADDRESS", required=True)
@option("--network", metavar="NAME", required=True)
@option("--root", metavar="FINGERPRINT|FILE", required=True)
@option("--output", "-o", metavar="REQUEST", required=True)
@option("--name", metavar="TEXT", default="")
@option("--class", "office_class", metavar="CLASS", type=click.Choice(OFFICE_CLASSES))
@option("--parent", metavar="ADDRESS")
@option("--standing", metavar="STANDING", type=click.Choice(STANDINGS))
@option("--broker", "brokers", metavar="ID", multiple=True)
@option("--hsm-module", metavar="FILE", default="")
@option("--hsm-token", metavar="LABEL", default="")
@validity
@option("--suite", metavar="1|2|gm", type=click.Choice(list(SUITES)), default="1")
def init(
    choices: Choices,
    address: str,
    network: str,
    root: str,
    output: str,
    name: str,
    office_class: str | None,
    parent: str | None,
    standing: str | None,
    brokers: tuple[str, ...],
    hsm_module: str,
    hsm_token: str,
    valid_days: int,
    suite: str,
) -> None:
    """Make an office's keys and its signed request."""
    from keys.enrol.candidate import Candidate, apply
    from keys.enrol.enrolment import Wish
    from keys.primitives import algorithm_of

    _require_wish(network, name, brokers)
    home = choices.home
    _require_no_root(home)
    who = Candidate(
        parse_address(address, field="address"),
        network,
        _root(root),
        Wish(name, office_class, None if parent is None else parse_address(parent, field="parent"), standing, brokers),
    )
    now_us = time.time_ns() // 1_000
    request = apply(
        home,
        who,
        Path(output),
        now_us,
        valid_us=valid_days * DAY_US,
        entropy=secrets.token_bytes,
        algorithm=algorithm_of(SUITES[suite]),
        place=_token(hsm_module, hsm_token, algorithm_of(SUITES[suite])),
        unlock=unlock_of_home(choices),
    )
    shown = Shown("request", request.address, request.digest)
    if choices.json:
        facts = {"address": request.address, "network": network, "file": output, "root_fingerprint": who.root.hex()}
        emit({**shown.as_object(choices.lang), **facts, "expires_at": time_text(request.expires_us)})
        return
    click.echo(say("request_made", choices.lang, file=output, until=local_time(time_text(request.expires_us))))
    tell(shown, choices.lang, qr=True)
    click.echo(say("request_next", choices.lang, file=output, home=home))


@command("keys install")
@argument("response", "RESPONSE")
def install(choices: Choices, response: str) -> None:
    """Take the network's answer into the home."""
    from keys import tls
    from keys.enrol import candidate
    from keys.enrol.response import RESPONSE_BYTES

    home = choices.home
    _require_no_root(home)
    data = read_given(Path(response), "response", RESPONSE_BYTES)
    if rotates(home):
        install_renewal(choices, home, response, data)
        return
    unlock = unlock_of_home(choices)
    with carried(response, "BAD_RESPONSE"):
        said, directory = candidate.install(
            home, data, time.time_ns() // 1_000, entropy=secrets.token_bytes, unlock=unlock
        )
    settings = home / "relay.toml"
    written = not settings.exists()
    if written:
        place = candidate.token_of(home, unlock)
        _write_settings(settings, said.address, said.network, [_broker(one) for one in said.brokers], place)
    ends = time_text(tls.expires_us(said.certificate)) if said.certificate is not None else None
    if choices.json:
        facts = {"address": said.address, "network": said.network, "office_id": said.office_id.hex()}
        version = {"version": directory.version, "certificate_until": ends}
        emit({**facts, **version, "brokers": [one.id for one in said.brokers], "settings_written": written})
        return
    click.echo(say("installed", choices.lang, address=said.address, network=said.network, version=directory.version))
    click.echo(say("settings_written" if written else "settings_kept", choices.lang, file=settings))
    if not said.brokers:
        click.echo(say("no_brokers_known", choices.lang, file=settings))
    click.echo(say("run_next", choices.lang, home=home))


def _root(given: str) -> bytes:
    """The fingerprint of the root that the office was given, typed or as a file; raises `Refused`."""
    typed = "".join(given.split()).lower()
    if _FINGERPRINT.fullmatch(typed):
        return bytes.fromhex(typed)
    from keys.trust.chain import verify_root
    from keys.trust.metadata import METADATA_BYTES

    data = read_given(Path(given), "root", METADATA_BYTES)
    with carried(given, "BAD_TRUST"):
        return bytes.fromhex(verify_root(data)[1])


def _require_wish(network: str, name: str, brokers: tuple[str, ...]) -> None:
    """Raises `Refused` BAD_FIELD for what the request could not say."""
    if not is_name(network):
        raise Refused("BAD_FIELD", "a name is printable text on one line", field="network")
    if name and not is_name(name):
        raise Refused("BAD_FIELD", "a name is printable text on one line", field="name")
    if not all(map(is_broker, brokers)) or len(set(brokers)) != len(brokers):
        raise Refused("BAD_FIELD", "broker ids are letters, digits, - and _, each once", field="broker")


def _token(module: str, label: str, algorithm: int) -> Place | None:
    """The token in which the identity key is to be made, if one is named; raises `Refused` BAD_FIELD."""
    from keys.primitives import ED25519

    if module and algorithm != ED25519:
        raise Refused("BAD_FIELD", "a key in a token is of Ed25519", field="suite")
    if bool(module) != bool(label):
        raise Refused("BAD_FIELD", "a token is named by its library and its label", field="hsm_token")
    return Place(module, label) if module else None


def _require_no_root(home: Path) -> None:
    if (home / "network").is_dir():
        raise Refused("WRONG_HOME", f"{home} is a network administrator's directory")


def _broker(place: object) -> dict[str, object]:
    """A broker as relay.toml has it; the server's name only where it is another than the host."""
    import msgspec

    found: dict[str, object] = msgspec.to_builtins(place)
    return {name: value for name, value in found.items() if value != ""}


def _write_settings(
    path: Path, address: Address, network: str, brokers: list[dict[str, object]], place: Place | None
) -> None:
    """A relay.toml that says who this is, where its brokers are and its token; everything else has a default."""
    from config.load import parse
    from keys.files.private_files import write_new
    from relay.lab.toml_text import toml_text

    own: dict[str, object] = {"home_version": HOME_VERSION, "office": {"address": address, "network": network}}
    token = {} if place is None else {"hsm": {"module": place.module, "token": place.label}}
    text = toml_text({**own, **token, **({"brokers": brokers} if brokers else {})}).encode()
    parse(text)
    require_absent(path, "settings")
    write_new(path, text)
