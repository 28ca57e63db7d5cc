"""`keys pending`: acts that wait for more signatures, and signing one that came from another machine."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from protocol.errors import Refused
from relay.console.choices import Choices
from relay.console.commands import LazyGroup, argument, command
from relay.console.keys.acting import acted_on, ceremony, signatures_object, signers_of, signing_options, tell_acted
from relay.console.keys.homes import held, root_home
from relay.console.keys.journal import note_act
from relay.console.keys.phrases import EFFECTS
from relay.console.output import cell, emit, fields, listing
from relay.console.phrases import say
from relay.times import time_text

if TYPE_CHECKING:
    from keys.ceremony.network import Network
    from keys.ceremony.pending import Waiting

group: Final = LazyGroup(
    "keys pending", {name: f"relay.console.keys.pendings:pending_{name}" for name in ("list", "show", "sign", "drop")}
)


@command("keys pending list")
def pending_list(choices: Choices) -> None:
    """List the acts that wait."""
    _, waiting = _waiting(root_home(choices))
    columns = {
        "number": "number",
        "act": "act",
        "at": "at",
        "state": "state",
        "holders": "holders",
        "missing": "act_lacks",
    }
    listing(choices, [_line(one) for one in waiting], columns)


@command("keys pending show")
@argument("number", "[NUMBER|FILE]", required=False)
def pending_show(choices: Choices, number: str | None) -> None:
    """Show what an act would change, and who has signed it."""
    home = root_home(choices)
    network, one = _chosen(home, number)
    with ceremony():
        effects = _effects(network, one, choices.lang)
    found = {**_line(one), "signatures": [signatures_object(signed) for signed in one.signatures], "changes": effects}
    if choices.json:
        emit(found)
        return
    lang = choices.lang
    heads = {"act": "act", "at": "at", "state": "state", "holders": "holders", "missing": "act_lacks"}
    fields((say(head, lang), cell(found[name], name, lang)) for name, head in heads.items())
    for effect in effects:
        click.echo(f"  {effect}")


@command("keys pending sign")
@argument("number", "[NUMBER|FILE]", required=False)
@signing_options
def pending_sign(choices: Choices, number: str | None, passphrase_file: str | None) -> None:
    """Sign the act that comes first, or the one in FILE."""
    from keys.ceremony.pending import sign_waiting

    home = root_home(choices)
    signers = signers_of(choices, home, passphrase_file)
    with held(home), ceremony():
        network, one = _chosen(home, number)
        if not choices.json:
            # Whoever signs sees before what it does.
            click.echo(f"{one.act.name}", err=True)
            for effect in _effects(network, one, choices.lang):
                click.echo(f"  {effect}", err=True)
        acted = acted_on(home, sign_waiting(home, network, one, time.time_ns() // 1_000, signers))
    tell_acted(choices, acted)


@command("keys pending drop")
@argument("number", "NUMBER")
def pending_drop(choices: Choices, number: str) -> None:
    """Forget an act that waits."""
    from keys.ceremony.pending import drop_waiting

    home = root_home(choices)
    with held(home):
        network, one = _chosen(home, number)
        drop_waiting(home, one)
    note_act(home, f"drop: {one.act.name}", True, (), network.directory.version)
    if choices.json:
        emit({"act": one.act.name, "state": "dropped"})
    else:
        click.echo(say("act_dropped", choices.lang, act=one.act.name))


def _waiting(home: Path) -> "tuple[Network, list[Waiting]]":
    from keys.ceremony.network import read_network
    from keys.ceremony.pending import waiting_acts

    with ceremony():
        network = read_network(home)
        return network, waiting_acts(home, network.files)


def _chosen(home: Path, number: str | None) -> "tuple[Network, Waiting]":
    """The act of that number or in that file, else the first. Raises `Refused` NOT_FOUND, ACT_OUTDATED."""
    from keys.ceremony.act import check_act
    from keys.ceremony.pending import Waiting, read_act
    from keys.trust import TrustError

    network, waiting = _waiting(home)
    if number is None or number.isdecimal():
        for one in waiting:
            if number is None or int(one.path.stem) == int(number):
                return network, one
        raise Refused("NOT_FOUND", "no act waits" if number is None else f"no act {number} waits", field="number")
    path = Path(number)
    if not path.is_file():
        raise Refused("FILE_MISSING", number, field="number")
    with ceremony():
        act = read_act(path)
    try:
        check_act(network.files, act)
    except TrustError as error:
        raise Refused("ACT_OUTDATED", f"{act.name}: {error.detail}", field="act") from error
    return network, Waiting(path, act, network.files)


def _line(one: "Waiting") -> dict[str, Any]:
    signatures = one.signatures
    return {
        "number": int(one.path.stem) if one.path.stem.isdecimal() else None,
        "act": one.act.name,
        "at": time_text(one.act.at_us),
        "state": "outdated" if one.files is None else "pending",
        "holders": sorted({label for signed in signatures for label in signed.holders}),
        "missing": sum(signed.missing for signed in signatures),
        "file": str(one.path),
    }


def _effects(network: "Network", one: "Waiting", lang: str) -> list[str]:
    from keys.ceremony.effects import ENGLISH, effects_of

    words = EFFECTS if lang == "zh_CN" else ENGLISH
    return effects_of(network.files if one.files is None else one.files, one.act, words)
