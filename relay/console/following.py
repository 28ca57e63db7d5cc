"""What became of messages: `track`, `sent list`, `evidence`, `verify`, `cancel`, `overdue`."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from protocol.errors import Refused
from relay.console.choices import Choices
from relay.console.client import daemon_of, path_of
from relay.console.commands import LazyGroup, argument, command, option
from relay.console.drafting import check_prefix
from relay.console.failure import Failure, report
from relay.console.output import console, emit, emit_all, fields, listing, local_time, local_time_exact, printable
from relay.console.phrases import say
from relay.console.saving import open_folder, write_files
from relay.console.terms import term

STATES: Final = (
    "accepted custody delivered opened signed_for returned refused expired unconfirmed awaiting_prekey cancelled"
).split()

sent_group: Final = LazyGroup("sent", {"list": "relay.console.following:sent_list"})

_STYLE: Final = {
    "delivered": "green",
    "opened": "green",
    "signed_for": "bold green",
    "returned": "yellow",
    "refused": "bold red",
    "expired": "bold red",
    "unconfirmed": "red",
}


@command("track")
@argument("message_id", "ID")
def track(choices: Choices, message_id: str) -> None:
    """Show what became of a message."""
    found = daemon_of(choices).read(path_of("messages", check_prefix(message_id), "timeline")).one()
    if choices.json:
        emit(found)
    else:
        _time_line(found, choices.lang)


def _time_line(found: Mapping[str, Any], lang: str) -> None:
    from rich.text import Text

    out = console()
    out.print(Text(f"{say('id', lang)} {found.get('id', '')}", style="bold"))
    for each in found.get("recipients", []):
        state = str(each.get("state", ""))
        head = Text(f"→ {each.get('to', '')}  ")
        head.append(term(state, lang), style=_STYLE.get(state, "cyan"))
        notes = [say(name, lang) for name in ("final", "late", "deadline_uncertain") if each.get(name)]
        if each.get("code"):
            notes.append(str(each["code"]))
        if each.get("deadline"):
            notes.append(f"{say('deadline', lang)} {local_time(each['deadline'])}")
        if notes:
            head.append("  " + " · ".join(notes), style="dim")
        out.print(head)
        for event in each.get("events", []):
            out.print(_event(event, lang))


def _event(event: Mapping[str, Any], lang: str) -> Any:
    from rich.text import Text

    kind = str(event.get("type", ""))
    line = Text(f"   {local_time_exact(event.get('at'))}  ", style="dim")
    line.append(term(kind, lang), style=_STYLE.get(kind, "default"))
    line.append(f"  {event.get('by', '')}", style="default")
    if "verified" in event:
        verified = bool(event["verified"])
        words = say("verified" if verified else "unverified", lang)
        line.append(f"  {'✓' if verified else '✗'} {words}", style="green" if verified else "red")
    shown = {"type", "at", "by", "verified"}
    rest = [f"{key}={value}" for key, value in event.items() if key not in shown and value not in (None, "", [])]
    if rest:
        line.append("  " + printable(" ".join(rest)), style="dim")
    return line


@command("sent list")
@option("--state", metavar="STATE", type=click.Choice(STATES))
@option("--limit", metavar="N", type=click.IntRange(1, 1_000_000))
def sent_list(choices: Choices, state: str | None, limit: int | None) -> None:
    """List what this office sent."""
    found = daemon_of(choices).read(path_of("messages"), box="sent", state=state, limit=limit).many()
    if choices.json:
        emit_all(found)
        return
    rows = [
        {
            "id": each.get("id"),
            "to": recipient.get("to"),
            "state": recipient.get("state"),
            "deadline": recipient.get("deadline"),
            "late": recipient.get("late"),
            "title": say("words_lost", choices.lang) if each.get("damaged") else each.get("title"),
        }
        for each in found
        for recipient in each.get("recipients", [])
    ]
    names = ("id", "to", "state", "deadline", "late", "title")
    listing(choices, rows, {name: name for name in names})


@command("evidence")
@argument("message_id", "ID")
@option("--output", "-o", metavar="FILE", required=True)
@option("--redact-body", is_flag=True)
def evidence(choices: Choices, message_id: str, output: str, redact_body: bool) -> None:
    """Write the evidence of a message as one file."""
    path = path_of("messages", check_prefix(message_id), "evidence")
    target = Path(output)
    if output != "-" and (target.exists() or target.is_symlink()):
        raise Refused("FILE_EXISTS", output, field="output")
    data = daemon_of(choices).read(path, redact_body=1 if redact_body else None).body
    if output == "-":
        sys.stdout.buffer.write(data)
        return
    if not target.parent.is_dir():
        raise Refused("FILE_MISSING", str(target.parent), field="output")
    folder = open_folder(target.parent)
    try:
        write_files(folder, [(target.name, data)])
    finally:
        os.close(folder)
    if choices.json:
        emit({"id": message_id, "file": output, "bytes": len(data)})
    else:
        click.echo(say("evidence_written", choices.lang, file=output, bytes=len(data)))


@command("verify")
@argument("file", "FILE")
@option("--root", metavar="FILE|FINGERPRINT")
def verify(choices: Choices, file: str, root: str | None) -> int:
    """Check an evidence file offline."""
    from relay.evidence import verify_file

    home = choices.home if (choices.home / "relay.toml").is_file() else None
    found = verify_file(Path(file), root, home)
    if choices.json:
        emit(found)
    else:
        _tell_verdict(found, choices.lang)
    problems = [str(each) for each in found.get("problems", [])]
    wrong = [each for each in problems if not each.startswith("UNANCHORED")]
    if wrong or not (found["ok"] or problems):
        return report(Failure("VERIFY_FAILED", "; ".join(wrong)), choices)
    if not found["anchored"]:
        return report(Failure("UNANCHORED", "; ".join(problems) or str(found.get("root_fingerprint", ""))), choices)
    return 0


def _tell_verdict(found: Mapping[str, Any], lang: str) -> None:
    click.echo(say("verify_ok" if found["ok"] else "verify_bad", lang))
    message = found.get("message") or {}
    fields(
        [
            (say("id", lang), str(message.get("id", ""))),
            (say("from", lang), str(message.get("from", ""))),
            (say("to", lang), " ".join(message.get("to", []))),
            (say("digest_head", lang), str(message.get("digest", ""))),
        ]
    )
    for receipt in found.get("receipts", []):
        mark = "✓" if receipt.get("ok") else "✗"
        words = term(str(receipt.get("type", "")), lang)
        click.echo(f"  {mark} {local_time(receipt.get('at'))}  {words}  {receipt.get('by', '')}")
    for problem in found.get("problems", []):
        click.echo(f"  ✗ {printable(str(problem))}")
    click.echo(say("root_fingerprint", lang, fingerprint=found.get("root_fingerprint", "")))


CANCELLED: Final = {
    "cancelled": "cancel_ended",
    "requested": "cancel_requested",
    "not_cancelled": "cancel_too_late",
}
"""What became of the wish, by the lists of the answer."""


@command("cancel")
@argument("message_id", "ID")
def cancel(choices: Choices, message_id: str) -> None:
    """Cancel a message of this office."""
    found = daemon_of(choices).change(path_of("messages", check_prefix(message_id), "cancel")).one()
    if choices.json:
        emit(found)
    else:
        click.echo(say("cancelled", choices.lang, id=found.get("id", message_id)))
        for name, phrase in CANCELLED.items():
            if found.get(name):
                click.echo("  " + say(phrase, choices.lang, to=" ".join(map(str, found[name]))))


@command("overdue")
def overdue(choices: Choices) -> None:
    """List messages past their deadline."""
    columns = {"id": "id", "to": "to", "state": "state", "deadline": "deadline", "title": "title"}
    listing(choices, daemon_of(choices).read(path_of("overdue")).many(), columns)
