"""`keys rules`: what the network demands of every office, shown or changed."""

from typing import Any

import click

from keys.roster.directory import EMERGENCY_BYPASSES, Rules
from keys.roster.rules import RulesChange, change_rules
from protocol.lanes import KINDS
from relay.console.choices import SUITES, Choices
from relay.console.commands import command, option
from relay.console.keys.acting import ceremony, change_directory, signing_options, tell_acted
from relay.console.keys.homes import root_home
from relay.console.output import emit
from relay.console.phrases import say

KINDS_OR_NONE = click.Choice((*KINDS, "none"))


@command("keys rules")
@option("--suite", "suites", metavar="1|2|gm", type=click.Choice(list(SUITES)), multiple=True)
@option("--require-reviewer", metavar="KIND|none", type=KINDS_OR_NONE, multiple=True)
@option("--require-issuer", metavar="KIND|none", type=KINDS_OR_NONE, multiple=True)
@option(
    "--emergency-bypass", metavar="copy_city|none", type=click.Choice([one or "none" for one in EMERGENCY_BYPASSES])
)
@option("--cut-off", is_flag=True)
@signing_options
def rules(
    choices: Choices,
    suites: tuple[str, ...],
    require_reviewer: tuple[str, ...],
    require_issuer: tuple[str, ...],
    emergency_bypass: str | None,
    cut_off: bool,
    passphrase_file: str | None,
) -> None:
    """Show the network's rules, or change some of them."""
    change = RulesChange(
        tuple(SUITES[suite] for suite in suites) or None,
        _kinds(require_reviewer),
        _kinds(require_issuer),
        emergency_bypass,
    )
    if change == RulesChange():
        _show(choices)
        return
    acted = change_directory(
        choices,
        passphrase_file,
        lambda directory, now_us: change_rules(directory, change, now_us, cut_off=cut_off),
        act=f"rules {_words(change)}",
    )
    tell_acted(choices, acted, {"rules": _as_object(acted.directory.rules)})
    if not choices.json:
        _tell(choices, acted.directory.rules)


def _kinds(given: tuple[str, ...]) -> frozenset[str] | None:
    """The kinds of a repeated option; `none` among them takes all away, no option leaves the rule."""
    return None if not given else frozenset() if "none" in given else frozenset(given)


def _words(change: RulesChange) -> str:
    """The change as the journal keeps it."""
    said = []
    if change.suites is not None:
        said.append(f"suites {' '.join(map(str, sorted(set(change.suites))))}")
    for word, kinds in (("reviewer", change.require_reviewer), ("issuer", change.require_issuer)):
        if kinds is not None:
            said.append(f"{word} {' '.join(sorted(kinds)) or 'none'}")
    if change.emergency_bypass is not None:
        said.append(f"bypass {change.emergency_bypass}")
    return ", ".join(said)


def _show(choices: Choices) -> None:
    from keys.ceremony.network import read_network

    home = root_home(choices)
    with ceremony():
        found = read_network(home).directory.rules
    if choices.json:
        emit({"rules": _as_object(found)})
        return
    _tell(choices, found)


def _as_object(found: Rules) -> dict[str, Any]:
    return {
        "suites": list(found.suites),
        "require_reviewer": sorted(found.require_reviewer),
        "require_issuer": sorted(found.require_issuer),
        "emergency_bypass": found.emergency_bypass,
    }


def _tell(choices: Choices, found: Rules) -> None:
    for name, value in (
        ("suites", " ".join(map(str, found.suites))),
        ("reviewers", " ".join(sorted(found.require_reviewer)) or "–"),
        ("issuers", " ".join(sorted(found.require_issuer)) or "–"),
        ("bypass", found.emergency_bypass or "–"),
    ):
        click.echo(say(f"rules_{name}", choices.lang, value=value))
