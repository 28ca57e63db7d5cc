"""What arrives: `inbox …`, `sign-for`, `return`."""

import base64
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from protocol.errors import Refused
from relay.codes import lookup
from relay.console.choices import Choices
from relay.console.client import daemon_of, path_of
from relay.console.commands import LazyGroup, argument, command, option
from relay.console.drafting import check_prefix
from relay.console.failure import Failure, failure_from, report
from relay.console.output import cell, emit, emit_all, fields, listing, printable
from relay.console.phrases import say
from relay.console.saving import distinct_names, open_folder, write_files
from relay.console.terms import term

STATES: Final = ("new", "opened", "taken", "signed_for", "returned")
TAKE_MAX: Final = 10_000
BODY_FILE: Final = "body.txt"
META_FILE: Final = "meta.json"

_COLUMNS: Final = {
    "received_at": "received_at",
    "id": "id",
    "from": "from",
    "urgency": "urgency",
    "kind": "kind",
    "title": "title",
    "state": "state",
    "flags": "flags",
}

group: Final = LazyGroup(
    "inbox",
    {name: f"relay.console.receiving:inbox_{name}" for name in ("list", "show", "save", "take", "ack")},
)


@command("inbox list")
@option("--state", metavar="STATE", type=click.Choice(STATES))
@option("--limit", metavar="N", type=click.IntRange(1, 1_000_000))
def inbox_list(choices: Choices, state: str | None, limit: int | None) -> None:
    """List received messages."""
    answer = daemon_of(choices).read(path_of("messages"), box="inbox", state=state, limit=limit)
    listing(choices, answer.many(), _COLUMNS)


@command("inbox show")
@argument("message_id", "ID")
def inbox_show(choices: Choices, message_id: str) -> None:
    """Show a message with its body."""
    found = daemon_of(choices).read(path_of("messages", check_prefix(message_id))).one()
    if choices.json:
        emit(found)
    else:
        _show(found, choices.lang)


def _show(found: Mapping[str, Any], lang: str) -> None:
    names = {
        "id": "id",
        "from": "from",
        "to": "to",
        "cc": "cc",
        "urgency": "urgency",
        "kind": "kind",
        "occurred_at": "occurred_at",
        "received_at": "received_at",
        "state": "state",
        "flags": "flags",
        "digest": "digest_head",
    }
    fields((say(head, lang), cell(found.get(name), name, lang)) for name, head in names.items())
    click.echo()
    click.echo(printable(str(found.get("title", ""))))
    click.echo()
    click.echo(printable(str(found.get("body", "")).replace("\r\n", "\n")))
    _show_signatures(found.get("signatures"), lang)
    attachments = found.get("attachments")
    if isinstance(attachments, list) and attachments:
        click.echo()
        click.echo(say("attachments", lang))
        for each in attachments:
            name = each.get("name", "") if isinstance(each, Mapping) else each
            click.echo(f"  {printable(str(name))}")
    original = found.get("original")
    if isinstance(original, Mapping):
        mark = say("verified" if original.get("verified") else "unverified", lang)
        click.echo()
        click.echo(f"── {say('original', lang)} {original.get('id', '')} ({mark}) ──")
        _show(original, lang)


def _show_signatures(signatures: Any, lang: str) -> None:
    """The persons who approved, a line each; the office's own signature goes without saying."""
    persons = [one for one in signatures if one.get("role") != "office"] if isinstance(signatures, list) else []
    if persons:
        click.echo()
    for one in persons:
        mark = say("verified", lang) if one.get("verified") else f"{say('unverified', lang)}: {one.get('code', '')}"
        click.echo(printable(f"{term(str(one.get('role', '')), lang)} {one.get('by', '')} ({mark})"))


@command("inbox save")
@argument("message_id", "ID")
@argument("directory", "DIR")
def inbox_save(choices: Choices, message_id: str, directory: str) -> None:
    """Write body, attachments and metadata into a folder."""
    check_prefix(message_id)
    daemon = daemon_of(choices)
    # The folder comes first: a message that could not be saved must not count as opened.
    folder = open_folder(Path(directory))
    try:
        found = daemon.read(path_of("messages", message_id, "files")).one()
        contents = [(str(each["name"]), _data(each)) for each in found.get("attachments", [])]
        names = distinct_names((name for name, _ in contents), (BODY_FILE, META_FILE))
        meta = dict(found.get("meta", {}))
        meta["attachments"] = [
            {"name": name, "saved_as": saved_as, "bytes": len(data)}
            for (name, data), saved_as in zip(contents, names, strict=True)
        ]
        files = [(BODY_FILE, str(found.get("body", "")).encode())]
        files += [(saved_as, data) for (_, data), saved_as in zip(contents, names, strict=True)]
        files.append((META_FILE, msgspec.json.format(msgspec.json.encode({"v": 1, **meta})) + b"\n"))
        write_files(folder, files)
    finally:
        os.close(folder)
    if choices.json:
        saved = [{"name": name, "bytes": len(data)} for name, data in files]
        emit({"id": meta.get("id", message_id), "dir": str(directory), "files": saved})
    else:
        click.echo(say("saved", choices.lang, count=len(files), dir=directory))


