"""`relay doctor`: PASS, WARN and FAIL, each with the next step (CONTRACT section 8)."""

from collections.abc import Mapping
from typing import Any, Final

import click

from relay.console.advice import advice
from relay.console.choices import Choices
from relay.console.client import daemon_of, path_of
from relay.console.commands import command
from relay.console.failure import Failure, report
from relay.console.output import cell, console, emit, printable
from relay.console.phrases import say

_STYLE: Final = {"PASS": "green", "WARN": "yellow", "FAIL": "bold red"}


@command("doctor")
def doctor(choices: Choices) -> int:
    """Check everything that can be checked."""
    found = _examine(choices)
    for finding in found:
        if choices.json:
            what, step = advice(finding["code"], choices.lang)
            emit({**finding, "message": what, "next": step})
        else:
            _tell(finding, choices.lang)
    failed = [finding["code"] for finding in found if finding["result"] == "FAIL"]
    if not failed:
        return 0
    return report(Failure("CHECK_FAILED", " ".join(failed)), choices)


def _examine(choices: Choices) -> list[dict[str, Any]]:
    """By the daemon when it runs, else by a look at the home."""
    try:
        answer = daemon_of(choices).read(path_of("doctor"))
    except Failure as failure:
        if failure.code != "DAEMON_DOWN":
            raise
        from relay.console.keys.unlocking import unlock_of_home
        from relay.doctor.stopped import examine_stopped

        return [finding.as_json() for finding in examine_stopped(choices.home, unlock_of_home(choices))]
    return [{name: value for name, value in line.items() if name != "v"} for line in answer.many()]


def _tell(finding: Mapping[str, Any], lang: str) -> None:
    from rich.text import Text

    what, step = advice(str(finding["code"]), lang)
    line = Text(f"{finding['result']}  ", style=_STYLE.get(str(finding["result"]), ""))
    line.append(printable(f"{finding['check']}: {what}"), style="default")
    if finding.get("detail"):
        line.append(printable(f" ({cell(finding['detail'], 'detail', lang)})"), style="dim")
    console().print(line, soft_wrap=True)
    if step:
        click.echo(f"      {say('do', lang)}{step}")
