"""Networks on one machine: `lab create`, `demo`, `broker …`."""

from pathlib import Path
from typing import Final

import click

from protocol.errors import Refused
from relay.console.choices import Choices
from relay.console.commands import LazyGroup, argument, command
from relay.console.output import emit
from relay.console.phrases import say

ENGINES: Final = ("mosquitto", "nats", "rabbitmq")

lab_group: Final = LazyGroup("lab", {"create": "relay.console.network:lab_create"})


@command("lab create")
@argument("plan", "PLAN")
@argument("directory", "DIR")
def lab_create(choices: Choices, plan: str, directory: str) -> None:
    """Build the network of a plan."""
    if not Path(plan).exists():
        raise Refused("FILE_MISSING", plan, field="plan")
    import msgspec

    from relay.lab.create import create_lab

    made = create_lab(Path(plan), Path(directory), None)
    if choices.json:
        emit(msgspec.to_builtins(made))
        return
    click.echo(say("lab_made", choices.lang, dir=directory))
