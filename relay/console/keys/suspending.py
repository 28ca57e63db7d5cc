"""`keys suspend`: the quick brake, which one holder pulls alone (D8)."""

import time

from keys.roster.office_record import is_name
from protocol.errors import Refused
from protocol.ids import parse_address
from relay.console.choices import Choices
from relay.console.commands import argument, command, option
from relay.console.keys.acting import acted_on, ceremony, signers_of, signing_options, tell_acted
from relay.console.keys.homes import held, root_home
from relay.times import parse_duration_us, time_text


@command("keys suspend")
@argument("address", "ADDRESS")
@option("--for", "duration", metavar="72h")
@option("--reason", metavar="TEXT")
@option("--lift", is_flag=True)
@signing_options
def suspend(
    choices: Choices,
    *,
    address: str,
    duration: str | None,
    reason: str | None,
    lift: bool,
    passphrase_file: str | None,
) -> None:
    """Suspend an office for at most 72 hours, or lift its suspension."""
    from keys.ceremony.network import read_network
    from keys.ceremony.pending import propose_jointly
    from keys.ceremony.proposals import propose_suspensions
    from keys.roster.suspensions import Suspension, lift_suspension, suspend_office

    whom = parse_address(address, field="address")
    if lift == (duration is not None or reason is not None):
        raise Refused("USAGE", "either --lift, or --for and --reason", field="lift")
    if not lift and (duration is None or reason is None or not is_name(reason)):
        raise Refused("BAD_FIELD", "--for and --reason are both needed, the reason on one line", field="reason")
    home = root_home(choices)
    signers = signers_of(choices, home, passphrase_file)
    now_us = time.time_ns() // 1_000
    found: dict[str, str] = {"address": whom}
    with held(home), ceremony():
        network = read_network(home)
        office = network.directory.by_address(whom)
        if office is None:
            raise Refused("NOT_FOUND", f"the directory has no office {whom}", field="address")
        if lift:
            act, after = f"lift the suspension of {whom}", lift_suspension(network.suspensions, office.id, now_us)
        else:
            until_us = now_us + parse_duration_us(duration or "", field="for")
            after = suspend_office(network.suspensions, Suspension(office.id, now_us, until_us, reason or ""))
            found["until"] = time_text(until_us)
            act = f"suspend {whom} until {found['until']}: {reason}"
        outcome = propose_jointly(home, propose_suspensions(network.files, after, act, now_us), now_us, signers)
    tell_acted(choices, acted_on(home, outcome), found)
