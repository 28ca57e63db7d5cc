"""`relay keys rotate` and `needs-renewal`: what an office makes anew, and what ends when."""

import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from protocol.errors import Refused, RemoteError
from protocol.limits import SECOND_US
from relay.console.choices import SUITES, Choices
from relay.console.client import daemon_of, path_of
from relay.console.commands import command, option
from relay.console.failure import Failure
from relay.console.keys.fingerprints import Shown, tell
from relay.console.keys.homes import office_home
from relay.console.keys.requests import carried, validity
from relay.console.keys.unlocking import unlock_of_home
from relay.console.output import emit, local_time, table
from relay.console.phrases import say
from relay.times import parse_duration_us, time_text

DAY_US: Final = 86_400 * SECOND_US


@command("keys rotate identity")
@option("--output", "-o", metavar="REQUEST", required=True)
@validity
@option("--suite", metavar="1|2|gm", type=click.Choice(list(SUITES)))
def rotate_identity(choices: Choices, output: str, valid_days: int, suite: str | None) -> None:
    """Make new signing keys beside those in force, and the request that renews them."""
    _begin(choices, "identity", output, valid_days, suite)


@command("keys rotate tls")
@option("--output", "-o", metavar="REQUEST", required=True)
@validity
def rotate_tls(choices: Choices, output: str, valid_days: int) -> None:
    """Make a new TLS key, and the request for its certificate."""
    _begin(choices, "tls", output, valid_days)


@command("keys rotate prekey")
def rotate_prekey(choices: Choices) -> None:
    """Make and publish the next prekey now."""
    found = daemon_of(choices).change(path_of("renew", "prekey")).one()
    if choices.json:
        emit(found)
    else:
        until = local_time(str(found.get("until", "")))
        click.echo(say("prekey_renewed", choices.lang, epoch=found.get("epoch", ""), until=until))


@command("keys rotate storage")
def rotate_storage(choices: Choices) -> None:
    """Give a stopped home a new storage key."""
    from config.load import load
    from relay.daemon import MIGRATIONS
    from relay.storage_rotation import rotate_storage_key

    home = office_home(choices)
    quota_bytes = load(home).settings.store.quota_bytes
    rows = rotate_storage_key(home, unlock_of_home(choices), secrets.token_bytes, MIGRATIONS, quota_bytes)
    if choices.json:
        emit({"home": str(home), "rows": rows})
    else:
        click.echo(say("storage_rotated", choices.lang, rows=rows))


@command("keys rotate cancel")
def rotate_cancel(choices: Choices) -> None:
    """Give up a rotation that was not answered."""
    from keys.enrol.rotation import cancel

    home = office_home(choices)
    if not cancel(home):
        raise Refused("NO_REQUEST", str(home), field=str(home))
    if choices.json:
        emit({"home": str(home), "state": "cancelled"})
    else:
        click.echo(say("rotation_cancelled", choices.lang))


@command("keys needs-renewal")
@option("--within", metavar="TIME", default="30d")
def needs_renewal(choices: Choices, within: str) -> int:
    """Say whether something ends soon: exit 0 yes, 1 no."""
    within_us = parse_duration_us(within, field="within")
    found = _ends(choices, within_us)
    due = [one for one in found if one["due"]]
    if choices.json:
        emit({"needs_renewal": bool(due), "within": within, "items": found})
    elif due:
        rows = [[_named(one, choices.lang), local_time(one["until"]), one["next"]] for one in due]
        table([say("what", choices.lang), say("until", choices.lang), say("next_step", choices.lang)], rows)
    else:
        click.echo(say("nothing_ends", choices.lang, within=within))
    return 0 if due else 1


def _named(one: Mapping[str, Any], lang: str) -> str:
    words = f"{one['what']} {one['name']}".strip()
    return f"{words} ({say('ended', lang)})" if one["past"] else words