def _data(attachment: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(attachment["data"], validate=True)
    except (ValueError, KeyError, TypeError):
        raise Failure("INTERNAL", "the relay's answer has an attachment without data") from None


@command("inbox take")
@option("--max", "most", metavar="N", type=click.IntRange(1, TAKE_MAX), default=100, help="max")
def inbox_take(choices: Choices, most: int) -> None:
    """Hand out new messages."""
    found = daemon_of(choices).change(path_of("inbox", "take"), {"max": most}).many()
    if choices.json:
        emit_all(found)
        return
    messages = list(found)
    if not messages:
        click.echo(say("no_messages", choices.lang))
    for place, message in enumerate(messages):
        if place:
            click.echo("─" * 40)
        _show(message, choices.lang)


@command("inbox ack")
@argument("message_ids", "ID…", nargs=-1, required=True)
def inbox_ack(choices: Choices, message_ids: tuple[str, ...]) -> int:
    """Acknowledge taken messages; `-` reads ids from standard input."""
    ids = [each for given in message_ids for each in (sys.stdin.read().split() if given == "-" else [given])]
    answers = _acknowledge(choices, ids)
    first: Failure | None = None
    for message_id, answer in zip(ids, answers, strict=False):
        failure = failure_from(answer) if answer.get("type") == "error" else None
        if failure is not None:
            failure.extra["id"] = message_id
            first = first or failure
        if choices.json:
            emit(answer if failure is None else failure.as_object(choices.lang))
        elif failure is None:
            click.echo(say("acked", choices.lang, id=message_id))
        else:
            click.echo(say("not_acked", choices.lang, id=message_id, code=failure.code))
    return report(first, choices) if first is not None else 0


def _acknowledge(choices: Choices, ids: list[str]) -> list[dict[str, Any]]:
    """One answer for each id, in order; a malformed id is answered here and does not stop the others."""
    answers: list[dict[str, Any] | None] = []
    for each in ids:
        try:
            check_prefix(each)
        except Refused as error:
            code = lookup(error.code)
            answers.append({"type": "error", "code": code.code, "exit": code.exit, "field": "id"})
        else:
            answers.append(None)
    good = [each for each, answer in zip(ids, answers, strict=True) if answer is None]
    said: Iterable[dict[str, Any]] = (
        daemon_of(choices).change(path_of("inbox", "ack"), {"ids": good}).many() if good else ()
    )
    arrived = iter(said)
    lost = {"type": "error", "code": "OUTCOME_UNKNOWN"}
    return [answer if answer is not None else next(arrived, lost) for answer in answers]


@command("sign-for")
@argument("message_id", "ID")
@option("--by", metavar="PERSON", required=True)
@option("--key", metavar="KEYFILE")
@option("--passphrase-file", metavar="FILE", help="persons_passphrase")
def sign_for(choices: Choices, message_id: str, by: str, key: str | None, passphrase_file: str | None) -> None:
    """Sign for a message (签收)."""
    path = path_of("messages", check_prefix(message_id), "sign-for")
    wish: dict[str, Any] = {"by": by}
    daemon = daemon_of(choices)
    if key is not None:
        from relay.console.signing import Signing

        wish["signature"] = Signing(choices, daemon, passphrase_file).sign_for(message_id, key)
    found = daemon.change(path, wish).one()
    _done(choices, found, say("signed_for", choices.lang, id=found.get("id", message_id), by=by))


@command("return")
@argument("message_id", "ID")
@option("--reason", metavar="TEXT", required=True)
def return_message(choices: Choices, message_id: str, reason: str) -> None:
    """Return a message with a reason (退回)."""
    if not reason.strip():
        raise Refused("BAD_FIELD", "the reason is empty", field="reason")
    path = path_of("messages", check_prefix(message_id), "return")
    found = daemon_of(choices).change(path, {"reason": reason}).one()
    _done(choices, found, say("returned", choices.lang, id=found.get("id", message_id)))


def _done(choices: Choices, found: Mapping[str, Any], words: str) -> None:
    if choices.json:
        emit(found)
        return
    click.echo(words)
    if isinstance(found.get("type"), str):
        click.echo(f"  {term(found['type'], choices.lang)}")
