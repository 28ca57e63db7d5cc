"""Networks on one machine: `lab create`, `demo`."""

from pathlib import Path
from typing import Final

import click

from protocol.errors import Refused
from relay.console.choices import SUITES, Choices
from relay.console.commands import LazyGroup, argument, command, option
from relay.console.output import emit
from relay.console.phrases import say

lab_group: Final = LazyGroup("lab", {"create": "relay.console.network:lab_create"})


@command("lab create")
@argument("plan", "PLAN")
@argument("directory", "DIR")
@option("--passphrase-file", metavar="FILE")
def lab_create(choices: Choices, plan: str, directory: str, passphrase_file: str | None) -> None:
    """Build the network of a plan."""
    for name, field in ((plan, "plan"), (passphrase_file, "passphrase_file")):
        if name is not None and not Path(name).exists():
            raise Refused("FILE_MISSING", name, field=field)
    import msgspec

    from relay.lab.create import create_lab

    made = create_lab(Path(plan), Path(directory), Path(passphrase_file) if passphrase_file else None)
    if choices.json:
        emit(msgspec.to_builtins(made))
        return
    click.echo(say("lab_made", choices.lang, dir=made.directory))
    click.echo(say("root_fingerprint", choices.lang, fingerprint=made.root_fingerprint))
    click.echo(say("lab_run", choices.lang))
    for line in made.commands():
        click.echo(f"  {line}")


@command("demo")
@option("--keep", metavar="DIR")
@option("--suite", metavar="1|2|gm", type=click.Choice(list(SUITES)))
def demo(choices: Choices, keep: str | None, suite: str | None) -> int:
    """Tell the way of a real report in a network of four offices."""
    from relay.demo.story import run

    number = None if suite is None else SUITES[suite]
    return run(Path(keep) if keep is not None else None, as_json=choices.json, lang=choices.lang, suite=number)