def _begin(choices: Choices, what: str, output: str, valid_days: int, suite: str | None = None) -> None:
    from config.load import load
    from keys.enrol.rotation import begin
    from keys.primitives import algorithm_of
    from relay.opening import find_office
    from relay.safe import open_safe

    home = office_home(choices)
    trust, _ = _trust_of(home)
    safe = open_safe(home, unlock_of_home(choices))
    office = find_office(load(home).settings, trust)
    request = begin(
        home, what, office, trust, Path(output), time.time_ns() // 1_000, valid_us=valid_days * DAY_US,
        entropy=secrets.token_bytes, storage_key=safe.storage_key, token=safe.token,
        algorithm=None if suite is None else algorithm_of(SUITES[suite]),
    )  # fmt: skip
    shown = Shown("request", request.address, request.digest)
    if choices.json:
        facts = {"what": what, "address": request.address, "file": output, "expires_at": time_text(request.expires_us)}
        emit({**shown.as_object(choices.lang), **facts})
        return
    click.echo(say("request_made", choices.lang, file=output, until=local_time(time_text(request.expires_us))))
    tell(shown, choices.lang, qr=True)
    click.echo(say("rotation_next", choices.lang, file=output, home=home))


def _trust_of(home: Path) -> tuple[Any, dict[str, bytes]]:
    """The directory that a home has on disk, and its files; raises `Refused` BAD_TRUST."""
    from keys.trust.metadata import TrustError
    from keys.trust.store import TrustStore

    store = TrustStore(home)
    try:
        return store.load(time.time_ns() // 1_000), store.publishable_files()
    except (TrustError, RemoteError) as error:
        raise Refused("BAD_TRUST", str(error)) from None


def _ends(choices: Choices, within_us: int) -> list[dict[str, Any]]:
    """What ends when: of the administrator's directory, of a running relay, or of a stopped home."""
    from relay import validity

    home, now_us = choices.existing_home(), time.time_ns() // 1_000
    if (home / "network").is_dir():
        from keys.ceremony.network import read_network
        from relay.console.keys.acting import ceremony

        with ceremony():
            network = read_network(home)
            found = list(validity.of_root(home, network.directory, network.files, now_us))
        return validity.objects(found, within_us, now_us, validity.NEXT_OF_ROOT)
    try:
        told = daemon_of(choices).read(path_of("status")).one()["renewal"]
    except Failure as failure:
        if failure.code != "DAEMON_DOWN":
            raise
        return _ends_of_stopped(choices, home, within_us, now_us)
    return validity.objects(map(validity.from_object, told), within_us, now_us)


def _ends_of_stopped(choices: Choices, home: Path, within_us: int, now_us: int) -> list[dict[str, Any]]:
    from config.load import load
    from relay import validity
    from relay.opening import find_office, newest_prekey
    from relay.safe import open_safe

    trust, files = _trust_of(home)
    office = find_office(load(home).settings, trust)
    prekey = newest_prekey(home, open_safe(home, unlock_of_home(choices)).storage_key)
    return validity.objects(validity.of_office(home, trust.directory, office, files, prekey, now_us), within_us, now_us)


def rotates(home: Path) -> bool:
    """Whether a rotation waits for the network's answer."""
    from keys.enrol.rotation import NEXT, REQUEST

    return (home / "keys" / NEXT / REQUEST).exists()


def install_renewal(choices: Choices, home: Path, response: str, data: bytes) -> None:
    """Take the answer to a rotation into a home, whose relay may be running."""
    from keys import tls
    from keys.enrol.rotation import install

    with carried(response, "BAD_RESPONSE"):
        said, directory = install(home, data, time.time_ns() // 1_000, running=_is_running(home))
    if choices.json:
        ends = time_text(tls.expires_us(said.certificate)) if said.certificate is not None else None
        facts = {"address": said.address, "network": said.network, "office_id": said.office_id.hex()}
        emit({**facts, "renewed": True, "version": directory.version, "certificate_until": ends})
    else:
        click.echo(say("renewal_installed", choices.lang, address=said.address))


def _is_running(home: Path) -> bool:
    """Whether a daemon has the store, and with it the trust files."""
    from relay.store.database import HomeInUse, StoreLock

    if not (home / "store").is_dir():
        return False
    try:
        StoreLock(home / "store").release()
    except HomeInUse:
        return True
    return False
