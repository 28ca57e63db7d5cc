"""`keys init-network` and `keys rotate ROLE`: the ceremonies at which keys of the network are made."""

import os
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from keys.files.keyfile import Unlock
from keys.files.private_files import KeyFileError
from keys.roster.office_record import is_name
from protocol.errors import Refused
from protocol.ids import NetworkId, parse_address
from protocol.limits import NETWORK_ID_BYTES
from relay.console.choices import HOME_VERSION, SUITES, Choices
from relay.console.commands import SpokenCommand, command, option
from relay.console.keys.acting import Acted, acted_on, ceremony, signers_of, signing_options, tell_acted
from relay.console.keys.homes import held, root_home
from relay.console.keys.journal import note_act
from relay.console.keys.passphrases import LAB_PASSPHRASE, new_passphrase, unlock_of
from relay.console.output import emit
from relay.console.phrases import say

if TYPE_CHECKING:
    from keys.ceremony.founding import Founding

QUORUM: Final = re.compile(r"([1-9][0-9]?)/([1-9][0-9]?)")


@command("keys init-network")
@option("--network", metavar="NAME", required=True)
@option("--office", metavar="ADDRESS", required=True)
@option("--office-home", metavar="DIR")
@option("--root", "root_quorum", metavar="M/N", default="3/5")
@option("--targets", "targets_quorum", metavar="M/N", default="2/3")
@option("--suspensions", metavar="N", type=click.IntRange(1, 10), default=2)
@option("--suite", "suites", metavar="1|2|gm", type=click.Choice(list(SUITES)), multiple=True)
@option("--media", metavar="DIR", multiple=True)
@option("--passphrase-file", metavar="FILE")
def init_network(
    choices: Choices,
    *,
    network: str,
    office: str,
    office_home: str | None,
    root_quorum: str,
    targets_quorum: str,
    suspensions: int,
    suites: tuple[str, ...],
    media: tuple[str, ...],
    passphrase_file: str | None,
) -> None:
    """Make the keys of a new network, and its first directory, which has no office yet."""
    from keys.ceremony.founding import Founding, found
    from keys.ceremony.network import require_no_network
    from keys.files.keyfile import PRODUCTION_COST
    from keys.roster.directory import Directory, Rules
    from keys.trust.policy import Policy

    address = parse_address(office, field="office")
    if not is_name(network):
        raise Refused("BAD_FIELD", "the name of a network is printable text on one line", field="network")
    root, targets = _quorum(root_quorum, "root"), _quorum(targets_quorum, "targets")
    home = choices.home
    require_no_network(home)
    _write_settings(home, address, network, office_home)
    rules = Rules(suites=tuple(sorted({SUITES[suite] for suite in suites}))) if suites else Rules()
    founding = Founding(
        root_dir=home,
        directory=Directory(NetworkId(secrets.token_bytes(NETWORK_ID_BYTES)), network, 1, 0, {}, rules),
        policy=Policy(root[1], root[0], targets[1], targets[0], suspensions),
        entropy=secrets.token_bytes,
        unlock=_unlock_new(choices, home, passphrase_file),
        open_again=unlock_of(choices, home, passphrase_file),
        place=_places(home, media),
        cost=PRODUCTION_COST,
    )
    with ceremony():
        made = found(founding, time.time_ns() // 1_000)
    note_act(home, f"init-network {network}", True, (), 1)
    _tell_network(choices, founding, made.root_fingerprint)


def _quorum(text: str, field: str) -> tuple[int, int]:
    """M and N of `M/N`; raises `Refused` BAD_FIELD for numbers that could never sign."""
    found = QUORUM.fullmatch(text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= 10:
        raise Refused("BAD_FIELD", f"{text[:20]!r} is not M/N with 1 to N of at most 10 keys", field=field)
    return int(found[1]), int(found[2])


def _write_settings(home: Path, office: str, network: str, office_home: str | None) -> None:
    """HOME/relay.toml of a network administrator; an earlier try's is left as it is if it says the same."""
    from keys.files.private_files import write_new
    from relay.lab.toml_text import toml_text

    settings: dict[str, Any] = {"home_version": HOME_VERSION, "office": {"address": office, "network": network}}
    if office_home is not None:
        settings["network"] = {"office_home": os.path.realpath(office_home)}
    text = toml_text(settings).encode()
    path = home / "relay.toml"
    if path.exists():
        if path.read_bytes() != text:
            raise Refused("FILE_EXISTS", f"{path} is of another home or ceremony", field=str(path))
        return
    write_new(path, text)


def _unlock_new(choices: Choices, home: Path, passphrase_file: str | None) -> Unlock:
    """A passphrase for each new key: from the file, else of a laboratory, else asked twice."""
    lab = home / LAB_PASSPHRASE
    file = passphrase_file if passphrase_file is not None else str(lab) if lab.is_file() else None
    return lambda label: new_passphrase(choices, label, file)


def _places(home: Path, media: tuple[str, ...]) -> Callable[[str], Path]:
    """The folder for each new key file: the n-th medium for the n-th holder of a role, in turn; else HOME/keys."""
    for place in media:
        if not Path(place).is_dir():
            raise Refused("FILE_MISSING", f"{place} is no directory", field="media")

    def place_of(label: str) -> Path:
        role, _, number = label.rpartition("-")
        if not media or role not in ("root", "targets", "suspensions"):
            return home / "keys"
        return Path(media[(int(number) - 1) % len(media)])

    return place_of


def _tell_network(choices: Choices, founding: "Founding", root_fingerprint: str) -> None:
    """What was made, the fingerprint to compare, and what to do next."""
    from keys.trust.policy import PASSPHRASE_ROLES
    from relay.console.keys.fingerprints import Shown, tell

    policy, network = founding.policy, founding.directory.network
    files = [str(founding.path(label)) for role in PASSPHRASE_ROLES for label in policy.labels(role)]
    if choices.json:
        emit(
            {
                "network": network,
                "network_id": founding.directory.network_id.hex(),
                "home": str(founding.root_dir),
                "root_fingerprint": root_fingerprint,
                "root": f"{policy.root_threshold}/{policy.root_keys}",
                "targets": f"{policy.targets_threshold}/{policy.targets_keys}",
                "suspensions": policy.suspension_keys,
                "keys": files,
            }
        )
        return
    lang = choices.lang
    click.echo(say("network_founded", lang, network=network, home=founding.root_dir))
    tell(Shown("root", network, bytes.fromhex(root_fingerprint)), lang, qr=False)
    click.echo(say("network_files", lang))
    for file in files:
        click.echo(f"  {file}")
    click.echo(say("network_next", lang, network=network, fingerprint=root_fingerprint))
    click.echo(say("network_then", lang, home=founding.root_dir))


def _rotation(role: str) -> SpokenCommand:
    """The command `keys rotate ROLE`."""
    path = f"keys rotate {role}"

    def rotate(
        choices: Choices,
        lost: tuple[str, ...] = (),
        quorum: str | None = None,
        media: tuple[str, ...] = (),
        new_passphrase_file: str | None = None,
        passphrase_file: str | None = None,
    ) -> None:
        numbers = None if quorum is None else _quorum(quorum, "quorum")
        tell_acted(choices, _rotate(choices, role, lost, numbers, media, (passphrase_file, new_passphrase_file)))

    rotate.__doc__ = f"Give role {role} new keys."
    made = signing_options(rotate)
    if role in ("root", "targets"):
        made = option("--lost", metavar="LABEL", multiple=True)(option("--quorum", metavar="M/N")(made))
    if role not in ("snapshot", "timestamp"):
        made = option("--media", metavar="DIR", multiple=True)(made)
        made = option("--new-passphrase-file", metavar="FILE")(made)
    return command(path)(made)


def _rotate(
    choices: Choices,
    role: str,
    lost: tuple[str, ...],
    numbers: tuple[int, int] | None,
    media: tuple[str, ...],
    files: tuple[str | None, str | None],
) -> Acted:
    """Propose the rotation and sign it, or sign the one that waits."""
    from keys.ceremony.network import read_network
    from keys.ceremony.pending import Signers, find_waiting, propose_jointly, sign_waiting, waiting_acts
    from keys.ceremony.proposals import Making, Rotation, propose_rotation
    from keys.files.keyfile import PRODUCTION_COST

    home = root_home(choices)
    signers = signers_of(choices, home, files[0])
    threshold, count = numbers or (None, None)
    rotation = Rotation(role, lost, count, threshold)
    now_us = time.time_ns() // 1_000
    with held(home), ceremony():
        network = read_network(home)
        waiting = [one for one in waiting_acts(home, network.files) if one.files is not None]
        known = find_waiting(waiting, rotation.name)
        if known is not None:
            return acted_on(home, sign_waiting(home, network, known, now_us, signers))
        unlock = _unlock_new(choices, home, files[1] or files[0])
        making = Making(secrets.token_bytes, unlock, _places(home, media), PRODUCTION_COST)
        act, made = propose_rotation(home, network.files, rotation, now_us, making=making)
        signers = Signers(signers.unlock, (*signers.places, *map(Path, media)), made)
        try:
            outcome = propose_jointly(home, act, now_us, signers)
        except (Refused, KeyFileError):
            if not any(one.act.name == act.name and one.files for one in waiting_acts(home, network.files)):
                # Nobody signed for them, and no file names them.
                for holder in made:
                    (making.place(holder.label) / f"{holder.label}.key").unlink(missing_ok=True)
            raise
        return acted_on(home, outcome)


rotate_root: Final = _rotation("root")
rotate_targets: Final = _rotation("targets")
rotate_suspensions: Final = _rotation("suspensions")
rotate_snapshot: Final = _rotation("snapshot")
rotate_timestamp: Final = _rotation("timestamp")
